//! Queries that leave while a handshake resumes a session (0-RTT: RFC 9250 section 4.5, RFC 9001 section 4.6).

use super::connection::Connection;
use super::errors;
use crate::runtime::Runtime;
use crate::transport::ConnectError;
use crate::transports::tls::{MAX_EARLY, may_be_repeated};
use bytes::Bytes;
use quinn_proto::ConnectionError as Lost;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Octets of the length before a message.
const PREFIX: usize = 2;

/// A handshake that goes on while queries are sent.
pub(super) struct Early<R: Runtime> {
    /// Ends with the time for the handshake.
    time: R::Sleep,
    /// Ids and messages that have left, which leave again if the server rejects them.
    sent: Vec<(u16, Bytes)>,
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

impl<R: Runtime> Connection<R> {
    /// The handshake is over. What the server has rejected leaves again, on other streams, before everything else.
    pub(super) fn connected(&mut self) {
        let Some(early) = &mut self.early else {
            return;
        };
        early.outcome = Some(Ok(()));
        let sent = std::mem::take(&mut early.sent);
        self.shaken();
        if self.link.quic.accepted_0rtt() {
            self.description += ", early data accepted";
            return;
        }
        self.description += ", early data rejected";
        // QUIC has forgotten these streams, and counts from the first one again.
        self.free.clear();
        self.unsent.clear();
        self.exchanges.clear();
        for query in sent.into_iter().rev() {
            self.waiting.push_front(query);
        }
    }

    /// The connection was lost: if that was in its handshake, this says why.
    pub(super) fn lost_early(&mut self, reason: &Lost) {
        let (to, refusal) = (&self.link.to, self.link.refusal.as_ref());
        if let Some(early) = &mut self.early
            && early.outcome.is_none()
        {
            early.outcome = Some(Err(errors::of_handshake(reason, to, refusal)));
        }
    }

    /// As [`crate::transport::Connection::poll_handshake`].
    pub(super) fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        if self.early.is_some() {
            self.turn(true, cx);
        }
        let Some(mut early) = self.early.take() else {
            return Poll::Ready(Ok(()));
        };
        if let Some(outcome) = early.outcome.take() {
            return Poll::Ready(outcome);
        }
        let over = Pin::new(&mut early.time).poll(cx);
        self.early = Some(early);
        over.map(|()| Err(ConnectError::TimedOut))
    }
}
