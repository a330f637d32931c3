//! The stream of octets over TLS. What TLS reports as an error is told in words.

use super::early::{MAX_EARLY, early_part};
use super::error_messages::stream_error;
use super::fair::Fair;
use crate::runtime::ByteStream;
use futures::io::{AsyncRead, AsyncWrite};
use futures_rustls::client::TlsStream;
use rustls::ClientConnection;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A connection after its handshake, or in it, where early data may be sent.
pub struct Stream<S> {
    tls: TlsStream<Fair<S>>,
    handshake: Handshake,
    /// A client certificate is configured.
    has_certificate: bool,
}

/// How far the handshake is.
enum Handshake {
    /// It goes on. Meanwhile so many octets may still be sent as early data, if TLS allows them.
    Early(usize),
    /// It has failed.
    Failed(Option<io::Error>),
    Over,
}

impl<S: ByteStream> Stream<S> {
    /// With a handshake that is over, or that goes on while early data may be written.
    pub(super) fn new(tls: TlsStream<Fair<S>>, has_certificate: bool) -> Self {
        let handshake = if tls.get_ref().1.is_handshaking() {
            Handshake::Early(MAX_EARLY)
        } else {
            Handshake::Over
        };
        Self {
            tls,
            handshake,
            has_certificate,
        }
    }

    /// The state of TLS.
    pub fn session(&self) -> &ClientConnection {
        self.tls.get_ref().1
    }

    /// Whether the handshake is not over.
    pub(super) fn is_early(&self) -> bool {
        !matches!(self.handshake, Handshake::Over)
    }

    /// Goes on with the handshake: sends what was written as early data, and once more if the server has not accepted it. The error is that
    /// of TLS, and told once.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.handshake {
            Handshake::Over => return Poll::Ready(Ok(())),
            Handshake::Failed(why) => {
                let why = why.take();
                return Poll::Ready(Err(why.unwrap_or_else(already_failed)));
            }
            Handshake::Early(_) => {}
        }
        let done = ready!(Pin::new(&mut self.tls).poll_flush(cx));
        if done.is_ok() {
            self.handshake = Handshake::Over;
        }
        Poll::Ready(done)
    }

    /// As [`Stream::poll_handshake`], for those who do not ask how it failed.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = ready!(self.poll_handshake(cx));
        Poll::Ready(done.map_err(|why| {
            self.handshake = Handshake::Failed(Some(why));
            already_failed()
        }))
    }

    fn in_words(&self, error: io::Error) -> io::Error {
        stream_error(error, self.has_certificate)
    }

    /// How much of this may be sent before the handshake is over.
    fn early_part(&mut self, from: &[u8]) -> usize {
        let Handshake::Early(left) = self.handshake else {
            return 0;
        };
        let allowed = self.tls.get_mut().1.early_data();
        let room = allowed.map_or(0, |early| early.bytes_left());
        early_part(from, room.min(left))
    }
}

/// The handshake has failed, and this was told already.
fn already_failed() -> io::Error {
    io::Error::other("the handshake failed")
}

impl<S: ByteStream> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_over(cx))?;
        let read = Pin::new(&mut self.tls).poll_read(cx, into);
        read.map_err(|error| self.in_words(error))
    }
}

impl<S: ByteStream> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let part @ 1.. = this.early_part(from) {
            let from = from.get(..part).unwrap_or_default();
            let written = ready!(Pin::new(&mut this.tls).poll_write(cx, from));
            if let (Ok(written), Handshake::Early(left)) = (&written, &mut this.handshake) {
                *left -= written;
            }
            return Poll::Ready(written.map_err(|error| this.in_words(error)));
        }
        ready!(this.poll_over(cx))?;
        let written = Pin::new(&mut this.tls).poll_write(cx, from);
        written.map_err(|error| this.in_words(error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_over(cx))?;
        let flushed = Pin::new(&mut self.tls).poll_flush(cx);
        flushed.map_err(|error| self.in_words(error))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_close(cx)
    }
}

impl<S: ByteStream> ByteStream for Stream<S> {
    fn ack_soon(&self) {
        self.tls.get_ref().0.ack_soon();
    }
}
