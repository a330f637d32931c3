//! Stories of names that are answered here: what each gets, and that nothing of it reaches an upstream.

use super::scene::{FIRST, Got, PROXY, Scene, addr, ms, tell, tell_with, why};
use crate::support::codes::{A, AAAA, DO, NOERROR, NXDOMAIN, RA, RD, SOA, TC};
use crate::support::messages::{Message, query};
use dotward::config::{ConfigBuilder, Hosts};
use dotward::wire;
use std::net::Ipv4Addr;

const NS: u16 = 2;
const PTR: u16 = 12;
const MX: u16 = 15;
const DS: u16 = 43;
const SVCB: u16 = 64;
const ANY: u16 = 255;

/// The reverse name of `::1`.
const V6_LOOPBACK: &str =
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa";

/// What a query is answered with.
enum Told {
    /// NXDOMAIN with an SOA.
    NoName,
    /// NOERROR with an SOA in the authority section.
    NoData,
    /// NOERROR with this RDATA in the answer section.
    Data(&'static [&'static [u8]]),
}
use Told::{Data, NoData, NoName};

async fn ask(scene: &mut Scene, message: &Message) -> Got {
    scene.client.send(addr(PROXY), &message.build());
    scene.next().await
}

/// The records of a message: section, type, TTL and RDATA.
fn records(message: &[u8]) -> Vec<(wire::Section, u16, u32, Vec<u8>)> {
    let response = wire::parse_response(message).unwrap();
    let all = wire::records(message, &response).filter(|record| record.rtype != 41);
    all.map(|record| {
        let rdata = message[record.rdata.clone()].to_vec();
        (record.section, record.rtype, record.ttl, rdata)
    })
    .collect()
}

/// Asks each row's question with and without EDNS, and holds the answers to what is told.
async fn hold(scene: &mut Scene, ttl: u32, rows: &[(&str, u16, Told, &str)]) {
    for (name, qtype, told, reason) in rows {
        let plain = query(name, *qtype);
        for message in [plain.clone(), plain.edns(1232, DO, &[])] {
            let asked = message.build();
            let got = ask(scene, &message).await;
            let context = format!("{name} {qtype}");
            let response = wire::parse_response(&got.message).unwrap();
            // The question is the client's, in its letter case.
            assert_eq!(
                response.question.unwrap().octets(&got.message),
                wire::parse_query(&asked).unwrap().question.octets(&asked),
            );
            assert_eq!(
                (got.after, response.header.flags.0 & 0xFFF0),
                (ms(0), 0x8180)
            );
            let found = records(&got.message);
            let rcode = match told {
                NoName => NXDOMAIN,
                NoData | Data(_) => NOERROR,
            };
            assert_eq!(got.rcode, rcode, "{context}");
            if let Data(expected) = told {
                let rdata: Vec<_> = found.iter().map(|(.., rdata)| rdata.as_slice()).collect();
                assert_eq!(rdata, *expected, "{context}");
                assert!(found.iter().all(|(section, _, record_ttl, _)| {
                    (*section, *record_ttl) == (wire::Section::Answer, ttl)
                }));
            } else {
                let [(wire::Section::Authority, SOA, _, _)] = found[..] else {
                    panic!("{context}: {found:?}")
                };
                let negative = wire::Cacheability::Data {
                    lifetime: ttl,
                    negative: true,
                };
                assert_eq!(wire::cacheability(&got.message, &response), negative);
            }
            let expected = response.opt.filter(|_| !reason.is_empty());
            assert_eq!(
                why(&got.message),
                expected.map(|_| (0, (*reason).to_owned())),
                "{context}"
            );
            // EDNS is for who speaks it, and DO comes back (RFC 3225 section 3).
            let dnssec_ok = wire::parse_query(&asked)
                .unwrap()
                .opt
                .map(|opt| opt.dnssec_ok);
            assert_eq!(response.opt.map(|opt| opt.dnssec_ok), dnssec_ok);
        }
    }
    assert_eq!(scene.first.borrow().asked.len(), 0);
}

const OWN: &str = "a name of this machine, answered here (RFC 6761)";
const REVERSE: &str = "reverse zone of addresses for local use, answered here (RFC 6303)";

#[test]
fn special_use_names_are_answered_here() {
    // fault 109
    let rows = [
        ("localhost", A, Data(&[&[127, 0, 0, 1]]), ""),
        ("X.LocalHost", A, Data(&[&[127, 0, 0, 1]]), ""),
        (
            "localhost",
            AAAA,
            Data(&[&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]),
            "",
        ),
        ("localhost", MX, NoData, OWN),
        (
            "1.0.0.127.in-addr.arpa",
            PTR,
            Data(&[b"\x09localhost\x00"]),
            "",
        ),
        (V6_LOOPBACK, PTR, Data(&[b"\x09localhost\x00"]), ""),
        (V6_LOOPBACK, A, NoData, OWN),
        (
            "a.invalid",
            A,
            NoName,
            "a name that never exists (RFC 6761)",
        ),
        (
            "printer.local",
            AAAA,
            NoName,
            "a name of multicast DNS (RFC 6762)",
        ),
        (
            "abcdefgh.onion",
            A,
            NoName,
            "a name of Tor, which DNS does not know (RFC 7686)",
        ),
        (
            "a.ALT",
            A,
            NoName,
            "a name of another system than DNS (RFC 9476)",
        ),
        (
            "vm.internal",
            A,
            NoName,
            "a name for private use, which is not public (ICANN 2024)",
        ),
        (
            "nas.home.arpa",
            A,
            NoName,
            "a name of the home network, answered here (RFC 8375)",
        ),
        (
            "home.arpa",
            A,
            NoData,
            "a name of the home network, answered here (RFC 8375)",
        ),
        (
            "default.service.arpa",
            PTR,
            NoName,
            "a name of services nearby, answered here (RFC 9665)",
        ),
        (
            "_dns.resolver.arpa",
            SVCB,
            NoData,
            "this resolver has no such record (RFC 9462)",
        ),
        ("7.0.168.192.in-addr.arpa", PTR, NoName, REVERSE),
        ("10.in-addr.arpa", PTR, NoData, REVERSE),
        // The name of the zone itself, as a pointer to the question.
        ("10.in-addr.arpa", NS, Data(&[b"\xC0\x0C"]), ""),
        ("b.e.f.ip6.arpa", NS, Data(&[b"\xC0\x0C"]), ""),
        (
            "5.64.100.in-addr.arpa",
            PTR,
            NoName,
            "reverse zone of addresses for local use, answered here (RFC 7793)",
        ),
    ];
    let queries = 2 * rows.len() as u64;
    let stats = tell(&[FIRST], async |scene| {
        hold(scene, 10_800, &rows).await;
        // Neither an ordinary name nor the DS record of a zone, which its parent has.
        for (asked, (name, qtype)) in [("a.test", A), ("a.example", A), ("home.arpa", DS)]
            .into_iter()
            .enumerate()
        {
            assert_eq!(ask(scene, &query(name, qtype)).await.rcode, NOERROR);
            assert_eq!(scene.first.borrow().asked.len(), asked + 1, "{name}");
        }
    });
    assert_eq!((stats.local, stats.sent), (queries, 3));
    assert!(stats.to_string().contains(&format!("local {queries}")));
}

#[test]
fn special_use_names_may_be_forwarded() {
    // Whoever has a server that knows them may have them forwarded.
    let stats = tell_with(
        |config| config.forward_special_names(true),
        &[FIRST],
        async |scene| assert_eq!(scene.get("nas.home.arpa").await.rcode, 0),
    );
    assert_eq!((stats.local, stats.sent), (0, 1));
}

fn with_hosts(text: &str) -> impl FnOnce(ConfigBuilder) -> ConfigBuilder {
    let mut hosts = Hosts::default();
    assert_eq!(hosts.read(text), Ok(vec![]));
    |config| config.hosts(hosts)
}

const HOST: &str = "the host of the configuration has no records of this type";

#[test]
fn hosts_are_answered_here() {
    let hosts = with_hosts(
        "192.168.0.2 nas.home.arpa nas\n\
         192.168.0.3 nas.home.arpa\n\
         2001:db8::2 nas.home.arpa\n\
         0.0.0.0 ads.example\n\
         127.0.0.1 this.host.test\n\
         203.0.113.9 deep.in.home.arpa\n",
    );
    let v4: &[&[u8]] = &[&[192, 168, 0, 2], &[192, 168, 0, 3]];
    let v6: &[&[u8]] = &[&[0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]];
    let rows = [
        ("nas.home.arpa", A, Data(v4), ""),
        ("NAS.Home.Arpa", AAAA, Data(v6), ""),
        ("nas.home.arpa", ANY, Data(v4), ""),
        ("nas.home.arpa", MX, NoData, HOST),
        ("nas", A, Data(&[&[192, 168, 0, 2]]), ""),
        ("ads.example", A, Data(&[&[0, 0, 0, 0]]), ""),
        ("ads.example", AAAA, NoData, HOST),
        (
            "2.0.168.192.in-addr.arpa",
            PTR,
            Data(&[b"\x03nas\x04home\x04arpa\x00"]),
            "",
        ),
        ("2.0.168.192.in-addr.arpa", A, NoData, HOST),
        // Hosts precede special-use names.
        (
            "1.0.0.127.in-addr.arpa",
            PTR,
            Data(&[b"\x04this\x04host\x04test\x00"]),
            "",
        ),
    ];
    let home = "a name of the home network, answered here (RFC 8375)";
    let special = [
        // There are no wildcards.
        ("x.nas.home.arpa", A, NoName, home),
        ("other.home.arpa", A, NoName, home),
        ("4.0.168.192.in-addr.arpa", PTR, NoName, REVERSE),
        // A name that hosts lie below exists, or they would not (RFC 8020).
        ("in.home.arpa", A, NoData, home),
        ("0.168.192.in-addr.arpa", PTR, NoData, REVERSE),
        ("1.168.192.in-addr.arpa", PTR, NoName, REVERSE),
    ];
    let local = 2 * (rows.len() + special.len()) as u64;
    let stats = tell_with(hosts, &[FIRST], async |scene| {
        hold(scene, 60, &rows).await;
        hold(scene, 10_800, &special).await;
        // Names below a host and beside it are the upstream's.
        for name in ["x.ads.example", "example", "host.test"] {
            assert_eq!(scene.get(name).await.rcode, NOERROR);
        }
    });
    assert_eq!((stats.local, stats.sent), (local, 3));
}

#[test]
fn hosts_are_answered_here_whatever_becomes_of_special_use_names() {
    let hosts = with_hosts("192.168.0.2 nas.home.arpa");
    let tweak = |config| hosts(config).forward_special_names(true);
    let stats = tell_with(tweak, &[FIRST], async |scene| {
        let found = scene.get("nas.home.arpa").await;
        assert_eq!(records(&found.message)[0].3, [192, 168, 0, 2]);
        assert_eq!(scene.get("other.home.arpa").await.rcode, NOERROR);
    });
    assert_eq!((stats.local, stats.sent), (1, 1));
}

#[test]
fn a_host_with_many_addresses_is_truncated_over_udp() {
    // req 6, 7
    let address = |n: u8| Ipv4Addr::new(192, 0, 2, n);
    let lines: Vec<_> = (0..200)
        .map(|n| format!("{} many.test", address(n)))
        .collect();
    tell_with(with_hosts(&lines.join("\n")), &[FIRST], async |scene| {
        // 12 octets of header and 15 of the question, 16 for each address.
        let plain = query("many.test", A);
        for (message, count, limit) in [
            (plain.clone(), 30, 512),
            (plain.edns(1232, 0, &[]), 74, 1232),
        ] {
            let got = ask(scene, &message).await;
            assert!(got.message.len() <= limit);
            let response = wire::parse_response(&got.message).unwrap();
            assert_eq!(response.header.flags.0, 0x8000 | TC | RD | RA);
            let expected: Vec<_> = (0..count).map(|n| address(n).octets().to_vec()).collect();
            let found = records(&got.message).into_iter();
            assert_eq!(found.map(|(.., rdata)| rdata).collect::<Vec<_>>(), expected);
        }
    });
}
