use super::encoding::dhcpv4;
use super::*;
use crate::cli::{Command, parse};
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr};

fn read(line: &str) -> Result<String, UsageError> {
    let words = line.split_whitespace().map(OsString::from);
    match parse(words, [])? {
        Command::Dnr(text) => Ok(text),
        other => panic!("{line}: {other:?}"),
    }
}

fn told(line: &str) -> String {
    read(&format!("dnr {line}")).unwrap()
}

/// The octets behind this on a line of the text, for each such line.
fn octets(text: &str, start: &str) -> Vec<Vec<u8>> {
    let digits = text.lines().filter_map(|line| line.strip_prefix(start));
    digits.map(decode).collect()
}

fn decode(digits: &str) -> Vec<u8> {
    let digits: Vec<char> = digits.chars().filter(|c| !" :".contains(*c)).collect();
    let octet = |two: &[char]| {
        let text: String = two.iter().collect();
        u8::from_str_radix(&text, 16).unwrap()
    };
    digits.chunks(2).map(octet).collect()
}

/// A reader that shares nothing with what writes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn number(&mut self, octets: usize) -> usize {
        self.take(octets)
            .iter()
            .fold(0, |sum, octet| sum << 8 | usize::from(*octet))
    }

    /// What stands behind its length.
    fn counted(&mut self, octets: usize) -> Reader<'a> {
        let len = self.number(octets);
        Reader(self.take(len))
    }

    fn name(&mut self) -> String {
        let mut labels = Vec::new();
        loop {
            let len = self.number(1);
            if len == 0 {
                assert!(self.0.is_empty(), "nothing follows the root");
                return labels.join(".");
            }
            assert!(len < 64);
            labels.push(String::from_utf8(self.take(len).to_vec()).unwrap());
        }
    }

    /// Keys, which increase, and values.
    fn params(mut self) -> Vec<(usize, Vec<u8>)> {
        let mut found: Vec<(usize, Vec<u8>)> = Vec::new();
        while !self.0.is_empty() {
            let key = self.number(2);
            assert!(found.last().is_none_or(|(last, _)| *last < key));
            let value = self.counted(2).0.to_vec();
            found.push((key, value));
        }
        found
    }

    fn v6(self) -> Vec<Ipv6Addr> {
        let (all, rest) = self.0.as_chunks::<16>();
        assert!(rest.is_empty());
        all.iter().copied().map(Ipv6Addr::from).collect()
    }

    fn v4(self) -> Vec<Ipv4Addr> {
        let (all, rest) = self.0.as_chunks::<4>();
        assert!(rest.is_empty());
        all.iter().copied().map(Ipv4Addr::from).collect()
    }
}

fn v6(all: &[&str]) -> Vec<Ipv6Addr> {
    all.iter().map(|text| text.parse().unwrap()).collect()
}

// req 117: RFC 9463 section 5.1.
#[test]
fn the_option_of_dhcpv4_is_read_as_it_was_meant() {
    let text = told(
        "--name dns.home.example --address 192.168.1.1,fd00::1 --address 192.168.1.2 --port 8853 --priority 7",
    );
    let [data] = &octets(&text, "DHCPv4 option 162: ")[..] else {
        panic!("{text}")
    };
    let mut all = Reader(data);
    let mut one = all.counted(2);
    assert!(all.0.is_empty());
    assert_eq!(one.number(2), 7);
    assert_eq!(one.counted(1).name(), "dns.home.example");
    let addresses = [Ipv4Addr::new(192, 168, 1, 1), Ipv4Addr::new(192, 168, 1, 2)];
    assert_eq!(one.counted(1).v4(), addresses);
    assert_eq!(
        one.params(),
        [(1, b"\x03dot".to_vec()), (3, vec![0x22, 0x95])]
    );
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("dhcp-option=162,"));
    assert_eq!(decode(line.unwrap()), *data);
    let kea = r#"{ "name": "v4-dnr", "data": "7, dns.home.example., 192.168.1.1 192.168.1.2, alpn=dot port=8853" }"#;
    assert!(text.lines().any(|line| line == kea), "{text}");
}

// req 117: RFC 9463 sections 4.1 and 6.1.
#[test]
fn the_options_of_ipv6_are_read_as_they_were_meant() {
    let text = told(
        "--name DNS.home.example. --address fd00::1,fe80::1,fd00::1 --alpn dot,h2 --dohpath /q{?dns}",
    );
    let expected = [(1, b"\x03dot\x02h2".to_vec()), (7, b"/q{?dns}".to_vec())];
    let [data] = &octets(&text, "DHCPv6 option 144: ")[..] else {
        panic!("{text}")
    };
    let mut one = Reader(data);
    assert_eq!(one.number(2), 1);
    assert_eq!(one.counted(2).name(), "dns.home.example");
    assert_eq!(one.counted(2).v6(), v6(&["fd00::1", "fe80::1"]));
    assert_eq!(one.params(), expected);
    let [data] = &octets(&text, "IPv6 RA option: ")[..] else {
        panic!("{text}")
    };
    let mut one = Reader(data);
    assert_eq!((one.number(1), one.number(1) * 8), (144, data.len()));
    assert_eq!((one.number(2), one.number(4)), (1, 1_800));
    assert_eq!(one.counted(2).name(), "dns.home.example");
    assert_eq!(one.counted(2).v6(), v6(&["fd00::1", "fe80::1"]));
    assert_eq!(one.counted(2).params(), expected);
    assert!(one.0.len() < 8 && one.0.iter().all(|octet| *octet == 0));
    for line in [
        r#"{ "name": "v6-dnr", "data": "1, dns.home.example., fd00::1 fe80::1, alpn=dot\\,h2 dohpath=/q{?dns}" }"#,
        "list dnr '1 dns.home.example fd00::1,fe80::1 alpn=dot,h2 dohpath=/q{?dns}'",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    assert!(
        !text.contains("DHCPv4") && !text.contains("option=162"),
        "{text}"
    );
}

// req 117: what the manual of Kea (DHCPv6, "DNR") says of the same options.
#[test]
fn the_octets_are_those_of_another_encoder() {
    let text = told(
        "--name resolver.example --address 2001:db8::1,2001:db8::2 --priority 150 --alpn dot,doq,h2,h3 --dohpath /q{?dns}",
    );
    let expected = "00 96 00 12 08 72 65 73 6f 6c 76 65 72 07 65 78 61 6d 70 6c 65 00 00 20 \
        20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02 \
        00 01 00 0e 03 64 6f 74 03 64 6f 71 02 68 32 02 68 33 00 07 00 08 2f 71 7b 3f 64 6e 73 7d";
    assert_eq!(octets(&text, "DHCPv6 option 144: "), [decode(expected)]);
    let text = told(
        "--name dot1.example.org --address 2001:db8::1,2001:db8::2 --priority 100 --port 8530",
    );
    let expected = "00 64 00 12 04 64 6f 74 31 07 65 78 61 6d 70 6c 65 03 6f 72 67 00 00 20 \
        20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02 \
        00 01 00 04 03 64 6f 74 00 03 00 02 21 52";
    assert_eq!(octets(&text, "DHCPv6 option 144: "), [decode(expected)]);
}

// req 117
#[test]
fn several_resolvers_are_in_one_option_of_dhcpv4_each_with_its_length() {
    let one = |priority, last| {
        let ip = vec![Ipv4Addr::new(192, 0, 2, last).into()];
        Instance::new("a.test", priority, ip, vec!["dot".to_owned()], None, None)
    };
    let data = dhcpv4(&[one(1, 1), one(2, 2)]).unwrap();
    let mut all = Reader(&data);
    for (priority, last) in [(1, 1), (2, 2)] {
        let mut one = all.counted(2);
        assert_eq!(one.number(2), priority);
        assert_eq!(one.counted(1).name(), "a.test");
        assert_eq!(one.counted(1).v4(), [Ipv4Addr::new(192, 0, 2, last)]);
    }
    assert!(all.0.is_empty());
}

// req 117
#[test]
fn a_usual_port_is_left_out_and_a_usual_path_is_put_in() {
    for (more, params) in [
        ("", "alpn=dot"),
        ("--port 853", "alpn=dot"),
        ("--alpn h2", "alpn=h2 dohpath=/dns-query{?dns}"),
        (
            "--alpn=h2,h3 --port=8443",
            "alpn=h2,h3 port=8443 dohpath=/dns-query{?dns}",
        ),
        (
            "--alpn dot --alpn doq --port 8853",
            "alpn=dot,doq port=8853",
        ),
    ] {
        let text = told(&format!("--name a.test --address 192.0.2.1 {more}"));
        let line = format!("list dnr '1 a.test 192.0.2.1 {params}'");
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    // One that is too long for dnsmasq is said to be so.
    let many: Vec<String> = (1..=60).map(|n| format!("192.0.2.{n}")).collect();
    let text = told(&format!("--name a.test --address {}", many.join(",")));
    assert!(
        text.contains("# Option 162 has 262 octets; dnsmasq sends 255 at most."),
        "{text}"
    );
    let many: Vec<String> = (1..=63).map(|n| format!("fd00::{n}")).collect();
    let text = told(&format!("--name a.test --address {}", many.join(",")));
    assert_eq!(octets(&text, "IPv6 RA option: ")[0][1], 130);
}

// fault 86, req 117
#[test]
fn wrong_options_are_named_in_one_line() {
    let usual = "--name a.test --address 192.0.2.1";
    for (line, part) in [
        (
            "dnr --address 192.0.2.1".to_owned(),
            "--name is missing: the name in the certificate",
        ),
        ("dnr --name a.test".to_owned(), "--address is missing"),
        (
            "dnr --name a..b --address 192.0.2.1".to_owned(),
            r#"--name "a..b": "a..b" is not a host name"#,
        ),
        (
            "dnr --name a.test --address here".to_owned(),
            r#"--address "here": is not an IP address"#,
        ),
        (
            "dnr --name a.test --address 127.0.0.1".to_owned(),
            "is a device's own address",
        ),
        (
            "dnr --name a.test --address 0.0.0.0".to_owned(),
            "is not the address of one host",
        ),
        (
            "dnr --name a.test --address fe80::1%eth0".to_owned(),
            "write fe80::1, without the interface",
        ),
        (
            format!("dnr {usual} --alpn dot,spdy"),
            r#"--alpn "spdy": is not a protocol of encrypted DNS; those are dot, doq, h2, h3"#,
        ),
        (
            format!("dnr {usual} --alpn dot,dot"),
            r#"--alpn "dot": is given twice"#,
        ),
        (
            format!("dnr {usual} --port 0"),
            r#"--port "0": is not a number from 1 to 65535"#,
        ),
        (
            format!("dnr {usual} --port 53"),
            "is for DNS without encryption",
        ),
        (
            format!("dnr {usual} --alpn dot,h2 --port 8443"),
            "whose usual ports differ",
        ),
        (
            format!("dnr {usual} --dohpath /q{{?dns}}"),
            "is for DNS over HTTPS",
        ),
        (
            format!("dnr {usual} --alpn h2 --dohpath q{{?dns}}"),
            "is not the path of a URI",
        ),
        (
            format!("dnr {usual} --alpn h2 --dohpath /q"),
            "lacks the variable {?dns}",
        ),
        (
            format!("dnr {usual} --priority 0"),
            r#"--priority "0": is not a number"#,
        ),
        (
            format!("dnr {usual} --priority 65536"),
            "is not a number from 1 to 65535",
        ),
        (
            format!("dnr {usual} --priority 1 --priority 2"),
            "--priority is given twice",
        ),
        (format!("dnr {usual} --port"), "--port needs a value"),
        (
            format!("dnr {usual} --prot 1"),
            r#"there is no option "--prot"; did you mean --port?"#,
        ),
        (
            "serve --name a.test".to_owned(),
            r#"there is no option "--name""#,
        ),
    ] {
        let error = read(&line).unwrap_err().to_string();
        assert!(
            error.contains(part) && !error.contains('\n'),
            "{line}: {error}"
        );
    }
    let many: Vec<String> = (1..=64).map(|n| format!("192.0.2.{n}")).collect();
    let error = read(&format!("dnr --name a.test --address {}", many.join(","))).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("63 addresses of a kind are the most"),
        "{error}"
    );
}
