//! A build without the feature `admin` serves no metrics. Stands in for `src/cli/admin.rs`.

use crate::config::{Config, ConfigError, lacking};
use std::net::SocketAddr;

/// Reads `off`. An error is the reason alone.
pub(super) fn admin(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        _ => Err(lacking("admin")),
    }
}

/// Nothing: there is no such address.
pub(super) fn taken_by_clients(_at: SocketAddr, _config: &Config) -> Option<ConfigError> {
    None
}
