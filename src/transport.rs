//! The way to one upstream: what a transport has to offer. Traits and their errors only.
//!
//! A connection is message-oriented, so that a stream with length prefixes (TLS, TCP) and a protocol with a stream per query
//! look alike to the core. It is not a plain `Sink<Vec<u8>>`, which allocates for each message and hides when bytes really left.

use crate::config::{Config, ConfigError, Upstream};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

/// Connects to upstreams.
pub trait Transport {
    /// A connection that is ready for queries: established, and authenticated where the protocol does that; or on the way to that, if it is
    /// early: see [`Connection::is_early`].
    type Connection: Connection;
    /// A connection in the making. Dropping it gives up and leaves nothing behind.
    type Connect: Future<Output = Result<Self::Connection, ConnectError>>;

    /// Starts to connect to one address of an upstream. The transport itself bounds the time that this takes.
    /// One that has a proxy ([`Upstream::socks5`]) is reached through it alone; the address of one that is given by name is then the proxy's.
    /// Not one octet of a query may leave before the other end is authenticated (RFC 8310 section 5, strict profile). Early data is encrypted
    /// with a secret of a session whose other end was authenticated as is required now.
    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect;

    /// Connects by another configuration from now on, in place of the one `before`. Connections that are made already stay. On an error
    /// everything is as before. Does nothing where nothing is configured.
    fn reconfigure(&mut self, _before: &Config, _config: &Config) -> Result<(), ConfigError> {
        Ok(())
    }
}

/// A connection to an upstream that carries many queries at once.
pub trait Connection: Unpin {
    /// Whether its handshake is not over, and queries may be sent all the same that it may send early (RFC 8446 section 2.3). It holds back
    /// others until then. The driver then waits for [`Connection::poll_handshake`], after it has flushed what is there to be sent.
    fn is_early(&self) -> bool {
        false
    }

    /// Goes on with the handshake of a connection that is early. `Ready` when that is over, which it is at once where connecting included it;
    /// an error is one of connecting.
    fn poll_handshake(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    /// Takes a query to send; its first two octets are the id that the response must have. Does no I/O: what is queued leaves at the
    /// next [`Connection::poll_flush`], in as few writes as possible.
    fn queue(&mut self, message: &[u8]);

    /// Octets that are queued and not yet handed to the operating system.
    fn backlog(&self) -> usize;

    /// Sends what is queued. `Pending` until everything is handed to the operating system; call it again when woken. Cancel-safe:
    /// all state is in the connection.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>>;

    /// What the other end did next. Cancel-safe, as [`Connection::poll_flush`].
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>>;

    /// Asks the operating system to acknowledge at once what arrives next: many servers send a response only after the previous
    /// one was acknowledged. Does nothing where the system cannot.
    fn ack_soon(&mut self) {}

    /// What it takes at first. [`Event::Limits`] reports each change. By default as much as the core sends.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Whether each query has a stream of its own, so that responses come in any order, and the protocol says how long the connection may be
    /// idle instead of an option of EDNS (RFC 7828 section 3.1, RFC 9250 section 5.5.2).
    fn has_streams(&self) -> bool {
        false
    }

    /// The path to the other end has changed: goes on over the one that there is now, and says whether it does. Connections of QUIC do (RFC 9000
    /// section 9), and those of TCP cannot: their queries are sent again on fresh ones. What it has to send for it leaves at the next
    /// [`Connection::poll_flush`].
    fn change_path(&mut self) -> bool {
        false
    }

    /// Closes in order (`close_notify`, FIN). `Ready` when that is done or impossible.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// A description for the log, such as `verified as dns.test, TLS 1.3 resumed`.
    fn describe(&self) -> String;

    /// The address that it goes to, if that is another one than the transport was given: each protocol of an upstream has its own port.
    fn addr(&self) -> Option<SocketAddr> {
        None
    }

    /// How long the certificate was still valid that the other end showed while the connection was made; zero if it had ended. `None`: it
    /// showed none, as without TLS, or when a session is resumed.
    fn certificate_left(&self) -> Option<Duration> {
        None
    }

    /// How the other end was authenticated when the connection was made, for counters. `None`: it is not encrypted, or was
    /// authenticated before, by another connection.
    fn authentication(&self) -> Option<Authentication> {
        None
    }
}

/// What a handshake has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The other end is who it should be: in this handshake, or in that of the session that it resumes.
    pub verified: bool,
    /// It resumes an earlier session.
    pub resumed: bool,
}

/// What a connection reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole message, not yet matched to a query. Valid until the next call.
    Message(&'a mut [u8]),
    /// The query with this id is lost, and the connection goes on: its stream has failed, or behind the connection are several, and that of
    /// the query has failed.
    Failed {
        /// The id that it was queued with.
        id: u16,
        /// What happened.
        why: ConnectionError,
    },
    /// The other end changes what it takes on this connection.
    Limits(Limits),
    /// The connection has ended. Nothing follows.
    Closed(ConnectionError),
}

/// What the other end of a connection takes. That of a protocol with a stream for each query says so (RFC 9113 section 5.1.2, RFC 9000
/// section 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Queries without a response at once, also of those that nobody waits for any more. 0: the connection takes no more queries, and answers
    /// those that it has.
    pub in_flight: usize,
}

impl Default for Limits {
    /// None.
    fn default() -> Self {
        let in_flight = usize::MAX;
        Self { in_flight }
    }
}

/// Why a connection to an upstream could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address of an upstream given by name was not found.
    Unresolved(String),
    /// The operating system reports no connection: refused, no route, reset.
    Unreachable(String),
    /// Not done within the time limit.
    TimedOut,
    /// The other end is not who it should be, or cannot prove it.
    Unauthenticated {
        /// What is wrong with its proof.
        why: String,
        /// What the operator can do about it; may be empty.
        remedy: String,
    },
    /// Connected, but the handshake failed: an alert, a bad record, plain text.
    Handshake(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(why) => write!(f, "address not found: {why}"),
            Self::Unreachable(why) => write!(f, "cannot connect: {why}"),
            Self::TimedOut => f.write_str("connect or handshake timed out"),
            Self::Unauthenticated { why, .. } => write!(f, "not authenticated: {why}"),
            Self::Handshake(why) => write!(f, "handshake failed: {why}"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    /// For a connection that the operating system refuses.
    pub fn unreachable(error: &io::Error) -> Self {
        Self::Unreachable(system_message(error))
    }
}

/// The operating system's message, without its number and with a small first letter, for the middle of a log line.
pub(crate) fn system_message(error: &io::Error) -> String {
    let message = error.to_string();
    let message = message.split(" (os error ").next().unwrap_or_default();
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// Why a connection to an upstream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// Closed by the upstream between two messages, which is normal.
    Closed,
    /// Closed by the upstream within a message.
    Truncated,
    /// The operating system or TLS reports an error, such as a reset.
    Io(String),
    /// What came is not a sequence of DNS messages with length prefixes.
    Protocol(&'static str),
    /// The core gave the connection up: nothing came for too long.
    Silent,
    /// Of one query: the upstream has not processed it and never will, and may be asked again (RFC 9113 section 8.7).
    Unprocessed,
    /// Of one query: the upstream responds with an error of the protocol in the place of a DNS message, such as an HTTP status.
    Rejected(String),
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the upstream"),
            Self::Truncated => f.write_str("closed by the upstream within a message"),
            Self::Io(why) => f.write_str(why),
            Self::Protocol(why) => write!(f, "protocol error: {why}"),
            Self::Silent => f.write_str("nothing came for too long"),
            Self::Unprocessed => f.write_str("not processed by the upstream"),
            Self::Rejected(why) => write!(f, "no DNS response: {why}"),
        }
    }
}

impl std::error::Error for ConnectionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_shown_in_system_message() {
        let reset = io::Error::from_raw_os_error(104);
        assert!(!system_message(&reset).contains("os error"), "{reset}");
        assert_eq!(
            system_message(&io::Error::other("Out of luck")),
            "out of luck"
        );
        let refused = io::ErrorKind::ConnectionRefused.into();
        let shown = ConnectError::unreachable(&refused).to_string();
        assert_eq!(shown, "cannot connect: connection refused");
        assert_eq!(system_message(&io::Error::other("")), "");
    }
}
