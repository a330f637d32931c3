//! Connections by QUIC, in a build that has none.

use super::tls::Tls;
use crate::config::Upstream;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Connection};
use std::future::{Ready, ready};
use std::net::SocketAddr;

/// An error. No upstream is reached so in this build.
pub fn over_quic<R: Runtime>(
    _runtime: &R,
    _tls: &Tls<R>,
    to: &Upstream,
    _addr: SocketAddr,
) -> Ready<Result<Box<dyn Connection>, ConnectError>> {
    let why = format!("this build has no transport {}", to.scheme());
    ready(Err(ConnectError::Unreachable(why)))
}
