//! The traits of tokio, which HTTP/2 is written for, over those of futures. No reactor comes with them.
//!
//! HTTP/2 reads and writes whenever it is polled. Here it writes only into a buffer, so that all frames of a burst leave in one write, and it
//! reads only while [`Connection::poll_next`](crate::transport::Connection::poll_next) wants that.

use super::data_frames::DataFrames;
use crate::locks::lock;
use crate::runtime::ByteStream;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets of frames from which on they are written before more are taken: as many as a TLS record holds (RFC 8446 section 5.1).
const MAX_OUTGOING: usize = 16 * 1024;

/// The stream below HTTP/2.
pub struct Link<S> {
    stream: S,
    outgoing: Vec<u8>,
    /// How much of `outgoing` the stream has taken.
    taken: usize,
    /// The stream may still hold octets that it took.
    unflushed: bool,
    /// Wakes the connection when there is something to read, or room to write. HTTP/2 has wakers of its own.
    waker: Waker,
    /// HTTP/2 may read.
    pub reads: bool,
    /// The other end has closed.
    pub is_closed: bool,
    pub frames: DataFrames,
}

impl<S: ByteStream> Link<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            outgoing: Vec::new(),
            taken: 0,
            unflushed: false,
            waker: Waker::noop().clone(),
            reads: false,
            is_closed: false,
            frames: DataFrames::new(),
        }
    }

    /// Who is woken from now on.
    pub fn set_waker(&mut self, waker: &Waker) {
        self.waker.clone_from(waker);
    }

    /// Octets of messages and of frames that have not been handed to the operating system.
    pub fn backlog(&self) -> usize {
        self.frames.octets() + self.outgoing.len() - self.taken
    }

    pub fn ack_soon(&self) {
        self.stream.ack_soon();
    }

    /// Writes all frames. Once the other end has closed, there is nobody to read them.
    fn poll_drain(&mut self) -> Poll<io::Result<()>> {
        if self.is_closed {
            (self.outgoing, self.taken) = (Vec::new(), 0);
            return Poll::Ready(Ok(()));
        }
        let cx = &mut Context::from_waker(&self.waker);
        while let Some(rest) = self.outgoing.get(self.taken..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.taken += n,
            }
            self.unflushed = true;
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(MAX_OUTGOING);
        self.taken = 0;
        // A TLS stream may have taken everything and still hold ciphertext.
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.reads {
            return Poll::Pending;
        }
        let cx = &mut Context::from_waker(&self.waker);
        let stream = Pin::new(&mut self.stream);
        let read = match ready!(stream.poll_read(cx, into.initialize_unfilled())) {
            // Without the `close_notify` of TLS. HTTP/2 notices itself whether that is within a frame.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        self.is_closed = read == 0;
        into.advance(read);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, frames: &[u8]) -> Poll<io::Result<usize>> {
        if self.outgoing.len() - self.taken >= MAX_OUTGOING {
            ready!(self.poll_drain())?;
        }
        self.outgoing.extend_from_slice(frames);
        self.frames.pass(frames);
        Poll::Ready(Ok(frames.len()))
    }

    fn poll_close(&mut self) -> Poll<io::Result<()>> {
        ready!(self.poll_drain())?;
        let cx = &mut Context::from_waker(&self.waker);
        match Pin::new(&mut self.stream).poll_close(cx) {
            // That the other end has closed is what counts.
            _ if self.is_closed => Poll::Ready(Ok(())),
            closed => closed,
        }
    }
}

/// HTTP/2's hold of a [`Link`]. It polls with wakers of its own, which nobody but the connection wakes.
pub struct Bridge<S>(pub Arc<Mutex<Link<S>>>);

impl<S: ByteStream> AsyncRead for Bridge<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        lock(&self.0).poll_read(into)
    }
}

impl<S: ByteStream> AsyncWrite for Bridge<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        frames: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(frames)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_drain()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_close()
    }
}
