//! A connection by TLS, and what is known of it.

use super::Target;
use super::expiry::EXPIRY;
use super::fair::Fair;
use super::stream::Stream;
use crate::config::Profile;
use crate::framed::Framed;
use crate::runtime::Runtime;
use crate::transport::{self, Authentication, ConnectError, ConnectionError, Event};
use futures_rustls::client::TlsStream;
use rustls::pki_types::UnixTime;
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A TCP connection after the handshake of TLS, or in it where early data may be sent: octets, whatever is spoken.
pub struct Encrypted<R: Runtime> {
    stream: Stream<R::Stream>,
    to: Target<R>,
}

impl<R: Runtime> Encrypted<R> {
    /// To this server.
    pub(super) fn new(stream: TlsStream<Fair<R::Stream>>, to: &Target<R>) -> Self {
        Self {
            stream: Stream::new(stream, to.has_certificate),
            to: to.clone(),
        }
    }

    /// The state of TLS.
    pub fn session(&self) -> &ClientConnection {
        self.stream.session()
    }

    /// As [`transport::Connection::describe`].
    pub fn describe(&self) -> String {
        describe(self.session(), &self.to.verified)
    }

    /// As [`transport::Connection::authentication`].
    pub fn authentication(&self) -> Authentication {
        self.to.authentication(is_resumed(self.session()))
    }

    /// As [`transport::Connection::certificate_left`].
    pub fn certificate_left(&self) -> Option<Duration> {
        self.to.certificate_left(self.session())
    }

    /// The octets within TLS.
    pub fn into_stream(self) -> Stream<R::Stream> {
        self.stream
    }
}

/// A connection of DNS over TLS, after its handshake, or in it where early data may be sent.
pub struct Connection<R: Runtime> {
    framed: Framed<Stream<R::Stream>>,
    /// For the log; empty until the handshake is over.
    description: String,
    certificate_left: Option<Duration>,
    /// Nothing until the handshake is over.
    authentication: Option<Authentication>,
    early: Option<Box<Early<R>>>,
}

/// A handshake that goes on while queries are sent as early data.
struct Early<R: Runtime> {
    to: Target<R>,
    /// Ends with the time for the handshake.
    time: R::Sleep,
}

impl<R: Runtime> Connection<R> {
    /// Messages over these octets.
    pub fn new(Encrypted { stream, to }: Encrypted<R>) -> Self {
        let mut connection = Self {
            framed: Framed::new(stream, String::new()),
            description: String::new(),
            certificate_left: None,
            authentication: None,
            early: None,
        };
        if connection.framed.stream().is_early() {
            let time = to.runtime.sleep_until(to.until);
            connection.early = Some(Box::new(Early { to, time }));
        } else {
            connection.shaken(&to);
        }
        connection
    }

    /// The handshake is over.
    fn shaken(&mut self, to: &Target<R>) {
        let session = self.framed.stream().session();
        self.certificate_left = to.certificate_left(session);
        self.description = describe(session, &to.verified);
        self.authentication = Some(to.authentication(is_resumed(session)));
    }

    /// The state of TLS.
    fn session(&self) -> &ClientConnection {
        self.framed.stream().session()
    }
}

fn is_resumed(session: &ClientConnection) -> bool {
    session.handshake_kind() == Some(HandshakeKind::Resumed)
}

impl<R: Runtime> Target<R> {
    /// What a handshake has shown that succeeded.
    pub(in crate::transports) fn authentication(&self, resumed: bool) -> Authentication {
        Authentication {
            verified: self.profile == Profile::Strict,
            resumed,
        }
    }

    /// How long the certificate that the server has shown is still valid, which is warned of if it is not long. A session that is resumed
    /// shows none.
    fn certificate_left(&self, session: &ClientConnection) -> Option<Duration> {
        if is_resumed(session) {
            return None;
        }
        let shown = session.peer_certificates()?.first()?;
        EXPIRY.note(&self.label, self.addr, shown, UnixTime::now())
    }
}

impl<R: Runtime> transport::Connection for Connection<R> {
    fn is_early(&self) -> bool {
        self.early.is_some()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        let Some(mut early) = self.early.take() else {
            return Poll::Ready(Ok(()));
        };
        let to = &early.to;
        match self.framed.stream_mut().poll_handshake(cx) {
            Poll::Ready(Ok(())) => {
                self.shaken(to);
                let accepted = self.session().is_early_data_accepted();
                self.description += if accepted {
                    ", early data accepted"
                } else {
                    ", early data rejected"
                };
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                // The next connect is without ALPN if that was the reason.
                let _next_connect = to.is_because_of_alpn(&error);
                Poll::Ready(Err(to.why(&error)))
            }
            Poll::Pending => {
                let over = Pin::new(&mut early.time).poll(cx);
                self.early = Some(early);
                over.map(|()| Err(ConnectError::TimedOut))
            }
        }
    }

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
        self.description.clone()
    }

    fn certificate_left(&self) -> Option<Duration> {
        self.certificate_left
    }

    fn authentication(&self) -> Option<Authentication> {
        self.authentication
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
