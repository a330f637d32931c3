//! Discovery of designated resolvers (DDR, RFC 9462): where a resolver that is known by its address alone is to be reached with encryption, and by
//! which protocols. Pure.
//!
//! The resolver is asked without encryption, so that anybody on the path can forge what it says. That causes no more than delay: a
//! connection is used only if the certificate is valid for the address of the resolver that was asked (RFC 9462 section 4.2), whatever
//! address and name the records lead to. Nothing of what they say reaches the TLS handshake either: the server name is that address, which
//! is not sent (RFC 9462 section 6.3), so that a port of the records' choice gets no octets of theirs (RFC 9461 section 4.2).

use super::messages::{Queries, Question, address, is_of_one_server, to_wire};
use super::step::{Place, Step, found};
use crate::config::{DNS_PORT, Protocol, path_of_template};
use crate::wire::{Section, Svcb, TYPE_SVCB, display, uncompressed};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::net::{IpAddr, SocketAddr};

/// The name whose SVCB records designate resolvers (RFC 9462 section 4).
const NAME: &str = "_dns.resolver.arpa";
/// No resolver is below this name (RFC 9462 section 4).
const RESERVED: &str = "resolver.arpa";
/// Aliases that are followed in a row. Each costs a query; RFC 9460 section 3 wants a limit and names none.
const MAX_ALIASES: u8 = 3;
/// The most designated resolvers that are used, those of the lowest priority.
const MAX_ENDPOINTS: usize = 8;
/// The most protocols that are tried at one address, those of the lowest priority.
const MAX_PROTOCOLS: usize = 6;
/// The most names whose addresses are asked for.
const MAX_TARGETS: usize = 4;

/// What one resolver designates.
pub struct Designation {
    resolver: SocketAddr,
    /// Those that this program speaks, in the order of trying where the records do not say which comes first.
    protocols: Vec<Protocol>,
    aliases: u8,
    /// In their order of preference; empty until they are known.
    endpoints: Vec<Endpoint>,
    ttl: u32,
}

/// A designated resolver: a record in `ServiceMode` that can be used.
struct Endpoint {
    priority: u16,
    /// In wire format, in lower case.
    target: Vec<u8>,
    /// Never empty.
    protocols: Vec<Protocol>,
    addresses: Vec<IpAddr>,
}

impl Designation {
    /// By the resolver at this address, for these protocols on their usual ports.
    pub fn of(resolver: SocketAddr, protocols: Vec<Protocol>) -> Self {
        Self {
            resolver,
            protocols,
            aliases: 0,
            endpoints: Vec::new(),
            ttl: u32::MAX,
        }
    }

    /// What is asked first.
    pub fn first(&mut self) -> Vec<Question> {
        *self = Self::of(self.resolver, std::mem::take(&mut self.protocols));
        vec![svcb_of(to_wire(NAME))]
    }

    /// What it means that the resolver has answered and that nothing comes of it.
    pub fn nothing(&self) -> String {
        let Some(Endpoint { target, .. }) = self.endpoints.first() else {
            let mut names: Vec<&str> = self.protocols.iter().map(name_of).collect();
            // What every build has comes first.
            names.sort_by_key(|name| *name != "TLS");
            let names = names.join(" or ");
            return format!(
                "{} designates no resolver for DNS over {names}",
                self.resolver()
            );
        };
        format!("no address for {}", display(target))
    }

    /// What follows from the response to the last question, or those for the addresses of targets.
    pub fn step(&mut self, answers: &Queries, random: &mut ChaCha8Rng) -> Step {
        if self.endpoints.is_empty() {
            return self.read(answers, random);
        }
        for (name, ip, ttl) in answers.addresses() {
            let mut of_name = self.endpoints.iter_mut();
            let of_name = of_name.by_ref().filter(|endpoint| endpoint.target == name);
            of_name.for_each(|endpoint| endpoint.addresses.push(ip));
            self.ttl = self.ttl.min(ttl);
        }
        self.found()
    }

    /// Reads the SVCB records of a response. One that is malformed makes all unusable (RFC 9460 section 2.2).
    fn read(&mut self, answers: &Queries, random: &mut ChaCha8Rng) -> Step {
        let mut records = Vec::new();
        for (_, message, record) in answers.records() {
            if record.section != Section::Answer || record.rtype != TYPE_SVCB {
                continue;
            }
            match Svcb::read(message.get(record.rdata).unwrap_or_default()) {
                Ok(svcb) => records.push(svcb),
                Err(why) => {
                    let resolver = self.resolver();
                    let why = format!("what {resolver} designates is malformed: {why}");
                    return Step::Nothing(Some(why));
                }
            }
            self.ttl = self.ttl.min(record.ttl);
        }
        // Beside an alias no other record counts (RFC 9460 section 2.4.1).
        if let Some(alias) = records.iter().find(|record| record.is_alias()) {
            return self.follow(alias);
        }
        let usable = records.iter();
        let usable = usable.filter_map(|record| Endpoint::of(record, &self.protocols));
        // In random order where the priority is the same (RFC 9460 section 2.4.1).
        let mut usable: Vec<_> = usable.map(|one| (random.next_u32(), one)).collect();
        usable.sort_by_key(|(number, endpoint)| (endpoint.priority, *number));
        usable.truncate(MAX_ENDPOINTS);
        self.endpoints = usable.into_iter().map(|(_, endpoint)| endpoint).collect();
        self.take_additional_addresses(answers);
        let lacking = self.endpoints.iter().filter(|one| one.addresses.is_empty());
        let mut targets: Vec<&[u8]> = Vec::new();
        for Endpoint { target, .. } in lacking {
            if !targets.contains(&&target[..]) && targets.len() < MAX_TARGETS {
                targets.push(target);
            }
        }
        if targets.is_empty() {
            return self.found();
        }
        Step::Ask(
            targets
                .into_iter()
                .flat_map(Question::addresses_of)
                .collect(),
        )
    }

    fn follow(&mut self, alias: &Svcb<'_>) -> Step {
        self.aliases += 1;
        // The root as target says that there is no such service (RFC 9460 section 2.5.1).
        if alias.target == [0] || self.aliases > MAX_ALIASES {
            return Step::Nothing(None);
        }
        Step::Ask(vec![svcb_of(alias.target.to_ascii_lowercase())])
    }

    /// Addresses in the additional section come before hints (RFC 9460 section 7.3).
    fn take_additional_addresses(&mut self, answers: &Queries) {
        for endpoint in &mut self.endpoints {
            let mut known = Vec::new();
            for (_, message, record) in answers.records() {
                if record.section == Section::Additional
                    && let Some(ip) = address(message, &record)
                    && uncompressed(message, record.start).as_ref() == Some(&endpoint.target)
                {
                    known.push(ip);
                    self.ttl = self.ttl.min(record.ttl);
                }
            }
            if !known.is_empty() {
                endpoint.addresses = known;
            }
        }
    }

    /// The addresses by priority. What several records say of one address is put together.
    fn found(&self) -> Step {
        let mut places: Vec<(IpAddr, Vec<(u16, Protocol)>)> = Vec::new();
        for endpoint in &self.endpoints {
            for ip in &endpoint.addresses {
                for protocol in &endpoint.protocols {
                    add(&mut places, ip.to_canonical(), endpoint.priority, protocol);
                }
            }
        }
        let rank = |protocol: &Protocol| {
            let same = |one: &Protocol| one.scheme() == protocol.scheme();
            self.protocols.iter().position(same)
        };
        let mut all: Vec<Place> = Vec::new();
        for (ip, mut protocols) in places {
            protocols.sort_by_key(|(priority, protocol)| (*priority, rank(protocol)));
            protocols.truncate(MAX_PROTOCOLS);
            let protocols: Vec<Protocol> = protocols.into_iter().map(|(_, one)| one).collect();
            let Some(first) = protocols.first() else {
                continue;
            };
            let addr = SocketAddr::new(ip, first.port());
            if all.iter().all(|place| place.addr != addr) {
                all.push(Place { addr, protocols });
            }
        }
        found(all, self.ttl)
    }

    /// The resolver for people: its port is no news if it is the usual one.
    fn resolver(&self) -> String {
        match self.resolver.port() {
            DNS_PORT => self.resolver.ip().to_string(),
            _ => self.resolver.to_string(),
        }
    }
}

impl Endpoint {
    /// The designated resolver of this record, with its hints. `None` if it cannot be used: it has none of these protocols, wants what is not
    /// understood here, or says what it must not.
    fn of(record: &Svcb<'_>, usual: &[Protocol]) -> Option<Self> {
        let target = record.target.to_ascii_lowercase();
        let spoken = usual.iter().filter_map(|usual| spoken(record, usual));
        let protocols: Vec<Protocol> = spoken.collect();
        // RFC 9462 section 4: neither the root nor what is below the special-use name.
        let is_reserved = target == [0] || is_within_reserved(&target);
        if !record.is_understood() || is_reserved || protocols.is_empty() {
            return None;
        }
        let hints = record.ipv4_hints().map(IpAddr::from);
        let hints = hints.chain(record.ipv6_hints().map(IpAddr::from));
        Some(Self {
            priority: record.priority,
            target,
            protocols,
            addresses: hints.filter(is_of_one_server).collect(),
        })
    }
}

/// This protocol as a record has it; `None` if the record is not for it.
fn spoken(record: &Svcb<'_>, usual: &Protocol) -> Option<Protocol> {
    let is_http = usual.path().is_some();
    let alpn: &[u8] = match usual.scheme() {
        "quic" => b"doq",
        _ if is_http => b"h2",
        _ => b"dot",
    };
    let port = record.port().unwrap_or(usual.port());
    // RFC 7858 section 3.1: no TLS on port 53.
    if [0, DNS_PORT].contains(&port) || !record.alpn().any(|protocol| protocol == alpn) {
        return None;
    }
    let one = usual.clone().on_port(port);
    if is_http {
        // RFC 9461 section 5: without it nothing is known of the URI.
        return Some(one.with_path(Some(path_of_template(record.dohpath()?)?)));
    }
    Some(one)
}

/// A protocol at an address. Another port of the same protocol is another way to go, as if it were another address.
fn add(
    places: &mut Vec<(IpAddr, Vec<(u16, Protocol)>)>,
    ip: IpAddr,
    priority: u16,
    protocol: &Protocol,
) {
    let is_known = |(_, known): &(u16, Protocol)| known == protocol;
    let is_spoken = |(_, known): &(u16, Protocol)| known.scheme() == protocol.scheme();
    let there = || places.iter().filter(|(at, _)| *at == ip);
    if there().any(|(_, known)| known.iter().any(is_known)) {
        return;
    }
    let mut of_ip = places.iter_mut().filter(|(at, _)| *at == ip);
    let one = (priority, protocol.clone());
    match of_ip.find(|(_, known)| !known.iter().any(is_spoken)) {
        Some((_, known)) => known.push(one),
        None => places.push((ip, vec![one])),
    }
}

/// A protocol for people.
fn name_of(protocol: &Protocol) -> &'static str {
    match protocol.scheme() {
        "quic" => "QUIC",
        "https" => "HTTPS",
        _ => "TLS",
    }
}

/// Whether a name in wire format, in lower case, is the reserved one or below it.
fn is_within_reserved(name: &[u8]) -> bool {
    let reserved = to_wire(RESERVED);
    let mut rest = name;
    while let Some((len, behind)) = rest.split_first() {
        if rest == reserved {
            return true;
        }
        rest = behind.get(usize::from(*len)..).unwrap_or_default();
    }
    false
}

fn svcb_of(name: Vec<u8>) -> Question {
    let qtype = TYPE_SVCB;
    Question { name, qtype }
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::{answer, asked};
    use super::super::messages::{A, AAAA};
    use super::super::step::{Found, MAX_ADDRESSES};
    use super::*;
    use crate::wire::testing::{Message, name_octets, svcb};
    use rand_chacha::rand_core::SeedableRng;
    use std::time::Duration;

    const MANDATORY: u16 = 0;
    const ALPN: u16 = 1;
    const PORT: u16 = 3;
    const IPV4HINT: u16 = 4;
    const IPV6HINT: u16 = 6;
    const DOT: (u16, &[u8]) = (ALPN, b"\x03dot");
    const HINT: (u16, &[u8]) = (IPV4HINT, &[192, 0, 2, 8]);

    /// A resolver's designation, and the generator that it takes.
    struct Asked(Designation, ChaCha8Rng);

    impl Asked {
        fn new(seed: u64) -> Self {
            Self::by(&["tls"], seed)
        }

        /// In a program with these protocols.
        fn by(schemes: &[&str], seed: u64) -> Self {
            let resolver = "192.0.2.1:53".parse().unwrap();
            let usual = crate::config::SCHEMES.iter();
            let usual = usual.filter(|scheme| schemes.contains(&scheme.name));
            let mut protocols: Vec<Protocol> = usual.map(Protocol::usual).collect();
            protocols.sort_by_key(|one| schemes.iter().position(|name| *name == one.scheme()));
            let designation = Designation::of(resolver, protocols);
            Self(designation, ChaCha8Rng::seed_from_u64(seed))
        }

        /// What follows from these responses to these questions.
        fn then(
            &mut self,
            questions: Vec<Question>,
            reply: impl Fn(&[u8], Message) -> Message,
        ) -> Step {
            let mut queries = asked(questions);
            answer(&mut queries, reply);
            self.0.step(&queries, &mut self.1)
        }

        /// What follows from this response to the first question.
        fn first(&mut self, reply: impl Fn(Message) -> Message) -> Step {
            let first = self.0.first();
            assert_eq!(first, [svcb_of(name_octets("_dns.resolver.arpa"))]);
            self.then(first, |_, plain| reply(plain))
        }
    }

    /// What follows from these records, with a TTL of 300 s.
    fn step(records: &[Vec<u8>]) -> Step {
        let with = |plain: Message, rdata: &Vec<u8>| plain.answer(TYPE_SVCB, 300, rdata);
        Asked::new(7).first(|plain| records.iter().fold(plain, with))
    }

    fn at(addresses: &[&str], seconds: u64) -> Step {
        let addresses = addresses
            .iter()
            .map(|addr| addr.parse::<SocketAddr>().unwrap());
        let places = addresses.map(|addr| Place {
            addr,
            protocols: vec![Protocol::tls().on_port(addr.port())],
        });
        Step::Found(Found {
            places: places.collect(),
            lifetime: Duration::from_secs(seconds),
        })
    }

    fn additional(plain: Message, owner: &str, rtype: u16, ttl: u32, rdata: &[u8]) -> Message {
        plain.record(
            Section::Additional,
            &name_octets(owner),
            rtype,
            (1, ttl),
            rdata,
        )
    }

    #[test]
    fn records_for_tls_lead_to_their_addresses_by_priority() {
        let v6 = 1_u128.to_be_bytes();
        let records = [
            svcb(3, "c.test", &[DOT, (IPV4HINT, &[192, 0, 2, 3])]),
            svcb(
                1,
                "a.test",
                &[(ALPN, b"\x02h2"), (IPV4HINT, &[192, 0, 2, 9])],
            ),
            svcb(
                2,
                "b.test",
                &[
                    (ALPN, b"\x02h2\x03dot"),
                    (PORT, &[0x22, 0x95]),
                    (IPV4HINT, &[192, 0, 2, 2, 192, 0, 2, 2]),
                    (IPV6HINT, &v6),
                ],
            ),
        ];
        let expected = ["192.0.2.2:8853", "[::1]:8853", "192.0.2.3:853"];
        assert_eq!(step(&records), at(&expected, 300));
    }

    #[test]
    fn records_of_one_priority_come_in_random_order() {
        let records = [2, 3].map(|last| svcb(1, "a.test", &[DOT, (IPV4HINT, &[192, 0, 2, last])]));
        let orders: Vec<Step> = (0..20)
            .map(|seed| {
                let with = |plain: Message, rdata: &Vec<u8>| plain.answer(TYPE_SVCB, 300, rdata);
                Asked::new(seed).first(|plain| records.iter().fold(plain, with))
            })
            .collect();
        for expected in [
            ["192.0.2.2:853", "192.0.2.3:853"],
            ["192.0.2.3:853", "192.0.2.2:853"],
        ] {
            assert!(orders.contains(&at(&expected, 300)), "{expected:?}");
        }
    }

    #[test]
    fn additional_addresses_come_before_hints() {
        let record = svcb(1, "Dot.Test", &[DOT, HINT]);
        let step = Asked::new(7).first(|plain| {
            let plain = plain.answer(TYPE_SVCB, 7_200, &record);
            let plain = additional(plain, "dot.test", A, 600, &[192, 0, 2, 5]);
            let plain = additional(plain, "other.test", A, 1, &[192, 0, 2, 6]);
            additional(plain, "DOT.test", AAAA, 900, &1_u128.to_be_bytes())
        });
        assert_eq!(step, at(&["192.0.2.5:853", "[::1]:853"], 600));
    }

    #[test]
    fn the_same_resolver_is_asked_for_addresses_that_it_did_not_give() {
        let mut asked = Asked::new(7);
        let (bare, hinted) = (svcb(1, "Dot.test", &[DOT]), svcb(2, "b.test", &[DOT, HINT]));
        let step = asked.first(|plain| {
            plain
                .answer(TYPE_SVCB, 900, &bare)
                .answer(TYPE_SVCB, 900, &hinted)
        });
        let questions = Question::addresses_of(&name_octets("dot.test"));
        assert_eq!(step, Step::Ask(questions.to_vec()));
        let found = asked.then(questions.to_vec(), |_, plain| plain.a(120, [192, 0, 2, 4]));
        assert_eq!(found, at(&["192.0.2.4:853", "192.0.2.8:853"], 120));

        // Without an answer about one there is the other, and without both nothing.
        asked.first(|plain| {
            plain
                .answer(TYPE_SVCB, 900, &bare)
                .answer(TYPE_SVCB, 900, &hinted)
        });
        let found = asked.then(questions.to_vec(), |_, plain| plain.rcode(3));
        assert_eq!(found, at(&["192.0.2.8:853"], 900));
        asked.first(|plain| plain.answer(TYPE_SVCB, 900, &bare));
        let nothing = asked.then(questions.to_vec(), |_, plain| plain);
        assert_eq!(nothing, Step::Nothing(None));
        assert_eq!(asked.0.nothing(), "no address for dot.test.");
    }

    // req 89: RFC 9460 section 8, RFC 9462 section 4.
    #[test]
    fn records_that_cannot_be_used_are_skipped() {
        let unknown = [(MANDATORY, &[0xFF, 0][..]), DOT, HINT, (0xFF00, &[])];
        let unusable = [
            ("mandatory", svcb(1, "a.test", &unknown)),
            (
                "another protocol",
                svcb(1, "a.test", &[(ALPN, b"\x03doq"), HINT]),
            ),
            ("no protocol", svcb(1, "a.test", &[HINT])),
            ("the root", svcb(1, ".", &[DOT, HINT])),
            ("reserved", svcb(1, "Resolver.ARPA", &[DOT, HINT])),
            ("below that", svcb(1, "_dns.resolver.arpa", &[DOT, HINT])),
            ("port 53", svcb(1, "a.test", &[DOT, (PORT, &[0, 53]), HINT])),
            ("port 0", svcb(1, "a.test", &[DOT, (PORT, &[0, 0]), HINT])),
        ];
        for (what, record) in unusable {
            assert_eq!(
                step(std::slice::from_ref(&record)),
                Step::Nothing(None),
                "{what}"
            );
            let good = svcb(2, "myresolver.arpa", &[DOT, HINT]);
            assert_eq!(step(&[record, good]), at(&["192.0.2.8:853"], 300), "{what}");
        }
        assert_eq!(
            Asked::new(7).0.nothing(),
            "192.0.2.1 designates no resolver for DNS over TLS"
        );
    }

    /// Where these records lead a program with all protocols: each address with its protocols.
    fn told(records: &[Vec<u8>]) -> Vec<String> {
        let with = |plain: Message, rdata: &Vec<u8>| plain.answer(TYPE_SVCB, 300, rdata);
        let step =
            Asked::by(&["quic", "tls", "https"], 7).first(|plain| records.iter().fold(plain, with));
        let Step::Found(found) = step else {
            panic!("{step:?}")
        };
        let told = found.places.iter().map(|Place { addr, protocols }| {
            let protocols = protocols.iter().map(|one| {
                let (scheme, port) = (one.scheme(), one.port());
                format!(" {scheme} {port}{}", one.path().unwrap_or_default())
            });
            format!("{addr}:{}", protocols.collect::<String>())
        });
        told.collect()
    }

    const DOHPATH: (u16, &[u8]) = (7, b"/q{?dns}");

    // req 114: RFC 9462 section 4, RFC 9461 section 5.
    #[test]
    fn what_is_designated_at_one_address_is_one_upstream_of_several_protocols() {
        let all = svcb(
            1,
            "a.test",
            &[(ALPN, b"\x02h2\x03dot\x03doq"), HINT, DOHPATH],
        );
        assert_eq!(
            told(&[all]),
            ["192.0.2.8:853: quic 853 tls 853 https 443/q"]
        );
        // Two records of one priority, then the priority: one resolver prefers HTTPS.
        let https = |priority| svcb(priority, "a.test", &[(ALPN, b"\x02h2"), HINT, DOHPATH]);
        let tls = |priority| svcb(priority, "a.test", &[DOT, (PORT, &[0x22, 0x95]), HINT]);
        assert_eq!(
            told(&[https(1), tls(1)]),
            ["192.0.2.8:8853: tls 8853 https 443/q"]
        );
        assert_eq!(
            told(&[tls(2), https(1)]),
            ["192.0.2.8:443: https 443/q tls 8853"]
        );
        // Each address has what is said of it.
        let other = svcb(
            2,
            "b.test",
            &[(ALPN, b"\x03doq"), (IPV4HINT, &[192, 0, 2, 9])],
        );
        assert_eq!(
            told(&[tls(1), other]),
            ["192.0.2.8:8853: tls 8853", "192.0.2.9:853: quic 853"]
        );
        // The same protocol on another port is another place.
        let again = svcb(2, "a.test", &[DOT, HINT]);
        assert_eq!(
            told(&[tls(1), again.clone(), again]),
            ["192.0.2.8:8853: tls 8853", "192.0.2.8:853: tls 853"]
        );
    }

    // req 114
    #[test]
    fn https_without_a_path_that_can_be_used_is_not_designated() {
        for path in [&[][..], &[(7, &b"q{?dns}"[..])], &[(7, b"/{x}{?dns}")]] {
            let params = [&[(ALPN, &b"\x02h2\x03doq"[..]), HINT][..], path].concat();
            assert_eq!(
                told(&[svcb(1, "a.test", &params)]),
                ["192.0.2.8:853: quic 853"]
            );
        }
        let mut asked = Asked::by(&["quic", "tls", "https"], 7);
        assert_eq!(asked.first(|plain| plain), Step::Nothing(None));
        assert_eq!(
            asked.0.nothing(),
            "192.0.2.1 designates no resolver for DNS over TLS or QUIC or HTTPS"
        );
    }

    // req 89: RFC 9460 section 2.2.
    #[test]
    fn one_malformed_record_makes_all_unusable() {
        let good = svcb(1, "a.test", &[DOT, HINT]);
        let bad = svcb(2, "b.test", &[HINT, DOT]);
        let why = "what 192.0.2.1 designates is malformed: the parameters of an SVCB record are not in order";
        assert_eq!(step(&[good, bad]), Step::Nothing(Some(why.to_owned())));
    }

    #[test]
    fn aliases_are_followed_so_far() {
        let mut asked = Asked::new(7);
        let alias = svcb(0, "Next.test", &[]);
        // A record in ServiceMode does not count beside it.
        let service = svcb(1, "a.test", &[DOT, HINT]);
        let both = |plain: Message| {
            plain
                .answer(TYPE_SVCB, 500, &service)
                .answer(TYPE_SVCB, 500, &alias)
        };
        let next = vec![svcb_of(name_octets("next.test"))];
        assert_eq!(asked.first(both), Step::Ask(next.clone()));
        let found = asked.then(next.clone(), |_, plain| {
            plain.answer(TYPE_SVCB, 900, &service)
        });
        assert_eq!(found, at(&["192.0.2.8:853"], 500));

        assert_eq!(asked.first(both), Step::Ask(next.clone()));
        for _ in 1..MAX_ALIASES {
            let step = asked.then(next.clone(), |_, plain| both(plain));
            assert_eq!(step, Step::Ask(next.clone()));
        }
        let end = asked.then(next, |_, plain| both(plain));
        assert_eq!(end, Step::Nothing(None));
        let nowhere = svcb(0, ".", &[]);
        assert_eq!(step(&[nowhere]), Step::Nothing(None));
    }

    #[test]
    fn a_large_response_costs_no_more_than_its_bounds() {
        let many: Vec<Vec<u8>> = (0..100)
            .map(|number| svcb(number + 1, &format!("n{number}.test"), &[DOT]))
            .collect();
        let Step::Ask(questions) = step(&many) else {
            panic!("it asks")
        };
        assert_eq!(questions.len(), 2 * MAX_TARGETS);
        assert_eq!(questions[0].name, name_octets("n0.test"));
        let hints: Vec<u8> = (0..100).flat_map(|last| [192, 0, 2, last]).collect();
        match step(&[svcb(1, "a.test", &[DOT, (IPV4HINT, &hints)])]) {
            Step::Found(found) => assert_eq!(found.places.len(), MAX_ADDRESSES),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_or_no_record_is_no_designation() {
        assert_eq!(step(&[]), Step::Nothing(None));
        assert_eq!(
            Asked::new(7).first(|plain| plain.rcode(3)),
            Step::Nothing(None)
        );
        // What stands in another section answers nothing.
        let record = svcb(1, "a.test", &[DOT, HINT]);
        let step = Asked::new(7)
            .first(|plain| additional(plain, "_dns.resolver.arpa", TYPE_SVCB, 300, &record));
        assert_eq!(step, Step::Nothing(None));
    }
}
