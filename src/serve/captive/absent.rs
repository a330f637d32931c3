//! A build without the feature `captive` asks nothing in the clear. Stands in for `src/serve/captive.rs`.

use super::core::Core;
use super::event_loop::EventLoop;
use super::sources::Sources;
use crate::runtime::Runtime;
use crate::transport::Transport;
use rand_chacha::ChaCha8Rng;
use std::marker::PhantomData;

/// None.
pub struct Checks<R>(PhantomData<fn() -> R>);

impl<R> Checks<R> {
    pub fn new(_random: &ChaCha8Rng, _sources: &Sources) -> Self {
        Self(PhantomData)
    }

    #[allow(clippy::unused_self, reason = "with the feature it matters")]
    pub fn is_empty(&self) -> bool {
        true
    }

    #[allow(clippy::unused_self, reason = "with the feature it matters")]
    pub fn ready(&mut self, _place: usize, _core: &mut Core) {}
}

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// There are none.
    #[inline]
    #[allow(clippy::unused_self, reason = "with the feature it matters")]
    pub(super) fn start_checks(&mut self) -> bool {
        false
    }
}
