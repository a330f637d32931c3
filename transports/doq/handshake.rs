//! How the handshake of a connection ends on which queries are sent early.

use super::connection::Connection;
use super::errors;
use crate::runtime::Runtime;
use crate::transport::ConnectError;
use quinn_proto::ConnectionError as Lost;
use std::pin::Pin;
use std::task::{Context, Poll};

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
