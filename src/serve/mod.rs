//! The shell: turns sockets into events for the core and the core's actions into I/O.
//!
//! One event loop is one future, [`serve`]. It spawns nothing, and any [`Runtime`] can run it.
//! More loops may run beside it on sockets that share their addresses; they have [`Shared`] in common.
//!
//! - `worker` is the loop: one pass of it after the other; `view` shows what is in it.
//! - `links` is its side towards upstreams, `datagrams` and `clients` are its sides towards clients, `streams` one
//!   client's connection.
//! - `sources` knows who woke the loop; `bootstrap` finds upstreams that were given by name.

mod bootstrap;
mod clients;
mod control;
mod datagrams;
mod links;
mod shared;
mod sources;
mod streams;
mod view;
mod worker;

pub use control::{Command, Control};
pub use shared::Shared;
// Open for the simulator, which looks at a loop after each poll; nothing is promised of it.
#[doc(hidden)]
pub use worker::Worker;
pub use worker::serve;

use crate::config::{Listen, Modes, bind_advice};
use crate::runtime::{Datagrams, Listener, Runtime};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// How often a port that the system chose for UDP may turn out to be taken for TCP.
const PORT_TRIES: usize = 32;

/// The sockets of one loop, bound and ready.
pub struct Sockets<R: Runtime> {
    pub(crate) datagrams: Vec<R::Datagrams>,
    pub(crate) listeners: Vec<R::Listener>,
    addresses: Vec<SocketAddr>,
}

/// An address could not be listened on. The text says what can be done about it.
#[derive(Debug)]
pub struct BindError(String);

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BindError {}

impl<R: Runtime> Sockets<R> {
    /// Binds all addresses, or none. `share`: other loops will bind the same ones. An address that the user did not
    /// name may be missing (`[::1]` where IPv6 is off), as long as one is left.
    pub fn bind(
        runtime: &R,
        listen: &[Listen],
        modes: Modes,
        share: bool,
    ) -> Result<Self, BindError> {
        let mut sockets = Self {
            datagrams: Vec::new(),
            listeners: Vec::new(),
            addresses: Vec::new(),
        };
        let mut missing = None;
        for Listen { addr, required } in listen {
            match sockets.bind_one(runtime, *addr, modes, share) {
                Ok(bound) => sockets.addresses.push(bound),
                Err(error) if !required && R::is_missing(&error) => {
                    log::info!("{addr} is not there: not listening on it");
                    missing = Some((addr, error));
                }
                Err(error) => return Err(BindError(bind_advice(*addr, &error))),
            }
        }
        match missing {
            Some((addr, error)) if sockets.addresses.is_empty() => {
                Err(BindError(bind_advice(*addr, &error)))
            }
            _ => Ok(sockets),
        }
    }

    /// Where the system chooses the port, TCP has to get the one that UDP got; somebody else may have that one already.
    fn bind_one(
        &mut self,
        runtime: &R,
        addr: SocketAddr,
        modes: Modes,
        share: bool,
    ) -> io::Result<SocketAddr> {
        let tries = if addr.port() == 0 { PORT_TRIES } else { 1 };
        let mut bound = self.try_bind(runtime, addr, modes, share);
        for _ in 1..tries {
            match &bound {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    bound = self.try_bind(runtime, addr, modes, share);
                }
                _ => break,
            }
        }
        bound
    }

    fn try_bind(
        &mut self,
        runtime: &R,
        addr: SocketAddr,
        modes: Modes,
        share: bool,
    ) -> io::Result<SocketAddr> {
        let mut bound = addr;
        let mut datagrams = None;
        if modes.udp {
            let socket = runtime.bind(addr, share)?;
            bound = socket.local_addr()?;
            datagrams = Some(socket);
        }
        if modes.tcp {
            let listener = runtime.listen(bound, share)?;
            bound = listener.local_addr()?;
            self.listeners.push(listener);
        }
        self.datagrams.extend(datagrams);
        Ok(bound)
    }

    /// Where clients are served, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}
