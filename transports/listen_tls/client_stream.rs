//! A client's stream, encrypted or not.

use super::stream::TlsStream;
use crate::runtime::ByteStream;
use crate::transports::listen_https::HttpsStream;
use futures::io::{AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A client's stream.
pub enum ClientStream<S> {
    /// Without encryption.
    Plain(S),
    /// Over TLS.
    Tls(Box<TlsStream<S>>),
    /// Over HTTPS.
    Https(Box<HttpsStream<TlsStream<S>>>),
}

/// The same of each kind of stream.
macro_rules! each {
    ($it:expr, $stream:ident => $call:expr) => {
        match $it {
            ClientStream::Plain($stream) => $call,
            ClientStream::Tls($stream) => $call,
            ClientStream::Https($stream) => $call,
        }
    };
}

impl<S: ByteStream> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut *self, stream => Pin::new(stream).poll_read(cx, into))
    }
}

impl<S: ByteStream> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut *self, stream => Pin::new(stream).poll_write(cx, from))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut *self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut *self, stream => Pin::new(stream).poll_close(cx))
    }
}

impl<S: ByteStream> ByteStream for ClientStream<S> {
    fn ack_soon(&self) {
        each!(self, stream => stream.ack_soon());
    }

    fn is_encrypted(&self) -> bool {
        each!(self, stream => stream.is_encrypted())
    }

    fn is_ready(&self) -> bool {
        each!(self, stream => stream.is_ready())
    }

    fn memory(&self) -> usize {
        each!(self, stream => stream.memory())
    }

    fn unsent(&self) -> usize {
        each!(self, stream => stream.unsent())
    }

    fn wind_down(&mut self) {
        each!(self, stream => stream.wind_down());
    }
}
