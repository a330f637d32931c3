//! The stream of octets over TLS. What TLS reports as an error is told in words.

use super::error_messages::stream_error;
use crate::runtime::ByteStream;
use futures::io::{AsyncRead, AsyncWrite};
use futures_rustls::client::TlsStream;
use rustls::ClientConnection;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection after its handshake.
pub struct Stream<S>(TlsStream<S>);

impl<S> Stream<S> {
    pub(super) fn new(stream: TlsStream<S>) -> Self {
        Self(stream)
    }

    /// The state of TLS.
    pub fn session(&self) -> &ClientConnection {
        self.0.get_ref().1
    }
}

impl<S: ByteStream> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.0).poll_read(cx, into);
        read.map_err(stream_error)
    }
}

impl<S: ByteStream> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(cx, from);
        written.map_err(stream_error)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.0).poll_flush(cx);
        flushed.map_err(stream_error)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

impl<S: ByteStream> ByteStream for Stream<S> {
    fn ack_soon(&self) {
        self.0.get_ref().0.ack_soon();
    }
}
