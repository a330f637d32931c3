//! One upstream by several protocols: the first that works is used.
//!
//! They are tried in their order. The next one is tried beside those before when these have neither succeeded nor failed after a delay (RFC
//! 8305 section 5), and at once when one has failed. The first connection wins that is established and authenticated; the others are given up.
//! All protocols of an upstream have the same authentication. A server that fails it is an error, and no reason to try another one.
//!
//! Over which protocol a response came is remembered, so that the next connection begins with it. One whose connections bring failures alone is
//! tried behind the others. That is so for each network over which the upstream is reached, since it is mostly the network that is in the way of a
//! protocol.

mod connection;
mod memory;

use crate::config::{Config, ConfigError, Protocol, Upstream};
use crate::engine::Network;
use crate::locks::lock;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Transport};
use connection::Trial;
use log::{debug, warn};
use memory::{Failures, Memory};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

pub use connection::Chosen;

/// For how long the first protocol is alone: the Connection Attempt Delay that RFC 8305 section 5 recommends.
const ALONE: Duration = Duration::from_millis(250);
/// For how long each further one is the last to be tried. Less, since the silence of one makes that of the next likelier; RFC 8305 section 5
/// allows 100 ms and more.
const FURTHER: Duration = Duration::from_millis(150);

/// Connects by each protocol as another transport does, and chooses where an upstream has several.
pub struct Choosing<R, T> {
    runtime: R,
    transport: Arc<Mutex<T>>,
    memory: Memory,
    /// Whether networks are told apart.
    by_network: bool,
}

impl<R: Runtime, T: Transport> Choosing<R, T> {
    /// Over this transport, which speaks one protocol at a time: see [`Upstream::by`].
    pub fn new(runtime: R, transport: T) -> Self {
        Self {
            runtime,
            transport: Arc::new(Mutex::new(transport)),
            memory: Memory::default(),
            by_network: true,
        }
    }

    /// Whether what works is remembered for each network, as the runtime tells them apart. By default it is.
    #[must_use]
    pub fn by_network(mut self, by_network: bool) -> Self {
        self.by_network = by_network;
        self
    }

    /// The network over which this address of an upstream is reached.
    fn network(&self, to: &Upstream, addr: SocketAddr) -> Option<Network> {
        let at = to.socks5().map_or(addr, |socks5| socks5.proxy);
        let path = self.by_network.then(|| self.runtime.path(at, None))?;
        path.network()
    }
}

impl<R: Runtime, T: Transport> Transport for Choosing<R, T> {
    type Connection = Chosen<R, T::Connection>;
    type Connect = Connect<R, T>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect {
        if to.protocols().is_empty() {
            let single = lock(&self.transport).connect(to, addr);
            return Connect::Single(Box::pin(single));
        }
        let network = self.network(to, addr);
        Connect::Several(Box::new(Race {
            waiting: self.memory.order(to, network, self.runtime.now()),
            network,
            runtime: self.runtime.clone(),
            transport: self.transport.clone(),
            memory: self.memory.clone(),
            to: to.clone(),
            addr,
            running: Vec::new(),
            delay: None,
            failures: Vec::new(),
        }))
    }

    /// What is remembered stays: it says nothing of who a server is.
    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        lock(&self.transport).reconfigure(before, config)
    }
}

/// What a race brings.
type Winner<R, T> = Chosen<R, <T as Transport>::Connection>;

/// A connect in progress.
pub enum Connect<R: Runtime, T: Transport> {
    /// To an upstream that has one protocol.
    Single(Pin<Box<T::Connect>>),
    /// To one that has several.
    Several(Box<Race<R, T>>),
}

/// A connect by several protocols.
pub struct Race<R: Runtime, T: Transport> {
    runtime: R,
    transport: Arc<Mutex<T>>,
    memory: Memory,
    to: Upstream,
    addr: SocketAddr,
    /// Over which it is reached.
    network: Option<Network>,
    /// Those that are not tried yet, the next one first.
    waiting: VecDeque<Protocol>,
    running: Vec<Attempt<T>>,
    /// Until the next one is tried beside those that run; `None` if there is no next one.
    delay: Option<R::Sleep>,
    failures: Vec<(Protocol, ConnectError)>,
}

/// A connect by one protocol.
struct Attempt<T: Transport> {
    protocol: Protocol,
    /// On the port of the protocol.
    addr: SocketAddr,
    connect: Pin<Box<T::Connect>>,
}

impl<R: Runtime, T: Transport> Race<R, T> {
    /// Tries the next protocol. False if there is none.
    fn start_next(&mut self) -> bool {
        let Some(protocol) = self.waiting.pop_front() else {
            return false;
        };
        let (to, addr) = self.to.by(&protocol, self.addr);
        let connect = lock(&self.transport).connect(&to, addr);
        let is_first = self.running.is_empty() && self.failures.is_empty();
        self.running.push(Attempt {
            protocol,
            addr,
            connect: Box::pin(connect),
        });
        let delay = if is_first { ALONE } else { FURTHER };
        let at = self.runtime.now().mono + delay;
        let is_next = !self.waiting.is_empty();
        self.delay = is_next.then(|| self.runtime.sleep_until(at));
        true
    }

    /// Goes on with all that run: the one that is connected, and whether one has failed.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> (Option<Winner<R, T>>, bool) {
        let (mut index, mut has_failed) = (0, false);
        while let Some(attempt) = self.running.get_mut(index) {
            match attempt.connect.as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(connection)) => {
                    let Attempt { protocol, addr, .. } = self.running.remove(index);
                    let trial = self.won(protocol);
                    let winner = Chosen::on_trial(connection, addr, trial);
                    return (Some(winner), has_failed);
                }
                Poll::Ready(Err(why)) => {
                    let Attempt { protocol, .. } = self.running.remove(index);
                    self.failed(protocol, why);
                    has_failed = true;
                }
            }
        }
        (None, has_failed)
    }

    fn failed(&mut self, protocol: Protocol, why: ConnectError) {
        let (label, scheme, port) = (self.to.label(), protocol.scheme(), protocol.port());
        debug!("{label}: by {scheme} on port {port}: {why}");
        if let ConnectError::Unauthenticated { .. } = why {
            // What worked before was perhaps on another network.
            self.memory.forget(&self.to, self.network);
            // Not one more is tried for that reason. Only of designated resolvers each may be a server of its own, and one that fails the
            // verification is not used (RFC 9462 section 4.2).
            if self.to.designated_by().is_none() {
                self.waiting.clear();
                self.delay = None;
            }
        }
        self.failures.push((protocol, why));
    }

    /// One is connected: the others are given up.
    fn won(&mut self, protocol: Protocol) -> Trial<R> {
        let (label, scheme) = (self.to.label(), protocol.scheme());
        for (other, why) in &self.failures {
            if let ConnectError::Unauthenticated { .. } = why {
                let other = other.scheme();
                warn!("{label}: by {other}: {why}; it is connected by {scheme}, where it is");
            }
        }
        let failed = self.failures.drain(..);
        let failed = failed.map(|(other, why)| (other, why.to_string()));
        let slower = self.running.drain(..);
        let slower = slower.map(|other| (other.protocol, "no connection so far".to_owned()));
        let failures: Failures = failed.chain(slower).collect();
        self.waiting.clear();
        Trial {
            runtime: self.runtime.clone(),
            memory: self.memory.clone(),
            to: self.to.clone(),
            network: self.network,
            protocol,
            since: self.runtime.now().mono,
            failures,
            asked_at: None,
        }
    }

    /// Why none of them is connected.
    fn failure(&self) -> ConnectError {
        let mut all = self.failures.iter();
        if let Some((protocol, ConnectError::Unauthenticated { why, remedy })) =
            all.find(|(_, why)| matches!(why, ConnectError::Unauthenticated { .. }))
        {
            return ConnectError::Unauthenticated {
                why: format!("by {}: {why}", protocol.scheme()),
                remedy: remedy.clone(),
            };
        }
        if self
            .failures
            .iter()
            .all(|(_, why)| *why == ConnectError::TimedOut)
        {
            return ConnectError::TimedOut;
        }
        let told = self.failures.iter().map(|(protocol, why)| {
            let why = match why {
                ConnectError::Unreachable(why) => why.clone(),
                other => other.to_string(),
            };
            format!("{} by {}", why, protocol.scheme())
        });
        ConnectError::Unreachable(told.collect::<Vec<_>>().join(", "))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Winner<R, T>, ConnectError>> {
        loop {
            let (winner, has_failed) = self.poll_running(cx);
            if let Some(winner) = winner {
                return Poll::Ready(Ok(winner));
            }
            let is_over = |delay: &mut R::Sleep| Pin::new(delay).poll(cx).is_ready();
            let is_due =
                has_failed || self.running.is_empty() || self.delay.as_mut().is_some_and(is_over);
            if is_due && self.start_next() {
                continue;
            }
            if self.running.is_empty() {
                return Poll::Ready(Err(self.failure()));
            }
            return Poll::Pending;
        }
    }
}

impl<R: Runtime, T: Transport> Future for Connect<R, T> {
    type Output = Result<Winner<R, T>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Single(connect) => connect.as_mut().poll(cx).map_ok(Chosen::single),
            Self::Several(race) => race.poll(cx),
        }
    }
}
