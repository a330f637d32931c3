//! The format of hosts(5).

use super::Hosts;
use crate::config::{ConfigError, Domain};
use std::net::{IpAddr, Ipv6Addr};

impl Hosts {
    /// Adds what a file in the format of hosts(5) says: on each line an address and its names, the canonical one first; `#` begins a comment.
    ///
    /// An error names the first line that is wrong; what stands before it was added. What was left out is returned, a text for each: an
    /// address with a zone, which DNS cannot express, and a name that is itself an address, as lists of hosts to block have it.
    pub fn read(&mut self, text: &str) -> Result<Vec<String>, ConfigError> {
        let mut left_out = Vec::new();
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            self.read_line(line, number, &mut left_out)?;
        }
        Ok(left_out)
    }

    fn read_line(
        &mut self,
        line: &str,
        number: usize,
        left_out: &mut Vec<String>,
    ) -> Result<(), ConfigError> {
        let error = |value: &str, reason: &str| {
            ConfigError::new("hosts", value, format!("line {number}: {reason}"))
        };
        let content = line.split('#').next().unwrap_or_default();
        let mut words = content.split_ascii_whitespace();
        let Some(first) = words.next() else {
            return Ok(());
        };
        let mut names = words.peekable();
        if names.peek().is_none() {
            return Err(error(first, "no name follows the address"));
        }
        if has_zone(first) {
            left_out.push(format!(
                "line {number}: {first} has a zone, and is left out: DNS has no addresses of one link"
            ));
            return Ok(());
        }
        let address: IpAddr = first
            .parse()
            .map_err(|_| error(first, "is not an IP address"))?;
        for name in names {
            if name.parse::<IpAddr>().is_ok() {
                left_out.push(format!(
                    "line {number}: {name} stands where a name should, and is left out"
                ));
                continue;
            }
            let inserted = name
                .parse::<Domain>()
                .and_then(|domain| self.insert(&domain, address));
            inserted.map_err(|wrong| error(name, &wrong.reason))?;
        }
        Ok(())
    }
}

fn has_zone(address: &str) -> bool {
    address
        .split_once('%')
        .is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<String>, Vec<String>), ConfigError> {
        let mut hosts = Hosts::default();
        let left_out = hosts.read(text)?;
        let lines = hosts.iter().map(|(name, addresses)| {
            let addresses: Vec<_> = addresses.map(|address| address.to_string()).collect();
            format!("{name} {}", addresses.join(" "))
        });
        Ok((lines.collect(), left_out))
    }

    #[test]
    fn a_hosts_file_is_read() {
        let text = "\u{feff}# static table\n\
                    127.0.0.1\tlocalhost\r\n\
                    \n   \n\
                    ::1  localhost ip6-localhost # loopback\n\
                    192.168.0.2 NAS.lan. nas#the one in the cellar\n\
                    0.0.0.0 ads.example\n";
        let (hosts, left_out) = read(text).unwrap();
        let expected = [
            "localhost 127.0.0.1 ::1",
            "ip6-localhost ::1",
            "nas.lan 192.168.0.2",
            "nas 192.168.0.2",
            "ads.example 0.0.0.0",
        ];
        assert_eq!(
            (hosts, left_out.len()),
            (expected.map(String::from).to_vec(), 0)
        );
        assert_eq!(read(""), Ok((vec![], vec![])));
    }

    #[test]
    fn what_dns_cannot_express_is_left_out_and_told() {
        let text = "fe80::1%lo0 localhost\n0.0.0.0 0.0.0.0 a.example\n";
        let (hosts, left_out) = read(text).unwrap();
        assert_eq!(hosts, ["a.example 0.0.0.0"]);
        assert_eq!(
            left_out,
            [
                "line 1: fe80::1%lo0 has a zone, and is left out: DNS has no addresses of one link",
                "line 2: 0.0.0.0 stands where a name should, and is left out",
            ]
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, error) in [
            (
                "192.0.2.1 a.example\n\n192.0.2.256 b.example\n",
                r#"hosts "192.0.2.256": line 3: is not an IP address"#,
            ),
            (
                "192.0.2.1 # a.example",
                r#"hosts "192.0.2.1": line 1: no name follows the address"#,
            ),
            (
                "a.example 192.0.2.1",
                r#"hosts "a.example": line 1: is not an IP address"#,
            ),
            (
                "1.2.3.4%eth0 a.example",
                r#"hosts "1.2.3.4%eth0": line 1: is not an IP address"#,
            ),
            ("192.0.2.1 .", r#"hosts ".": line 1: the root is no host"#),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), error);
        }
        let error = read("192.0.2.1 *.example").unwrap_err();
        assert_eq!(
            (error.setting, error.value.as_str()),
            ("hosts", "*.example")
        );
        assert!(error.reason.starts_with("line 1: "), "{error}");
    }
}
