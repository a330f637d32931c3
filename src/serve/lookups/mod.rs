//! Looking up the addresses of upstreams that were given by name, with the bootstrap resolvers.

mod lookup;
mod messages;

use super::core::Core;
use super::sources::{Kind, Source, Sources};
use crate::config::{Config, Host, Upstream};
use crate::runtime::Runtime;
use crate::transport::ConnectError;
use lookup::Lookup;
use messages::Found;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

/// The look-ups of one worker.
pub struct Lookups<R: Runtime> {
    sources: Sources,
    /// One at most for each upstream, by its number.
    running: Vec<Option<Running<R>>>,
    random: ChaCha8Rng,
}

struct Running<R: Runtime> {
    source: Source,
    host: Host,
    lookup: Lookup<R>,
}

/// Looks a host up as the event loop does, and says for how long its addresses may be used.
pub fn look_up<R: Runtime>(
    runtime: R,
    host: Host,
    resolvers: &[SocketAddr],
    seed: [u8; 32],
) -> impl Future<Output = Result<Found, ConnectError>> + use<R> {
    Lookup::new(runtime, host, resolvers, &mut ChaCha8Rng::from_seed(seed))
}

impl<R: Runtime> Lookups<R> {
    pub fn new(random: ChaCha8Rng, sources: &Sources) -> Self {
        Self {
            sources: sources.clone(),
            running: Vec::new(),
            random,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.running.iter().all(Option::is_none)
    }

    /// Begins to look an upstream up.
    pub fn start(&mut self, upstream: usize, config: &Config, runtime: &R, core: &mut Core) {
        let configured = core.forwarder.upstream(upstream);
        let Some(host) = configured.and_then(|upstream| upstream.host().cloned()) else {
            let why = Err(ConnectError::Unresolved("it has no name".into()));
            core.forwarder
                .resolved(upstream, why, core.now, &mut core.out);
            return;
        };
        let (bootstrap, random) = (config.bootstrap(), &mut self.random);
        let lookup = Lookup::new(runtime.clone(), host.clone(), bootstrap, random);
        let running = Running {
            source: self.sources.add(Kind::Lookup(upstream)),
            host,
            lookup,
        };
        let count = self.running.len().max(upstream + 1);
        self.running.resize_with(count, || None);
        self.running[upstream] = Some(running);
    }

    /// Gives up those that are not for the upstreams that have these numbers now.
    pub fn keep<'u>(&mut self, upstream: impl Fn(usize) -> Option<&'u Upstream>) {
        for (number, place) in self.running.iter_mut().enumerate() {
            let host = upstream(number).and_then(Upstream::host);
            drop(place.take_if(|running| host != Some(&running.host)));
        }
    }

    /// A look-up was woken. Tells the core when it is over.
    pub fn ready(&mut self, upstream: usize, core: &mut Core) {
        if let Some(Some(running)) = self.running.get_mut(upstream)
            && let Poll::Ready(found) =
                Pin::new(&mut running.lookup).poll(&mut running.source.context())
        {
            self.running[upstream] = None;
            core.forwarder
                .resolved(upstream, found, core.now, &mut core.out);
        }
    }
}
