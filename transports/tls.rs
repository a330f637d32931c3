//! DNS over TLS (RFC 7858), over any runtime, with the Strict Privacy profile of RFC 8310 section 5: the handshake verifies the certificate
//! chain and the name before any query is sent.

#[cfg(feature = "isolate")]
mod apart;
mod ca_file;
mod error_messages;
#[doc(hidden)]
pub mod inspect;
mod trust;

use self::error_messages::{handshake_error, is_alpn_refusal};
use self::inspect::{Observed, Observing};
use self::trust::Verifier;
use super::socks5::{Dial, Path};
use super::time_limit::{Bounded, connect_limit};
use crate::config::{Config, ConfigError, Roots, Upstream};
use crate::framed::Framed;
use crate::locks::lock;
use crate::runtime::{ByteStream, Runtime};
use crate::transport::{ConnectError, Transport};
use futures_rustls::client::TlsStream;
use futures_rustls::{Connect, TlsConnector};
use log::info;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Upstreams whose session tickets are stored; rustls stores up to eight of each (RFC 8446 appendix C.4: one use per ticket).
const MAX_SESSIONS: usize = 64;
/// The protocol name of DNS over TLS in ALPN (RFC 7301). Servers without ALPN must work, too.
const ALPN: &[u8] = b"dot";

/// Connects by TLS.
#[derive(Clone)]
pub struct Tls<R> {
    runtime: R,
    clients: Arc<Clients>,
    limit: Duration,
    /// The name of its connections at a proxy, where they are kept apart from others.
    username: Option<Arc<str>>,
}

/// What all connects share.
struct Clients {
    /// With ALPN.
    with_alpn: Arc<ClientConfig>,
    /// Without ALPN.
    without_alpn: Arc<ClientConfig>,
    /// Labels of the upstreams that refuse the handshake because of ALPN. At most as many as upstreams.
    refusing: Arc<Mutex<BTreeSet<String>>>,
    /// Takes note of what a server shows, where that is wanted.
    observed: Option<Observed>,
}

/// Checks what [`Tls::new`] checks. Returns remarks on settings that are valid and probably a mistake.
pub fn check(config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    client(config, None)?;
    let Roots::Pem(pem) = config.roots() else {
        return Ok(Vec::new());
    };
    let leaf = ca_file::certificates(pem).map_or(None, |all| ca_file::first_leaf(&all));
    let remark = |number: usize| {
        let reason = format!(
            "certificate {number} of the file is no authority: it is trusted as the certificate of a server itself, and vouches for no other"
        );
        ConfigError::new("ca_file", "", reason)
    };
    Ok(leaf.map(remark).into_iter().collect())
}

/// Trusts the configured roots and no others. An error names what is wrong with them.
fn client(config: &Config, observed: Option<&Observed>) -> Result<ClientConfig, ConfigError> {
    let wrong = |why: String| ConfigError::new("ca_file", "", why);
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(config.roots(), &provider).map_err(wrong)?;
    let verifier: Arc<dyn ServerCertVerifier> = match observed {
        Some(observed) => Arc::new(Observing::new(verifier, observed)),
        None => Arc::new(verifier),
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        // `Verifier` verifies with webpki, and makes one exception: see there.
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

impl Clients {
    fn new(
        tls: ClientConfig,
        refusing: Arc<Mutex<BTreeSet<String>>>,
        observed: Option<Observed>,
    ) -> Self {
        let mut with_alpn = tls.clone();
        with_alpn.alpn_protocols = vec![ALPN.to_vec()];
        Self {
            with_alpn: Arc::new(with_alpn),
            without_alpn: Arc::new(tls),
            refusing,
            observed,
        }
    }
}

impl<R: Runtime> Tls<R> {
    /// Trusts the configured roots and no others. An error names what is wrong with them.
    pub fn new(runtime: R, config: &Config) -> Result<Self, ConfigError> {
        Self::with(runtime, config, None)
    }

    fn with(runtime: R, config: &Config, observed: Option<Observed>) -> Result<Self, ConfigError> {
        let mut tls = client(config, observed.as_ref())?;
        tls.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
        Ok(Self {
            runtime,
            limit: connect_limit(config),
            clients: Arc::new(Clients::new(tls, Arc::default(), observed)),
            username: None,
        })
    }

    /// The server to connect to. An error says that its name cannot be in a certificate.
    fn target(&self, to: &Upstream, addr: SocketAddr) -> Result<Target<R>, ConnectError> {
        let name = to.server_name().unwrap_or_default().to_owned();
        let name = ServerName::try_from(name).map_err(|error| ConnectError::Unauthenticated {
            why: error.to_string(),
            remedy: "check the name behind # of this upstream".into(),
        })?;
        Ok(Target {
            runtime: self.runtime.clone(),
            clients: self.clients.clone(),
            addr,
            path: Path::to(to, addr, self.username.as_deref()),
            label: to.label().to_owned(),
            offers_alpn: !lock(&self.clients.refusing).contains(to.label()),
            name,
        })
    }
}

impl<R: Runtime> Transport for Tls<R> {
    type Connection = Framed<TlsStream<R::Stream>>;
    type Connect = Bounded<R, Handshake<R>>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect {
        let work = match self.target(to, addr) {
            Ok(target) => Handshake::Connecting(target.path.dial(&self.runtime), target),
            Err(why) => Handshake::Failed(why),
        };
        Bounded::new(&self.runtime, self.limit, work)
    }

    /// What is known of the servers stays, unless other certificates are trusted: a session that was verified by those before must not be
    /// resumed then.
    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        if before.roots() != config.roots() {
            *self = Self::new(self.runtime.clone(), config)?;
        }
        self.limit = connect_limit(config);
        Ok(())
    }
}

/// A TLS connect in progress.
pub enum Handshake<R: Runtime> {
    /// No TCP connection yet.
    Connecting(Dial<R>, Target<R>),
    /// The TLS handshake.
    Shaking(Box<Connect<R::Stream>>, Target<R>),
    /// It could not start, or has failed.
    Failed(ConnectError),
}

/// The server that is being connected to.
#[derive(Clone)]
pub struct Target<R> {
    runtime: R,
    clients: Arc<Clients>,
    addr: SocketAddr,
    path: Path,
    label: String,
    /// ALPN is offered.
    offers_alpn: bool,
    /// The name that the certificate must be valid for.
    name: ServerName<'static>,
}

impl<R: Runtime> Target<R> {
    /// The TCP connection is there: starts the handshake.
    fn shake(&self, stream: R::Stream) -> Handshake<R> {
        let tls = if self.offers_alpn {
            &self.clients.with_alpn
        } else {
            &self.clients.without_alpn
        };
        let handshake = TlsConnector::from(tls.clone()).connect(self.name.clone(), stream);
        Handshake::Shaking(Box::new(handshake), self.clone())
    }

    /// The handshake has failed. If ALPN was the reason, connects once more without it, and does so for this upstream from now on.
    fn failed(&self, error: &io::Error) -> Handshake<R> {
        if !self.offers_alpn || !is_alpn_refusal(error) {
            if let Some(observed) = &self.clients.observed {
                observed.failed(error);
            }
            return Handshake::Failed(handshake_error(error, &self.name.to_str()));
        }
        if lock(&self.clients.refusing).insert(self.label.clone()) {
            info!(
                "{} {}: refuses the ALPN protocol name \"dot\"; from now on none is offered to it",
                self.label, self.addr
            );
        }
        let tcp = self.path.dial(&self.runtime);
        let to = Self {
            offers_alpn: false,
            ..self.clone()
        };
        Handshake::Connecting(tcp, to)
    }
}

impl<R: Runtime> Future for Handshake<R> {
    type Output = Result<Framed<TlsStream<R::Stream>>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match &mut *self {
                Self::Failed(why) => return Poll::Ready(Err(why.clone())),
                Self::Connecting(tcp, to) => match ready!(Pin::new(tcp).poll(cx)) {
                    Ok(stream) => to.shake(stream),
                    Err(why) => Self::Failed(why),
                },
                Self::Shaking(tls, to) => match ready!(Pin::new(&mut **tls).poll(cx)) {
                    Ok(stream) => {
                        let description = describe(&stream, &to.name.to_str());
                        return Poll::Ready(Ok(Framed::new(stream, description)));
                    }
                    Err(error) => to.failed(&error),
                },
            };
            self.set(next);
        }
    }
}

fn describe<S>(stream: &TlsStream<S>, name: &str) -> String {
    let session = stream.get_ref().1;
    let resumed = match session.handshake_kind() {
        Some(HandshakeKind::Resumed) => " resumed",
        _ => "",
    };
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    format!("verified as {name}, {version}{resumed}")
}

impl<S: ByteStream> ByteStream for TlsStream<S> {
    fn ack_soon(&self) {
        self.get_ref().0.ack_soon();
    }
}
