//! The stream below TLS. TLS reads until there is something for the application, and a server can send for ever what is nothing for it, such as
//! session tickets (RFC 8446 section 4.6.1): here a poll reads so often, and then others get their turn.

use crate::runtime::ByteStream;
use futures::io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Reads in a row that bring something. TLS reads a few thousand octets at once.
const MAX_READS: usize = 32;

/// A stream that is pending once after so many reads, and wakes at once.
pub struct Fair<S> {
    stream: S,
    /// Reads in a row that have brought something.
    reads: usize,
}

impl<S> Fair<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, reads: 0 }
    }
}

impl<S: ByteStream> AsyncRead for Fair<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.reads >= MAX_READS {
            self.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.reads = if read.is_ready() { self.reads + 1 } else { 0 };
        read
    }
}

impl<S: ByteStream> AsyncWrite for Fair<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl<S: ByteStream> ByteStream for Fair<S> {
    fn ack_soon(&self) {
        self.stream.ack_soon();
    }
}
