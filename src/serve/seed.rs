//! Seeds from the platform's generator, where there is one.

use super::Options;
use crate::config::{Config, ConfigError};

impl Options {
    /// Serves by `config`, with random choices that nobody can guess. The errors are those of [`Options::with_seed`], and that the
    /// platform has no random octets.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let seed = random_seed().map_err(|error| ConfigError::new("seed", "", error))?;
        Self::with_seed(config, seed)
    }
}

/// Octets that nobody can guess. The error is a message.
pub(crate) fn random_seed() -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    let filled = getrandom::fill(&mut seed);
    filled.map_err(|error| format!("no randomness: {error}"))?;
    Ok(seed)
}
