//! Encryption towards clients, over any runtime: a listener whose streams begin with a handshake. What is in them is DNS over TLS (RFC 7858),
//! or DNS over HTTPS, which is that of `listen_https`.
//!
//! The shell notices nothing of that but the hooks of [`ByteStream`](crate::runtime::ByteStream): a client in its handshake is a connection
//! like any other, with the same bounds.

mod certificate;
mod client_stream;
mod renewal;
mod stream;

use self::certificate::Shown;
use self::renewal::Current;
use super::listen_https;
use crate::config::{Cidr, Config, ConfigError, Encryption, Limits};
use crate::engine::{Now, Time};
use crate::locks::lock;
use crate::runtime::{self, ByteStream, NetworkPath, Runtime};
use futures::future::{MapOk, TryFutureExt};
use rustls::ServerConnection;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

pub use self::client_stream::ClientStream;
pub use self::stream::TlsStream;

/// What is shown to clients over TLS, and by which keys their sessions are resumed. Clones are the same, so that a session of one worker is
/// resumed at another.
#[derive(Clone)]
pub struct ListenTls {
    current: Arc<Mutex<Option<Current>>>,
    /// Requests at once on a connection over HTTPS.
    requests: Arc<AtomicUsize>,
}

/// Checks what [`ListenTls::new`] checks. Returns remarks on settings that are valid and probably a mistake.
pub fn check(config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    listen_https::check(config)?;
    let Some(certificate) = config.certificate() else {
        return Ok(Vec::new());
    };
    let remark = Shown::new(certificate)?.remark();
    let remark = remark.map(|why| ConfigError::new("certificate", "", why));
    Ok(remark.into_iter().collect())
}

impl Default for ListenTls {
    /// Without a certificate, so that no client can be served.
    fn default() -> Self {
        let requests = Limits::default().tcp_in_flight;
        Self {
            current: Arc::default(),
            requests: Arc::new(AtomicUsize::new(requests)),
        }
    }
}

impl ListenTls {
    /// As configured. An error says what is wrong with the certificate or its key.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let made = Self::default();
        made.take(config)?;
        Ok(made)
    }

    /// The certificate of this configuration is shown in handshakes that begin from now on, and no session of before is resumed. One that is
    /// shown already stays as it is. After an error so does the one before.
    fn take(&self, config: &Config) -> Result<(), ConfigError> {
        listen_https::check(config)?;
        let requests = config.limits().tcp_in_flight;
        self.requests.store(requests, Ordering::Relaxed);
        let Some(certificate) = config.certificate() else {
            return Ok(());
        };
        let mut current = lock(&self.current);
        if !(current.as_ref()).is_some_and(|known| known.is(certificate)) {
            *current = Some(Current::new(certificate)?);
        }
        Ok(())
    }

    /// This runtime, with listeners over TLS and HTTPS.
    pub fn over<R: Runtime>(&self, runtime: R) -> Served<R> {
        Encrypting {
            runtime,
            settings: self.clone(),
        }
    }

    /// A client's stream, whose handshake has not begun.
    fn begin<S: ByteStream>(&self, stream: S, by: Encryption) -> io::Result<ClientStream<S>> {
        if by == Encryption::None {
            return Ok(ClientStream::Plain(stream));
        }
        let server = {
            let mut current = lock(&self.current);
            let current = current.as_mut();
            current.map(|current| current.shown().server(by).clone())
        };
        let server = server.ok_or_else(|| io::Error::other("there is no certificate"))?;
        let tls = ServerConnection::new(server).map_err(io::Error::other)?;
        let tls = TlsStream::new(stream, tls);
        Ok(if by == Encryption::Https {
            let requests = self.requests.load(Ordering::Relaxed);
            ClientStream::Https(Box::new(listen_https::over_tls(tls, requests)?))
        } else {
            ClientStream::Tls(Box::new(tls))
        })
    }
}

/// The runtime that serves clients.
pub type Served<R> = Encrypting<R>;

/// A runtime whose listeners can be over TLS or HTTPS. All else is as by the runtime itself.
#[derive(Clone)]
pub struct Encrypting<R> {
    runtime: R,
    settings: ListenTls,
}

/// A listener, whose clients encrypt or not.
pub struct Listener<L> {
    plain: L,
    encryption: Encryption,
    settings: ListenTls,
}

impl<L: runtime::Listener> runtime::Listener for Listener<L> {
    type Stream = ClientStream<L::Stream>;

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Self::Stream, SocketAddr)>> {
        let (stream, peer) = ready!(self.plain.poll_accept(cx))?;
        let stream = self.settings.begin(stream, self.encryption)?;
        Poll::Ready(Ok((stream, peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.plain.local_addr()
    }
}

impl<R: Runtime> Encrypting<R> {
    fn plain(&self, plain: R::Listener) -> Listener<R::Listener> {
        Listener {
            plain,
            encryption: Encryption::None,
            settings: self.settings.clone(),
        }
    }
}

impl<R: Runtime> Runtime for Encrypting<R> {
    type Stream = ClientStream<R::Stream>;
    type Connect = MapOk<R::Connect, fn(R::Stream) -> Self::Stream>;
    type Listener = Listener<R::Listener>;
    type Datagrams = R::Datagrams;
    type Sleep = R::Sleep;
    type Within<F: Future> = R::Within<F>;

    fn now(&self) -> Now {
        self.runtime.now()
    }

    fn sleep_until(&self, at: Time) -> R::Sleep {
        self.runtime.sleep_until(at)
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> R::Within<F> {
        self.runtime.within(limit, work)
    }

    fn connect(&self, to: SocketAddr) -> Self::Connect {
        self.runtime.connect(to).map_ok(ClientStream::Plain)
    }

    fn listen(&self, at: SocketAddr, share: bool) -> io::Result<Self::Listener> {
        let plain = self.runtime.listen(at, share)?;
        Ok(self.plain(plain))
    }

    fn bind(&self, at: SocketAddr, share: bool) -> io::Result<R::Datagrams> {
        self.runtime.bind(at, share)
    }

    fn datagrams_to(&self, peer: SocketAddr) -> io::Result<R::Datagrams> {
        self.runtime.datagrams_to(peer)
    }

    fn adopt_listener(&self, socket: TcpListener) -> io::Result<Self::Listener> {
        let plain = self.runtime.adopt_listener(socket)?;
        Ok(self.plain(plain))
    }

    fn adopt_datagrams(&self, socket: UdpSocket) -> io::Result<R::Datagrams> {
        self.runtime.adopt_datagrams(socket)
    }

    fn encrypt(&self, listener: Self::Listener, by: Encryption) -> io::Result<Self::Listener> {
        Ok(Listener {
            encryption: by,
            ..listener
        })
    }

    fn reconfigure(&self, config: &Config) -> Result<(), ConfigError> {
        self.settings.take(config)?;
        self.runtime.reconfigure(config)
    }

    fn networks(&self) -> Vec<Cidr> {
        self.runtime.networks()
    }

    fn path(&self, to: SocketAddr, from: Option<IpAddr>) -> NetworkPath {
        self.runtime.path(to, from)
    }

    fn network_resolvers(&self, file: Option<&Path>) -> Vec<SocketAddr> {
        self.runtime.network_resolvers(file)
    }

    fn random_seed(&self) -> Option<[u8; 32]> {
        self.runtime.random_seed()
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }
}
