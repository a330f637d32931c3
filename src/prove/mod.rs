//! Are this machine's queries really encrypted? `dotward prove`.
//!
//! `path` looks up names that only dotward answers (`engine::local_names::proof`), as programs look names up, and `direct` asks one server. `daemon` has the running
//! program tell what it knows. What nobody tells is seen on a connection of this command's own, which `query` makes. `verdict` draws the
//! conclusion, and `report` tells people and programs.

#[cfg_attr(not(all(feature = "control", unix)), path = "daemon/absent.rs")]
mod daemon;
mod direct;
mod path;
mod report;
mod told;
mod verdict;

pub use report::Report;

use crate::cli::{Ask, Proving, Question};
use crate::config::Upstream;
use crate::query::asking::{self, Asked};
use crate::query::response::Response;
use crate::query::shown;
use crate::runtime::Runtime;
use crate::serve::random_seed;
use crate::transports::{RunError, Work, work_on};
use daemon::Daemon;
use path::{Outcome, Path, Seen};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};
use told::Told;

/// How many names are looked up, so that a resolver is noticed that takes turns.
const LOOK_UPS: usize = 3;
/// How long the resolver of the system is waited for: longer than it waits for two servers that say nothing.
const PATIENCE: Duration = Duration::from_secs(12);
/// A server that is asked directly answers a name of its own at once.
const AT_ONCE: Duration = Duration::from_secs(2);
/// What a real question may take longer than the time limit that both ends have, so that what the other end says then is heard.
const GRACE: Duration = Duration::from_secs(4);
/// Where dotward listens that nobody asks.
const USUAL: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// A name server, asked directly for a name that only dotward answers.
#[derive(Clone, Debug)]
struct Server {
    addr: SocketAddr,
    seen: Seen,
}

/// A question that has to be forwarded, since nobody has asked it before.
#[derive(Clone, Debug)]
struct Real {
    name: String,
    /// Which server was asked; nothing: the resolver of the system.
    server: Option<SocketAddr>,
    outcome: Result<Option<Response>, String>,
    time: Duration,
}

impl Real {
    /// Why it got no answer.
    fn failure(&self) -> Option<String> {
        match &self.outcome {
            Ok(Some(response)) if !response.is_answer() => Some(path::told(response)),
            Ok(_) => None,
            Err(why) => Some(why.clone()),
        }
    }
}

/// Finds out. An error says why nothing could be found out.
pub fn run(order: &Proving) -> Result<Report, RunError> {
    let mut random = ChaCha8Rng::from_seed(random_seed().map_err(RunError::System)?);
    let daemon = Daemon::find(&order.socket);
    let (way, patience) = match order.resolver {
        Some(server) => (Path::Server(server), AT_ONCE),
        None => (Path::System, PATIENCE),
    };
    let end = Instant::now() + patience;
    let mut lookups = Vec::new();
    for _ in 0..LOOK_UPS {
        let left = end.saturating_duration_since(Instant::now());
        let seen = prove(way, &mut random, left);
        let has_failed = matches!(seen.outcome, Outcome::Failed(_));
        lookups.push(seen);
        if has_failed {
            break;
        }
    }
    let is_ours = |seen: &Seen| matches!(seen.outcome, Outcome::Ours(_));
    let servers = match order.resolver {
        Some(_) => Vec::new(),
        None => all(&order.servers.1, &mut random),
    };
    let came = lookups.iter().filter(|seen| is_ours(seen)).count();
    let mut elsewhere = Vec::new();
    if came == 0 && order.resolver.is_none() {
        let usual = USUAL.map(|ip| SocketAddr::new(ip, 53));
        let others: Vec<SocketAddr> = usual
            .into_iter()
            .filter(|addr| servers.iter().all(|server| server.addr != *addr))
            .collect();
        elsewhere = all(&others, &mut random);
        elsewhere.retain(|server| is_ours(&server.seen));
    }
    let listener = order.resolver.or_else(|| {
        let mut ours = servers.iter().filter(|server| is_ours(&server.seen));
        ours.next().map(|server| server.addr)
    });
    let (mut real, mut told, mut observed) = (None, None, None);
    if came > 0 {
        let question = fresh(&order.question, &mut random);
        real = Some(ask(order, &question, listener, &mut random));
        let another = fresh(&order.question, &mut random);
        told = Some(daemon.and_then(|it| it.tell(&another.name, another.rtype, came as u64)));
        let by = told.as_ref().and_then(|it| it.as_ref().ok());
        if let Some(upstream) = upstream(order, by) {
            let question = fresh(&order.question, &mut random);
            observed = Some(observe(order, upstream, question)?);
        }
    }
    let verdict = verdict::verdict(&lookups, &servers, real.as_ref());
    Ok(Report {
        name: shown(&order.question.name),
        way,
        lookups,
        servers,
        elsewhere,
        listener,
        real,
        told,
        observed,
        file: order.file.clone(),
        verdict,
    })
}

/// Whether the report is wanted as JSON.
pub fn is_json(order: &Proving) -> bool {
    order.json
}

/// Looks up a name that nobody has looked up before.
fn prove(way: Path, random: &mut ChaCha8Rng, limit: Duration) -> Seen {
    let label = format!("{:016x}", random.next_u64());
    let ids = [random.next_u32() as u16, random.next_u32() as u16];
    way.prove(&label, ids, limit)
}

/// Asks all of these servers at once.
fn all(servers: &[SocketAddr], random: &mut ChaCha8Rng) -> Vec<Server> {
    let mut one = |addr: &SocketAddr| {
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        (*addr, ChaCha8Rng::from_seed(seed))
    };
    let all: Vec<_> = servers.iter().map(&mut one).collect();
    let work = |(addr, mut random): (SocketAddr, ChaCha8Rng)| Server {
        addr,
        seen: prove(Path::Server(addr), &mut random, AT_ONCE),
    };
    thread::scope(|scope| {
        let all: Vec<_> = (all.into_iter().map(|one| scope.spawn(move || work(one)))).collect();
        all.into_iter().filter_map(|one| one.join().ok()).collect()
    })
}

/// A name below this one that nobody has asked for, so that no cache has it. Whether it exists does not matter.
fn fresh(question: &Question, random: &mut ChaCha8Rng) -> Question {
    let label = format!("prove-{:016x}", random.next_u64());
    let mut name = vec![label.len() as u8];
    name.extend_from_slice(label.as_bytes());
    name.extend_from_slice(&question.name);
    Question {
        name,
        rtype: question.rtype,
    }
}

/// Asks a real question: a server if it is known which one is dotward, since that says why it fails, or else the resolver of the system, which has it from there.
fn ask(
    order: &Proving,
    question: &Question,
    listener: Option<SocketAddr>,
    random: &mut ChaCha8Rng,
) -> Real {
    let limit = order.config.timeout() + GRACE;
    let name = shown(&question.name);
    let start = Instant::now();
    let outcome = match listener {
        Some(server) => {
            let id = random.next_u32() as u16;
            direct::ask(server, question, id, limit).map(|(response, _)| Some(response))
        }
        None => match path::look_up(&name, limit.max(PATIENCE)) {
            Ok(_) | Err(Outcome::Denied(_)) => Ok(None),
            Err(Outcome::Failed(why)) => Err(why),
            Err(Outcome::Ours(_) | Outcome::Others(_)) => Err(String::new()),
        },
    };
    Real {
        name,
        server: listener,
        outcome,
        time: start.elapsed(),
    }
}

/// The upstream that is worth to be looked at: the one that dotward has asked, if it is configured here as well; or the one that would be asked, if somebody has
/// configured it here. The default is nothing that is known of a dotward which tells nothing.
fn upstream<'o>(order: &'o Proving, told: Option<&Told>) -> Option<&'o Upstream> {
    match told.and_then(|it| it.upstream.as_deref()) {
        Some(label) => {
            let mut all = order.config.all_upstreams().iter();
            all.find(|upstream| upstream.label() == label)
        }
        None => order.upstreams.first().filter(|_| order.is_configured),
    }
}

/// Asks the upstream as `dotward query` does, to see what it shows.
fn observe(order: &Proving, upstream: &Upstream, question: Question) -> Result<Asked, RunError> {
    let ask = Ask {
        runtime: order.runtime.clone(),
        config: order.config.clone(),
        upstreams: vec![upstream.clone()],
        question,
        all: false,
        dnssec: false,
        json: false,
    };
    work_on(&order.runtime, Observing(&ask, upstream))?
}

struct Observing<'a>(&'a Ask, &'a Upstream);

impl Work for Observing<'_> {
    type Output = Result<Asked, RunError>;

    fn done_on<R: Runtime + 'static>(self, runtime: R) -> Self::Output {
        let Self(ask, upstream) = self;
        let seed = random_seed().map_err(RunError::System)?;
        Ok(runtime.block_on(asking::ask(&runtime, ask, upstream, seed)))
    }
}
