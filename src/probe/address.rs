//! One address of an upstream: it is connected to twice, so that the second handshake can resume the session, and asked.

use super::Clock;
use super::exchange::{ask, close, overtakes};
use super::messages::Questions;
use super::problem::Problem;
use super::report::AddressReport;
use crate::config::{Config, Upstream};
use crate::framed::Framed;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Connection, Transport};

use crate::transports::plain_udp::Udp;
use crate::transports::socks5::Path;
use crate::transports::tls::Tls;
use crate::transports::tls::inspect::{Observed, Session};
use crate::transports::{over_quic, over_tls};
use std::net::SocketAddr;
use std::time::Duration;

/// The name at a proxy that keeps connections apart. No domain has it.
const USERNAME: &str = "probe";

/// What is probed.
#[derive(Clone, Copy)]
pub struct Target<'c> {
    pub config: &'c Config,
    /// With one protocol alone.
    pub upstream: &'c Upstream,
    pub addr: SocketAddr,
    /// The scheme, where the upstream has several protocols.
    pub by: Option<&'static str>,
}

/// Probes one address. What was found until something went wrong, or the time was over, is in the report.
pub async fn probe<R: Runtime + 'static>(
    clock: &Clock<'_, R>,
    target: Target<'_>,
    questions: Questions,
) -> AddressReport {
    let mut found = AddressReport::new(target.addr, target.by);
    let observed = Observed::default();
    let outcome = steps(clock, target, &questions, &observed, &mut found).await;
    found.problem = outcome.err();
    found.certificate = observed.certificate();
    found
}

async fn steps<R: Runtime + 'static>(
    clock: &Clock<'_, R>,
    target: Target<'_>,
    questions: &Questions,
    observed: &Observed,
    found: &mut AddressReport,
) -> Result<(), Problem> {
    let way = Way::new(clock, target, observed)?;
    let Connected {
        mut connection,
        tcp,
        handshake,
        session,
    } = way.connect().await?;
    found.tcp = tcp;
    found.handshake = handshake;
    found.session = session;
    let connection = connection.as_mut();
    let (answer, time) = ask(clock, connection, questions, target.upstream).await?;
    found.time = Some(time);
    let problem = answer.problem(&questions.name());
    found.answer = Some(answer);
    if let Some(problem) = problem {
        return Err(problem);
    }
    // The tickets of TLS 1.3 have come with the response. A server that closes after each response is asked on a connection of its own.
    match way.connect().await {
        Ok(mut second) => {
            found.resumed = second.session.map(|session| session.resumed);
            found.second_handshake = second.handshake;
            let second = second.connection.as_mut();
            found.overtakes = overtakes(clock, second, questions).await;
            close(clock, second).await;
        }
        Err(_) => found.overtakes = overtakes(clock, connection, questions).await,
    }
    close(clock, connection).await;
    Ok(())
}

/// How to connect.
pub struct Way<'a, R> {
    clock: &'a Clock<'a, R>,
    target: Target<'a>,
    observed: &'a Observed,
    tls: Option<Tls<R>>,
}

/// A connection, and what it took.
pub struct Connected {
    pub connection: Box<dyn Connection>,
    /// Over UDP there is nothing to connect.
    pub tcp: Option<Duration>,
    pub handshake: Option<Duration>,
    pub session: Option<Session>,
}

impl<'a, R: Runtime + 'static> Way<'a, R> {
    /// To this target. The sessions of its connections are resumed by the later ones.
    pub fn new(
        clock: &'a Clock<'a, R>,
        target: Target<'a>,
        observed: &'a Observed,
    ) -> Result<Self, Problem> {
        let tls = if target.upstream.server_name().is_some() {
            let tls = Tls::observing(
                clock.runtime.clone(),
                target.config,
                target.upstream,
                observed,
            );
            Some(tls.map_err(|error| Problem::config(error.to_string()))?)
        } else {
            None
        };
        Ok(Self {
            clock,
            target,
            observed,
            tls,
        })
    }

    async fn without_connection(&self) -> Result<Connected, Problem> {
        let Target {
            config,
            upstream,
            addr,
            ..
        } = self.target;
        let udp = Udp::new(self.clock.runtime.clone(), config);
        let udp = udp.map_err(|error| Problem::config(error.to_string()))?;
        let connection = udp.connect(upstream, addr).await;
        let connection = connection.map_err(|why| Problem::config(why.to_string()))?;
        Ok(Connected {
            connection: Box::new(connection),
            tcp: None,
            handshake: None,
            session: None,
        })
    }

    /// A connection by QUIC, which tells less of TLS than others.
    async fn by_quic(&self, tls: &Tls<R>) -> Result<Connected, Problem> {
        let Target { upstream, addr, .. } = self.target;
        let connect = over_quic(self.clock.runtime, tls, upstream, addr);
        let (shaken, handshake) = (self.clock.timed(connect).await)
            .unwrap_or((Err(ConnectError::TimedOut), Duration::ZERO));
        let connection = shaken.map_err(|why| Problem::quic(&why, self.observed, upstream))?;
        Ok(Connected {
            connection,
            tcp: None,
            handshake: Some(handshake),
            session: None,
        })
    }

    /// A TCP connection, through the proxy of the upstream if it has one, and how long it took.
    async fn stream(
        &self,
        upstream: &Upstream,
        addr: SocketAddr,
    ) -> Result<(R::Stream, Duration), Problem> {
        let runtime = self.clock.runtime;
        if let Some(socks5) = upstream.socks5() {
            let username = socks5.isolate.then_some(USERNAME);
            let dial = Path::to(upstream, addr, username).dial(runtime, self.clock.left());
            let why = format!("the SOCKS5 proxy {} does not connect in time", socks5.proxy);
            let late = (Err(ConnectError::Unreachable(why)), Duration::ZERO);
            let (stream, took) = self.clock.timed(dial).await.unwrap_or(late);
            return Ok((stream.map_err(|why| Problem::proxy(&why))?, took));
        }
        let tcp = self.clock.timed(runtime.connect(addr)).await;
        let (stream, took) = tcp.ok_or_else(|| Problem::tcp_timeout(upstream))?;
        let stream = stream.map_err(|error| Problem::tcp(&error, upstream))?;
        Ok((stream, took))
    }

    /// Connects, and authenticates the other end as the upstream asks.
    pub async fn connect(&self) -> Result<Connected, Problem> {
        let Target { upstream, addr, .. } = self.target;
        if upstream.scheme() == "udp" {
            return self.without_connection().await;
        }
        if let ("quic", Some(tls)) = (upstream.scheme(), &self.tls) {
            return self.by_quic(tls).await;
        }
        let (stream, tcp) = self.stream(upstream, addr).await?;
        let Some(tls) = &self.tls else {
            return Ok(Connected {
                connection: Box::new(Framed::new(stream, String::new())),
                tcp: Some(tcp),
                handshake: None,
                session: None,
            });
        };
        let shaken = self.clock.timed(tls.shake(upstream, addr, stream)).await;
        let (shaken, handshake) = shaken.ok_or_else(|| Problem::handshake_timeout(upstream))?;
        let failed = |why: ConnectError| Problem::handshake(&why, self.observed, upstream);
        let encrypted = shaken.map_err(failed)?;
        Ok(Connected {
            tcp: Some(tcp),
            handshake: Some(handshake),
            session: Some(Session::of(&encrypted)),
            connection: over_tls(upstream, encrypted).map_err(failed)?,
        })
    }
}
