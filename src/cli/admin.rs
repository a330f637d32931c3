//! The address at which metrics and health are served.

use std::net::SocketAddr;

use crate::config::local_address;

/// The port unless one is given.
const PORT: u16 = 9_553;

/// Reads `IP`, `IP:PORT` or `[IPv6]:PORT`, or `off`. An error is the reason alone.
pub(super) fn admin(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        text => local_address(text, PORT).map(Some),
    }
}
