//! Connections that nobody can link with others by their TLS sessions or by their names at the proxy.

use super::Tls;
use super::clients::Apart;
use crate::config::Upstream;
use std::sync::Arc;

impl<R: Clone> Tls<R> {
    /// The same for this upstream, with sessions of its own and this username at the proxy. An error says what is wrong with the certificate
    /// of this host.
    pub(in crate::transports) fn apart(
        &self,
        to: &Upstream,
        username: String,
    ) -> Result<Self, String> {
        let client = self.clients.of(to)?.apart();
        Ok(Self {
            apart: Some(Arc::new(Apart { username, client })),
            ..self.clone()
        })
    }
}
