//! The ways to upstreams: through the host over HTTP, and over TLS of the component's own where that is built in.
#![forbid(unsafe_code)]

use crate::forwarding::verified_by_the_host;
use crate::https::Https;
use crate::reactor::Reactor;
use dotward::config::{Config, Upstream};
#[cfg(feature = "dot")]
use dotward::transport::Transport;
use dotward::transport::{ConnectError, Connection};
#[cfg(feature = "dot")]
use dotward::transports::{tls::Tls, wasi::Wasi};
use futures::future::LocalBoxFuture;
use futures::{FutureExt, TryFutureExt};
use std::net::SocketAddr;

/// A connection of any kind.
pub type Link = Box<dyn Connection>;
/// One in the making.
pub type Connecting = LocalBoxFuture<'static, Result<Link, ConnectError>>;

/// How each upstream is reached, in the order of the configuration.
pub struct Upstreams {
    ways: Vec<Way>,
    #[cfg(feature = "dot")]
    tls: Tls<Wasi>,
}

enum Way {
    Https(Https),
    #[cfg(feature = "dot")]
    Tls,
}

impl Upstreams {
    /// All of them, and what drives them. An error says what is wrong.
    pub fn new(config: &Config, upstreams: &[Upstream]) -> Result<(Reactor, Self), String> {
        #[cfg(feature = "dot")]
        let runtime = Wasi::default();
        #[cfg(feature = "dot")]
        let reactor = runtime.reactor().clone();
        #[cfg(not(feature = "dot"))]
        let reactor = Reactor::default();
        let ways = upstreams.iter().map(|upstream| {
            #[cfg(feature = "dot")]
            if upstream.scheme() == "tls" {
                return over_tls(upstream);
            }
            verified_by_the_host(upstream)?;
            Https::new(&reactor, upstream, config.timeout()).map(Way::Https)
        });
        let this = Self {
            ways: ways.collect::<Result<_, _>>()?,
            #[cfg(feature = "dot")]
            tls: Tls::new(runtime, config).map_err(|error| error.to_string())?,
        };
        Ok((reactor, this))
    }

    /// Connects to the upstream with this number, at this address of it.
    pub fn connect(&self, number: usize, to: &Upstream, addr: SocketAddr) -> Connecting {
        match self.ways.get(number) {
            Some(Way::Https(https)) => boxed(https.connect()),
            #[cfg(feature = "dot")]
            Some(Way::Tls) => boxed(self.tls.connect(to, addr)),
            None => {
                let why = format!("{} at {addr} is no upstream", to.label());
                futures::future::err(ConnectError::Unreachable(why)).boxed_local()
            }
        }
    }
}

/// Names are for the host to look up, and here it is not the host that connects.
#[cfg(feature = "dot")]
fn over_tls(upstream: &Upstream) -> Result<Way, String> {
    if upstream.addresses().is_empty() {
        return Err(format!(
            "{}: DNS over TLS needs an address: write IP#NAME",
            upstream.label()
        ));
    }
    Ok(Way::Tls)
}

fn boxed<C: Connection + 'static>(
    connecting: impl Future<Output = Result<C, ConnectError>> + 'static,
) -> Connecting {
    connecting
        .map_ok(|connection| Box::new(connection) as Link)
        .boxed_local()
}
