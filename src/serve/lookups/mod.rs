//! Looking up the addresses of upstreams: of those that were given by name, with the bootstrap resolvers, and of those that another resolver
//! designates, with that one.

mod designation;
mod lookup;
mod messages;
mod search;
mod step;

use super::core::Core;
use super::sources::{Kind, Source, Sources};
use crate::config::{Config, Upstream};
use crate::runtime::Runtime;
use crate::transport::ConnectError;
use lookup::Lookup;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use search::Search;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
pub use step::{Found, Place};

/// The look-ups of one worker.
pub struct Lookups<R: Runtime> {
    sources: Sources,
    /// One at most for each upstream, by its number.
    running: Vec<Option<Running<R>>>,
    /// What was found last, by the number of the upstream.
    found: Vec<Option<(Upstream, Vec<Place>)>>,
    random: ChaCha8Rng,
}

struct Running<R: Runtime> {
    source: Source,
    /// For which it was begun.
    upstream: Upstream,
    lookup: Lookup<R>,
}

/// Looks an upstream up as the event loop does, and says for how long its addresses may be used. `None` if they are known.
pub fn look_up<R: Runtime>(
    runtime: R,
    upstream: &Upstream,
    bootstrap: &[SocketAddr],
    seed: [u8; 32],
) -> Option<impl Future<Output = Result<Found, ConnectError>> + use<R>> {
    let (search, resolvers) = Search::of(upstream, bootstrap)?;
    let random = ChaCha8Rng::from_seed(seed);
    Some(Lookup::new(runtime, search, &resolvers, random))
}

impl<R: Runtime> Lookups<R> {
    pub fn new(random: ChaCha8Rng, sources: &Sources) -> Self {
        Self {
            sources: sources.clone(),
            running: Vec::new(),
            found: Vec::new(),
            random,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.running.iter().all(Option::is_none)
    }

    /// Begins to look an upstream up.
    pub fn start(&mut self, upstream: usize, config: &Config, runtime: &R, core: &mut Core) {
        let configured = core.forwarder.upstream(upstream).cloned();
        let search = configured.and_then(|configured| {
            let (search, resolvers) = Search::of(&configured, config.bootstrap())?;
            Some((configured, search, resolvers))
        });
        let Some((configured, search, resolvers)) = search else {
            let why = Err(ConnectError::Unresolved("it needs no look-up".into()));
            core.forwarder
                .resolved(upstream, why, core.now, &mut core.out);
            return;
        };
        let random = ChaCha8Rng::from_rng(&mut self.random);
        let running = Running {
            source: self.sources.add(Kind::Lookup(upstream)),
            upstream: configured,
            lookup: Lookup::new(runtime.clone(), search, &resolvers, random),
        };
        let count = self.running.len().max(upstream + 1);
        self.running.resize_with(count, || None);
        self.running[upstream] = Some(running);
    }

    /// Gives up those that are not for the upstreams that have these numbers now.
    pub fn keep<'u>(&mut self, upstream: impl Fn(usize) -> Option<&'u Upstream>) {
        for (number, place) in self.running.iter_mut().enumerate() {
            let now = upstream(number);
            drop(
                place.take_if(|running| {
                    now.is_none_or(|now| !now.is_looked_up_as(&running.upstream))
                }),
            );
        }
    }

    /// The upstream of this number as it was found at this address, if more was found than the address.
    pub fn found_at(&self, number: usize, to: &Upstream, addr: SocketAddr) -> Option<Upstream> {
        let (upstream, places) = self.found.get(number)?.as_ref()?;
        let place = places.iter().find(|place| place.addr == addr)?;
        place.of(to).filter(|_| upstream.is_looked_up_as(to))
    }

    /// A look-up was woken. Tells the core when it is over.
    pub fn ready(&mut self, upstream: usize, core: &mut Core) {
        if let Some(Some(running)) = self.running.get_mut(upstream)
            && let Poll::Ready(found) =
                Pin::new(&mut running.lookup).poll(&mut running.source.context())
        {
            let addresses = found.map(|Found { places, lifetime }| {
                let addresses = places.iter().map(|place| place.addr).collect();
                let count = self.found.len().max(upstream + 1);
                self.found.resize_with(count, || None);
                self.found[upstream] = Some((running.upstream.clone(), places));
                (addresses, lifetime)
            });
            self.running[upstream] = None;
            core.forwarder
                .resolved(upstream, addresses, core.now, &mut core.out);
        }
    }
}
