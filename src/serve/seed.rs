//! Seeds from the platform's generator, where there is one.

use super::Options;
use crate::config::{Config, ConfigError};

impl Options {
    /// Serves by `config`, with a seed from the platform's cryptographic generator. An error says that this has failed; the others are
    /// those of [`Options::with_seed`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let seed = random_seed().map_err(|error| ConfigError::new("seed", "", error))?;
        Self::with_seed(config, seed)
    }
}

/// Octets of the platform's cryptographic generator. The error is a message.
pub(crate) fn random_seed() -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    let filled = getrandom::fill(&mut seed);
    filled.map_err(|error| format!("no randomness: {error}"))?;
    Ok(seed)
}
