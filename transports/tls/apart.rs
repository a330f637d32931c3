//! Connections that nobody can link with others by their TLS sessions or by their names at the proxy.

use super::{Clients, Tls};
use rustls::client::Resumption;
use std::sync::Arc;

/// Upstreams whose session tickets are stored.
const MAX_SESSIONS: usize = 1;

impl<R: Clone> Tls<R> {
    /// The same, with sessions of its own and this username at the proxy.
    pub(in crate::transports) fn apart(&self, username: &str) -> Self {
        let clients = &self.clients;
        let mut tls = clients.without_alpn.as_ref().clone();
        tls.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
        let (refusing, observed) = (clients.refusing.clone(), clients.observed.clone());
        Self {
            clients: Arc::new(Clients::new(tls, refusing, observed)),
            username: Some(username.into()),
            ..self.clone()
        }
    }
}
