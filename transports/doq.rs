//! DNS over QUIC (RFC 9250), over any runtime that has UDP: each query has a stream of its own.
//!
//! The server is authenticated as that of a `tls://` upstream is. The message id is 0 on the way, since the stream tells to which query a
//! response belongs. With `early-data`, queries leave as 0-RTT data where a session is resumed (RFC 9250 section 4.5).

mod connection;
mod early;
mod errors;
mod exchange;
mod handshake;
mod link;
mod settings;
#[cfg(test)]
mod tests;
mod turns;

use super::time_limit::Bounded;
use super::tls::{DOQ, Tls};
use crate::config::{Config, ConfigError, Upstream};
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Transport};
use connection::Connection;
use link::Link;
use quinn_proto::Event;
use settings::Settings;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Connects by QUIC.
#[derive(Clone)]
pub struct Doq<R> {
    runtime: R,
    /// Made once an upstream needs it: trusted certificates take time and memory.
    used: Option<Used<R>>,
}

#[derive(Clone)]
struct Used<R> {
    tls: Tls<R>,
    settings: Settings,
}

fn is_used(config: &Config) -> bool {
    let mut upstreams = config.all_upstreams().iter();
    upstreams.any(|upstream| upstream.scheme() == DOQ.scheme)
}

/// Checks the certificates of this host for upstreams that are reached so. Other settings are those of TLS, and are checked there.
pub fn check(config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    if is_used(config) {
        super::tls::check_application(DOQ, config)?;
    }
    Ok(Vec::new())
}

impl<R: Runtime> Doq<R> {
    /// Trusts the configured roots and no others, as [`Tls::new`] does.
    pub fn new(runtime: R, config: &Config) -> Result<Self, ConfigError> {
        let tls = is_used(config).then(|| Tls::speaking(DOQ, runtime.clone(), config));
        let used = tls.transpose()?.map(|tls| Used {
            tls,
            settings: Settings::new(),
        });
        Ok(Self { runtime, used })
    }

    /// With these settings of TLS.
    pub(super) fn over(runtime: R, tls: Tls<R>) -> Self {
        let settings = Settings::new();
        let used = Some(Used { tls, settings });
        Self { runtime, used }
    }
}

impl<R: Runtime> Transport for Doq<R> {
    type Connection = Connection<R>;
    type Connect = Bounded<R, Connecting<R>>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect {
        let Some(Used { tls, settings }) = &self.used else {
            // No configuration that this transport was made from has such an upstream.
            let failed = Connecting::Failed(ConnectError::Unreachable("not configured".into()));
            return Bounded::new(&self.runtime, Config::TIMEOUT, failed);
        };
        let link = tls.by_quic(to, addr).and_then(|target| {
            let link = Link::new(&self.runtime, settings, target);
            link.map_err(|error| ConnectError::unreachable(&error))
        });
        tls.bounded(match link {
            Ok(link) => Connecting::Shaking(Some(Box::new(link))),
            Err(why) => Connecting::Failed(why),
        })
    }

    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        match &mut self.used {
            Some(used) => used.tls.reconfigure(before, config),
            None => Self::new(self.runtime.clone(), config).map(|made| *self = made),
        }
    }
}

/// A connect in progress.
pub enum Connecting<R: Runtime> {
    /// The handshake of QUIC, and of TLS within it.
    #[doc(hidden)]
    Shaking(Option<Box<Link<R>>>),
    /// It could not start.
    Failed(ConnectError),
}

impl<R: Runtime> Future for Connecting<R> {
    type Output = Result<Connection<R>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shaking = match &mut *self {
            Self::Failed(why) => return Poll::Ready(Err(why.clone())),
            Self::Shaking(link) => link,
        };
        let Some(mut link) = shaking.take() else {
            return Poll::Pending;
        };
        if link.quic.has_0rtt() {
            return Poll::Ready(Ok(Connection::early(*link)));
        }
        let shaken = shake(&mut link, cx);
        if shaken.is_pending() {
            *shaking = Some(link);
            return Poll::Pending;
        }
        shaken.map_ok(|()| Connection::new(*link))
    }
}

/// Goes on with a handshake.
fn shake<R: Runtime>(link: &mut Link<R>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
    let unreachable = |error| ConnectError::unreachable(&error);
    link.receive(cx).map_err(unreachable)?;
    loop {
        link.expire();
        let mut outcome = None;
        while let (None, Some(event)) = (&outcome, link.quic.poll()) {
            outcome = match event {
                Event::Connected => Some(Ok(())),
                Event::ConnectionLost { reason } => {
                    let refusal = link.refusal.as_ref();
                    Some(Err(errors::of_handshake(&reason, &link.to, refusal)))
                }
                _ => None,
            };
        }
        // Also what is wrong: the server is told so.
        let sent = link.poll_transmit(cx);
        if let Some(outcome) = outcome {
            return Poll::Ready(outcome);
        }
        if let Poll::Ready(sent) = sent {
            sent.map_err(unreachable)?;
        }
        if link.poll_alarm(cx, None).is_pending() {
            return Poll::Pending;
        }
    }
}
