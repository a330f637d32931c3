//! One resolver is measured: what it is like, what connections take, and then what answers take.

use super::figures::{Outcome, Times};
use super::progress::Progress;
use crate::cli::Contest;
use crate::config::Upstream;
use crate::engine::Time;
use crate::probe::address::{Connected, Target, Way, probe};
use crate::probe::exchange::{ask, close, exchange, next};
use crate::probe::messages::{Answer, Questions};
use crate::probe::problem::Problem;
use crate::probe::report::AddressReport;
use crate::probe::{Clock, find};
use crate::runtime::Runtime;
use crate::transport::Connection;
use crate::transports::tls::inspect::Observed;
use crate::wire::{self, Rcode};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::net::SocketAddr;
use std::time::Duration;

/// New connections, and as many that resume a session.
const CONNECTIONS: usize = 5;
/// What has not come by then is lost, as stub resolvers ask again after a few seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so many losses in a row the connection is taken for dead.
const MOST_LOSSES: usize = 3;

/// What was found about a resolver, by one protocol.
#[derive(Debug)]
pub struct Measured {
    /// As the user named it.
    pub label: String,
    pub scheme: &'static str,
    pub addr: Option<SocketAddr>,
    /// What it is like.
    pub found: Option<AddressReport>,
    /// Why it could not be measured.
    pub problem: Option<Problem>,
    /// From the start of a connection to the moment when it can take a query.
    pub connects: Times,
    /// The same where a session is resumed.
    pub resumed: Times,
    pub answers: Times,
    /// In the order of the queries.
    pub outcomes: Vec<Outcome>,
    /// How often the connection had to be made anew.
    pub reconnects: usize,
}

impl Measured {
    fn new(upstream: &Upstream, scheme: &'static str) -> Self {
        Self {
            label: upstream.label().to_owned(),
            scheme,
            addr: None,
            found: None,
            problem: None,
            connects: Times::default(),
            resumed: Times::default(),
            answers: Times::default(),
            outcomes: Vec::new(),
            reconnects: 0,
        }
    }

    /// It has answered at least once.
    pub fn is_answered(&self) -> bool {
        self.answers.len() > 0
    }

    fn note(&mut self, outcome: Outcome) {
        if let Outcome::Answered(time) = outcome {
            self.answers.push(time);
        }
        self.outcomes.push(outcome);
    }
}

/// What all measurements share.
pub struct Frame<'a, R> {
    pub runtime: &'a R,
    pub contest: &'a Contest,
    pub progress: &'a Progress,
    /// When the measurements began.
    pub start: Time,
}

impl<'a, R: Runtime + 'static> Frame<'a, R> {
    /// The moment when so many fifths of the time are over.
    fn fifths(&self, count: u32) -> Time {
        self.start + self.contest.time / 5 * count
    }

    /// A clock that ends at this moment.
    fn clock(&self, end: Time) -> Clock<'a, R> {
        let left = end.since(self.runtime.now().mono);
        Clock::new(self.runtime, left)
    }

    fn questions(&self, scheme: &str, random: [u32; 2]) -> Questions {
        // Where each query has a stream, the protocol says it.
        let has_keepalive = !matches!(scheme, "https" | "quic");
        let (name, is_confined) = (self.contest.name.name(), self.contest.is_confined);
        Questions::new(name, is_confined, has_keepalive, random)
    }
}

/// Measures a resolver, by each of its protocols.
pub async fn measure<R: Runtime + 'static>(
    frame: &Frame<'_, R>,
    upstream: &Upstream,
    seed: [u8; 32],
) -> Vec<Measured> {
    let mut random = ChaCha8Rng::from_seed(seed);
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    let clock = frame.clock(frame.fifths(1));
    let ways = match find(&clock, &frame.contest.config, upstream, seed).await {
        Ok(ways) => ways,
        Err(problem) => {
            let mut measured = Measured::new(upstream, upstream.scheme());
            measured.problem = Some(problem);
            return vec![measured];
        }
    };
    let mut schemes: Vec<&'static str> = Vec::new();
    for (to, _) in &ways {
        if !schemes.contains(&to.scheme()) {
            schemes.push(to.scheme());
        }
    }
    let all = schemes.into_iter().map(|scheme| {
        let ways = ways.iter().filter(move |(to, _)| to.scheme() == scheme);
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        by_protocol(frame, Measured::new(upstream, scheme), ways.collect(), seed)
    });
    futures::future::join_all(all.collect::<Vec<_>>()).await
}

/// Measures a resolver at the first of its addresses that can be used.
async fn by_protocol<R: Runtime + 'static>(
    frame: &Frame<'_, R>,
    mut measured: Measured,
    ways: Vec<&(Upstream, SocketAddr)>,
    seed: [u8; 32],
) -> Measured {
    frame.progress.expect(frame.contest.count);
    let mut random = ChaCha8Rng::from_seed(seed);
    let count = ways.len() as u32;
    for ((to, addr), left) in ways.into_iter().zip((1..=count).rev()) {
        let clock = frame.clock(frame.fifths(1));
        let clock = Clock::new(frame.runtime, clock.left() / left);
        let target = Target {
            config: &frame.contest.config,
            upstream: to,
            addr: *addr,
            by: None,
        };
        let questions = frame.questions(to.scheme(), [random.next_u32(), random.next_u32()]);
        let mut found = probe(&clock, target, questions.clone()).await;
        measured.addr = Some(*addr);
        measured.problem = found.problem.take();
        if measured.problem.is_none() {
            measured.found = Some(found);
            let observed = Observed::default();
            connections(frame, target, &questions, &mut measured).await;
            let outcome = answers(frame, target, &observed, &questions, &mut measured).await;
            measured.problem = outcome.err();
            break;
        }
    }
    let missing = frame.contest.count.saturating_sub(measured.outcomes.len());
    frame.progress.pass(missing);
    measured
}

/// Makes new connections, each as if it were the first.
async fn connections<R: Runtime + 'static>(
    frame: &Frame<'_, R>,
    target: Target<'_>,
    questions: &Questions,
    measured: &mut Measured,
) {
    let clock = frame.clock(frame.fifths(2));
    for _ in 0..CONNECTIONS {
        let observed = Observed::default();
        let Ok(way) = Way::new(&clock, target, &observed) else {
            return;
        };
        let Ok(mut first) = way.connect().await else {
            return;
        };
        measured.connects_in(&first, false);
        let connection = first.connection.as_mut();
        // The tickets of TLS 1.3 come with a response.
        if first.handshake.is_some()
            && ask(&clock, connection, questions, target.upstream)
                .await
                .is_ok()
            && let Ok(mut second) = way.connect().await
        {
            measured.connects_in(&second, true);
            close(&clock, second.connection.as_mut()).await;
        }
        close(&clock, first.connection.as_mut()).await;
    }
}

impl Measured {
    /// Notes what a connection took. One that should have resumed a session and has not is no measure of that.
    fn connects_in(&mut self, connected: &Connected, resumes: bool) {
        let parts = [connected.tcp, connected.handshake];
        let time: Duration = parts.into_iter().flatten().sum();
        let session = connected.session.as_ref().map(|it| it.resumed);
        let shown = connected.connection.authentication().map(|it| it.resumed);
        match (parts, session.or(shown), resumes) {
            ([None, None], ..) => {}
            (_, Some(true), true) => self.resumed.push(time),
            (_, _, false) => self.connects.push(time),
            _ => {}
        }
    }
}

/// Sends the queries over one connection, evenly over the time that is left, and waits for each response before the next query leaves.
async fn answers<R: Runtime + 'static>(
    frame: &Frame<'_, R>,
    target: Target<'_>,
    observed: &Observed,
    questions: &Questions,
    measured: &mut Measured,
) -> Result<(), Problem> {
    let runtime = frame.runtime;
    let patience = PATIENCE.min(frame.contest.time / 5);
    let end = frame.fifths(5);
    let clock = frame.clock(end);
    let way = Way::new(&clock, target, observed)?;
    let mut connection = Some(way.connect().await?.connection);
    let start = runtime.now().mono;
    let period = clock.left().saturating_sub(patience) / frame.contest.count as u32;
    let mut losses = 0;
    for number in 0..frame.contest.count {
        runtime.sleep_until(start + period * number as u32).await;
        if clock.left() < patience {
            // A query that is cut off by the end would look like a lost one.
            break;
        }
        let clock = Clock::new(runtime, patience);
        let mut query = questions.usual(true);
        wire::set_id(&mut query, number as u16);
        let mut outcome = Outcome::Lost;
        // A server may close an idle connection; the query is then sent once more.
        for _ in 0..2 {
            if connection.is_none() {
                connection = again(&clock, &way, measured).await;
            }
            let Some(mut open) = connection.take() else {
                break;
            };
            match one(&clock, open.as_mut(), &query, target.upstream).await {
                One::Done(done) => {
                    outcome = done;
                    connection = Some(open);
                    break;
                }
                One::Late => {
                    connection = Some(open);
                    break;
                }
                One::Closed => {}
            }
        }
        losses = if outcome == Outcome::Lost {
            losses + 1
        } else {
            0
        };
        if losses >= MOST_LOSSES {
            connection = None;
            losses = 0;
        }
        measured.note(outcome);
        frame.progress.pass(1);
    }
    if let Some(mut open) = connection {
        close(&clock, open.as_mut()).await;
    }
    Ok(())
}

/// Another connection, in the time that one query has.
async fn again<R: Runtime + 'static>(
    clock: &Clock<'_, R>,
    way: &Way<'_, R>,
    measured: &mut Measured,
) -> Option<Box<dyn Connection>> {
    measured.reconnects += 1;
    let connected = clock.within(way.connect()).await?;
    connected.ok().map(|it| it.connection)
}

/// What became of one query on one connection.
enum One {
    Done(Outcome),
    /// The time is over, and the connection is there.
    Late,
    /// The connection is of no more use.
    Closed,
}

async fn one<R: Runtime>(
    clock: &Clock<'_, R>,
    connection: &mut dyn Connection,
    query: &[u8],
    upstream: &Upstream,
) -> One {
    let start = clock.runtime.now().mono;
    let mut message = match exchange(clock, connection, query, upstream).await {
        Ok((message, _)) => message,
        Err(problem) if problem.kind == Problem::unanswered().kind => return One::Late,
        Err(_) => return One::Closed,
    };
    // What comes late is the response to a query before.
    while message.get(..2) != query.get(..2) {
        message = match clock.within(next(connection)).await {
            None => return One::Late,
            Some(Ok(message)) => message,
            Some(Err(_)) => return One::Closed,
        };
    }
    let time = clock.runtime.now().mono.since(start);
    match Answer::read(&message, query) {
        Ok(answer) if matches!(answer.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) => {
            One::Done(Outcome::Answered(time))
        }
        Ok(_) | Err(_) => One::Done(Outcome::Failed),
    }
}
