//! Contacts each upstream without serving, and says what it is like: `dotward check --probe`.
//!
//! The connections are those of the transports, with their verifier; here is what is asked over them. `address` probes one address of an
//! upstream, `authentication` knows by what it is authenticated, `exchange` sends queries and waits for responses, `messages` builds and
//! reads these, `problem` explains what went wrong, `report` tells people and programs.

pub(crate) mod address;
pub(crate) mod authentication;
pub(crate) mod exchange;
pub(crate) mod messages;
pub(crate) mod problem;
pub(crate) mod report;

pub use report::Report;

use crate::config::{Config, Domain, Upstream};
use crate::engine::Time;
use crate::runtime::Runtime;
use crate::serve::{Place, look_up, random_seed};
use crate::transport::ConnectError;
use crate::transports::{RunError, Work, work_on};
use address::Target;
use futures::future::join_all;
use messages::Questions;
use problem::Problem;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use report::UpstreamReport;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What all probes of one upstream may take together. They run side by side, so that this is also what all upstreams take.
const LIMIT: Duration = Duration::from_secs(5);
/// The most addresses of one upstream that are probed.
const MAX_ADDRESSES: usize = 16;
/// The name that is looked up unless the user names another one: signed with DNSSEC, and known to every resolver of the Internet (RFC 2606).
const NAME: &str = "example.com";

/// Contacts all upstreams of the configuration at once. Those that only routes have are asked for the domain of their route, the others for
/// `name`, or for a usual one. An error says why nothing could be done.
pub fn run(runtime: &str, config: &Config, name: Option<&Domain>) -> Result<Report, RunError> {
    let name = name.map_or(NAME, Domain::name);
    work_on(runtime, Probing { config, name })?
}

#[derive(Clone, Copy)]
struct Probing<'c> {
    config: &'c Config,
    name: &'c str,
}

impl Work for Probing<'_> {
    type Output = Result<Report, RunError>;

    fn done_on<R: Runtime + 'static>(self, runtime: R) -> Self::Output {
        let mut random = ChaCha8Rng::from_seed(random_seed().map_err(RunError::System)?);
        let probes = self.config.all_upstreams().iter().map(|upstream| {
            let mut seed = [0; 32];
            random.fill_bytes(&mut seed);
            probe(&runtime, self, upstream, seed)
        });
        let upstreams = runtime.block_on(join_all(probes.collect::<Vec<_>>()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Report {
            upstreams,
            now: now.unwrap_or_default().as_secs(),
        })
    }
}

/// The domain of an upstream that is only for some domains: it is not asked for other names.
fn domain<'c>(config: &'c Config, upstream: &Upstream) -> Option<&'c Domain> {
    if config.upstreams().contains(upstream) {
        return None;
    }
    let mut routes = config.routes().iter();
    let route = routes.find(|route| route.upstreams().contains(upstream))?;
    route.domains().first()
}

/// An address of an upstream by each of its protocols.
fn ways(upstream: &Upstream, addr: SocketAddr) -> Vec<(Upstream, SocketAddr)> {
    let protocols = upstream.protocols();
    if protocols.is_empty() {
        return vec![(upstream.clone(), addr)];
    }
    let by = protocols.iter().map(|protocol| upstream.by(protocol, addr));
    by.collect()
}

/// Where an upstream is, and by which protocol: each with one protocol alone, in the order of trying. It is looked up if it has to be.
pub(crate) async fn find<R: Runtime + 'static>(
    clock: &Clock<'_, R>,
    config: &Config,
    upstream: &Upstream,
    seed: [u8; 32],
) -> Result<Vec<(Upstream, SocketAddr)>, Problem> {
    let needed = look_up(clock.runtime.clone(), upstream, config.bootstrap(), seed);
    let places: Vec<(Upstream, SocketAddr)> = match needed {
        None => {
            let addresses = upstream.addresses_to_use().into_iter();
            addresses.map(|addr| (upstream.clone(), addr)).collect()
        }
        Some(lookup) => {
            let late = || ConnectError::Unresolved("no response in time".to_owned());
            let found = clock.within(lookup).await.unwrap_or_else(|| Err(late()));
            let found = found.map_err(|why| Problem::unresolved(why.to_string(), upstream))?;
            let places = found.places.into_iter();
            let of = |place: Place| (place.of(upstream), place.addr);
            places
                .map(of)
                .map(|(found, addr)| (found.unwrap_or_else(|| upstream.clone()), addr))
                .collect()
        }
    };
    let ways = places.iter().flat_map(|(to, addr)| ways(to, *addr));
    Ok(ways.take(MAX_ADDRESSES).collect())
}

async fn probe<R: Runtime + 'static>(
    runtime: &R,
    Probing { config, name }: Probing<'_>,
    upstream: &Upstream,
    seed: [u8; 32],
) -> UpstreamReport {
    let clock = Clock::new(runtime, LIMIT);
    let domain = domain(config, upstream).map(Domain::name);
    let name = domain.unwrap_or(name);
    let mut random = ChaCha8Rng::from_seed(seed);
    let mut found = UpstreamReport::new(upstream, name);
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    let ways = match find(&clock, config, upstream, seed).await {
        Ok(ways) => ways,
        Err(problem) => {
            found.problem = Some(problem);
            return found;
        }
    };
    let by = |to: &Upstream| (!upstream.protocols().is_empty()).then(|| to.scheme());
    let probes = ways.iter().map(|(upstream, addr)| {
        let target = Target {
            config,
            upstream,
            addr: *addr,
            by: by(upstream),
        };
        let random = [random.next_u32(), random.next_u32()];
        // Where each query has a stream, the protocol says it.
        let has_keepalive = !matches!(upstream.scheme(), "https" | "quic");
        let questions = Questions::new(name, domain.is_some(), has_keepalive, random);
        address::probe(&clock, target, questions)
    });
    found.addresses = join_all(probes.collect::<Vec<_>>()).await;
    found
}

/// The clock of one upstream's probes, and when their time is over.
pub(crate) struct Clock<'r, R> {
    pub(crate) runtime: &'r R,
    end: Time,
}

impl<'r, R: Runtime> Clock<'r, R> {
    pub(crate) fn new(runtime: &'r R, limit: Duration) -> Self {
        let end = runtime.now().mono + limit;
        Self { runtime, end }
    }

    /// How much time is left.
    pub(crate) fn left(&self) -> Duration {
        self.end.since(self.runtime.now().mono)
    }

    /// Does this work, unless the time is over before. `None`: it is.
    pub(crate) async fn within<F: Future>(&self, work: F) -> Option<F::Output> {
        self.runtime.within(self.left(), work).await
    }

    /// As [`Clock::within`], with how long it took.
    pub(crate) async fn timed<F: Future>(&self, work: F) -> Option<(F::Output, Duration)> {
        let start = self.runtime.now().mono;
        let output = self.within(work).await?;
        Some((output, self.runtime.now().mono.since(start)))
    }
}
