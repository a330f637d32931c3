//! Routes: domains whose queries take another way than the rest.

use super::text::domain_name;
use super::{ConfigError, Policy, Upstream};
use std::fmt;
use std::str::FromStr;

/// A domain: a name and all names below it, in lower case. The root is every name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// The name in lower case, without a final dot; empty for the root.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name as it stands on the wire: each label behind its length, and the root.
    pub(crate) fn wire(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.0.len() + 2);
        for label in self.0.split('.').filter(|label| !label.is_empty()) {
            octets.push(label.len() as u8);
            octets.extend_from_slice(label.as_bytes());
        }
        octets.push(0);
        octets
    }

    /// Its labels, the topmost first.
    pub fn labels_from_top(&self) -> impl Iterator<Item = &str> {
        self.0.rsplit('.').filter(|label| !label.is_empty())
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

impl FromStr for Domain {
    type Err = ConfigError;

    /// Reads a domain name in presentation form, with or without the final dot; `.` is the root. Labels consist of letters, digits, hyphens
    /// and underscores.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let error = |reason: String| ConfigError::new("domain", text, reason);
        if text.is_empty() {
            return Err(error("is empty; the root is written \".\"".to_owned()));
        }
        if text == "." {
            return Ok(Self(String::new()));
        }
        domain_name(text).map(Self).map_err(error)
    }
}

/// What is done with the queries of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// They are forwarded to these upstreams, never to others.
    Upstreams {
        /// At least one.
        upstreams: Vec<Upstream>,
        /// Which of them is asked.
        policy: Policy,
    },
    /// They are answered with REFUSED.
    Refuse,
    /// They are answered with NXDOMAIN: no name of the domain exists (RFC 8020).
    NxDomain,
    /// They are answered here: from the configured hosts, or that there is nothing of the kind; they never leave.
    Local,
}

/// A route: what is done with the queries for names of some domains, of whatever class. Of several routes that fit a name, the one with the
/// longest domain counts, before the special-use names that are answered here otherwise
/// ([`LocalNames`](super::LocalNames)); a reverse zone is a domain like any other. The DS record of a domain belongs to the domain above
/// (RFC 4035 section 3.1.4.1), so that a query for it goes the way of that one, as in unbound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    domains: Vec<Domain>,
    target: Target,
}

impl Route {
    /// A route of these domains, of which there is at least one.
    pub fn new(domains: Vec<Domain>, target: Target) -> Self {
        Self { domains, target }
    }

    /// The domains whose queries take it.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// What is done with them.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The upstreams that they are forwarded to, if they are.
    pub fn upstreams(&self) -> &[Upstream] {
        match &self.target {
            Target::Upstreams { upstreams, .. } => upstreams,
            Target::Refuse | Target::NxDomain | Target::Local => &[],
        }
    }
}
