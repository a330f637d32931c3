//! A build without the feature `admin` serves no metrics. Stands in for `src/cli/admin.rs`.

use std::net::SocketAddr;

/// Reads `off`. An error is the reason alone.
pub(super) fn admin(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        _ => Err("needs the feature admin, which this program was built without".to_owned()),
    }
}
