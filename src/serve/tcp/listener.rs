//! Accepting clients over TCP.

use crate::engine::Time;
use crate::runtime::Listener;
use crate::serve::pause::Pause;
use crate::serve::sources::Source;
use log::debug;
use std::io;
use std::net::SocketAddr;
use std::task::{Poll, ready};

/// A listening socket.
pub struct ClientListener<L> {
    pub source: Source,
    socket: L,
    pause: Pause,
}

impl<L: Listener> ClientListener<L> {
    pub fn new(socket: L, source: Source) -> Self {
        let pause = Pause::new(socket.local_addr().ok(), "accepting TCP connections", 0);
        Self {
            source,
            socket,
            pause,
        }
    }

    /// The next connection; `None` if it has ended already.
    pub fn accept(&mut self, now: Time) -> Poll<Option<(L::Stream, SocketAddr)>> {
        if self.pause.is_on(now) {
            return Poll::Pending;
        }
        match ready!(self.socket.poll_accept(&mut self.source.context())) {
            Ok(accepted) => {
                self.pause.succeeded();
                Poll::Ready(Some(accepted))
            }
            Err(error) if is_passing(&error) => {
                debug!("a TCP connection ended before it was accepted: {error}");
                Poll::Ready(None)
            }
            Err(error) => {
                self.pause.failed(&error, now);
                Poll::Pending
            }
        }
    }

    /// Time went on: it is polled again after a pause.
    pub fn time(&mut self, now: Time) {
        if self.pause.ends(now) {
            self.source.mark();
        }
    }

    /// When [`ClientListener::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        self.pause.until()
    }
}

/// Does the error concern one connection only, which was gone before it was accepted?
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | WouldBlock
    )
}
