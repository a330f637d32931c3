//! The other end of a link, played over the runtime under the suite: it takes connections, speaks TLS if the protocol does, and moves
//! octets as a case says.

use std::net::SocketAddr;

use dotward::config::{Config, ConfigBuilder, Upstream};
use dotward::transport::Transport;
use dotward::transports::{AnyConnection, Protocols, SCHEMES};
use futures::future::join;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::support::messages::frame;
use crate::world::{World, accept, listen};

/// A server of one protocol.
pub struct Server<R: World> {
    runtime: R,
    listener: R::Listener,
    at: SocketAddr,
    scheme: &'static str,
    /// How its clients are configured.
    pub config: Config,
    #[cfg(feature = "tls")]
    tls: std::sync::Arc<rustls::ServerConfig>,
    /// What answers in the place of the listener, if it speaks QUIC.
    #[cfg(feature = "doq")]
    pub quic: Option<crate::support::quic::QuicServer<R>>,
}

/// Octets in both directions, authenticated and encrypted where the protocol does that.
pub trait Octets: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Octets for S {}

/// A server's end of a link.
pub struct Peer(
    pub Box<dyn Octets>,
    /// The streams of HTTP/2, if it speaks that.
    #[cfg(feature = "doh")]
    pub Option<crate::doh::Streams>,
);

impl<R: World> Server<R> {
    /// Listens, with a certificate that its clients believe.
    pub fn new(runtime: &R, scheme: &'static str) -> Self {
        let (listener, at) = listen(runtime);
        #[cfg(feature = "tls")]
        let (authority, tls) = {
            let authority = crate::support::authority::Authority::new();
            let tls = tls::settings(&authority, scheme);
            (authority, tls)
        };
        #[cfg(feature = "doq")]
        let quic = (scheme == "quic").then(|| {
            crate::support::quic::QuicServer::new(
                runtime,
                crate::world::loopback(),
                tls.clone(),
                100,
            )
        });
        #[cfg(feature = "doq")]
        let at = quic
            .as_ref()
            .map_or(at, crate::support::quic::QuicServer::at);
        let config = Config::builder()
            .listen([crate::world::loopback().into()])
            .upstreams([upstream(scheme, at)]);
        #[cfg(feature = "tls")]
        let config = {
            let roots = dotward::config::Roots::Pem(authority.pem().into_bytes());
            config.roots(roots)
        };
        Self {
            runtime: runtime.clone(),
            listener,
            at,
            scheme,
            config: config.build().expect("a sound configuration"),
            #[cfg(feature = "tls")]
            tls,
            #[cfg(feature = "doq")]
            quic,
        }
    }

    /// Changes what its clients are configured to.
    pub fn configure(&mut self, change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) {
        let changed = change(self.config.clone().into_builder()).build();
        self.config = changed.expect("a sound configuration");
    }

    /// What its clients connect by.
    pub fn transport(&self) -> Protocols<R> {
        Protocols::new(&self.runtime, &self.config).expect("a usable configuration")
    }

    /// What it is for its clients.
    pub fn upstream(&self) -> &Upstream {
        &self.config.upstreams()[0]
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// The next TCP connection, before a word is spoken.
    pub async fn accept_tcp(&mut self) -> R::Stream {
        accept::<R>(&mut self.listener).await.0
    }

    /// The next link, if it comes to stand.
    pub async fn accept(&mut self) -> std::io::Result<Peer> {
        let stream = self.accept_tcp().await;
        #[cfg(feature = "tls")]
        if self.scheme != "tcp" {
            let acceptor = futures_rustls::TlsAcceptor::from(self.tls.clone());
            let octets = Box::new(acceptor.accept(stream).await?);
            #[cfg(feature = "doh")]
            return Ok(Peer(
                octets,
                (self.scheme == "https").then(Default::default),
            ));
            #[cfg(not(feature = "doh"))]
            return Ok(Peer(octets));
        }
        assert_eq!(self.scheme, "tcp");
        Ok(Peer(
            Box::new(stream),
            #[cfg(feature = "doh")]
            None,
        ))
    }

    /// Chooses among these ALPN protocol names; with none, the extension is ignored.
    #[cfg(feature = "doh")]
    pub fn speak(&mut self, names: &[&str]) {
        let mut tls = rustls::ServerConfig::clone(&self.tls);
        tls.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        self.tls = std::sync::Arc::new(tls);
    }

    /// Both ends of a new link.
    pub async fn link(&mut self) -> (AnyConnection<R>, Peer) {
        let dial = self.transport().connect(self.upstream(), self.at);
        let (link, peer) = join(dial, self.accept()).await;
        (link.expect("a link"), peer.expect("its other end"))
    }
}

/// An upstream at this address, as a user names it.
pub fn upstream(scheme: &str, at: SocketAddr) -> Upstream {
    upstream_with(scheme, at, "")
}

/// The same with parameters.
pub fn upstream_with(scheme: &str, at: SocketAddr, parameters: &str) -> Upstream {
    let name = match scheme {
        #[cfg(feature = "tls")]
        "tls" | "https" | "quic" => format!("#{}", crate::support::authority::NAME),
        _ => String::new(),
    };
    let spec = format!("{scheme}://{at}{name}{parameters}");
    Upstream::parse(&spec, SCHEMES).expect("an upstream")
}

impl Peer {
    /// The next message; `None` when the other end has said goodbye.
    pub async fn hear(&mut self) -> Option<Vec<u8>> {
        #[cfg(feature = "doh")]
        if let Some(streams) = &mut self.1 {
            return streams.hear(&mut self.0).await;
        }
        let mut len = [0; 2];
        self.0.read_exact(&mut len).await.ok()?;
        let mut message = vec![0; u16::from_be_bytes(len).into()];
        self.0.read_exact(&mut message).await.ok()?;
        Some(message)
    }

    /// Sends octets as they are.
    pub async fn put(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.expect("they are taken");
        self.0.flush().await.expect("they leave");
    }

    /// Sends a message.
    pub async fn say(&mut self, message: &[u8]) {
        #[cfg(feature = "doh")]
        if let Some(streams) = &mut self.1 {
            let response = streams.answer(message);
            return self.put(&response).await;
        }
        self.put(&frame(message)).await;
    }
}

#[cfg(feature = "tls")]
pub mod tls {
    use std::sync::Arc;

    use rustls::ServerConfig;
    use rustls::crypto::ring;

    use crate::support::authority::Authority;

    /// A server with a good certificate.
    pub fn settings(authority: &Authority, scheme: &str) -> Arc<ServerConfig> {
        let leaf = authority.good();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions that ring knows")
            .with_no_client_auth()
            .with_single_cert(leaf.chain(), leaf.key())
            .expect("a certificate with its key");
        match scheme {
            "https" => config.alpn_protocols = vec![b"h2".to_vec()],
            "quic" => config.alpn_protocols = vec![b"doq".to_vec()],
            _ => {}
        }
        Arc::new(config)
    }
}
