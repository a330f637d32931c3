//! Queries that leave while a handshake resumes a session (0-RTT: RFC 9250 section 4.5, RFC 9001 section 4.6).

use crate::runtime::Runtime;
use crate::transport::ConnectError;
use crate::transports::tls::{MAX_EARLY, may_be_repeated};
use bytes::Bytes;

/// Octets of the length before a message.
const PREFIX: usize = 2;

/// A handshake that goes on while queries are sent.
pub(super) struct Early<R: Runtime> {
    /// Ends with the time for the handshake.
    pub(super) time: R::Sleep,
    /// Ids and messages that have left, which leave again if the server rejects them.
    pub(super) sent: Vec<(u16, Bytes)>,
    /// How the handshake ended.
    pub(super) outcome: Option<Result<(), ConnectError>>,
}

impl<R: Runtime> Early<R> {
    pub(super) fn new(time: R::Sleep) -> Self {
        Self {
            time,
            sent: Vec::new(),
            outcome: None,
        }
    }

    /// Whether a message, with its length before it, may leave now. Once the handshake is over every one may.
    pub(super) fn takes(&self, message: &[u8]) -> bool {
        let sent = self.sent.iter().map(|(_, message)| message.len());
        self.outcome.is_some()
            || sent.sum::<usize>() + message.len() <= MAX_EARLY
                && message.get(PREFIX..).is_some_and(may_be_repeated)
    }

    /// A message leaves.
    pub(super) fn note(&mut self, id: u16, message: &Bytes) {
        if self.outcome.is_none() {
            self.sent.push((id, message.clone()));
        }
    }
}
