//! A connection by TLS, and what is known of it.

use super::Target;
use super::expiry::EXPIRY;
use super::stream::Stream;
use crate::framed::Framed;
use crate::runtime::Runtime;
use crate::transport::{self, ConnectionError, Event};
use futures_rustls::client::TlsStream;
use rustls::pki_types::UnixTime;
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion};
use std::task::{Context, Poll};
use std::time::Duration;

/// A TCP connection after the handshake of TLS: octets, whatever is spoken.
pub struct Encrypted<R: Runtime> {
    /// The octets within TLS.
    pub stream: Stream<R::Stream>,
    /// For the log.
    pub description: String,
    /// As [`transport::Connection::certificate_left`].
    pub certificate_left: Option<Duration>,
}

impl<R: Runtime> Encrypted<R> {
    /// To this server, after the handshake.
    pub(super) fn new(stream: TlsStream<R::Stream>, to: &Target<R>) -> Self {
        let session = stream.get_ref().1;
        let (description, certificate_left) = (
            describe(session, &to.verified),
            to.certificate_left(session),
        );
        Self {
            stream: Stream::new(stream),
            description,
            certificate_left,
        }
    }
}

/// A connection of DNS over TLS.
pub struct Connection<R: Runtime> {
    framed: Framed<Stream<R::Stream>>,
    certificate_left: Option<Duration>,
}

impl<R: Runtime> Connection<R> {
    /// Messages over these octets.
    pub fn new(encrypted: Encrypted<R>) -> Self {
        Self {
            framed: Framed::new(encrypted.stream, encrypted.description),
            certificate_left: encrypted.certificate_left,
        }
    }
}

impl<R: Runtime> Target<R> {
    /// How long the certificate that the server has shown is still valid, which is warned of if it is not long. A session that is resumed
    /// shows none.
    fn certificate_left(&self, session: &ClientConnection) -> Option<Duration> {
        if session.handshake_kind() == Some(HandshakeKind::Resumed) {
            return None;
        }
        let shown = session.peer_certificates()?.first()?;
        EXPIRY.note(&self.label, self.addr, shown, UnixTime::now())
    }
}

impl<R: Runtime> transport::Connection for Connection<R> {
    fn queue(&mut self, message: &[u8]) {
        self.framed.queue(message);
    }

    fn backlog(&self) -> usize {
        self.framed.backlog()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.framed.poll_flush(cx)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        self.framed.poll_next(cx)
    }

    fn ack_soon(&mut self) {
        self.framed.ack_soon();
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.framed.poll_close(cx)
    }

    fn describe(&self) -> String {
        self.framed.describe()
    }

    fn certificate_left(&self) -> Option<Duration> {
        self.certificate_left
    }
}

fn describe(session: &ClientConnection, verified: &str) -> String {
    let resumed = match session.handshake_kind() {
        Some(HandshakeKind::Resumed) => " resumed",
        _ => "",
    };
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    format!("{verified}, {version}{resumed}")
}
