//! One question to one server: at its addresses, one after the other, until one responds.

use super::message::{Edns, query};
use super::response::Response;
use crate::cli::Ask;
use crate::config::{Config, Upstream};
use crate::probe::address::{Connected, Target, Way};
use crate::probe::authentication::Authentication;
use crate::probe::exchange::{close, exchange};
use crate::probe::problem::Problem;
use crate::probe::{Clock, find};
use crate::runtime::Runtime;
use crate::transports::tls::inspect::{Certificate, Observed, Session};
use crate::wire::Rcode;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::net::SocketAddr;
use std::time::Duration;

/// What became of the question at one server.
#[derive(Debug)]
pub struct Asked {
    /// As the user named it.
    pub label: String,
    /// At the address that has responded, or why there is none.
    pub outcome: Result<Answered, Failed>,
    /// What was wrong with the addresses before.
    pub before: Vec<Failed>,
}

/// No response.
#[derive(Debug)]
pub struct Failed {
    /// The address and the protocol, if there was one to ask at.
    pub place: Option<(SocketAddr, &'static str)>,
    pub problem: Problem,
}

/// A response, how it came, and how long that took.
#[derive(Debug)]
pub struct Answered {
    pub addr: SocketAddr,
    pub scheme: &'static str,
    pub authentication: Authentication,
    pub certificate: Option<Certificate>,
    pub session: Option<Session>,
    /// A second connection goes on with the session of the first.
    pub resumes: Option<bool>,
    pub tcp: Option<Duration>,
    pub handshake: Option<Duration>,
    pub second_handshake: Option<Duration>,
    /// From the query to the response.
    pub time: Duration,
    /// The octets of the query.
    pub sent: usize,
    /// To a multiple of how many octets it was padded.
    pub padded_to: Option<u16>,
    pub response: Response,
}

impl Asked {
    /// The response of this server.
    pub fn response(&self) -> Option<&Response> {
        self.outcome.as_ref().ok().map(|it| &it.response)
    }

    /// It has answered.
    pub fn is_answered(&self) -> bool {
        self.response().is_some_and(Response::is_answer)
    }
}

/// Asks this server. All of it is over when the time limit of the configuration is.
pub async fn ask<R: Runtime + 'static>(
    runtime: &R,
    ask: &Ask,
    upstream: &Upstream,
    seed: [u8; 32],
) -> Asked {
    let clock = Clock::new(runtime, ask.config.timeout());
    let mut random = ChaCha8Rng::from_seed(seed);
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    let mut asked = Asked {
        label: upstream.label().to_owned(),
        outcome: Err(Failed {
            place: None,
            problem: Problem::unanswered(),
        }),
        before: Vec::new(),
    };
    let ways = match find(&clock, &ask.config, upstream, seed).await {
        Ok(ways) => ways,
        Err(problem) => {
            let place = None;
            asked.outcome = Err(Failed { place, problem });
            return asked;
        }
    };
    for (index, (to, addr)) in ways.iter().enumerate() {
        // An address that says nothing leaves the others as much time as it had.
        let share = clock.left() / (ways.len() - index) as u32;
        let clock = Clock::new(runtime, share);
        let id = random.next_u32() as u16;
        let outcome = at(&clock, ask, to, *addr, id).await;
        let failed = |problem| Failed {
            place: Some((*addr, to.scheme())),
            problem,
        };
        let before = std::mem::replace(&mut asked.outcome, outcome.map_err(failed));
        asked.before.extend(before.err().filter(|_| index > 0));
        if asked.outcome.is_ok() {
            break;
        }
    }
    asked
}

/// Asks at one address by one protocol.
async fn at<R: Runtime + 'static>(
    clock: &Clock<'_, R>,
    ask: &Ask,
    to: &Upstream,
    addr: SocketAddr,
    id: u16,
) -> Result<Answered, Problem> {
    let observed = Observed::default();
    let target = Target {
        config: &ask.config,
        upstream: to,
        addr,
        by: None,
    };
    let way = Way::new(clock, target, &observed)?;
    let Connected {
        mut connection,
        tcp,
        handshake,
        session,
    } = way.connect().await?;
    let edns = edns(&ask.config, to, ask.dnssec);
    let mut sent = query(&ask.question, id, Some(edns));
    let (message, mut time) = exchange(clock, connection.as_mut(), &sent, to).await?;
    let mut response = Response::read(&message, &sent)?;
    let mut padded_to = edns.padding;
    if matches!(
        response.rcode,
        Rcode::FORMERR | Rcode::NOTIMP | Rcode::BADVERS
    ) {
        // A server that does not understand EDNS (RFC 6891 section 7) is asked without it, where that makes a difference.
        let bare = query(&ask.question, id, None);
        if let Ok((message, took)) = exchange(clock, connection.as_mut(), &bare, to).await
            && let Ok(second) = Response::read(&message, &bare)
        {
            (response, time, sent, padded_to) = (second, took, bare, None);
        }
    }
    // The tickets of TLS 1.3 have come with the response.
    let (mut resumes, mut second_handshake) = (None, None);
    if handshake.is_some()
        && let Ok(mut second) = way.connect().await
    {
        let shown = second.connection.authentication().map(|it| it.resumed);
        resumes = second.session.as_ref().map(|it| it.resumed).or(shown);
        second_handshake = second.handshake;
        close(clock, second.connection.as_mut()).await;
    }
    close(clock, connection.as_mut()).await;
    Ok(Answered {
        addr,
        scheme: to.scheme(),
        authentication: Authentication::of(to),
        certificate: observed.certificate(),
        session,
        resumes,
        tcp,
        handshake,
        second_handshake,
        time,
        sent: sent.len(),
        padded_to: padded_to.map(Into::into),
        response,
    })
}

/// What queries to this upstream say by EDNS: as those that are forwarded to it.
fn edns(config: &Config, to: &Upstream, dnssec: bool) -> Edns {
    Edns {
        dnssec,
        // Over UDP nothing stays open, and where each query has a stream the protocol says it.
        keepalive: matches!(to.scheme(), "tls" | "tcp"),
        // In the clear it would hide nothing.
        padding: config.padding().filter(|_| to.server_name().is_some()),
    }
}
