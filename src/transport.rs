//! The way to one upstream: what a transport has to offer. Traits and their errors only.
//!
//! A link is message-oriented, so that a stream with length prefixes (TLS, TCP) and a protocol with a stream per question
//! look alike to the core. It is not a plain `Sink<Vec<u8>>`: that allocates for each message, hides when bytes really left,
//! and cannot say that one question failed while the link lives on.

use crate::config::Upstream;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// Makes links.
pub trait Transport {
    /// A link that is ready for questions: connected, and authenticated where the protocol does that.
    type Link: Link;
    /// The way there. Dropping it gives up; nothing else has to be cleaned.
    type Dial: Future<Output = Result<Self::Link, DialError>>;

    /// Starts to connect to one address of an upstream. Bounded in time by the transport itself.
    /// Not one byte of a question may leave before the other end is authenticated (RFC 8310 section 5, strict profile).
    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Dial;
}

/// A connection to an upstream that carries many questions at once.
pub trait Link: Unpin {
    /// Takes a question to send; the message bears `id` already. Does no I/O: what is queued leaves at the next
    /// [`Link::poll_flush`], in as few writes as can be.
    fn queue(&mut self, id: u16, message: &[u8]);

    /// Octets that are queued and not yet handed to the operating system.
    fn backlog(&self) -> usize;

    /// Sends what is queued. `Pending` until everything was handed on; call it again when woken. Cancel-safe: it has no
    /// state but the link's.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>>;

    /// The next thing that the other end did. Cancel-safe, as `poll_flush`.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>>;

    /// Asks the operating system to acknowledge at once what arrives next: many servers send an answer only when the one
    /// before was acknowledged. Does nothing where there is no such thing.
    fn ack_soon(&mut self) {}

    /// Says goodbye (`close_notify`, FIN). `Ready` when done or impossible.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// What the log shows of it, such as `verified as dns.test, TLS 1.3 resumed`.
    fn describe(&self) -> String;
}

/// What a link reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole message, valid until the next call. Not yet matched to a question.
    Answer(&'a mut [u8]),
    /// One question failed; the link lives on.
    Failed {
        /// The id that it bore.
        id: u16,
        /// Why.
        why: LinkError,
    },
    /// The other end said how many questions it takes at once.
    Limits {
        /// Questions in flight.
        in_flight: usize,
    },
    /// The link is gone. Nothing follows.
    Closed(LinkError),
}

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialError {
    /// The address of an upstream given by name was not found.
    Unresolved(String),
    /// No connection: refused, no route, reset.
    Unreachable(String),
    /// Not done in time.
    TimedOut,
    /// The other end is not who it should be, or cannot prove it.
    Unauthenticated {
        /// What is wrong with its proof.
        why: String,
        /// What the operator can do about it; may be empty.
        remedy: String,
    },
    /// Connected, but no common ground: an alert, a bad record, plain text.
    Handshake(String),
}

impl fmt::Display for DialError {
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

impl std::error::Error for DialError {}

impl DialError {
    /// For a connection that the operating system refuses.
    pub fn unreachable(error: &io::Error) -> Self {
        Self::Unreachable(words(error))
    }
}

/// What the operating system says, without its number: a message for people.
pub(crate) fn words(error: &io::Error) -> String {
    let said = error.to_string();
    let said = said.split(" (os error ").next().unwrap_or_default();
    let mut letters = said.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkError {
    /// Closed by the other end between two messages: no fault of anybody.
    Closed,
    /// Closed by the other end within a message.
    Truncated,
    /// Reset, timed out or otherwise broken below.
    Io(String),
    /// What came makes no sense as DNS messages with a length prefix.
    Protocol(&'static str),
    /// Nothing came for too long.
    Silent,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the upstream"),
            Self::Truncated => f.write_str("closed by the upstream within a message"),
            Self::Io(why) => f.write_str(why),
            Self::Protocol(why) => write!(f, "protocol error: {why}"),
            Self::Silent => f.write_str("silent"),
        }
    }
}

impl std::error::Error for LinkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_told_in_words() {
        let reset = io::Error::from_raw_os_error(104);
        assert!(!words(&reset).contains("os error"), "{reset}");
        assert_eq!(words(&io::Error::other("Out of luck")), "out of luck");
        let refused = io::ErrorKind::ConnectionRefused.into();
        let told = DialError::unreachable(&refused).to_string();
        assert_eq!(told, "cannot connect: connection refused");
        assert_eq!(words(&io::Error::other("")), "");
    }
}
