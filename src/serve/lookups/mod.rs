//! Looking up the addresses of upstreams that were given by name, with the bootstrap resolvers.

mod lookup;
mod messages;

use super::core::Core;
use super::sources::{Kind, Source, Sources};
use crate::config::Config;
use crate::runtime::Runtime;
use crate::transport::ConnectError;
use lookup::Lookup;
use rand_chacha::ChaCha8Rng;
use std::pin::Pin;
use std::task::Poll;

/// The look-ups of one worker.
pub struct Lookups<R: Runtime> {
    sources: Sources,
    /// One at most for each upstream.
    running: Vec<Option<(Source, Lookup<R>)>>,
    random: ChaCha8Rng,
}

impl<R: Runtime> Lookups<R> {
    /// For so many upstreams.
    pub fn new(upstreams: usize, random: ChaCha8Rng, sources: &Sources) -> Self {
        Self {
            sources: sources.clone(),
            running: std::iter::repeat_with(|| None).take(upstreams).collect(),
            random,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.running.iter().all(Option::is_none)
    }

    /// Begins to look an upstream up.
    pub fn start(&mut self, upstream: usize, config: &Config, runtime: &R, core: &mut Core) {
        let configured = config.all_upstreams().get(upstream);
        let Some(host) = configured.and_then(|upstream| upstream.host().cloned()) else {
            let why = Err(ConnectError::Unresolved("it has no name".into()));
            core.forwarder
                .resolved(upstream, why, core.now, &mut core.out);
            return;
        };
        let lookup = Lookup::new(runtime.clone(), host, config.bootstrap(), &mut self.random);
        let source = self.sources.add(Kind::Lookup(upstream));
        self.running[upstream] = Some((source, lookup));
    }

    /// A look-up was woken. Tells the core when it is over.
    pub fn ready(&mut self, upstream: usize, core: &mut Core) {
        if let Some(Some((source, lookup))) = self.running.get_mut(upstream)
            && let Poll::Ready(found) = Pin::new(lookup).poll(&mut source.context())
        {
            self.running[upstream] = None;
            core.forwarder
                .resolved(upstream, found, core.now, &mut core.out);
        }
    }
}
