//! The messages of an upstream over a connection whose handshake of TLS is done, by its scheme.

use super::doh;
use super::tls::Encrypted;
use crate::config::Upstream;
use crate::runtime::ByteStream;
use crate::transport::{ConnectError, Connection};

/// A connection to this upstream.
pub fn over_tls<S: ByteStream + 'static>(
    to: &Upstream,
    encrypted: Encrypted<S>,
) -> Result<Box<dyn Connection>, ConnectError> {
    Ok(match to.scheme() {
        "https" => Box::new(doh::connection(to, encrypted)?),
        _ => Box::new(encrypted.framed()),
    })
}
