//! The time limit for connecting to an upstream, which is the same for every protocol.

use crate::config::Config;
use crate::runtime::Runtime;
use crate::transport::ConnectError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The time limit for connecting, handshake included: twice the timeout of a query, and at least the default timeout. A
/// connection that comes too late for its query serves the next ones. The engine does not wait for it: it tries others meanwhile.
pub fn connect_limit(config: &Config) -> Duration {
    (2 * config.timeout()).max(Config::TIMEOUT)
}

/// Connecting with its time limit.
pub struct Bounded<R: Runtime, F: Future>(Pin<Box<R::Within<F>>>);

impl<R: Runtime, F: Future> Bounded<R, F> {
    /// Gives `work` at most `limit`.
    pub fn new(runtime: &R, limit: Duration, work: F) -> Self {
        Self(Box::pin(runtime.within(limit, work)))
    }
}

impl<R: Runtime, L, F: Future<Output = Result<L, ConnectError>>> Future for Bounded<R, F> {
    type Output = Result<L, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(self.0.as_mut().poll(cx));
        Poll::Ready(done.unwrap_or(Err(ConnectError::TimedOut)))
    }
}
