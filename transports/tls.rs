//! DNS over TLS (RFC 7858), over any runtime, with the Strict Privacy profile of RFC 8310 section 5: the handshake verifies the certificate
//! chain and the name before any query is sent.

#[cfg(feature = "isolate")]
mod apart;
mod ca_file;
mod clients;
mod connection;
mod early;
mod error_messages;
mod expiry;
mod fair;
#[doc(hidden)]
pub mod inspect;
mod key_exchange;
mod key_log;
mod pins;
mod private_key;
#[cfg(feature = "doq")]
mod quic;
mod sessions;
mod stream;
#[cfg(test)]
mod tests;
mod trust;
#[cfg_attr(not(feature = "doq"), path = "tls/verdict/absent.rs")]
mod verdict;

#[cfg(any(feature = "listen-tls", feature = "certificate"))]
pub(super) use self::{ca_file::certificates, inspect::not_after};
#[cfg(feature = "listen-tls")]
pub(super) use self::{
    error_messages::date,
    expiry::{SOON, warning},
    private_key::{ENCRYPTED, WrongKey, private_key},
};

use self::clients::{Apart, Client, Clients};
pub use self::connection::{Connection, Encrypted};
#[cfg(feature = "doq")]
pub(super) use self::early::{MAX_EARLY, may_be_repeated};
use self::error_messages::{handshake_error, is_alpn_refusal};
use self::fair::Fair;
use self::inspect::Observed;
pub use self::stream::Stream;
use super::socks5::{Dial, Path};
use super::time_limit::{Bounded, connect_limit};
use crate::config::{Config, ConfigError, Profile, Roots, Upstream};
use crate::engine::Time;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Transport};
use futures::TryFutureExt;
use futures::future::MapOk;
use futures_rustls::client::TlsStream;
use futures_rustls::{Connect, TlsConnector};
use log::info;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What is spoken over TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Application {
    /// The scheme of its upstreams.
    pub scheme: &'static str,
    /// Its protocol name in ALPN (RFC 7301).
    pub alpn: &'static [u8],
    /// What is wrong with a server that does not choose that name. `None`: such servers must work, too.
    pub required: Option<&'static str>,
}

/// DNS over TLS.
pub(super) const DOT: Application = Application {
    scheme: "tls",
    alpn: b"dot",
    required: None,
};

/// DNS over HTTPS: HTTP/2 (RFC 9113 section 3.2).
pub(super) const HTTP2: Application = Application {
    scheme: "https",
    alpn: b"h2",
    required: Some(
        "the server does not speak HTTP/2: it does not choose the ALPN protocol name \"h2\"",
    ),
};

/// DNS over QUIC (RFC 9250 section 4.1.1).
pub(super) const DOQ: Application = Application {
    scheme: "quic",
    alpn: b"doq",
    required: Some(
        "the server does not speak DNS over QUIC: it does not choose the ALPN protocol name \"doq\"",
    ),
};

/// Connects by TLS.
#[derive(Clone)]
pub struct Tls<R> {
    runtime: R,
    clients: Arc<Clients>,
    limit: Duration,
    /// Where its connections are kept apart from others.
    apart: Option<Arc<Apart>>,
}

/// Checks what [`Tls::new`] checks, and makes no file. Returns remarks on settings that are valid and probably a mistake.
pub fn check(config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    check_application(DOT, config)?;
    let mut remarks: Vec<ConfigError> = key_log::remark(config).into_iter().collect();
    let Roots::Pem(pem) = config.roots() else {
        return Ok(remarks);
    };
    let leaf = ca_file::certificates(pem).map_or(None, |all| ca_file::first_leaf(&all));
    let remark = |number: usize| {
        let reason = format!(
            "certificate {number} of the file is no authority: it is trusted as the certificate of a server itself, and vouches for no other"
        );
        ConfigError::new("ca_file", "", reason)
    };
    remarks.extend(leaf.map(remark));
    Ok(remarks)
}

/// Checks what [`Tls::speaking`] checks, and makes no file.
pub(super) fn check_application(
    application: Application,
    config: &Config,
) -> Result<(), ConfigError> {
    Clients::check(application, config)
}

impl<R: Runtime> Tls<R> {
    /// Trusts the configured roots and no others. An error names what is wrong with them, or with the certificate of this host for an
    /// upstream.
    pub fn new(runtime: R, config: &Config) -> Result<Self, ConfigError> {
        Self::speaking(DOT, runtime, config)
    }

    /// For one application over TLS.
    pub(super) fn speaking(
        application: Application,
        runtime: R,
        config: &Config,
    ) -> Result<Self, ConfigError> {
        Self::with(application, runtime, config, None)
    }

    fn with(
        application: Application,
        runtime: R,
        config: &Config,
        observed: Option<Observed>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            limit: connect_limit(config),
            clients: Arc::new(Clients::new(application, config, observed)?),
            runtime,
            apart: None,
        })
    }

    /// Connects, and shakes hands.
    pub(super) fn handshake(&self, to: &Upstream, addr: SocketAddr) -> Handshake<R> {
        match self.target(to, addr) {
            Ok(target) => {
                Handshake::Connecting(target.path.dial(&self.runtime, self.limit), target)
            }
            Err(why) => Handshake::Failed(why),
        }
    }

    /// Gives a connect its time limit.
    pub(super) fn bounded<F: Future>(&self, work: F) -> Bounded<R, F> {
        Bounded::new(&self.runtime, self.limit, work)
    }

    /// The server to connect to. An error says that its name cannot be in a certificate.
    fn target(&self, to: &Upstream, addr: SocketAddr) -> Result<Target<R>, ConnectError> {
        let (client, username) = match &self.apart {
            Some(apart) => (apart.client.clone(), Some(apart.username.as_str())),
            None => (self.clients.of(to).map_err(ConnectError::Handshake)?, None),
        };
        let name = to.server_name().unwrap_or_default().to_owned();
        let name = ServerName::try_from(name).map_err(|error| ConnectError::Unauthenticated {
            why: error.to_string(),
            remedy: "check the name behind # of this upstream".into(),
        })?;
        Ok(Target {
            runtime: self.runtime.clone(),
            clients: self.clients.clone(),
            addr,
            path: Path::to(to, addr, username),
            label: to.label().to_owned(),
            offers_alpn: self.clients.offers_alpn(to),
            name,
            client,
            verified: verification(to),
            profile: to.profile(),
            has_certificate: to.client_certificate().is_some(),
            until: self.runtime.now().mono + self.limit,
        })
    }
}

impl<R: Runtime> Transport for Tls<R> {
    type Connection = Connection<R>;
    type Connect = Bounded<R, Framing<R>>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect {
        let framed: fn(_) -> _ = Connection::new;
        self.bounded(self.handshake(to, addr).map_ok(framed))
    }

    /// What is known of the servers stays, unless other certificates are trusted or an upstream is authenticated in another way: a session
    /// that was verified by those before must not be resumed then.
    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        if before.roots() != config.roots() || before.key_log() != config.key_log() {
            let application = self.clients.application();
            *self = Self::with(application, self.runtime.clone(), config, None)?;
        } else {
            self.clients.reopen_key_log()?;
        }
        self.clients.make_all(config)?;
        self.limit = connect_limit(config);
        Ok(())
    }
}

/// A connect to a server of DNS over TLS.
pub type Framing<R> = MapOk<Handshake<R>, fn(Encrypted<R>) -> Connection<R>>;

/// A TLS connect in progress.
pub enum Handshake<R: Runtime> {
    /// No TCP connection yet.
    Connecting(Dial<R>, Target<R>),
    /// The TLS handshake.
    Shaking(Box<Connect<Fair<R::Stream>>>, Target<R>),
    /// It could not start, or has failed.
    Failed(ConnectError),
}

/// The server that is being connected to.
#[derive(Clone)]
pub struct Target<R> {
    runtime: R,
    clients: Arc<Clients>,
    client: Client,
    /// What a handshake has shown, for the log.
    verified: String,
    /// What the handshake succeeds without.
    profile: Profile,
    /// A client certificate is configured for it.
    has_certificate: bool,
    /// When the time for the handshake is over.
    until: Time,
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
            &self.client.with_alpn
        } else {
            &self.client.without_alpn
        };
        let connector = TlsConnector::from(tls.clone()).early_data(tls.enable_early_data);
        let handshake = connector.connect(self.name.clone(), Fair::new(stream));
        Handshake::Shaking(Box::new(handshake), self.clone())
    }

    /// What is wrong with a server that has not chosen the application that is required.
    fn refusal(&self, stream: &TlsStream<Fair<R::Stream>>) -> Option<&'static str> {
        let application = self.clients.application();
        let chosen = stream.get_ref().1.alpn_protocol();
        application
            .required
            .filter(|_| chosen != Some(application.alpn))
    }

    /// The handshake has failed. If ALPN was the reason, connects once more without it, and does so for this upstream from now on.
    fn failed(&self, error: &io::Error) -> Handshake<R> {
        let application = self.clients.application();
        if let Some(lacks) = application.required
            && is_alpn_refusal(error)
        {
            return Handshake::Failed(ConnectError::Handshake(lacks.into()));
        }
        if !self.is_because_of_alpn(error) {
            if let Some(observed) = self.clients.observed() {
                observed.failed(error);
            }
            return Handshake::Failed(self.why(error));
        }
        let left = self.until.since(self.runtime.now().mono);
        let tcp = self.path.dial(&self.runtime, left);
        let to = Self {
            offers_alpn: false,
            ..self.clone()
        };
        Handshake::Connecting(tcp, to)
    }

    /// Why a handshake failed.
    fn why(&self, error: &io::Error) -> ConnectError {
        handshake_error(error, &self.name.to_str(), self.has_certificate)
    }

    /// Whether ALPN was the reason why a handshake failed, so that this upstream is offered none from now on.
    fn is_because_of_alpn(&self, error: &io::Error) -> bool {
        if !self.offers_alpn || !is_alpn_refusal(error) {
            return false;
        }
        if self.clients.refuses_alpn(&self.label) {
            info!(
                "{} {}: refuses the ALPN protocol name \"dot\"; from now on none is offered to it",
                self.label, self.addr
            );
        }
        true
    }
}

impl<R: Runtime> Future for Handshake<R> {
    type Output = Result<Encrypted<R>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match &mut *self {
                Self::Failed(why) => return Poll::Ready(Err(why.clone())),
                Self::Connecting(tcp, to) => match ready!(Pin::new(tcp).poll(cx)) {
                    Ok(stream) => to.shake(stream),
                    Err(why) => Self::Failed(why),
                },
                Self::Shaking(tls, to) => match ready!(Pin::new(&mut **tls).poll(cx)) {
                    Ok(stream) => match to.refusal(&stream) {
                        Some(lacks) => Self::Failed(ConnectError::Handshake(lacks.into())),
                        None => return Poll::Ready(Ok(Encrypted::new(stream, to))),
                    },
                    Err(error) => to.failed(&error),
                },
            };
            self.set(next);
        }
    }
}

/// What is known of an upstream when it was connected to.
fn verification(upstream: &Upstream) -> String {
    let name = upstream.server_name().unwrap_or_default();
    match (upstream.profile(), upstream.needs_name()) {
        (Profile::Opportunistic, _) => "not authenticated".to_owned(),
        (Profile::Strict, false) => "verified by its public key".to_owned(),
        (Profile::Strict, true) if upstream.pins().is_empty() => format!("verified as {name}"),
        (Profile::Strict, true) => format!("verified as {name} and by a public key"),
    }
}
