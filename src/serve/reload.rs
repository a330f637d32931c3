//! Another configuration for all loops, on its way to them.

use super::bound::BoundSockets;
use super::shared::cache_for;
use crate::config::Config;
use crate::engine::Cache;
use std::sync::{Arc, OnceLock};

/// Another configuration for all loops.
#[derive(Debug)]
pub struct Reload {
    pub(super) config: Config,
    /// Sockets of new addresses that are bound already.
    pub(super) bound: BoundSockets,
    /// Made by the first loop that takes it, and the same for all.
    cache: OnceLock<SharedCache>,
}

struct SharedCache(Arc<Cache>);

impl std::fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedCache")
    }
}

impl Reload {
    pub fn new(config: Config, bound: BoundSockets) -> Self {
        Self {
            config,
            bound,
            cache: OnceLock::new(),
        }
    }

    /// The cache by this configuration, where `before` was the one until now.
    pub(super) fn cache(&self, before: &Arc<Cache>) -> Arc<Cache> {
        let made = self
            .cache
            .get_or_init(|| SharedCache(cache_for(&self.config, before)));
        made.0.clone()
    }
}
