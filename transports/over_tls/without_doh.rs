//! The messages of an upstream over a connection whose handshake of TLS is done: DNS over TLS, in a build that lacks other schemes.

use super::tls::Encrypted;
use crate::config::Upstream;
use crate::runtime::ByteStream;
use crate::transport::{ConnectError, Connection};

/// A connection to this upstream.
pub fn over_tls<S: ByteStream + 'static>(
    _to: &Upstream,
    encrypted: Encrypted<S>,
) -> Result<Box<dyn Connection>, ConnectError> {
    Ok(Box::new(encrypted.framed()))
}
