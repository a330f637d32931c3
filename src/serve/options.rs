//! What a caller of [`serve`](super::serve()) may choose.

use super::control::Control;
use super::shared::Shared;
use crate::config::{Config, ConfigError};
use std::sync::Arc;

/// How to serve: the configuration, where random choices come from, and who may give commands.
#[derive(Clone)]
pub struct Options {
    pub(super) shared: Arc<Shared>,
    pub(super) control: Control,
}

impl Options {
    /// Serves by `config`. Every random choice, such as message ids and jitter, follows from `seed`: a simulator can repeat a run with
    /// it. Elsewhere the seed must be random and secret, because unpredictable ids protect against forged responses (RFC 5452).
    /// `Options::new` takes it from the platform's generator, in builds for native runtimes and for WASI.
    ///
    /// More than one worker is an error: each call of [`serve`](super::serve()) is one event loop, and several with their threads are
    /// started by [`run`](crate::transports::run) only.
    pub fn with_seed(config: Config, seed: [u8; 32]) -> Result<Self, ConfigError> {
        if config.workers().get() > 1 {
            let reason = "each call of `serve` is one loop; the threads of several are started by `transports::run` only";
            return Err(ConfigError::new("workers", &config.workers(), reason));
        }
        Ok(Self::for_workers(config, seed))
    }

    /// As [`Options::with_seed`], for several workers: each serves with a clone.
    pub(crate) fn for_workers(config: Config, seed: [u8; 32]) -> Self {
        Self {
            shared: Arc::new(Shared::new(config, seed)),
            control: Control::new(),
        }
    }

    /// Commands come from this handle. Without it, serving ends only when the future is dropped.
    #[must_use]
    pub fn control(mut self, control: &Control) -> Self {
        self.control = control.clone();
        self
    }

    /// What all workers have cached.
    #[cfg(any(feature = "sockets", all(feature = "wasi", target_os = "wasi")))]
    pub(crate) fn cache(&self) -> &Arc<crate::engine::Cache> {
        &self.shared.cache
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_nobody_would_start_are_refused() {
        let workers = std::num::NonZeroUsize::new(2).unwrap();
        let config = Config::builder().workers(workers).build().unwrap();
        let error = Options::with_seed(config, [0; 32]).err().unwrap();
        assert!(
            error
                .to_string()
                .starts_with("workers \"2\": each call of `serve`")
        );
    }
}
