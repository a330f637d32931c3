//! The addresses that are served: bound at the start, or later where the host does not have one yet.

use crate::config::{Listen, Modes, bind_advice};
use crate::engine::Time;
use crate::runtime::{Datagrams, Listener, Runtime};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How often a port that the system chose for UDP may turn out to be taken for TCP.
const PORT_TRIES: usize = 32;
/// How often an address that is not bound is tried again: soon enough for whoever waits for a tunnel to come up, and next to nothing
/// for the processor.
const RETRY: Duration = Duration::from_secs(2);

/// The sockets of one loop, bound and ready.
pub struct Sockets<R: Runtime> {
    pub(crate) datagrams: Vec<R::Datagrams>,
    pub(crate) listeners: Vec<R::Listener>,
    addresses: Vec<SocketAddr>,
    missing: Vec<SocketAddr>,
    modes: Modes,
    share: bool,
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
    /// Binds all addresses, or none. `share`: other loops will bind the same ones.
    ///
    /// An address that no interface has is missing: the loop tries to bind it every few seconds. One that the user did not name
    /// (`[::1]` where IPv6 is off) is left out, as long as another is there.
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
            missing: Vec::new(),
            modes,
            share,
        };
        let mut left_out = None;
        for wanted in listen {
            let addr = wanted.addr();
            match sockets.bind_one(runtime, addr) {
                Ok(bound) => sockets.addresses.push(bound),
                Err(error) if !wanted.is_required() && R::is_missing(&error) => {
                    log::info!("{addr} is not there: not listening on it");
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

/// What is to be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An address, for all that clients may speak.
    Address(SocketAddr),
    /// The UDP socket of this number, in place of one that failed.
    Datagrams(usize, SocketAddr),
}

impl Wanted {
    fn addr(self) -> SocketAddr {
        match self {
            Self::Address(addr) | Self::Datagrams(_, addr) => addr,
        }
    }
}

/// What a loop has not bound yet, and when it tries next.
pub struct Unbound {
    modes: Modes,
    share: bool,
    wanted: Vec<Wanted>,
    next: Option<Time>,
    /// The last error of each address that is not about its absence, so that it is said once.
    said: Vec<(SocketAddr, io::ErrorKind)>,
    /// One loop of several speaks for all.
    speaks: bool,
}

impl Unbound {
    /// What these sockets lack. Says so in the log if this loop `speaks`.
    pub fn new<R: Runtime>(sockets: &Sockets<R>, speaks: bool, now: Time) -> Self {
        if speaks {
            for addr in &sockets.missing {
                log::warn!(
                    "{addr}: no interface of this host has this address; it is tried again every {RETRY:?}"
                );
            }
        }
        Self {
            modes: sockets.modes,
            share: sockets.share,
            wanted: sockets
                .missing
                .iter()
                .copied()
                .map(Wanted::Address)
                .collect(),
            next: (!sockets.missing.is_empty()).then(|| now + RETRY),
            said: Vec::new(),
            speaks,
        }
    }

    /// A socket failed: it is to be bound anew, at once for the first time.
    pub fn add(&mut self, wanted: Wanted, now: Time) {
        self.wanted.push(wanted);
        self.next = Some(now);
    }

    /// When there is something to try.
    pub fn next_alarm(&self) -> Option<Time> {
        self.next
    }

    /// Nothing more will be bound.
    pub fn give_up(&mut self) {
        self.wanted.clear();
        self.next = None;
    }

    /// Tries what is due; hands out what was bound, and for what.
    pub fn time<R: Runtime>(&mut self, runtime: &R, now: Time) -> Vec<(Wanted, Sockets<R>)> {
        if self.next.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut bound = Vec::new();
        for wanted in std::mem::take(&mut self.wanted) {
            match self.bind(runtime, wanted) {
                Ok(sockets) => {
                    self.said.retain(|(addr, _)| *addr != wanted.addr());
                    if self.speaks {
                        log::info!("{}: bound, and served from now on", wanted.addr());
                    }
                    bound.push((wanted, sockets));
                }
                Err(error) => {
                    self.say(wanted, &error);
                    self.wanted.push(wanted);
                }
            }
        }
        self.next = (!self.wanted.is_empty()).then(|| now + RETRY);
        bound
    }

    fn bind<R: Runtime>(&self, runtime: &R, wanted: Wanted) -> io::Result<Sockets<R>> {
        let modes = match wanted {
            Wanted::Address(_) => self.modes,
            Wanted::Datagrams(..) => Modes::Udp,
        };
        let mut sockets = Sockets {
            datagrams: Vec::new(),
            listeners: Vec::new(),
            addresses: Vec::new(),
            missing: Vec::new(),
            modes,
            share: self.share,
        };
        sockets.bind_one(runtime, wanted.addr())?;
        Ok(sockets)
    }

    /// That an address is absent was said at the start, and what is true of one loop's address is true of all.
    fn say(&mut self, wanted: Wanted, error: &io::Error) {
        let absent = error.kind() == io::ErrorKind::AddrNotAvailable;
        let known = matches!(wanted, Wanted::Address(_)) && (absent || !self.speaks);
        let entry = (wanted.addr(), error.kind());
        if !known && !self.said.contains(&entry) {
            let advice = bind_advice(wanted.addr(), error);
            log::warn!("{advice}; it is tried again every {RETRY:?}");
            self.said.retain(|(addr, _)| *addr != wanted.addr());
            self.said.push(entry);
        }
    }
}
