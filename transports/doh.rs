//! DNS over HTTPS (RFC 8484) with HTTP/2 (RFC 9113), over any runtime: each query is a POST request, with a stream of its own.
//!
//! The server is authenticated as that of a `tls://` upstream is. One that does not speak HTTP/2 is refused: HTTP/1.1 takes one query at a
//! time. The message id is 0 on the way (RFC 8484 section 4.1), so that the octets of a query tell nothing about others.

mod connection;
mod exchange;
#[cfg(test)]
mod tests;

use super::time_limit::Bounded;
use super::tls::{Encrypted, HTTP2, Handshake, Tls};
use crate::config::{Config, ConfigError, Upstream};
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Transport};
use connection::Connection;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri};
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The media type of DNS messages (RFC 8484 section 6).
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/dns-message");

/// Connects by HTTPS.
#[derive(Clone)]
pub struct Doh<R> {
    runtime: R,
    /// Made once an upstream needs it: trusted certificates take time and memory.
    tls: Option<Tls<R>>,
}

fn is_used(config: &Config) -> bool {
    let mut upstreams = config.all_upstreams().iter();
    upstreams.any(|upstream| upstream.schemes().any(|scheme| scheme == HTTP2.scheme))
}

/// Checks the certificates of this host for upstreams that are reached so. Other settings are those of TLS, and are checked there.
pub fn check(config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    if is_used(config) {
        super::tls::check_application(HTTP2, config)?;
    }
    Ok(Vec::new())
}

impl<R: Runtime> Doh<R> {
    /// Trusts the configured roots and no others, as [`Tls::new`] does.
    pub fn new(runtime: R, config: &Config) -> Result<Self, ConfigError> {
        let tls = is_used(config).then(|| Tls::speaking(HTTP2, runtime.clone(), config));
        let tls = tls.transpose()?;
        Ok(Self { runtime, tls })
    }
}

impl<R: Runtime> Transport for Doh<R> {
    type Connection = Connection<R>;
    type Connect = Bounded<R, Connecting<R>>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect {
        let Some(tls) = &self.tls else {
            // No configuration that this transport was made from has such an upstream.
            let failed = Connecting::Failed(ConnectError::Unreachable("not configured".into()));
            return Bounded::new(&self.runtime, Config::TIMEOUT, failed);
        };
        tls.bounded(match target(to) {
            Ok(target) => Connecting::Shaking(tls.handshake(to, addr), Box::new(target)),
            Err(why) => Connecting::Failed(why),
        })
    }

    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        match &mut self.tls {
            Some(tls) => tls.reconfigure(before, config),
            None => Self::new(self.runtime.clone(), config).map(|made| *self = made),
        }
    }
}

/// A connect in progress.
pub enum Connecting<R: Runtime> {
    /// TCP, and the handshake of TLS; then requests go to this target.
    Shaking(Handshake<R>, Box<Request<()>>),
    /// It could not start.
    Failed(ConnectError),
}

impl<R: Runtime> Future for Connecting<R> {
    type Output = Result<Connection<R>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Failed(why) => Poll::Ready(Err(why.clone())),
            Self::Shaking(handshake, target) => {
                let encrypted = ready!(Pin::new(handshake).poll(cx))?;
                Poll::Ready(Connection::new(encrypted, Request::clone(target)))
            }
        }
    }
}

/// HTTP/2 to this upstream over a connection whose handshake is done.
pub(super) fn connection<R: Runtime>(
    to: &Upstream,
    encrypted: Encrypted<R>,
) -> Result<Connection<R>, ConnectError> {
    Connection::new(encrypted, target(to)?)
}

/// What all requests to this upstream have in common. There is nothing in it that tells one client of its server from another one (RFC 8484
/// section 8.2).
fn target(to: &Upstream) -> Result<Request<()>, ConnectError> {
    let failed = |why: http::Error| ConnectError::Handshake(format!("no URI: {why}"));
    let path = PathAndQuery::try_from(to.path().unwrap_or("/"));
    let uri = Uri::builder()
        .scheme(Scheme::HTTPS)
        .authority(authority(to))
        .path_and_query(path.map_err(|why| failed(why.into()))?)
        .build()
        .map_err(failed)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(ACCEPT, MEDIA_TYPE)
        .header(CONTENT_TYPE, MEDIA_TYPE);
    request.body(()).map_err(failed)
}

/// The server and its port, as in a URI, which leaves the usual port out (RFC 9110 section 4.2.2).
fn authority(to: &Upstream) -> String {
    let name = to.server_name().unwrap_or_default();
    let host = match name.parse::<Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) => name.to_owned(),
    };
    let port = to.host().map(crate::config::Host::port);
    let port = port.or_else(|| to.addresses().first().map(SocketAddr::port));
    match port {
        Some(port) if port != 443 => format!("{host}:{port}"),
        _ => host,
    }
}
