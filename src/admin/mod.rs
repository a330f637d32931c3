//! Metrics and health over HTTP, for whoever watches the program. Off unless an address is given for it.
//!
//! One thread serves all of it. The event loops know nothing of it: it asks them for copies of their counters, as a command
//! ([`Control::measure`]), and a loop that does not send its own in time hangs.
//!
//! - `server` accepts connections, within bounds, and waits for all of them together; `stream` is one of them as hyper wants it.
//! - `answers` says what a request gets: `host` which of them are meant for this program, `metrics` the counters in OpenMetrics by the table in
//!   `families`. `page` is what people look at, which takes `events`. Whether it lives and is ready, and its state in JSON, come from
//!   [`status`](crate::status).

mod answers;
mod body;
mod events;
mod families;
mod host;
mod metrics;
mod page;
mod server;
mod stream;

use crate::serve::{Control, bind_advice};
use crate::status::{about, health, report as status, totals};
use answers::Answers;
use log::info;
use server::Server;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// A socket that is bound, and is served once there are event loops to ask.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Listens at this address. The text of an error is for the operator.
    pub fn bind(address: SocketAddr) -> Result<Self, String> {
        let bound = || -> io::Result<Self> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound().map_err(|error| format!("metrics (admin): {}", bind_advice(address, &error)))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves from now on, in a thread that lives as long as the process. The text of an error is for the operator.
    pub fn serve(self, control: &Control, runtime: &str) -> Result<(), String> {
        let Self { listener, address } = self;
        let (control, runtime) = (control.clone(), runtime.to_owned());
        // Whether the program is ready shows in a connection to an upstream; without queries there would be none.
        control.prepare();
        let thread = thread::Builder::new().name("dotward-admin".into());
        let work = move || Server::new(listener, Answers::new(control, runtime)).run();
        let spawned = thread.spawn(work);
        spawned.map_err(|error| format!("metrics cannot be served (admin): {error}"))?;
        info!("metrics and health are served on http://{address}");
        Ok(())
    }
}
