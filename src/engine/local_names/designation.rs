//! What this resolver designates: to clients that ask it without encryption it says where, under which name, they can ask it with encryption
//! (RFC 9462), by SVCB records (RFC 9461). The addresses of that name are told as well, if they are known.
//!
//! A client elsewhere is told nothing of loopback addresses, which are its own ones there.

use super::answer::{CONFIGURED_TTL, LocalAnswer, TYPE_A, TYPE_AAAA, TYPE_ANY};
use crate::config::{Config, EncryptedService};
use crate::wire::{Rcode, SvcbParams, TYPE_SVCB, svcb_rdata};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whose SVCB records designate resolvers (RFC 9462 section 4).
const DESIGNATED: &[u8] = b"\x04_dns\x08resolver\x04arpa\x00";
/// What stands before the name of a resolver whose SVCB records are asked for (RFC 9461 section 3).
const SERVICE: &[u8] = b"\x04_dns";
const WHY: &str = "the name of this resolver has no records of this type";

/// The name of this resolver, and what is told of it.
pub struct Designation {
    /// In wire format, in lower case.
    name: Vec<u8>,
    to_this_host: Told,
    to_others: Told,
}

/// What is told to some clients, as RDATA.
#[derive(Debug, Default)]
struct Told {
    services: Vec<Vec<u8>>,
    a: Vec<Vec<u8>>,
    aaaa: Vec<Vec<u8>>,
}

impl Designation {
    /// As configured; nothing without a name or without an encrypted listener.
    pub fn new(config: &Config) -> Option<Self> {
        let name = config.listener_name()?.wire();
        let services = config.encrypted_services();
        (!services.is_empty()).then(|| Self {
            to_this_host: Told::new(&name, &services, |_| true),
            to_others: Told::new(&name, &services, |ip| !ip.is_loopback()),
            name,
        })
    }

    /// Whether a query may be for the name or its services. Those for the designated name are found as a special-use name.
    #[inline]
    pub fn may_answer(&self, name: &[u8]) -> bool {
        let len = self.name.len();
        name.len() == len || name.len() == len + SERVICE.len()
    }

    /// The answer to a query of class IN from a client at this address.
    pub fn answer(&self, name: &[u8], qtype: u16, client: IpAddr) -> Option<LocalAnswer<'_>> {
        let is_here = client.to_canonical().is_loopback();
        let told = if is_here {
            &self.to_this_host
        } else {
            &self.to_others
        };
        let is_any = qtype == TYPE_ANY;
        let found = if self.is_name(name) {
            // Without an address here, an upstream may know one.
            if told.a.is_empty() && told.aaaa.is_empty() {
                return None;
            }
            [(TYPE_A, &told.a), (TYPE_AAAA, &told.aaaa)]
                .into_iter()
                .find(|(rtype, all)| (is_any || qtype == *rtype) && !all.is_empty())
        } else if name.eq_ignore_ascii_case(DESIGNATED) || self.is_service(name) {
            // Who is designated nothing gets what is told without a designation.
            if told.services.is_empty() {
                return None;
            }
            (is_any || qtype == TYPE_SVCB).then_some((TYPE_SVCB, &told.services))
        } else {
            return None;
        };
        Some(match found {
            Some((rtype, all)) => LocalAnswer::listed(rtype, CONFIGURED_TTL, all),
            None => LocalAnswer::negative(Rcode::NOERROR, 0, CONFIGURED_TTL, WHY),
        })
    }

    /// Whether the name of this resolver lies in this domain, so that the domain exists.
    pub fn is_in(&self, domain: &[u8]) -> bool {
        let mut rest = &self.name[..];
        while let Some((len, behind)) = rest.split_first() {
            if rest.eq_ignore_ascii_case(domain) {
                return true;
            }
            rest = behind.get(usize::from(*len)..).unwrap_or_default();
        }
        false
    }

    fn is_name(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(&self.name)
    }

    fn is_service(&self, name: &[u8]) -> bool {
        let split = name.split_at_checked(SERVICE.len());
        split.is_some_and(|(label, rest)| label.eq_ignore_ascii_case(SERVICE) && self.is_name(rest))
    }
}

impl Told {
    /// To clients that reach the addresses for which `reach` holds.
    fn new(name: &[u8], services: &[EncryptedService], reach: impl Fn(&IpAddr) -> bool) -> Self {
        let mut told = Self::default();
        for (priority, service) in (1..).zip(services) {
            let addresses = service.addresses.iter().filter(|ip| reach(ip));
            let (mut ipv4, mut ipv6): (Vec<Ipv4Addr>, Vec<Ipv6Addr>) = Default::default();
            for ip in addresses {
                match ip {
                    IpAddr::V4(ip) => ipv4.push(*ip),
                    IpAddr::V6(ip) => ipv6.push(*ip),
                }
            }
            if ipv4.is_empty() && ipv6.is_empty() && !service.has_others {
                continue;
            }
            let params = SvcbParams {
                alpn: &[service.protocol.alpn],
                port: Some(service.port),
                ipv4_hints: &ipv4,
                ipv6_hints: &ipv6,
                dohpath: service.protocol.path,
            };
            told.services.push(svcb_rdata(priority, name, &params));
            add(&mut told.a, ipv4.iter().map(|ip| ip.octets().into()));
            add(&mut told.aaaa, ipv6.iter().map(|ip| ip.octets().into()));
        }
        told
    }
}

/// Adds those that are not there.
fn add(all: &mut Vec<Vec<u8>>, new: impl Iterator<Item = Vec<u8>>) {
    for one in new {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigBuilder, Encryption, Hosts, Listen, ServerCertificate};
    use crate::wire::testing::name_octets;
    use crate::wire::{LocalRdata, LocalRecord, Section, Svcb};

    const NAME: &str = "dns.home.example";
    const ELSEWHERE: &str = "192.0.2.9";
    const HERE: &str = "::ffff:127.0.0.1";

    fn designation(listen: &str, change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Designation {
        let listen = listen.split(' ');
        let listen = listen.map(|text| Listen::parse_encrypted(text, Encryption::Tls).unwrap());
        let shown = ServerCertificate::new(Vec::new(), None);
        let config = Config::builder()
            .listen(listen.collect::<Vec<_>>())
            .certificate(shown)
            .listener_name(NAME.parse().unwrap());
        Designation::new(&change(config).build().unwrap()).unwrap()
    }

    /// The records of the answer to a question, or nothing if it is not for this.
    fn asked(ours: &Designation, client: &str, name: &str, qtype: u16) -> Option<String> {
        let answer = ours.answer(&name_octets(name), qtype, client.parse().unwrap())?;
        assert_eq!(answer.rcode, Rcode::NOERROR);
        let shown = answer.records.map(|record: LocalRecord<'_>| {
            assert_eq!((record.owner_at, record.ttl), (0, 60));
            let LocalRdata::Octets(rdata) = record.rdata else {
                assert_eq!((record.section, record.rtype), (Section::Authority, 6));
                return "nothing".to_owned();
            };
            assert_eq!(record.section, Section::Answer);
            match *rdata {
                [a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
                _ if record.rtype == TYPE_AAAA => {
                    Ipv6Addr::from(<[u8; 16]>::try_from(rdata).unwrap()).to_string()
                }
                _ => shown(rdata),
            }
        });
        Some(shown.collect::<Vec<_>>().join(", "))
    }

    /// An SVCB record in the order of its fields.
    fn shown(rdata: &[u8]) -> String {
        let read = Svcb::read(rdata).unwrap();
        assert_eq!(read.target, name_octets(NAME));
        let alpn: Vec<_> = read.alpn().map(String::from_utf8_lossy).collect();
        let v4 = read.ipv4_hints().map(|ip| ip.to_string());
        let hints: Vec<_> = v4
            .chain(read.ipv6_hints().map(|ip| ip.to_string()))
            .collect();
        format!(
            "{} {} {} {}",
            read.priority,
            alpn.join("+"),
            read.port().unwrap(),
            hints.join("+")
        )
    }

    // req 115
    #[test]
    fn the_encrypted_listeners_are_designated() {
        let ours = designation("192.0.2.1 192.0.2.2 2001:db8::1 192.0.2.1:8853", |config| {
            config
        });
        let services = "1 dot 853 192.0.2.1+192.0.2.2+2001:db8::1, 2 dot 8853 192.0.2.1";
        for (name, qtype, expected) in [
            ("_dns.resolver.arpa", 64, services),
            ("_DNS.Resolver.ARPA", 255, services),
            ("_dns.dns.home.example", 64, services),
            ("_dns.DNS.home.example", 64, services),
            ("dns.home.example", 1, "192.0.2.1, 192.0.2.2"),
            ("Dns.Home.Example", 28, "2001:db8::1"),
            ("dns.home.example", 255, "192.0.2.1, 192.0.2.2"),
            // There is nothing of these types.
            ("_dns.resolver.arpa", 1, "nothing"),
            ("_dns.dns.home.example", 28, "nothing"),
            ("dns.home.example", 64, "nothing"),
        ] {
            let found = asked(&ours, ELSEWHERE, name, qtype);
            assert_eq!(found.as_deref(), Some(expected), "{name} {qtype}");
            assert!(ours.may_answer(&name_octets(name)) || name.ends_with(['a', 'A']));
        }
        for other in [
            ".",
            "resolver.arpa",
            "x._dns.resolver.arpa",
            "home.example",
            "x.dns.home.example",
            "_853._dns.dns.home.example",
            "abcd.dns.home.example",
            "dns.home.exemple",
        ] {
            assert_eq!(asked(&ours, ELSEWHERE, other, 64), None, "{other}");
        }
    }

    // req 115, fault 139
    #[test]
    fn a_client_elsewhere_is_told_of_no_loopback_address() {
        let ours = designation("127.0.0.1 192.0.2.1 127.0.0.1:8853 ::1", |config| config);
        let designated = |client| asked(&ours, client, "_dns.resolver.arpa", 64).unwrap();
        let here = "1 dot 853 127.0.0.1+192.0.2.1+::1, 2 dot 8853 127.0.0.1";
        assert_eq!(designated(HERE), here);
        assert_eq!(designated(ELSEWHERE), "1 dot 853 192.0.2.1");
        assert_eq!(asked(&ours, ELSEWHERE, NAME, 1).unwrap(), "192.0.2.1");
        assert_eq!(asked(&ours, ELSEWHERE, NAME, 28).unwrap(), "nothing");
        // Without another listener it is told what it is told without a designation.
        let ours = designation("127.0.0.1", |config| config);
        for name in ["_dns.resolver.arpa", "_dns.dns.home.example", NAME] {
            assert_eq!(asked(&ours, ELSEWHERE, name, 64), None, "{name}");
            assert!(asked(&ours, HERE, name, 64).is_some(), "{name}");
        }
    }

    // req 115
    #[test]
    fn a_listener_on_all_addresses_has_those_of_the_hosts() {
        let all = "0.0.0.0 [fe80::1%2]";
        let ours = designation(all, |config| config);
        let designated = |ours: &Designation| asked(ours, ELSEWHERE, "_dns.resolver.arpa", 64);
        assert_eq!(designated(&ours).as_deref(), Some("1 dot 853 "));
        // An upstream may know its addresses.
        assert_eq!(asked(&ours, ELSEWHERE, NAME, 1), None);
        let ours = designation(all, |config| {
            let mut hosts = Hosts::default();
            hosts
                .read("192.0.2.7 dns.home.example\n2001:db8::7 dns.home.example\n")
                .unwrap();
            config.hosts(hosts)
        });
        assert_eq!(designated(&ours).as_deref(), Some("1 dot 853 192.0.2.7"));
    }

    // req 115
    #[test]
    fn without_a_name_or_an_encrypted_listener_nothing_is_designated() {
        let name = || NAME.parse().unwrap();
        let plain = Config::builder().listener_name(name()).build().unwrap();
        assert!(Designation::new(&plain).is_none());
        let shown = ServerCertificate::new(Vec::new(), None);
        let unnamed = Config::builder()
            .listen([Listen::parse_encrypted("192.0.2.1", Encryption::Tls).unwrap()])
            .certificate(shown)
            .build();
        assert!(Designation::new(&unnamed.unwrap()).is_none());
        let long = format!("{0}.{0}.{0}.{0}", "a".repeat(62)).parse().unwrap();
        let refused = Config::builder().listener_name(long).build().unwrap_err();
        assert_eq!(refused.setting, "listener_name");
        let root = Config::builder().listener_name(".".parse().unwrap());
        assert_eq!(root.build().unwrap_err().setting, "listener_name");
    }

    // req 115
    #[test]
    fn domains_above_the_name_exist() {
        let ours = designation("192.0.2.1", |config| config);
        for (domain, is_above) in [
            (NAME, true),
            ("Home.example", true),
            ("example", true),
            ("x.home.example", false),
            ("ome.example", false),
        ] {
            assert_eq!(ours.is_in(&name_octets(domain)), is_above, "{domain}");
        }
    }
}
