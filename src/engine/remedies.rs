//! What to do about a failure: the one table, for the log, `dotward explain` and the status. A remedy is found by the words of the reason, so
//! that it is the same wherever the reason is told, and the reason can travel as a text (RFC 8914).

use super::failure::{BLOCKS, CANNOT, INVALID, LOOPS, REFUSES_QUERY, STRAYS, UNKNOWN};
use crate::wire::Rcode;

/// Words of a reason, and what to do about it.
type Row = (&'static str, &'static str);

/// About certificates, for those who judge them: its time is over.
pub const RENEW: &str = "renew it on the server";
/// The same, as far as this machine knows what time it is. The log says what its clock says.
const RENEW_OR_CLOCK: &str = "renew it on the server, or check this machine's clock";
/// Its time has not come.
const CLOCK: &str = "check this machine's clock";
/// The name of an upstream is not in its certificate.
pub const CHECK_NAME: &str = "check the name behind # of this upstream";
/// The authority is not known.
pub const TRUST_AUTHORITY: &str =
    "if this is the right server, trust the certificate of its authority (ca-file)";
/// It has no authority.
pub const TRUST_OWN: &str = "if this is the right server, trust its certificate (ca-file)";
/// It has another key than is pinned.
pub const CHECK_PIN: &str =
    "ask its operator whether that is a new key of theirs, and pin it if so (pin-sha256)";
/// It is not made for this.
pub const REMAKE: &str = "make a new one for the server";

/// A client may not ask.
pub const OF_DENIAL: &str = "if this client is to be served, name its network (allow-net)";

/// The first row whose words are in the reason holds.
const REMEDIES: &[Row] = &[
    // Bounds and rules of this program.
    (
        "too many queries in flight from this client",
        "find out why this client asks so much; if it may, raise max-in-flight-per-client",
    ),
    (
        "too many queries in flight",
        "see whether upstreams are slow (dotward status); if so many clients are usual, raise max-in-flight",
    ),
    ("not allowed to query this server", OF_DENIAL),
    (
        "being stopped",
        "ask again when it runs again; a second resolver in the client's settings is asked meanwhile",
    ),
    (
        "answer is truncated",
        "ask another upstream: this one does not send whole answers",
    ),
    // The proxy before an upstream.
    (
        "wants a username and a password",
        "use a proxy that needs no login, or allow this machine there without one",
    ),
    (
        "SOCKS5 proxy",
        "see that the proxy runs, and that it may connect to the upstream",
    ),
    // Certificates: the log says more of times and names.
    ("certificate not trusted: expired at", RENEW_OR_CLOCK),
    ("certificate not trusted: not valid before", CLOCK),
    ("certificate not trusted: it is for", CHECK_NAME),
    ("certificate not trusted: unknown issuer", TRUST_AUTHORITY),
    ("certificate not trusted: self-signed", TRUST_OWN),
    ("authority's, not a server's", TRUST_OWN),
    ("pinned", CHECK_PIN),
    ("it ends before it begins to be valid", RENEW),
    ("not made for a server", REMAKE),
    ("older than X.509 version 3", REMAKE),
    (
        "certificate not trusted",
        "have a new certificate made for the server; if it is not yours, something on the way may answer in its place",
    ),
    (
        "shows no certificate",
        "check that this is the right server and port",
    ),
    (
        "demands a client certificate",
        "configure the certificate that its operator gave you (client-certificate, client-key)",
    ),
    // No connection.
    (
        "address not found",
        "check the upstream's name, and that the resolvers that find it (bootstrap) answer; IP#NAME needs none",
    ),
    (
        "connection refused",
        "see that the server runs and that its port is right; if so, a firewall refuses it",
    ),
    (
        "cannot connect: connection reset",
        "check that its port is right, and that the server, or a firewall, lets this machine connect",
    ),
    ("network is unreachable", NO_WAY),
    ("no route to host", NO_WAY),
    ("host is unreachable", NO_WAY),
    ("permission denied", "a firewall of this machine forbids it"),
    ("connect or handshake timed out", DROPPED),
    ("not connected in time", DROPPED),
    (
        "is not TLS",
        "check the port: DNS over TLS is usually on 853; on a network with a login page, log in there first",
    ),
    (
        "handshake failed",
        "check that the server offers TLS 1.2 or 1.3 on this port, and that it allows this machine",
    ),
    // A connection, and no answer.
    (
        STRAYS,
        "do not use this upstream: it, or something on the way, mixes answers up or forges them",
    ),
    (
        LOOPS,
        "have that server ask another one than this program, or use another upstream",
    ),
    (
        "no answer in time",
        "see whether the server runs and answers (dotward check --probe); name a second upstream",
    ),
    ("protocol error", NO_DNS),
    ("no DNS response", NO_DNS),
    ("malformed answer", NO_DNS),
    (
        "connection lost",
        "the server, or a firewall, ends connections: its log says why; name a second upstream",
    ),
    ("cannot connect", NO_WAY),
    (
        "no upstream is available",
        "see which upstreams are configured and why they fail (dotward status)",
    ),
    // What an upstream answers with.
    (CANNOT, CANNOT_RESOLVE),
    (REFUSES_QUERY, REFUSES),
    (INVALID, NOT_VALIDATED),
    (BLOCKS, BLOCKED),
    (UNKNOWN, NOT_UNDERSTOOD),
];
const NO_WAY: &str = "check this machine's network; for an IPv6 address, whether it has IPv6";
const DROPPED: &str = "a firewall may drop it, or the server is down: try from another network, or name another upstream";
const NO_DNS: &str =
    "check that a DNS server runs at this address and port, and the protocol of this upstream";

/// The upstream says that it does not resolve the name.
const CANNOT_RESOLVE: &str =
    "the domain may be broken: compare other resolvers (dotward query NAME --all)";
/// The upstream does not serve us, or not this name.
const REFUSES: &str =
    "ask its operator whether it serves this machine and this name, or use another upstream";
/// The upstream validates, and found a forgery or a mistake.
const NOT_VALIDATED: &str = "the domain's signatures are wrong or forged: tell its operator; asking elsewhere without validation is no remedy";
/// A filter stands before the name.
const BLOCKED: &str =
    "this upstream filters names: if this one is to resolve, use an upstream that does not filter";
/// The upstream cannot read the query.
const NOT_UNDERSTOOD: &str = "this upstream does not implement that: use another one";

/// What to do about an error with this code and extended error, if it has one. An upstream's own words say nothing here, but its codes do.
pub fn what_to_do(rcode: Rcode, code: Option<u16>, text: &str) -> Option<&'static str> {
    match code {
        Some(5..=12 | 25 | 27) => return Some(NOT_VALIDATED),
        Some(15..=17) => return Some(BLOCKED),
        _ => {}
    }
    of_reason(text).or(match rcode {
        Rcode::SERVFAIL => Some(CANNOT_RESOLVE),
        Rcode::REFUSED => Some(REFUSES),
        Rcode::FORMERR | Rcode::NOTIMP => Some(NOT_UNDERSTOOD),
        _ => None,
    })
}

/// What to do about a failure that this is the reason of, if that is known.
pub fn of_reason(reason: &str) -> Option<&'static str> {
    let of_one = |reason: &str| REMEDIES.iter().find(|(words, _)| reason.contains(words));
    // Of several upstreams the first counts.
    let row = reason.split("; ").find_map(of_one);
    row.map(|(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::failure::{Failure, connect_reason};
    use crate::transport::{ConnectError, ConnectionError};
    use std::io;

    // fault 173
    #[test]
    fn each_reason_of_ours_has_a_remedy_and_none_is_covered_by_a_row_before_it() {
        for (index, (words, _)) in REMEDIES.iter().enumerate() {
            let first = REMEDIES.iter().position(|(other, _)| words.contains(other));
            assert_eq!(first, Some(index), "{words}");
        }
        let of_upstream = |kind: io::ErrorKind| {
            let why = ConnectError::unreachable(&kind.into());
            connect_reason(&why).into_string()
        };
        let reasons = [
            of_upstream(io::ErrorKind::ConnectionRefused),
            of_upstream(io::ErrorKind::ConnectionReset),
            of_upstream(io::ErrorKind::NetworkUnreachable),
            of_upstream(io::ErrorKind::HostUnreachable),
            of_upstream(io::ErrorKind::PermissionDenied),
            ConnectError::TimedOut.to_string(),
            ConnectError::Unresolved("NXDOMAIN for dns.test".into()).to_string(),
            ConnectError::Handshake("the server closed the connection".into()).to_string(),
            format!("connection lost: {}", ConnectionError::Silent),
            ConnectionError::Rejected("HTTP status 404".into()).to_string(),
        ];
        for reason in reasons {
            assert!(of_reason(&reason).is_some(), "{reason}");
        }
        for failure in Failure::ALL {
            let told = failure.explain(std::iter::empty());
            let text = told.ede().text.to_owned();
            assert!(of_reason(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_an_upstream_says_in_its_own_words_is_judged_by_its_codes() {
        let told = what_to_do(Rcode::SERVFAIL, Some(6), "connection refused by ns1.test");
        assert_eq!(told, Some(NOT_VALIDATED));
        let told = what_to_do(Rcode::SERVFAIL, Some(22), "at delegation test.");
        assert_eq!(told, Some(CANNOT_RESOLVE));
        let told = what_to_do(Rcode::REFUSED, None, "");
        assert_eq!(told, Some(REFUSES));
        assert_eq!(what_to_do(Rcode::NXDOMAIN, Some(15), ""), Some(BLOCKED));
        assert_eq!(what_to_do(Rcode::NXDOMAIN, None, ""), None);
    }
}
