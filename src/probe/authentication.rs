//! By what a server was authenticated, after a handshake that succeeded.

use crate::config::{Profile, Upstream};
use crate::transports::tls::inspect::Certificate;

/// What the verifier of an upstream demands of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// There is no TLS.
    Plaintext,
    /// Nothing (`profile=opportunistic`, RFC 8310 section 5).
    Nothing,
    /// A pinned public key alone (RFC 7858 section 4.2).
    Key,
    /// A trusted certificate for this name or address.
    Name(String),
    /// Both.
    NameAndKey(String),
}

impl Authentication {
    /// That of this upstream.
    pub fn of(upstream: &Upstream) -> Self {
        let Some(name) = upstream.server_name() else {
            return Self::Plaintext;
        };
        match upstream.profile() {
            Profile::Opportunistic => Self::Nothing,
            Profile::Strict if !upstream.needs_name() => Self::Key,
            Profile::Strict if upstream.pins().is_empty() => Self::Name(name.to_owned()),
            Profile::Strict => Self::NameAndKey(name.to_owned()),
        }
    }

    /// Whether a handshake that succeeded has authenticated the server. `None`: there is none.
    pub fn succeeded(&self) -> Option<bool> {
        match self {
            Self::Plaintext => None,
            Self::Nothing => Some(false),
            Self::Key | Self::Name(_) | Self::NameAndKey(_) => Some(true),
        }
    }

    /// Which name of a certificate is the one that was verified.
    pub fn matched(&self, certificate: &Certificate) -> Option<String> {
        match self {
            Self::Name(name) | Self::NameAndKey(name) => certificate.name_for(name),
            Self::Plaintext | Self::Nothing | Self::Key => None,
        }
    }

    /// What people are told of a server after a handshake in which it showed this certificate.
    pub fn told(&self, certificate: Option<&Certificate>) -> String {
        let (name, by_key) = match self {
            Self::Plaintext => return "not encrypted, authenticated by nothing".to_owned(),
            Self::Nothing => return "not authenticated (profile=opportunistic)".to_owned(),
            Self::Key => return "verified by its public key".to_owned(),
            Self::Name(name) => (name, ""),
            Self::NameAndKey(name) => (name, " and by a public key"),
        };
        let matched = certificate.and_then(|it| self.matched(it));
        match matched.filter(|matched| !matched.eq_ignore_ascii_case(name)) {
            Some(matched) => format!("authenticated as {name} by {matched}{by_key}"),
            None => format!("authenticated as {name}{by_key}"),
        }
    }
}
