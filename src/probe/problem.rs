//! What is wrong with an upstream: a word for programs, what happened, and what to do about it.

use crate::config::Upstream;
use crate::transport::{ConnectError, ConnectionError};
use crate::transports::socks5::LOGIN;
use crate::transports::tls::inspect::{Certificate, Observed};
use std::io;

/// Why an upstream cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One of the words in `docs/probe.md`.
    pub kind: &'static str,
    /// What happened.
    pub why: String,
    /// What to do about it; may be empty.
    pub advice: String,
    /// The server is not who it should be, or cannot prove it. No other protocol is used for that reason.
    pub is_of_identity: bool,
}

impl Problem {
    pub(super) fn new(
        kind: &'static str,
        why: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let (why, advice) = (why.into(), advice.into());
        Self {
            kind,
            why,
            advice,
            is_of_identity: false,
        }
    }

    /// The upstream has no address that could be found.
    pub fn unresolved(why: String, upstream: &Upstream) -> Self {
        // What a response lacks is told with a name, or with the resolver that designates nothing.
        let responds = why.contains(" for ") || why.contains(" designates ");
        let advice = match upstream.designated_by() {
            Some(_) if responds => {
                "its operator has to publish SVCB records at _dns.resolver.arpa (RFC 9462); or write IP#NAME".to_owned()
            }
            Some(resolver) => format!(
                "see that a resolver runs at {resolver}, and that no firewall on the way refuses or drops DNS over TCP and UDP there"
            ),
            None => "check the name, and the resolvers that find it (bootstrap); or write IP#NAME".to_owned(),
        };
        Self::new("unresolved", why, advice)
    }

    /// What the configuration asks for cannot be.
    pub fn config(why: String) -> Self {
        Self::new("configuration", why, "")
    }

    /// The operating system reports no TCP connection.
    pub fn tcp(error: &io::Error, upstream: &Upstream) -> Self {
        let service = service(upstream);
        let (kind, advice) = match error.kind() {
            io::ErrorKind::ConnectionRefused => (
                "refused",
                format!("nothing listens there, or a firewall refuses it: see that the server runs, and that {service} is on this port"),
            ),
            io::ErrorKind::TimedOut => ("timeout", filtered(service)),
            io::ErrorKind::PermissionDenied => (
                "unreachable",
                "a firewall of this machine forbids it".to_owned(),
            ),
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => (
                "closed",
                "its access list may not allow this machine, or a firewall ends the connection"
                    .to_owned(),
            ),
            _ => (
                "unreachable",
                "this machine has no way to that address: check its network, and for an IPv6 address whether it has IPv6"
                    .to_owned(),
            ),
        };
        Self::new(kind, ConnectError::unreachable(error).to_string(), advice)
    }

    /// There was no TCP connection in time.
    pub fn tcp_timeout(upstream: &Upstream) -> Self {
        let why = "cannot connect: no reply in time";
        Self::new("timeout", why, filtered(service(upstream)))
    }

    /// The proxy makes no connection.
    pub fn proxy(why: &ConnectError) -> Self {
        let why = why.to_string();
        let advice = if why.contains(LOGIN) {
            "a proxy with a login cannot be used: use one that needs none, or allow this machine there without it"
        } else {
            "see that the proxy runs, and that it reaches the upstream"
        };
        Self::new("proxy", why, advice)
    }

    /// The TLS handshake failed.
    pub fn handshake(why: &ConnectError, seen: &Observed, upstream: &Upstream) -> Self {
        Self {
            is_of_identity: matches!(why, ConnectError::Unauthenticated { .. }),
            ..Self::of_handshake(why, seen, upstream)
        }
    }

    fn of_handshake(why: &ConnectError, seen: &Observed, upstream: &Upstream) -> Self {
        if matches!(why, ConnectError::TimedOut) {
            return Self::handshake_timeout(upstream);
        }
        let failure = seen.failure();
        let kind = failure.map_or("handshake", |failure| failure.kind);
        let advice = match kind {
            "closed" => format!(
                "if {} is on this port, its access list may not allow this machine, or it has no certificate",
                service(upstream)
            ),
            "not_tls" => wrong_port(upstream),
            _ => failure.map_or("", |failure| failure.advice).to_owned(),
        };
        let weak = seen
            .certificate()
            .and_then(|Certificate { weak_rsa, .. }| weak_rsa);
        match (why, weak) {
            (ConnectError::Unauthenticated { .. }, Some(bits)) if kind == "certificate" => {
                Self::new(
                    "weak_key",
                    format!(
                        "not authenticated: the key of the certificate is weak (RSA with {bits} bits)"
                    ),
                    "make a new certificate for the server, with an ECDSA key on P-256 or an RSA key of 2048 bits or more",
                )
            }
            (ConnectError::Unauthenticated { remedy, .. }, _) if !remedy.is_empty() => {
                Self::new(kind, why.to_string(), remedy.as_str())
            }
            (ConnectError::Unauthenticated { .. }, _) => {
                let advice = if advice.is_empty() {
                    "make a new certificate for the server".to_owned()
                } else {
                    advice
                };
                Self::new(kind, why.to_string(), advice)
            }
            _ => Self::new(kind, why.to_string(), advice),
        }
    }

    /// There is no connection by QUIC.
    pub fn quic(why: &ConnectError, seen: &Observed, upstream: &Upstream) -> Self {
        let advice = "see that the server runs, and that DNS over QUIC is on this UDP port; a firewall on the way may drop UDP";
        let refused = ConnectError::unreachable(&io::ErrorKind::ConnectionRefused.into());
        match why {
            why if *why == refused => Self::new("refused", why.to_string(), advice),
            ConnectError::Unreachable(_) => Self::new("unreachable", why.to_string(), advice),
            ConnectError::TimedOut => {
                Self::new("timeout", "cannot connect: no reply in time", advice)
            }
            why => Self::handshake(why, seen, upstream),
        }
    }

    /// The TLS handshake was not done in time.
    pub fn handshake_timeout(upstream: &Upstream) -> Self {
        Self::new(
            "handshake_timeout",
            "handshake failed: connected, but the server does not respond to TLS",
            format!(
                "see that {} is on this port, and that the server is not overloaded; a firewall may also stop large packets (MTU)",
                service(upstream)
            ),
        )
    }

    /// The connection ended before the response came.
    pub fn lost(why: &ConnectionError, upstream: &Upstream) -> Self {
        match why {
            ConnectionError::Protocol(_) => Self::malformed(&why.to_string()),
            ConnectionError::Rejected(why) => Self::new(
                "malformed",
                format!("what it sends is no DNS response: {why}"),
                match upstream.path() {
                    Some(path) => format!(
                        "check the path of this upstream, {path}, with what the operator publishes, and that the server has DNS over HTTPS there"
                    ),
                    None => format!(
                        "check that the server speaks {} on this port; its log says more",
                        service(upstream)
                    ),
                },
            ),
            ConnectionError::Truncated => Self::malformed("the connection ended within a message"),
            _ => Self::new(
                "closed_without_answer",
                format!("no response to a query: {why}"),
                "its access list may not allow this machine to query; the log of the server says more",
            ),
        }
    }

    /// No response came in time.
    pub fn unanswered() -> Self {
        Self::new(
            "no_answer",
            "connected, but there is no response to a query in time",
            "the server may not reach other name servers, or this is no DNS server; the log of the server says more",
        )
    }

    /// What came is no response.
    pub fn malformed(why: &str) -> Self {
        Self::new(
            "malformed",
            format!("what it sends is no DNS response: {why}"),
            "check that this is a DNS server, and its version",
        )
    }

    /// It is a response to something else.
    pub fn mismatch(kind: &'static str, why: &str) -> Self {
        let advice = "do not use this server: it, or something on the way, mixes responses up or forges them";
        Self::new(kind, why, advice)
    }
}

/// What is expected on the port of an upstream.
fn service(upstream: &Upstream) -> &'static str {
    if upstream.scheme() == "quic" {
        "DNS over QUIC"
    } else if upstream.path().is_some() {
        "DNS over HTTPS"
    } else if upstream.server_name().is_some() {
        "DNS over TLS"
    } else {
        "DNS over TCP"
    }
}

/// The usual port of what is spoken to an upstream, where the port was probably not meant.
fn wrong_port(upstream: &Upstream) -> String {
    let port = if upstream.path().is_some() { 443 } else { 853 };
    format!(
        "check the port: {} is usually on {port}, and port 53 is for unencrypted DNS (tcp://)",
        service(upstream)
    )
}

fn filtered(service: &str) -> String {
    format!(
        "a firewall on the way may drop {service}: try from another network; or the address is wrong"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::SCHEMES;

    #[test]
    fn each_error_of_the_system_says_what_to_do() {
        let upstream = |spec: &str| Upstream::parse(spec, SCHEMES).unwrap();
        let (tls, tcp) = (upstream("192.0.2.1#dns.test"), upstream("tcp://192.0.2.1"));
        for (error, kind, advice) in [
            (
                io::ErrorKind::ConnectionRefused,
                "refused",
                "DNS over TLS is on this port",
            ),
            (
                io::ErrorKind::NetworkUnreachable,
                "unreachable",
                "whether it has IPv6",
            ),
            (
                io::ErrorKind::HostUnreachable,
                "unreachable",
                "check its network",
            ),
            (
                io::ErrorKind::PermissionDenied,
                "unreachable",
                "firewall of this machine",
            ),
            (io::ErrorKind::TimedOut, "timeout", "may drop DNS over TLS"),
            (io::ErrorKind::ConnectionReset, "closed", "access list"),
        ] {
            let problem = Problem::tcp(&error.into(), &tls);
            assert_eq!(problem.kind, kind);
            assert!(problem.why.starts_with("cannot connect: "), "{problem:?}");
            assert!(problem.advice.contains(advice), "{problem:?}");
        }
        let refused = Problem::tcp(&io::ErrorKind::ConnectionRefused.into(), &tcp);
        assert!(refused.advice.contains("DNS over TCP is on"), "{refused:?}");
        assert_eq!(Problem::tcp_timeout(&tls).kind, "timeout");
    }

    #[test]
    fn a_refused_quic_port_is_told_apart_from_an_address_without_a_way() {
        let upstream = Upstream::parse("quic://192.0.2.1#dns.test", crate::config::SCHEMES);
        let upstream = upstream.unwrap();
        let kind = |error: io::ErrorKind| {
            let why = ConnectError::unreachable(&error.into());
            Problem::quic(&why, &Observed::default(), &upstream).kind
        };
        assert_eq!(kind(io::ErrorKind::ConnectionRefused), "refused");
        assert_eq!(kind(io::ErrorKind::NetworkUnreachable), "unreachable");
    }

    // fault 119, 121
    #[test]
    fn advice_is_about_what_is_spoken_to_the_upstream() {
        let upstream = |spec: &str| {
            let all = crate::config::SCHEMES;
            Upstream::parse(spec, all).unwrap()
        };
        for (spec, service, port) in [
            ("192.0.2.1#dns.test", "DNS over TLS", "853"),
            ("https://192.0.2.1/q#dns.test", "DNS over HTTPS", "443"),
            ("quic://192.0.2.1#dns.test", "DNS over QUIC", "853"),
        ] {
            let upstream = upstream(spec);
            let shaken = Problem::handshake_timeout(&upstream).advice;
            assert!(shaken.contains(service), "{shaken}");
            let port_of = wrong_port(&upstream);
            assert!(port_of.contains(&format!("{service} is usually on {port},")));
            let rejected = ConnectionError::Rejected("HTTP status 404".into());
            let problem = Problem::lost(&rejected, &upstream);
            assert!(problem.advice.contains(service), "{problem:?}");
            assert_eq!(problem.advice.contains("the path"), port == "443");
            assert_eq!(problem.advice.contains("upstream, /q,"), port == "443");
        }
    }
}
