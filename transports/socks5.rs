//! TCP connections to upstreams: direct, or through a SOCKS5 proxy (RFC 1928), over any runtime.
//!
//! What connects is given the plain stream: not one octet behind the proxy's reply is read here.

mod exchange;
mod messages;

use self::exchange::Exchange;
use crate::config::Upstream;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, system_message};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long a proxy may take for its first message, which says which method it chose and needs nobody else.
const FIRST_MESSAGE: Duration = Duration::from_millis(1_500);

/// The way to the TCP port of an upstream.
#[derive(Clone)]
pub struct Path {
    /// What is connected to: the upstream, or its proxy.
    first: SocketAddr,
    proxied: Option<Arc<Proxied>>,
}

/// What a proxy is asked for.
struct Proxied {
    proxy: SocketAddr,
    destination: Destination,
    /// By which the proxy tells connections apart that it should keep apart.
    username: Option<String>,
}

/// What is wrong with a proxy that accepts no client without a login.
pub const LOGIN: &str = "wants a username and a password, which are not supported";

/// Where a proxy connects to (RFC 1928 section 5).
enum Destination {
    Address(SocketAddr),
    /// A name, which the proxy resolves, and a port.
    Name(String, u16),
}

impl Path {
    /// To this address, without a proxy.
    pub fn direct(addr: SocketAddr) -> Self {
        Self {
            first: addr,
            proxied: None,
        }
    }

    /// To an upstream at this address, through its proxy if it has one. One that is given by name is at an address that only its proxy knows.
    pub fn to(upstream: &Upstream, addr: SocketAddr, username: Option<&str>) -> Self {
        let Some(socks5) = upstream.socks5() else {
            return Self::direct(addr);
        };
        let destination = match upstream.host() {
            Some(host) => Destination::Name(host.name().to_owned(), host.port()),
            None => Destination::Address(addr),
        };
        Self {
            first: socks5.proxy,
            proxied: Some(Arc::new(Proxied {
                proxy: socks5.proxy,
                destination,
                username: username.map(str::to_owned),
            })),
        }
    }

    /// Connects. Who calls ends it after `limit`; a proxy fails a little sooner, so that the error names it.
    pub fn dial<R: Runtime>(&self, runtime: &R, limit: Duration) -> Dial<R> {
        let end = runtime.now().mono + limit * 7 / 8;
        let limits = self.proxied.as_ref().map(|_| {
            Box::new(Limits {
                runtime: runtime.clone(),
                first_message: None,
                end: runtime.sleep_until(end),
            })
        });
        Dial {
            stage: Stage::Connecting(Box::pin(runtime.connect(self.first))),
            proxied: self.proxied.clone(),
            limits,
        }
    }
}

/// A connect in progress. It ends with the connection to the upstream, or with what is wrong.
pub struct Dial<R: Runtime> {
    stage: Stage<R>,
    proxied: Option<Arc<Proxied>>,
    /// Those of the proxy, if there is one.
    limits: Option<Box<Limits<R>>>,
}

/// How long a proxy is waited for.
struct Limits<R: Runtime> {
    runtime: R,
    /// From when it is connected to.
    first_message: Option<R::Sleep>,
    /// For everything.
    end: R::Sleep,
}

enum Stage<R: Runtime> {
    Connecting(Pin<Box<R::Connect>>),
    Asking(R::Stream, Box<Exchange>),
    Over,
}

impl<R: Runtime> Dial<R> {
    /// Goes on as far as it goes. `Ready` with nothing: the next stage has begun.
    fn poll_stage(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<R::Stream>, ConnectError>> {
        match &mut self.stage {
            Stage::Connecting(connect) => {
                match (ready!(connect.as_mut().poll(cx)), &self.proxied) {
                    (Ok(stream), None) => return Poll::Ready(Ok(Some(stream))),
                    (Ok(stream), Some(proxied)) => {
                        let exchange =
                            Exchange::new(&proxied.destination, proxied.username.as_deref());
                        self.stage = Stage::Asking(stream, Box::new(exchange));
                    }
                    (Err(error), None) => {
                        return Poll::Ready(Err(ConnectError::unreachable(&error)));
                    }
                    (Err(error), Some(proxied)) => {
                        let why = format!("cannot be reached: {}", system_message(&error));
                        return Poll::Ready(Err(proxied.failed(&why)));
                    }
                }
            }
            Stage::Asking(stream, exchange) => {
                if let Err(why) = ready!(exchange.poll(stream, cx)) {
                    let proxied = self.proxied.as_ref();
                    let error = proxied.map(|proxied| proxied.failed(&why));
                    return Poll::Ready(Err(error.unwrap_or(ConnectError::Unreachable(why))));
                }
                if let Stage::Asking(stream, _) = std::mem::replace(&mut self.stage, Stage::Over) {
                    return Poll::Ready(Ok(Some(stream)));
                }
            }
            // Nobody polls it again.
            Stage::Over => return Poll::Pending,
        }
        Poll::Ready(Ok(None))
    }
}

impl<R: Runtime> Dial<R> {
    /// `Ready` when the proxy was waited for long enough, with what it does not do.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<ConnectError> {
        let (Some(limits), Some(proxied)) = (&mut self.limits, &self.proxied) else {
            return Poll::Pending;
        };
        let why = match &self.stage {
            Stage::Connecting(_) => "cannot be reached: no reply in time",
            Stage::Asking(_, exchange) if exchange.is_begun() => "does not connect in time",
            Stage::Asking(..) => {
                let runtime = &limits.runtime;
                let over = || runtime.sleep_until(runtime.now().mono + FIRST_MESSAGE);
                let first_message = limits.first_message.get_or_insert_with(over);
                let why = "does not answer";
                if Pin::new(first_message).poll(cx).is_ready() {
                    return Poll::Ready(proxied.failed(why));
                }
                why
            }
            Stage::Over => return Poll::Pending,
        };
        ready!(Pin::new(&mut limits.end).poll(cx));
        Poll::Ready(proxied.failed(why))
    }
}

impl Proxied {
    fn failed(&self, why: &str) -> ConnectError {
        ConnectError::Unreachable(format!("the SOCKS5 proxy {} {why}", self.proxy))
    }
}

impl<R: Runtime> Future for Dial<R> {
    type Output = Result<R::Stream, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.poll_stage(cx)? {
                Poll::Ready(Some(stream)) => return Poll::Ready(Ok(stream)),
                Poll::Ready(None) => {}
                Poll::Pending => return self.poll_limits(cx).map(Err),
            }
        }
    }
}
