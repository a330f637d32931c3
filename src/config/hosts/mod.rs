//! Names and addresses of the user's own.

mod file;
mod table;

pub(crate) use table::Addresses;

use super::{ConfigError, Domain};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use table::{Full, Table};

/// Names with their addresses, as in hosts(5). Clones share the memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hosts(Arc<Table>);

impl Hosts {
    /// The most names, those included in which others lie, such as `example` for `www.example`. Published lists of hosts have 100,000 to
    /// 200,000. So many take about 20 MB.
    pub const MAX_NAMES: usize = 250_000;

    /// The most addresses of one name: all of them fit into a response over TCP, which holds 65,535 octets.
    pub const MAX_ADDRESSES: usize = 1_000;

    /// Adds an address of a name. What is there already is not added twice.
    pub fn insert(&mut self, name: &Domain, address: IpAddr) -> Result<(), ConfigError> {
        let error = |reason: String| ConfigError::new("hosts", name, reason);
        if name.name().is_empty() {
            return Err(error("the root is no host".to_owned()));
        }
        let table = Arc::make_mut(&mut self.0);
        table.insert(&name.wire(), address).map_err(|full| {
            error(match full {
                Full::Names => format!(
                    "is one name too many: there can be {}, with the domains that they lie in",
                    Self::MAX_NAMES
                ),
                Full::Addresses => {
                    format!("has more than {} addresses", Self::MAX_ADDRESSES)
                }
            })
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.0.hosts()
    }

    /// All names with their addresses, both in the order in which they were inserted.
    pub fn iter(&self) -> impl Iterator<Item = (String, impl Iterator<Item = IpAddr>)> {
        let all = self.0.iter();
        all.map(|(name, addresses)| (text(name), addresses))
    }

    /// The addresses of the name that has these octets on the wire, in any letter case; nothing if it has none.
    pub(crate) fn addresses(&self, name: &[u8]) -> Option<Addresses<'_>> {
        self.0.addresses(name)
    }

    /// Whether the name that has these octets on the wire is a host, or hosts lie in it.
    pub(crate) fn has_domain(&self, name: &[u8]) -> bool {
        self.0.contains(name)
    }

    /// The first name that this address was inserted for, as its octets on the wire.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<&[u8]> {
        self.0.name_of(address)
    }

    /// Whether a host has an address in this range.
    pub(crate) fn any_address_in(&self, range: RangeInclusive<IpAddr>) -> bool {
        self.0.any_address_in(range)
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There may be too many to list them in a log.
        write!(f, "Hosts({} names)", self.len())
    }
}

/// The reverse of [`Domain::wire`].
fn text(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((label, behind)) = rest
        .split_first()
        .and_then(|(len, behind)| behind.split_at_checked(usize::from(*len)))
        .filter(|(label, _)| !label.is_empty())
    {
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().copied().map(char::from));
        rest = behind;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn hosts(pairs: &[(&str, &str)]) -> Hosts {
        let mut hosts = Hosts::default();
        for (name, address) in pairs {
            hosts.insert(&name.parse().unwrap(), ip(address)).unwrap();
        }
        hosts
    }

    #[test]
    fn names_keep_their_addresses_in_order_and_each_once() {
        let hosts = hosts(&[
            ("NAS.Home.Arpa", "192.168.0.2"),
            ("printer", "192.168.0.3"),
            ("nas.home.arpa.", "fd00::2"),
            ("nas.home.arpa", "192.168.0.2"),
        ]);
        let all: Vec<_> = hosts
            .iter()
            .map(|(name, addresses)| (name, addresses.collect::<Vec<_>>()))
            .collect();
        let expected = [
            (
                "nas.home.arpa".to_owned(),
                vec![ip("192.168.0.2"), ip("fd00::2")],
            ),
            ("printer".to_owned(), vec![ip("192.168.0.3")]),
        ];
        assert_eq!(all, expected);
        assert_eq!((hosts.len(), hosts.is_empty()), (2, false));
        assert_eq!(format!("{hosts:?}"), "Hosts(2 names)");
        assert!(Hosts::default().is_empty());
    }

    #[test]
    fn the_root_is_no_host() {
        let error = Hosts::default().insert(&".".parse().unwrap(), ip("192.0.2.1"));
        assert!(error.unwrap_err().reason.contains("root"));
    }

    #[test]
    fn a_name_has_so_many_addresses_at_most() {
        let mut hosts = Hosts::default();
        let name = "many.test".parse().unwrap();
        let address = |n: usize| IpAddr::from(std::net::Ipv4Addr::from_bits(n as u32));
        for n in 0..Hosts::MAX_ADDRESSES {
            hosts.insert(&name, address(n)).unwrap();
        }
        assert!(hosts.insert(&name, address(0)).is_ok(), "it is there");
        let error = hosts.insert(&name, address(Hosts::MAX_ADDRESSES));
        assert_eq!(
            error.unwrap_err().to_string(),
            r#"hosts "many.test": has more than 1000 addresses"#
        );
    }

    #[test]
    fn there_are_so_many_names_at_most_and_domains_that_hosts_lie_in_count() {
        let mut hosts = Hosts::default();
        let mut insert = |n: usize| hosts.insert(&format!("n{n}.test").parse().unwrap(), ip("::"));
        for n in 1..Hosts::MAX_NAMES {
            insert(n).unwrap();
        }
        assert!(insert(1).is_ok(), "it is there");
        let error = insert(0).unwrap_err();
        let reason = "is one name too many: there can be 250000, with the domains that they lie in";
        assert_eq!(error.to_string(), format!("hosts \"n0.test\": {reason}"));
        assert_eq!(hosts.len(), Hosts::MAX_NAMES - 1);
    }
}
