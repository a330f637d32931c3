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

impl<S: ByteStream> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Https(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl<S: ByteStream> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, from),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, from),
            Self::Https(stream) => Pin::new(stream).poll_write(cx, from),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Https(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_close(cx),
            Self::Tls(stream) => Pin::new(stream).poll_close(cx),
            Self::Https(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

impl<S: ByteStream> ByteStream for ClientStream<S> {
    fn ack_soon(&self) {
        match self {
            Self::Plain(stream) => stream.ack_soon(),
            Self::Tls(stream) => stream.ack_soon(),
            Self::Https(stream) => stream.ack_soon(),
        }
    }

    fn is_encrypted(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_encrypted(),
            Self::Tls(stream) => stream.is_encrypted(),
            Self::Https(stream) => stream.is_encrypted(),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_ready(),
            Self::Tls(stream) => stream.is_ready(),
            Self::Https(stream) => stream.is_ready(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Plain(stream) => stream.memory(),
            Self::Tls(stream) => stream.memory(),
            Self::Https(stream) => stream.memory(),
        }
    }

    fn unsent(&self) -> usize {
        match self {
            Self::Plain(stream) => stream.unsent(),
            Self::Tls(stream) => stream.unsent(),
            Self::Https(stream) => stream.unsent(),
        }
    }

    fn wind_down(&mut self) {
        match self {
            Self::Plain(stream) => stream.wind_down(),
            Self::Tls(stream) => stream.wind_down(),
            Self::Https(stream) => stream.wind_down(),
        }
    }
}
