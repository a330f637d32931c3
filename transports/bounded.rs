//! The time that a dial may take, for every protocol alike.

use crate::config::Config;
use crate::runtime::Runtime;
use crate::transport::ConnectError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// For connecting and handshaking together: twice what a question may take, but no less than such a time by default. What connects too slowly for the question that it was begun for is there for the next one. The core does not wait for it:
/// it tries others beside a dial that is late.
pub fn dial_limit(config: &Config) -> Duration {
    (2 * config.timeout()).max(Config::TIMEOUT)
}

/// A dial that is bounded in time as a whole.
pub struct Bounded<R: Runtime, F: Future>(Pin<Box<R::Within<F>>>);

impl<R: Runtime, F: Future> Bounded<R, F> {
    /// Bounds `work` by the time that a dial may take.
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
