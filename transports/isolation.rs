//! DNS over TLS whose connections to the same upstream cannot be linked by what is asked on them (`isolate`): the queries of each
//! registrable domain have a connection of their own through a SOCKS5 proxy, with a username of its own (RFC 1929) and TLS sessions of its
//! own. Tor uses another circuit for each username (`IsolateSOCKSAuth`).
//!
//! To the core this is one connection. It is up as soon as the upstream was authenticated once: by a connection that carries no query, or by
//! an earlier one that still counts. When nothing works any more, that has to happen again, so that an upstream with a wrong certificate is
//! reported as it is without isolation. Each of the connections behind it authenticates the upstream anew before a query leaves.

mod connection;
mod domain;
mod names;
mod woken;

pub use self::connection::Isolated;
use self::names::username;
use super::tls::Tls;
pub use super::tls::check;
use crate::config::{Config, ConfigError, Upstream};
use crate::locks::lock;
use crate::runtime::Runtime;
use crate::transport::{
    Authentication, ConnectError, Connection, ConnectionError, Event, Transport,
};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A connection to the outside.
pub type Single<R> = <Tls<R> as Transport>::Connection;
/// One in the making.
pub type SingleConnect<R> = <Tls<R> as Transport>::Connect;

/// The name by which the connection without queries is known at the proxy. No domain has it.
const NO_DOMAIN: &[u8] = b"";

/// Connects by TLS, and keeps the connections of an upstream apart where that is configured.
pub struct Isolating<R: Runtime> {
    runtime: R,
    tls: Tls<R>,
    authenticated: Authenticated,
    /// How long a query may take.
    timeout: Duration,
}

/// The upstreams that were authenticated, each at its address, and have not failed altogether since. At most as many as upstreams have
/// addresses.
#[derive(Clone, Default)]
struct Authenticated(Arc<Mutex<Vec<(Upstream, SocketAddr)>>>);

impl Authenticated {
    fn contains(&self, to: &Upstream, addr: SocketAddr) -> bool {
        let all = lock(&self.0);
        all.iter()
            .any(|(upstream, at)| upstream == to && *at == addr)
    }

    fn insert(&self, to: &Upstream, addr: SocketAddr) {
        if !self.contains(to, addr) {
            lock(&self.0).push((to.clone(), addr));
        }
    }

    fn remove(&self, to: &Upstream, addr: SocketAddr) {
        lock(&self.0).retain(|(upstream, at)| upstream != to || *at != addr);
    }
}

impl<R: Runtime> Isolating<R> {
    /// As [`Tls::new`].
    pub fn new(runtime: R, config: &Config) -> Result<Self, ConfigError> {
        Ok(Self {
            tls: Tls::new(runtime.clone(), config)?,
            runtime,
            authenticated: Authenticated::default(),
            timeout: config.timeout(),
        })
    }

    fn isolated(&self, to: &Upstream, addr: SocketAddr) -> Result<Connecting<R>, String> {
        let probe = if self.authenticated.contains(to, addr) {
            None
        } else {
            let tls = self.tls.apart(to, username(NO_DOMAIN)?)?;
            Some(tls.connect(to, addr))
        };
        let way = Way {
            runtime: self.runtime.clone(),
            tls: self.tls.clone(),
            to: to.clone(),
            addr,
            silence: self.timeout,
        };
        let isolated = Isolated::new(way, self.authenticated.clone());
        Ok(Connecting::Isolated(probe, Some(Box::new(isolated))))
    }
}

/// How the connections behind one are made.
struct Way<R: Runtime> {
    runtime: R,
    tls: Tls<R>,
    to: Upstream,
    addr: SocketAddr,
    /// For how long one may be silent while a query waits.
    silence: Duration,
}

impl<R: Runtime> Transport for Isolating<R> {
    type Connection = Either<R>;
    type Connect = Connecting<R>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect {
        if !to.is_isolating() {
            return Connecting::Single(self.tls.connect(to, addr));
        }
        let isolated = self.isolated(to, addr);
        isolated.unwrap_or_else(|why| Connecting::Failed(ConnectError::Unreachable(why)))
    }

    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        self.tls.reconfigure(before, config)?;
        self.timeout = config.timeout();
        // What was trusted before may not be any more.
        self.authenticated = Authenticated::default();
        Ok(())
    }
}

/// A connect in progress.
pub enum Connecting<R: Runtime> {
    /// To an upstream that is not isolated.
    Single(SingleConnect<R>),
    /// To one that is, with the connection by which it is authenticated, unless that is known.
    Isolated(Option<SingleConnect<R>>, Option<Box<Isolated<R>>>),
    /// It could not start.
    Failed(ConnectError),
}

impl<R: Runtime> Future for Connecting<R> {
    type Output = Result<Either<R>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Single(connect) => Pin::new(connect).poll(cx).map_ok(Either::Single),
            Self::Isolated(probe, isolated) => {
                if let Some(connect) = probe {
                    let mut single = ready!(Pin::new(connect).poll(cx))?;
                    // It is closed in order if that takes no time.
                    let _closed_or_not = single.poll_close(cx);
                    *probe = None;
                    if let Some(isolated) = isolated {
                        isolated.authenticated(&single);
                    }
                }
                match isolated.take() {
                    Some(isolated) => Poll::Ready(Ok(Either::Isolated(isolated))),
                    // Nobody polls it again.
                    None => Poll::Pending,
                }
            }
            Self::Failed(why) => Poll::Ready(Err(why.clone())),
        }
    }
}

/// A connection that is one to the outside, too, or several.
pub enum Either<R: Runtime> {
    /// One.
    Single(Single<R>),
    /// One for each registrable domain.
    Isolated(Box<Isolated<R>>),
}

impl<R: Runtime> Connection for Either<R> {
    fn is_early(&self) -> bool {
        match self {
            Self::Single(single) => single.is_early(),
            Self::Isolated(isolated) => isolated.is_early(),
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        match self {
            Self::Single(single) => single.poll_handshake(cx),
            Self::Isolated(isolated) => isolated.poll_handshake(cx),
        }
    }

    fn queue(&mut self, message: &[u8]) {
        match self {
            Self::Single(single) => single.queue(message),
            Self::Isolated(isolated) => isolated.queue(message),
        }
    }

    fn backlog(&self) -> usize {
        match self {
            Self::Single(single) => single.backlog(),
            Self::Isolated(isolated) => isolated.backlog(),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        match self {
            Self::Single(single) => single.poll_flush(cx),
            Self::Isolated(isolated) => isolated.poll_flush(cx),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        match self {
            Self::Single(single) => single.poll_next(cx),
            Self::Isolated(isolated) => isolated.poll_next(cx),
        }
    }

    fn ack_soon(&mut self) {
        match self {
            Self::Single(single) => single.ack_soon(),
            Self::Isolated(isolated) => isolated.ack_soon(),
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Single(single) => single.poll_close(cx),
            Self::Isolated(isolated) => isolated.poll_close(cx),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Single(single) => single.describe(),
            Self::Isolated(isolated) => isolated.describe(),
        }
    }

    fn certificate_left(&self) -> Option<Duration> {
        match self {
            Self::Single(single) => single.certificate_left(),
            Self::Isolated(isolated) => isolated.certificate_left(),
        }
    }

    fn authentication(&self) -> Option<Authentication> {
        match self {
            Self::Single(single) => single.authentication(),
            Self::Isolated(isolated) => isolated.authentication(),
        }
    }
}
