//! DNS over TLS (RFC 7858), over any runtime, in the strict profile of RFC 8310 section 5: the certificate chain and the
//! name are verified in the handshake, so that no question can leave before.

use super::bounded::Bounded;
use crate::config::{Config, ConfigError, Roots, Upstream};
use crate::framed::Framed;
use crate::runtime::{Runtime, Stream};
use crate::transport::{DialError, Transport};
use futures_rustls::client::TlsStream;
use futures_rustls::{Connect, TlsConnector};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Upstreams whose tickets are remembered; rustls keeps up to eight of each (RFC 8446 appendix C.4: one use per ticket).
const REMEMBERED: usize = 64;
/// The protocol name of DNS over TLS in ALPN. Servers that know none must still work.
const ALPN: &[u8] = b"dot";

/// Connects by TLS.
#[derive(Clone)]
pub struct Tls<R> {
    runtime: R,
    connector: TlsConnector,
}

impl<R: Runtime> Tls<R> {
    /// Trusts the configured roots and no others. An error names what is wrong with them.
    pub fn new(runtime: R, config: &Config) -> Result<Self, ConfigError> {
        let wrong = |why: String| ConfigError::new("ca-file", "", why);
        let roots = root_store(&config.roots).map_err(wrong)?;
        let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.resumption = Resumption::in_memory_sessions(REMEMBERED);
        Ok(Self {
            runtime,
            connector: TlsConnector::from(Arc::new(tls)),
        })
    }
}

fn root_store(roots: &Roots) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::BuiltIn => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Pem(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| error.to_string())?;
                store.add(certificate).map_err(|error| error.to_string())?;
            }
            if store.is_empty() {
                return Err("no certificate in it".into());
            }
        }
    }
    Ok(store)
}

impl<R: Runtime> Transport for Tls<R> {
    type Link = Framed<TlsStream<R::Stream>>;
    type Dial = Bounded<R, Handshake<R>>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Dial {
        let name = to.server_name.clone().unwrap_or_default();
        let work = match ServerName::try_from(name) {
            Ok(name) => Handshake::Connecting {
                tcp: Box::pin(self.runtime.connect(addr)),
                name: Some(name),
                connector: self.connector.clone(),
            },
            Err(error) => Handshake::Failed(DialError::Unauthenticated {
                why: error.to_string(),
                remedy: String::new(),
            }),
        };
        Bounded::new(&self.runtime, work)
    }
}

/// A TLS connection in the making.
pub enum Handshake<R: Runtime> {
    /// No TCP connection yet.
    Connecting {
        /// The connection to be.
        tcp: Pin<Box<R::Connect>>,
        /// For whom the certificate must be; taken when it is connected.
        name: Option<ServerName<'static>>,
        /// What to do then.
        connector: TlsConnector,
    },
    /// The handshake proper.
    Shaking(Box<Connect<R::Stream>>),
    /// It could not even start.
    Failed(DialError),
}

impl<R: Runtime> Future for Handshake<R> {
    type Output = Result<Framed<TlsStream<R::Stream>>, DialError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut *self {
                Self::Failed(why) => return Poll::Ready(Err(why.clone())),
                Self::Connecting {
                    tcp,
                    name,
                    connector,
                } => {
                    let stream = ready!(tcp.as_mut().poll(cx))
                        .map_err(|error| DialError::unreachable(&error))?;
                    let next = match name.take() {
                        Some(name) => Self::Shaking(Box::new(connector.connect(name, stream))),
                        None => Self::Failed(DialError::Handshake("polled after its end".into())),
                    };
                    self.set(next);
                }
                Self::Shaking(handshake) => {
                    let stream = ready!(Pin::new(&mut **handshake).poll(cx))
                        .map_err(|error| handshake_error(&error))?;
                    let description = describe(&stream);
                    return Poll::Ready(Ok(Framed::new(stream, description)));
                }
            }
        }
    }
}

/// Whose fault it was: a certificate that does not fit is something else than a connection that broke.
fn handshake_error(error: &io::Error) -> DialError {
    let inner = error.get_ref().and_then(|e| e.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => DialError::Unauthenticated {
            why: why.to_string(),
            remedy: String::new(),
        },
        Some(rustls::Error::NoCertificatesPresented) => DialError::Unauthenticated {
            why: "no certificate".into(),
            remedy: String::new(),
        },
        _ => DialError::Handshake(error.to_string()),
    }
}

fn describe<S>(stream: &TlsStream<S>) -> String {
    let session = stream.get_ref().1;
    let version = session.protocol_version().and_then(|v| v.as_str());
    let resumed = match session.handshake_kind() {
        Some(HandshakeKind::Resumed) => " resumed",
        _ => "",
    };
    format!("{}{resumed}", version.unwrap_or("TLS"))
}

impl<S: Stream> Stream for TlsStream<S> {
    fn ack_soon(&self) {
        self.get_ref().0.ack_soon();
    }
}
