//! The control socket: a Unix socket by which the owner of a running program sees into it, and has it do something. `docs/control.md` describes
//! the protocol. Off unless a path is given for it.
//!
//! One thread serves all of it. The event loops know nothing of it: what they are asked and told comes as a command
//! ([`Control`](crate::serve::Control)), and a loop that does not answer in time hangs.
//!
//! - `socket_file` makes the file and removes it; `peer` says who may talk.
//! - `server` has the connections, within bounds. `request` is a line that it reads, `reply` one that it writes.
//! - `commands` carries requests out: `explain` is the longest one, `log_trace` the one that ends by itself.
//! - `client` is the other end: what `dotward status` and its like do. `screens` shows replies to people.
//! - `names` has the types and codes of DNS by name.

mod client;
mod commands;
mod explain;
mod log_trace;
mod names;
mod peer;
mod reply;
mod request;
mod screens;
mod server;
mod socket_file;

pub use client::talk;
pub use request::{LONGEST_TRACE, Request, TRACE, log_level, question_type, read_name};
pub use socket_file::MAX_PATH;

use crate::reload::Reloads;
use crate::serve::Control;
use commands::Commands;
use log::info;
use server::Server;
use socket_file::SocketFile;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// A socket that is there, and is served once there are event loops to ask. Its file is removed when this is dropped, as where the start fails.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    file: Arc<SocketFile>,
}

impl ControlSocket {
    /// Listens at this path. The text of an error is for the operator.
    pub fn bind(path: &Path) -> Result<Self, String> {
        let (listener, file) = SocketFile::make(path).map_err(|why| {
            format!(
                "the control socket (control-socket) {}: {why}",
                path.display()
            )
        })?;
        Ok(Self {
            listener,
            file: Arc::new(file),
        })
    }

    /// Serves from now on, in a thread that lives as long as the process. What is given back removes the file when it is dropped. The text
    /// of an error is for the operator.
    pub fn serve(
        self,
        control: &Control,
        runtime: &str,
        reloads: &Reloads,
    ) -> Result<Served, String> {
        let Self { listener, file } = self;
        control.remember_failures();
        let commands = Commands::new(control.clone(), runtime.to_owned(), reloads.clone());
        let path = file.path().display().to_string();
        let server = Server::new(listener, file.clone(), commands);
        let thread = thread::Builder::new().name("dotward-control".into());
        let spawned = thread.spawn(move || server.run());
        spawned.map_err(|error| {
            format!("the control socket (control-socket) cannot be served: {error}")
        })?;
        info!("the control socket is {path}");
        Ok(Served(file))
    }
}

/// A control socket that is served.
#[derive(Debug)]
pub struct Served(Arc<SocketFile>);

impl Drop for Served {
    fn drop(&mut self) {
        // The thread goes on until the process ends.
        self.0.remove();
    }
}
