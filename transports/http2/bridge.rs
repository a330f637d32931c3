//! The traits of tokio, which HTTP/2 is written for, over those of futures. No reactor comes with them.
//!
//! HTTP/2 reads and writes whenever it is polled. Here it writes only into a buffer, so that all frames of a burst leave in one write, and it
//! reads only while its owner wants that, and so much: by itself it would go on for as long as the other end sends.

use super::data_frames::{DataFrames, FrameHeads, RST_STREAM};
use crate::locks::lock;
use crate::runtime::ByteStream;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets of frames from which on they are written before more are taken: as many as a TLS record holds (RFC 8446 section 5.1).
const MAX_OUTGOING: usize = 16 * 1024;

/// Octets that a client of HTTP/2 may read in one poll, as many as a TLS record holds: a hundred usual responses, or two thousand empty frames.
/// Then other connections and the clients get their turn.
#[cfg(feature = "doh")]
pub const MAX_READ: usize = 16 * 1024;
/// Replies to PING and SETTINGS that the other end leaves unread. It gets no more, and no connection.
const MAX_REPLIES: usize = 256;
/// What is said of one that does.
const UNREAD: &str = "it sends PING or SETTINGS frames without end, and does not read the replies";

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
    /// Octets that HTTP/2 may read now. What has come beyond them is for the next poll.
    readable: usize,
    /// HTTP/2 may not read, however much has come.
    is_held: bool,
    /// Octets that were read since the last call of [`Link::take_received`].
    received: usize,
    /// What is wrong with the other end, once that ends the connection.
    pub violation: Option<&'static str>,
    /// The other end has closed.
    pub is_closed: bool,
    pub frames: DataFrames,
    /// What comes, where that is looked at: a stream that the other end resets gets no more of its message.
    incoming: Option<FrameHeads>,
    /// Frames of the other end since the last call of [`Link::take_received_frames`], where it is noticed what it sends.
    received_frames: usize,
}

impl<S: ByteStream> Link<S> {
    pub fn new(stream: S, frames: DataFrames) -> Self {
        Self {
            stream,
            outgoing: Vec::new(),
            taken: 0,
            unflushed: false,
            waker: Waker::noop().clone(),
            readable: 0,
            is_held: true,
            received: 0,
            violation: None,
            is_closed: false,
            frames,
            incoming: None,
            received_frames: 0,
        }
    }

    /// The frames of the other end are counted, and the messages of streams that it resets are no longer waited for. `preface`: octets that it
    /// sends before its frames.
    #[cfg(feature = "listen-https")]
    pub fn notice_frames(mut self, preface: usize) -> Self {
        self.incoming = Some(FrameHeads::after(preface));
        self
    }

    /// Frames that have come since this was asked last, with [`Link::notice_frames`].
    #[cfg(feature = "listen-https")]
    pub fn take_received_frames(&mut self) -> usize {
        std::mem::take(&mut self.received_frames)
    }

    /// The stream below.
    #[cfg(feature = "listen-https")]
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Who is woken from now on.
    pub fn set_waker(&mut self, waker: &Waker) {
        self.waker.clone_from(waker);
    }

    /// Whether HTTP/2 may read.
    pub fn set_reads(&mut self, reads: bool) {
        self.is_held = !reads;
    }

    /// A poll begins: HTTP/2 may read so many octets in it.
    pub fn allow(&mut self, octets: usize) {
        self.readable = octets;
    }

    /// Octets that were read since this was asked last.
    #[cfg(feature = "doh")]
    pub fn take_received(&mut self) -> usize {
        std::mem::take(&mut self.received)
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
            let written = Pin::new(&mut self.stream).poll_write(cx, rest);
            if written.is_pending() && self.frames.replies() > MAX_REPLIES {
                self.violation = Some(UNREAD);
                return Poll::Ready(Err(io::Error::other(UNREAD)));
            }
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.taken += n,
            }
            self.unflushed = true;
        }
        self.outgoing.clear();
        self.outgoing.shrink_to(MAX_OUTGOING);
        self.taken = 0;
        self.frames.forget_replies();
        // A TLS stream may have taken everything and still hold ciphertext.
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_held {
            return Poll::Pending;
        }
        if self.readable == 0 {
            // There is more, perhaps.
            self.waker.wake_by_ref();
            return Poll::Pending;
        }
        let cx = &mut Context::from_waker(&self.waker);
        let stream = Pin::new(&mut self.stream);
        let room = self.readable.min(into.remaining());
        let space = into.initialize_unfilled_to(room);
        let read = match ready!(stream.poll_read(cx, space)) {
            // Without the `close_notify` of TLS. HTTP/2 notices itself whether that is within a frame.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        if let (Some(incoming), Some(octets)) = (&mut self.incoming, space.get(..read)) {
            incoming.pass(octets, |head| {
                self.received_frames += 1;
                if head.kind == RST_STREAM {
                    self.frames.forget(head.stream);
                }
            });
        }
        self.is_closed = read == 0;
        self.readable -= read.min(room);
        self.received += read;
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

    /// Writes all frames, and closes the stream.
    pub fn poll_close(&mut self) -> Poll<io::Result<()>> {
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
