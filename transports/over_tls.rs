//! The messages of an upstream over a connection whose handshake of TLS is done, by its scheme.

use super::doh;
use super::tls::{self, Encrypted};
use crate::config::Upstream;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Connection};

/// A connection to this upstream.
pub fn over_tls<R: Runtime + 'static>(
    to: &Upstream,
    encrypted: Encrypted<R>,
) -> Result<Box<dyn Connection>, ConnectError> {
    Ok(match to.scheme() {
        "https" => Box::new(doh::connection(to, encrypted)?),
        _ => Box::new(tls::Connection::new(encrypted)),
    })
}
