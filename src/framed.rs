//! A connection to an upstream over any stream of octets: messages with a two-octet length prefix (RFC 1035 section 4.2.2, RFC 7858
//! section 3.3).

use crate::runtime::ByteStream;
use crate::transport::{Connection, ConnectionError, Event, system_message};
use crate::wire::{Frames, append_frame};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Octets of memory for outgoing frames that are kept between bursts.
const MAX_SPARE: usize = 16 * 1024;

/// A connection over a stream. What is queued between two flushes leaves in one write, so that it shares a TLS record.
pub struct Framed<S> {
    stream: S,
    description: String,
    incoming: Frames,
    outgoing: Vec<u8>,
    /// How much of `outgoing` the stream has taken.
    taken: usize,
    /// The stream may still hold octets that it took.
    unflushed: bool,
}

impl<S: ByteStream> Framed<S> {
    /// A connection over a stream that is ready for queries. The description is for the log.
    pub fn new(stream: S, description: String) -> Self {
        Self {
            stream,
            description,
            incoming: Frames::new(),
            outgoing: Vec::new(),
            taken: 0,
            unflushed: false,
        }
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream below, for what it does beside carrying octets.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Reads until a whole message is there.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while !self.incoming.has_message() {
            let read = Pin::new(&mut self.stream).poll_read(cx, self.incoming.space());
            if read.is_pending() {
                self.incoming.relax();
                // TLS may have to send something because of what was read, such as that it does not renegotiate. If that fails, the next
                // read or write fails, too.
                let _sent_or_not = Pin::new(&mut self.stream).poll_flush(cx);
            }
            match ready!(read) {
                Ok(n) if n > 0 => self.incoming.filled(n),
                Ok(_) => return Poll::Ready(Err(self.end())),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Err(self.end()));
                }
                Err(error) => return Poll::Ready(Err(broken(&error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The other end closed. With or without TLS's `close_notify`, that is an error only within a message (RFC 8446 section 6.1).
    fn end(&self) -> ConnectionError {
        if self.incoming.is_empty() {
            ConnectionError::Closed
        } else {
            ConnectionError::Truncated
        }
    }
}

fn broken(error: &io::Error) -> ConnectionError {
    ConnectionError::Io(system_message(error))
}

impl<S: ByteStream> Connection for Framed<S> {
    fn queue(&mut self, message: &[u8]) {
        append_frame(message, &mut self.outgoing);
    }

    fn backlog(&self) -> usize {
        self.outgoing.len() - self.taken
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while let Some(rest) = self.outgoing.get(self.taken..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(ConnectionError::Closed)),
                Ok(n) => self.taken += n,
                Err(error) => return Poll::Ready(Err(broken(&error))),
            }
            self.unflushed = true;
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(MAX_SPARE);
        self.taken = 0;
        // A TLS stream may have taken everything and still hold ciphertext.
        if self.unflushed {
            let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
            flushed.map_err(|error| broken(&error))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        if let Err(why) = ready!(self.poll_message(cx)) {
            return Poll::Ready(Event::Closed(why));
        }
        match self.incoming.next() {
            Some(message) => Poll::Ready(Event::Message(message)),
            // It cannot be: `poll_message` has seen a message.
            None => Poll::Ready(Event::Closed(ConnectionError::Truncated)),
        }
    }

    fn ack_soon(&mut self) {
        self.stream.ack_soon();
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // An error does not matter any more.
        Pin::new(&mut self.stream).poll_close(cx).map(drop)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::{AsyncRead, AsyncWrite};
    use futures::task::noop_waker;

    /// A stream that has to send something because of what it read, and delivers no octets.
    #[derive(Default)]
    struct Responding {
        unsent: bool,
        sent: bool,
    }

    impl AsyncRead for Responding {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.unsent = true;
            Poll::Pending
        }
    }

    impl AsyncWrite for Responding {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            from: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(from.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.sent |= self.unsent;
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl ByteStream for Responding {}

    // fault 42: the other end may wait for that.
    #[test]
    fn what_the_stream_itself_has_to_send_does_not_wait_for_a_query() {
        let mut connection = Framed::new(Responding::default(), String::new());
        let waker = noop_waker();
        let next = connection.poll_next(&mut Context::from_waker(&waker));
        assert!(next.is_pending());
        assert!(connection.stream.sent);
    }
}
