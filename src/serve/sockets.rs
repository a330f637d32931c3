//! The addresses that are served, bound at the start.

use crate::config::{Config, Modes, bind_advice};
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
    missing: Vec<SocketAddr>,
    pub(super) modes: Modes,
    pub(super) share: bool,
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
    /// Binds all addresses of the configuration, or none. With several workers the addresses are shared: each binds them for itself.
    ///
    /// An address that no interface has is missing: the loop tries to bind it every few seconds. One that the user did not name
    /// (`[::1]` where IPv6 is off) is left out, as long as another is there.
    pub fn bind(runtime: &R, config: &Config) -> Result<Self, BindError> {
        let mut sockets = Self::none(config.modes(), config.workers().get() > 1);
        let mut left_out = None;
        for wanted in config.listen() {
            let addr = wanted.addr();
            match sockets.bind_one(runtime, addr) {
                Ok(bound) => sockets.addresses.push(bound),
                Err(error) if !wanted.is_required() && R::is_missing(&error) => {
                    log::info!("{addr}: this host does not have this address; it is not served");
                    left_out = Some((addr, error));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    sockets.missing.push(addr);
                }
                Err(error) => return Err(BindError(bind_advice(addr, &error))),
            }
        }
        match left_out {
            Some((addr, error)) if sockets.addresses.is_empty() && sockets.missing.is_empty() => {
                Err(BindError(bind_advice(addr, &error)))
            }
            _ => Ok(sockets),
        }
    }

    /// Binds one address later than the others.
    pub(super) fn bind_late(
        runtime: &R,
        addr: SocketAddr,
        modes: Modes,
        share: bool,
    ) -> io::Result<Self> {
        let mut sockets = Self::none(modes, share);
        sockets.bind_one(runtime, addr)?;
        Ok(sockets)
    }

    fn none(modes: Modes, share: bool) -> Self {
        Self {
            datagrams: Vec::new(),
            listeners: Vec::new(),
            addresses: Vec::new(),
            missing: Vec::new(),
            modes,
            share,
        }
    }

    /// Where the system chooses the port, TCP has to get the one that UDP got; somebody else may have that one already.
    fn bind_one(&mut self, runtime: &R, addr: SocketAddr) -> io::Result<SocketAddr> {
        let tries = if addr.port() == 0 { PORT_TRIES } else { 1 };
        let mut bound = self.try_bind(runtime, addr);
        for _ in 1..tries {
            match &bound {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    bound = self.try_bind(runtime, addr);
                }
                _ => break,
            }
        }
        bound
    }

    fn try_bind(&mut self, runtime: &R, addr: SocketAddr) -> io::Result<SocketAddr> {
        let mut bound = addr;
        let mut datagrams = None;
        if self.modes.udp() {
            let socket = runtime.bind(addr, self.share)?;
            bound = socket.local_addr()?;
            datagrams = Some(socket);
        }
        if self.modes.tcp() {
            let listener = runtime.listen(bound, self.share)?;
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

    /// Addresses that no interface of this host has yet. The loop serves there as soon as one has.
    pub fn missing(&self) -> &[SocketAddr] {
        &self.missing
    }
}
