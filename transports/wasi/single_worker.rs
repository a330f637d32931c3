//! The only worker: a component has one thread. Stands in for `transports/workers.rs`.

use crate::config::Config;
use crate::engine::Stats;
use crate::serve::{BoundSockets, Options};
use crate::transports::RunError;
use crate::transports::listen_tls::ListenTls;
use std::sync::Arc;

/// No other workers.
pub struct Others;

impl Others {
    /// Nothing to start: a configuration with more than one worker was refused.
    #[expect(
        clippy::extra_unused_type_parameters,
        clippy::unnecessary_wraps,
        reason = "as where there are threads"
    )]
    pub fn start<R>(_: &Options, _: &ListenTls, _: &Arc<BoundSockets>) -> Result<Self, RunError> {
        Ok(Self)
    }

    /// None to wait for.
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "as where there are threads"
    )]
    pub fn join(self) -> Result<Vec<Stats>, RunError> {
        Ok(Vec::new())
    }
}

/// As configured: only the host knows how many connections it allows.
pub fn affordable(config: &Config) -> usize {
    config.limits().tcp_connections
}

/// Only the host knows its limits.
#[expect(clippy::unnecessary_wraps, reason = "as where there are limits")]
pub fn check_resource_limits(_: &Config) -> Result<(), RunError> {
    Ok(())
}

/// The host schedules.
pub fn use_batch_policy() {}
