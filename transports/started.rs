//! Event loops between their start and their end, and what one process takes over from another.

use super::RunError;
use crate::engine::{Cache, ImportError, Time};
use crate::serve::BoundSockets;
use std::fmt;
use std::sync::Arc;

/// What an earlier process left, or a service manager has prepared.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Sockets that are bound. Those of a configured address are taken instead of bound.
    pub sockets: BoundSockets,
    /// Cached responses, as [`CacheAccess::export`] left them.
    pub cache: Option<Vec<u8>>,
}

/// Event loops that are about to serve: every address that this host has is bound.
#[must_use = "nothing is served without `serve`"]
pub struct Started {
    summary: String,
    cache: CacheAccess,
    serve: Box<dyn FnOnce() -> Result<(), RunError>>,
}

impl Started {
    #[cfg_attr(
        not(any(feature = "sockets", all(feature = "wasi", target_os = "wasi"))),
        expect(dead_code, reason = "a build without runtimes starts nothing")
    )]
    pub(super) fn new(
        summary: String,
        cache: CacheAccess,
        serve: impl FnOnce() -> Result<(), RunError> + 'static,
    ) -> Self {
        let serve = Box::new(serve);
        Self {
            summary,
            cache,
            serve,
        }
    }

    /// What is served, where, and by which upstreams.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The way to the cache of all workers, before and after they serve.
    pub fn cache(&self) -> CacheAccess {
        self.cache.clone()
    }

    /// Serves on this thread until a command ends that. An error says what failed meanwhile.
    pub fn serve(self) -> Result<(), RunError> {
        (self.serve)()
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

/// The cache of running workers, and its clock.
#[derive(Clone)]
pub struct CacheAccess {
    cache: Arc<Cache>,
    now: Arc<dyn Fn() -> Time>,
}

impl CacheAccess {
    #[cfg_attr(
        not(any(feature = "sockets", all(feature = "wasi", target_os = "wasi"))),
        expect(dead_code, reason = "a build without runtimes starts nothing")
    )]
    pub(super) fn new(cache: Arc<Cache>, now: impl Fn() -> Time + 'static) -> Self {
        let now = Arc::new(now);
        Self { cache, now }
    }

    /// The responses in it that hold now, as octets: at most `limit` of these, else `None`.
    pub fn export(&self, limit: usize) -> Option<Vec<u8>> {
        self.cache.export(limit, (self.now)())
    }

    /// Takes the responses of [`CacheAccess::export`] that hold now, and says how many those are.
    pub fn import(&self, dump: &[u8]) -> Result<usize, ImportError> {
        self.cache.import(dump, (self.now)())
    }
}

impl fmt::Debug for CacheAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheAccess").finish_non_exhaustive()
    }
}
