//! DNS over HTTPS through the host, as a transport of dotward's.
//!
//! The host makes a connection for each request or keeps some, as it likes, and says nothing of it. So there is always a "connection" here,
//! until a request shows that the host reaches no upstream: to connect is then to send a request without a query, and to see whether any
//! response comes.
#![forbid(unsafe_code)]

use crate::exchange::{Failure, Target, described, exchange};
use crate::reactor::Reactor;
use dotward::config::Upstream;
use dotward::transport::{self, ConnectError, ConnectionError, Event};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use wasip2::http::types::ErrorCode;

/// The scheme of upstreams that are reached without TLS, on this machine alone.
pub const PLAIN: &str = "http";
/// The usual port of HTTPS.
const PORT: u16 = 443;
/// The path where the user gives none.
const PATH: &str = "/dns-query";

/// An upstream that is reached through the host.
#[derive(Clone)]
pub struct Https {
    reactor: Reactor,
    target: Rc<Target>,
    limit: Duration,
    /// The last request failed in the host.
    failed: Rc<Cell<bool>>,
}

impl Https {
    /// `limit`: how long a request may take. An error says what is wrong with the upstream.
    pub fn new(reactor: &Reactor, upstream: &Upstream, limit: Duration) -> Result<Self, String> {
        Ok(Self {
            reactor: reactor.clone(),
            target: Rc::new(target(upstream)?),
            limit,
            failed: Rc::default(),
        })
    }

    /// See [`transport::Transport::connect`].
    pub fn connect(&self) -> LocalBoxFuture<'static, Result<Connection, ConnectError>> {
        let this = self.clone();
        async move {
            if this.failed.get() {
                match exchange(&this.reactor, &this.target, this.limit, &[]).await {
                    Err(Failure::Host(code)) => return Err(unconnected(code)),
                    // Whatever the server says to that, it is there.
                    Ok(_) | Err(Failure::Response(_)) => this.failed.set(false),
                }
            }
            Ok(Connection::new(this))
        }
        .boxed_local()
    }
}

/// Where the host is to send requests. What it cannot be told is refused.
fn target(upstream: &Upstream) -> Result<Target, String> {
    let label = upstream.label();
    let refused = |why: &str| Err(format!("{label}: {why}"));
    let encrypted = upstream.scheme() != PLAIN;
    let (host, port) = match (upstream.host(), upstream.addresses().first()) {
        (Some(host), _) => (host.name().to_owned(), host.port()),
        (None, Some(address)) => {
            let name = upstream.server_name().map(str::parse::<IpAddr>);
            if encrypted && name != Some(Ok(address.ip())) {
                return refused(
                    "the host verifies the certificate for what it connects to: write https://NAME, or leave #NAME out",
                );
            }
            if !encrypted && !address.ip().is_loopback() {
                return refused("is not encrypted, and not on this machine: write https://");
            }
            let host = match address.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            (host, address.port())
        }
        (None, None) => return refused("has no place"),
    };
    let is_usual = encrypted && port == PORT;
    let authority = if is_usual {
        host
    } else {
        format!("{host}:{port}")
    };
    let path = upstream.path().unwrap_or(PATH).to_owned();
    Ok(Target {
        encrypted,
        authority,
        path,
    })
}

fn unconnected(code: ErrorCode) -> ConnectError {
    match code {
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            ConnectError::Unresolved(described(&code))
        }
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout => ConnectError::TimedOut,
        ErrorCode::TlsCertificateError => ConnectError::Unauthenticated {
            why: described(&code),
            remedy: String::new(),
        },
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => {
            ConnectError::Handshake(described(&code))
        }
        code => ConnectError::Unreachable(described(&code)),
    }
}

type Done = (u16, Result<Vec<u8>, Failure>);

/// Requests to one upstream.
pub struct Connection {
    to: Https,
    /// Not begun yet.
    waiting: Vec<(u16, Vec<u8>)>,
    exchanges: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    /// The message that was reported last.
    message: Vec<u8>,
    /// What the host could not do. Requests that are under way go on.
    ended: Option<ConnectionError>,
}

impl Connection {
    fn new(to: Https) -> Self {
        Self {
            to,
            waiting: Vec::new(),
            exchanges: FuturesUnordered::new(),
            message: Vec::new(),
            ended: None,
        }
    }

    fn begin(&self, id: u16, message: Vec<u8>) -> LocalBoxFuture<'static, Done> {
        let to = self.to.clone();
        let work = async move {
            (
                id,
                exchange(&to.reactor, &to.target, to.limit, &message).await,
            )
        };
        work.boxed_local()
    }
}

impl transport::Connection for Connection {
    fn queue(&mut self, message: &[u8]) {
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        // RFC 8484 section 4.1: the same query is always the same octets.
        let message = [&[0, 0], message.get(2..).unwrap_or_default()].concat();
        self.waiting.push((id.unwrap_or_default(), message));
    }

    fn backlog(&self) -> usize {
        self.waiting.iter().map(|(_, message)| message.len()).sum()
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        for (id, message) in std::mem::take(&mut self.waiting) {
            let begun = self.begin(id, message);
            self.exchanges.push(begun);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        if let Some(why) = &self.ended {
            return Poll::Ready(Event::Closed(why.clone()));
        }
        let Poll::Ready(Some((id, done))) = self.exchanges.poll_next_unpin(cx) else {
            return Poll::Pending;
        };
        let why = match done {
            Ok(message) => {
                self.message = message;
                let Some(head) = self.message.first_chunk_mut() else {
                    let why = ConnectionError::Rejected("an empty body".to_owned());
                    return Poll::Ready(Event::Failed { id, why });
                };
                *head = id.to_be_bytes();
                return Poll::Ready(Event::Message(&mut self.message));
            }
            Err(Failure::Response(why)) => {
                let why = ConnectionError::Rejected(why);
                return Poll::Ready(Event::Failed { id, why });
            }
            Err(Failure::Host(code)) => ConnectionError::Io(described(&code)),
        };
        self.to.failed.set(true);
        self.ended = Some(why.clone());
        Poll::Ready(Event::Closed(why))
    }

    /// What is dropped is given up.
    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn describe(&self) -> String {
        "through the host".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SCHEMES;

    fn shown(spec: &str) -> String {
        match target(&Upstream::parse(spec, SCHEMES).unwrap()) {
            Ok(target) => format!("{} {} {}", target.encrypted, target.authority, target.path),
            Err(why) => why,
        }
    }

    // req 118
    #[test]
    fn requests_go_where_the_host_verifies_the_certificate() {
        for (spec, expected) in [
            ("https://dns.example", "true dns.example /dns-query"),
            ("https://dns.example:8443/q", "true dns.example:8443 /q"),
            ("https://192.0.2.1", "true 192.0.2.1 /dns-query"),
            (
                "https://[2001:db8::1]:8443",
                "true [2001:db8::1]:8443 /dns-query",
            ),
            ("http://127.0.0.1:8053", "false 127.0.0.1:8053 /dns-query"),
            ("http://[::1]:8053", "false [::1]:8053 /dns-query"),
        ] {
            assert_eq!(shown(spec), expected, "{spec}");
        }
        assert!(shown("https://192.0.2.1#dns.example").contains("leave #NAME out"));
    }

    // req 118
    #[test]
    fn nothing_leaves_this_machine_without_encryption() {
        for spec in [
            "http://192.0.2.1",
            "http://10.0.0.1:8053",
            "http://[fe80::1]",
        ] {
            assert!(
                shown(spec).contains("not encrypted"),
                "{spec}: {}",
                shown(spec)
            );
        }
    }
}
