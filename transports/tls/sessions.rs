//! What is remembered of earlier connections to a server: its session tickets, and the group that it chose.

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use std::sync::Arc;

/// A new store of the sessions of so many servers at most; rustls stores up to eight tickets of each (RFC 8446 appendix C.4: one use per
/// ticket).
pub(super) fn resumption(servers: usize) -> Resumption {
    Resumption::store(Arc::new(Sessions(ClientSessionMemoryCache::new(servers))))
}

/// The store of rustls, but for the group X25519.
///
/// rustls sends a share of the group alone that the server chose last. Of a server that chose X25519 it would send that one until the program
/// ends, and so not use X25519MLKEM768 when the server has it one day, or when another machine at the same address has it. The share of
/// X25519 is sent beside that of X25519MLKEM768, so forgetting it costs no round trip. What else a server chose is remembered, for it would.
#[derive(Debug)]
struct Sessions(ClientSessionMemoryCache);

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        let chosen = self.0.kx_hint(server);
        chosen.filter(|group| *group != NamedGroup::X25519)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server)
    }
}
