//! A link over any byte stream: messages with a two-octet length prefix (RFC 1035 section 4.2.2, RFC 7858 section 3.3).

use crate::runtime::ByteStream;
use crate::transport::{Connection, ConnectionError, Event, system_message};
use crate::wire::{Frames, append_frame};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Memory for outgoing frames that is kept between bursts.
const KEEP: usize = 16 * 1024;

/// A link over a stream. What is queued between two flushes leaves in one write, so that it shares a TLS record.
pub struct Framed<S> {
    stream: S,
    description: String,
    incoming: Frames,
    outgoing: Vec<u8>,
    /// How much of `outgoing` the stream has taken.
    taken: usize,
    /// The stream took octets that it may still hold.
    unflushed: bool,
}

impl<S: ByteStream> Framed<S> {
    /// A link over a stream that is ready for questions. The description is for the log.
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

    /// Reads until a whole message is there.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while !self.incoming.has_message() {
            let read = Pin::new(&mut self.stream).poll_read(cx, self.incoming.space());
            if read.is_pending() {
                self.incoming.relax();
                // What was read may have given TLS something to say of its own, such as that it does not renegotiate. Should that fail,
                // the next read or write does, too.
                let _said_or_not = Pin::new(&mut self.stream).poll_flush(cx);
            }
            match ready!(read) {
                Ok(0) if self.incoming.is_empty() => {
                    return Poll::Ready(Err(ConnectionError::Closed));
                }
                Ok(0) => return Poll::Ready(Err(ConnectionError::Truncated)),
                Ok(n) => self.incoming.filled(n),
                Err(error) => return Poll::Ready(Err(self.read_error(&error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A TLS peer that closes without `close_notify` between two messages only closes (RFC 8446 section 6.1 is about cut data).
    fn read_error(&self, error: &io::Error) -> ConnectionError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof if self.incoming.is_empty() => ConnectionError::Closed,
            io::ErrorKind::UnexpectedEof => ConnectionError::Truncated,
            _ => ConnectionError::Io(system_message(error)),
        }
    }
}

impl<S: ByteStream> Connection for Framed<S> {
    fn queue(&mut self, message: &[u8]) {
        append_frame(message, &mut self.outgoing);
    }

    fn backlog(&self) -> usize {
        self.outgoing.len() - self.taken
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let failed = |error: &io::Error| ConnectionError::Io(system_message(error));
        while let Some(rest) = self.outgoing.get(self.taken..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(ConnectionError::Closed)),
                Ok(n) => self.taken += n,
                Err(error) => return Poll::Ready(Err(failed(&error))),
            }
            self.unflushed = true;
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(KEEP);
        self.taken = 0;
        // A TLS stream says that it took everything while it still holds ciphertext.
        if self.unflushed {
            if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
                return Poll::Ready(Err(failed(&error)));
            }
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
            // `poll_message` says that there is one.
            None => Poll::Ready(Event::Closed(ConnectionError::Truncated)),
        }
    }

    fn ack_soon(&mut self) {
        self.stream.ack_soon();
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whatever goes wrong now concerns nobody any more.
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

    /// A stream that reads something which is not for us, and has something to say about it.
    #[derive(Default)]
    struct Addressed {
        unsaid: bool,
        said: bool,
    }

    impl AsyncRead for Addressed {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.unsaid = true;
            Poll::Pending
        }
    }

    impl AsyncWrite for Addressed {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            from: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(from.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.said |= self.unsaid;
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl ByteStream for Addressed {}

    // fault 42: whoever waits for that may say nothing else before.
    #[test]
    fn what_the_stream_itself_has_to_say_does_not_wait_for_a_question() {
        let mut link = Framed::new(Addressed::default(), String::new());
        let waker = noop_waker();
        let next = link.poll_next(&mut Context::from_waker(&waker));
        assert!(next.is_pending());
        assert!(link.stream.said);
    }
}
