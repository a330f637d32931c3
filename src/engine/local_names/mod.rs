//! Names that are answered here and leave for nobody: the hosts of the configuration, those of special use, the reverse zones of private
//! addresses, what this resolver designates, those by which it shows that it answers, and what is asked about the server itself.

mod answer;
mod designation;
mod hosts;
mod identity;
pub mod proof;
mod reverse;
mod special_use;

pub use answer::{CONFIGURED_TTL, LocalAnswer};

use self::designation::Designation;
use self::proof::Forwarding;
use crate::config::{Config, Hosts};
use crate::wire::{Labels, QuestionAt, Rcode};
use std::net::IpAddr;

const CLASS_IN: u16 = 1;
const CLASS_CH: u16 = 3;

/// What the configuration says of them.
pub struct LocalNames {
    /// None if there are no hosts, so that a query then costs one comparison.
    hosts: Option<Hosts>,
    designation: Option<Designation>,
    forwarding: Forwarding,
    forwards_special: bool,
    shows_version: bool,
}

impl LocalNames {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        let (hosts, policy) = (config.hosts(), config.local_names());
        Self {
            hosts: (!hosts.is_empty()).then(|| hosts.clone()),
            designation: Designation::new(config),
            forwarding: Forwarding::of(config),
            forwards_special: policy.forward_special,
            shows_version: policy.show_version,
        }
    }

    /// Whether a query may be for a name that is answered here. This is all that most queries cost.
    #[inline]
    pub fn may_answer(&self, message: &[u8], at: &QuestionAt) -> bool {
        let name = at.name(message);
        let may_be_ours = |ours: &Designation| ours.may_answer(name);
        self.hosts.is_some()
            || at.qclass == CLASS_CH
            || special_use::is_candidate(name)
            || self.designation.as_ref().is_some_and(may_be_ours)
    }

    /// The answer from the configured hosts, if the name is one of them, or the reverse name of an address of theirs.
    pub fn host(&self, message: &[u8], at: &QuestionAt) -> Option<LocalAnswer<'_>> {
        let hosts = self.hosts.as_ref()?;
        if at.qclass != CLASS_IN {
            return None;
        }
        hosts::answer(hosts, at.name(message), at.qtype)
    }

    /// The answer to a query about the resolvers that this one designates, from a client at this address. It takes precedence over routes,
    /// and over [`Config::local_names`], as hosts do: it is configured, too.
    pub fn designated(
        &self,
        message: &[u8],
        at: &QuestionAt,
        client: IpAddr,
    ) -> Option<LocalAnswer<'_>> {
        let designation = self.designation.as_ref()?;
        if at.qclass != CLASS_IN {
            return None;
        }
        designation.answer(at.name(message), at.qtype, client)
    }

    /// The answer to a query for a name by which this program shows that it answers. It takes precedence over routes and over
    /// [`Config::local_names`], so that what it shows is seen with any configuration.
    pub fn proof(&self, message: &[u8], at: &QuestionAt) -> Option<LocalAnswer<'static>> {
        if at.qclass != CLASS_IN {
            return None;
        }
        proof::answer(at.name(message), at.qtype, self.forwarding)
    }

    /// The answer to a query for a special-use name, or about this server.
    pub fn special(&self, message: &[u8], at: &QuestionAt) -> Option<LocalAnswer<'static>> {
        let name = at.name(message);
        match at.qclass {
            CLASS_IN if !self.forwards_special && special_use::is_candidate(name) => {
                let mut answer = special_use::answer(name, at.qtype)?;
                if answer.rcode == Rcode::NXDOMAIN {
                    answer.rcode = self.negative_rcode(name);
                }
                Some(answer)
            }
            _ => self.identity(message, at),
        }
    }

    /// The answer to a query about this server, which no route makes one about a domain.
    pub fn identity(&self, message: &[u8], at: &QuestionAt) -> Option<LocalAnswer<'static>> {
        if at.qclass != CLASS_CH {
            return None;
        }
        identity::answer(self.shows_version, at.name(message), at.qtype)
    }

    /// NXDOMAIN for a name that does not exist here, unless a host or this resolver's name lies below it: for that would not exist either (RFC 8020).
    pub fn negative_rcode(&self, name: &[u8]) -> Rcode {
        let has_hosts = |hosts: &Hosts| {
            let addresses = || reverse::addresses(&Labels::of(name));
            hosts.has_domain(name) || addresses().is_some_and(|range| hosts.any_address_in(range))
        };
        let is_above_ours = |ours: &Designation| ours.is_in(name);
        if self.designation.as_ref().is_some_and(is_above_ours) {
            return Rcode::NOERROR;
        }
        match &self.hosts {
            Some(hosts) if has_hosts(hosts) => Rcode::NOERROR,
            _ => Rcode::NXDOMAIN,
        }
    }
}
