//! Plain DNS over TCP (RFC 7766), over any runtime, for a path that is protected otherwise: a tunnel, loopback.

use super::socks5::{Dial, Path};
use super::time_limit::{Bounded, connect_limit};
use crate::config::{Config, ConfigError, Upstream};
use crate::framed::Framed;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Transport};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Connects by TCP.
#[derive(Clone)]
pub struct Tcp<R> {
    runtime: R,
    limit: Duration,
}

/// There is nothing to check.
pub fn check(_config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    Ok(Vec::new())
}

impl<R> Tcp<R> {
    /// Only the time limit of a connect is configured.
    pub fn new(runtime: R, config: &Config) -> Result<Self, ConfigError> {
        let limit = connect_limit(config);
        Ok(Self { runtime, limit })
    }
}

impl<R: Runtime> Tcp<R> {
    /// Connects by this way.
    pub(super) fn dial(&self, path: &Path) -> Bounded<R, Connecting<R>> {
        let tcp = path.dial(&self.runtime, self.limit);
        Bounded::new(&self.runtime, self.limit, Connecting(tcp))
    }
}

impl<R: Runtime> Transport for Tcp<R> {
    type Connection = Framed<R::Stream>;
    type Connect = Bounded<R, Connecting<R>>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect {
        self.dial(&Path::to(to, addr, None))
    }

    fn reconfigure(&mut self, _before: &Config, config: &Config) -> Result<(), ConfigError> {
        self.limit = connect_limit(config);
        Ok(())
    }
}

/// A TCP connect in progress.
pub struct Connecting<R: Runtime>(Dial<R>);

impl<R: Runtime> Future for Connecting<R> {
    type Output = Result<Framed<R::Stream>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stream = ready!(Pin::new(&mut self.0).poll(cx))?;
        Poll::Ready(Ok(Framed::new(stream, "plain TCP, not encrypted".into())))
    }
}
