//! Connections by QUIC with settings of TLS that are there already.

use super::doq::Doq;
use super::tls::Tls;
use crate::config::Upstream;
use crate::runtime::Runtime;
use crate::transport::{ConnectError, Connection, Transport};
use std::net::SocketAddr;

/// A connection to this upstream.
pub async fn over_quic<R: Runtime + 'static>(
    runtime: &R,
    tls: &Tls<R>,
    to: &Upstream,
    addr: SocketAddr,
) -> Result<Box<dyn Connection>, ConnectError> {
    let connect = Doq::over(runtime.clone(), tls.clone()).connect(to, addr);
    Ok(Box::new(connect.await?))
}
