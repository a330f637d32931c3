//! The addresses that are served, bound at the start.

use super::bind_advice::bind_advice;
use super::bound::{BoundSockets, Share};
use crate::config::{Config, Encryption, Listen, is_missing};
use crate::runtime::{Datagrams, Listener, Runtime};
use log::info;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// How often a port that the system chose for UDP may turn out to be taken for TCP.
const PORT_TRIES: usize = 32;

/// The sockets of one loop, bound and ready.
pub struct Sockets<R: Runtime> {
    pub(super) datagrams: Vec<BoundDatagrams<R::Datagrams>>,
    /// Each with the address that is configured for it.
    pub(super) listeners: Vec<(SocketAddr, R::Listener)>,
    addresses: Vec<SocketAddr>,
    /// What is configured for each of these.
    wanted: Vec<Listen>,
    missing: Vec<Listen>,
    share: Share,
}

/// A UDP socket.
pub(super) struct BoundDatagrams<D> {
    /// The address that is configured for it.
    pub addr: SocketAddr,
    pub socket: D,
    /// The address that another socket may be bound to in its place. One that was bound before has none: the address is taken as long as
    /// somebody else has that socket, too.
    pub rebind: Option<SocketAddr>,
}

/// An address could not be bound. The text is for the operator: which address, the error of the operating system, and what can be done
/// about it.
#[derive(Debug)]
pub struct BindError(String);

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BindError {}

/// Do several workers bind the same addresses?
pub(super) fn are_shared(config: &Config) -> bool {
    config.workers().get() > 1
}

impl<R: Runtime> Sockets<R> {
    /// Binds all addresses of the configuration, or none. With several workers the addresses are shared: each binds them for itself.
    ///
    /// An address that no interface has is missing: the loop tries to bind it every few seconds. One that the user did not name
    /// (`[::1]` where IPv6 is off) is left out, as long as another is there.
    pub fn bind(runtime: &R, config: &Config) -> Result<Self, BindError> {
        Self::bind_beside(runtime, config, &BoundSockets::new(), 0)
    }

    /// As [`Sockets::bind`], but takes the sockets that are bound already: the part of them that belongs to the worker of this number, which
    /// is 0 where there is one.
    pub fn bind_beside(
        runtime: &R,
        config: &Config,
        bound: &BoundSockets,
        worker: usize,
    ) -> Result<Self, BindError> {
        let mut sockets = Self::none_of(worker, config);
        let mut left_out = None;
        for wanted in config.listen() {
            let addr = wanted.addr();
            let Err(error) = sockets.bind_one(runtime, *wanted, config, bound) else {
                continue;
            };
            if !wanted.is_required() && is_missing(&error) {
                info!("{addr}: this host does not have this address; it is not served");
                left_out = Some(BindError(bind_advice(addr, &error)));
            } else if error.kind() == ErrorKind::AddrNotAvailable {
                sockets.missing.push(*wanted);
            } else {
                return Err(BindError(bind_advice(addr, &error)));
            }
        }
        let is_empty = sockets.addresses.is_empty() && sockets.missing.is_empty();
        left_out.filter(|_| is_empty).map_or(Ok(sockets), Err)
    }

    /// No sockets yet, for the worker of this number, from 0 on.
    pub(super) fn none_of(worker: usize, config: &Config) -> Self {
        let workers = config.workers().get();
        Self {
            datagrams: Vec::new(),
            listeners: Vec::new(),
            addresses: Vec::new(),
            wanted: Vec::new(),
            missing: Vec::new(),
            share: Share { worker, workers },
        }
    }

    /// Binds one address more. Where the system chooses the port, TCP has to get the one that UDP got, and another program may have
    /// that.
    pub(super) fn bind_one(
        &mut self,
        runtime: &R,
        wanted: Listen,
        config: &Config,
        bound: &BoundSockets,
    ) -> io::Result<()> {
        let is_chosen = wanted.bound().port() == 0;
        let mut tries = if is_chosen { PORT_TRIES } else { 1 };
        loop {
            tries -= 1;
            match self.try_bind(runtime, wanted, config, bound) {
                Err(error) if tries > 0 && error.kind() == ErrorKind::AddrInUse => {}
                done => return done,
            }
        }
    }

    fn try_bind(
        &mut self,
        runtime: &R,
        wanted: Listen,
        config: &Config,
        prepared: &BoundSockets,
    ) -> io::Result<()> {
        let (share, addr) = (are_shared(config), wanted.addr());
        let mut bound = wanted.bound();
        let (mut datagrams, mut listeners) = (Vec::new(), Vec::new());
        let modes = wanted.modes(config.modes());
        let speak = |listener| {
            if wanted.is_encrypted() {
                runtime.encrypt(listener, wanted.encryption())
            } else {
                Ok(listener)
            }
        };
        if modes.udp() {
            for socket in prepared.datagrams_for(addr, self.share)? {
                datagrams.push(BoundDatagrams {
                    addr,
                    socket: runtime.adopt_datagrams(socket)?,
                    rebind: None,
                });
            }
            if datagrams.is_empty() {
                let socket = runtime.bind(bound, share)?;
                bound = socket.local_addr()?;
                datagrams.push(BoundDatagrams {
                    addr,
                    socket,
                    rebind: Some(bound),
                });
            }
        }
        if modes.tcp() {
            for socket in prepared.listeners_for(addr, self.share)? {
                listeners.push((addr, speak(runtime.adopt_listener(socket)?)?));
            }
            if listeners.is_empty() {
                let listener = speak(runtime.listen(bound, share)?)?;
                bound = listener.local_addr()?;
                listeners.push((addr, listener));
            }
        }
        self.datagrams.append(&mut datagrams);
        self.listeners.append(&mut listeners);
        self.addresses.push(bound);
        self.wanted.push(wanted);
        Ok(())
    }

    /// The addresses that are bound, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Those of these addresses that are bound or missing, with the ports that the system chose.
    pub fn chosen(&self, listen: &[Listen]) -> Vec<Listen> {
        let mut bound: Vec<_> = self.wanted.iter().zip(&self.addresses).collect();
        let one = |listen: &Listen| {
            let is_it = |(wanted, _): &(&Listen, _)| wanted.is_same(listen);
            match bound.iter().position(is_it) {
                Some(at) => Some(listen.with_chosen(bound.remove(at).1.port())),
                None => self.is_missing(listen).then_some(*listen),
            }
        };
        listen.iter().filter_map(one).collect()
    }

    /// The addresses that are bound, each with what clients speak there.
    pub fn served(&self) -> impl Iterator<Item = (SocketAddr, Encryption)> {
        let wanted = self.wanted.iter().map(Listen::encryption);
        self.addresses.iter().copied().zip(wanted)
    }

    /// Addresses that no interface of this host has yet. The loop binds them as soon as one has.
    pub fn missing(&self) -> &[Listen] {
        &self.missing
    }

    /// Whether no interface of this host has this address yet.
    pub(crate) fn is_missing(&self, listen: &Listen) -> bool {
        self.missing.iter().any(|missing| missing.is_same(listen))
    }
}
