//! No other workers: a component has one thread. Stands where `workers.rs` stands elsewhere.

use crate::config::Config;
use crate::engine::Stats;
use crate::serve::Options;
use crate::transports::RunError;

/// Nobody.
pub struct Others;

impl Others {
    /// Nothing to start: a configuration with more than one worker was refused.
    #[expect(
        clippy::extra_unused_type_parameters,
        clippy::unnecessary_wraps,
        reason = "as where there are threads"
    )]
    pub fn start<R>(_: &Options) -> Result<Self, RunError> {
        Ok(Self)
    }

    /// Nobody to wait for.
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "as where there are threads"
    )]
    pub fn join(self) -> Result<Vec<Stats>, RunError> {
        Ok(Vec::new())
    }
}

/// The host alone knows how many connections it allows; it refuses those that are too many.
pub fn affordable(config: &Config) -> usize {
    config.limits().tcp_connections
}

/// The host alone knows what it allows.
#[expect(clippy::unnecessary_wraps, reason = "as where there are limits")]
pub fn check_room(_: &Config) -> Result<(), RunError> {
    Ok(())
}

/// The host schedules.
pub fn let_wakers_finish() {}
