//! TLS within QUIC (RFC 9001), by the same settings as over TCP: who the server is, which sessions may be resumed, what is logged.

use super::error_messages::stream_error;
use super::expiry::EXPIRY;
use super::{Target, Tls};
use crate::config::Upstream;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, system_message};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{AlertDescription, ClientConfig, Error};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

impl<R: Runtime> Tls<R> {
    /// The server to connect to by QUIC. An error says that its name cannot be in a certificate.
    pub(in crate::transports) fn by_quic(
        &self,
        to: &Upstream,
        addr: SocketAddr,
    ) -> Result<Target<R>, ConnectError> {
        self.target(to, addr)
    }
}

impl<R: Runtime> Target<R> {
    /// The settings of the handshake.
    pub(in crate::transports) fn settings(&self) -> Arc<ClientConfig> {
        self.client.with_alpn.clone()
    }

    /// The name that the certificate must be valid for.
    pub(in crate::transports) fn server_name(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// Where it is.
    pub(in crate::transports) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends with the time for the handshake.
    pub(in crate::transports) fn time_over(&self) -> R::Sleep {
        self.runtime.sleep_until(self.until)
    }

    /// What the verifier has said since this was asked last.
    pub(in crate::transports) fn verdict(&self) -> Option<Result<(), Error>> {
        self.clients.verdict.take()
    }

    /// The server was not authenticated.
    pub(in crate::transports) fn refused(&self, verdict: &Error) -> ConnectError {
        self.handshake_failed(verdict.clone())
    }

    /// The server has ended the handshake by this alert of TLS.
    pub(in crate::transports) fn refuses(&self, alert: u8) -> ConnectError {
        let alert = AlertDescription::from(alert);
        let lacks = self.clients.application().required;
        match (alert, lacks) {
            (AlertDescription::NoApplicationProtocol, Some(lacks)) => {
                ConnectError::Handshake(lacks.into())
            }
            _ => self.handshake_failed(Error::AlertReceived(alert)),
        }
    }

    fn handshake_failed(&self, error: Error) -> ConnectError {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        if let Some(observed) = self.clients.observed() {
            observed.failed(&error);
        }
        self.why(&error)
    }

    /// The server has ended a connection after its handshake by this alert of TLS.
    pub(in crate::transports) fn ends(&self, alert: u8) -> String {
        let alert = Error::AlertReceived(AlertDescription::from(alert));
        let error = io::Error::new(io::ErrorKind::InvalidData, alert);
        system_message(&stream_error(error, self.has_certificate))
    }

    /// As [`crate::transport::Connection::describe`].
    pub(in crate::transports) fn described(&self, is_resumed: bool) -> String {
        let resumed = if is_resumed { " resumed" } else { "" };
        format!("{}, TLS 1.3{resumed}, QUIC", self.verified)
    }

    /// How long the certificate is still valid that the server has shown, which is warned of if it is not long.
    pub(in crate::transports) fn validity(&self, shown: &CertificateDer<'_>) -> Option<Duration> {
        EXPIRY.note(&self.label, self.addr, shown, UnixTime::now())
    }
}
