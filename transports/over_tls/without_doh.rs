//! The messages of an upstream over a connection whose handshake of TLS is done: DNS over TLS, in a build that lacks other schemes.

use super::tls::{self, Encrypted};
use crate::config::Upstream;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Connection};

/// A connection to this upstream.
pub fn over_tls<R: Runtime + 'static>(
    _to: &Upstream,
    encrypted: Encrypted<R>,
) -> Result<Box<dyn Connection>, ConnectError> {
    Ok(Box::new(tls::Connection::new(encrypted)))
}
