//! Time limits: the one for connecting to an upstream, which is the same for every protocol, and futures that have one.

use crate::config::Config;
use crate::runtime::Runtime;
use crate::transport::ConnectError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The time limit for connecting, handshake included: twice the timeout of a query, and at least the default timeout. A
/// connection that comes too late for its query serves the next ones. The engine does not wait for it: it tries others meanwhile.
pub fn connect_limit(config: &Config) -> Duration {
    (2 * config.timeout()).max(Config::TIMEOUT)
}

/// A future with a time limit, over any timer. `None`: the time is over.
pub struct Within<F, S> {
    work: Pin<Box<F>>,
    sleep: S,
}

impl<F, S> Within<F, S> {
    /// Runs `work` until `sleep` is done.
    pub fn new(work: F, sleep: S) -> Self {
        let work = Box::pin(work);
        Self { work, sleep }
    }
}

impl<F: Future, S: Future<Output = ()> + Unpin> Future for Within<F, S> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| None)
    }
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
