//! The time that a dial may take, for every protocol alike.

use crate::runtime::Runtime;
use crate::transport::DialError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// For connecting and handshaking together: below the 4 s that a client waits, with time for a second try.
const DIAL_TIMEOUT: Duration = Duration::from_millis(1_500);

/// A dial that is bounded in time as a whole.
pub struct Bounded<R: Runtime, F: Future>(Pin<Box<R::Within<F>>>);

impl<R: Runtime, F: Future> Bounded<R, F> {
    /// Bounds `work` by the time that a dial may take.
    pub fn new(runtime: &R, work: F) -> Self {
        Self(Box::pin(runtime.within(DIAL_TIMEOUT, work)))
    }
}

impl<R: Runtime, L, F: Future<Output = Result<L, DialError>>> Future for Bounded<R, F> {
    type Output = Result<L, DialError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(self.0.as_mut().poll(cx));
        Poll::Ready(done.unwrap_or(Err(DialError::TimedOut)))
    }
}
