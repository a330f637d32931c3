//! DNS stamps: <https://dnscrypt.info/stamps-specifications>.

use super::server::{Protocol, Server};
use data_encoding::BASE64URL_NOPAD;

/// What a stamp says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) server: Server,
    /// It has digests of certificates of which one must be in the chain.
    pub(super) has_hashes: bool,
}

/// Octets that are read from their beginning.
struct Octets<'o>(&'o [u8]);

impl<'o> Octets<'o> {
    fn take(&mut self, count: usize) -> Option<&'o [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A length and as many octets.
    fn prefixed(&mut self) -> Option<&'o [u8]> {
        let count = self.octet()?;
        self.take(count.into())
    }

    fn text(&mut self) -> Option<&'o str> {
        std::str::from_utf8(self.prefixed()?).ok()
    }

    /// A list, in which the highest bit of a length says that another item follows. Whether an item is not empty.
    fn has_items(&mut self) -> Option<bool> {
        let mut any = false;
        loop {
            let length = self.octet()?;
            any |= !self.take((length & 0x7f).into())?.is_empty();
            if length & 0x80 == 0 {
                return Some(any);
            }
        }
    }
}

/// Reads a stamp of a server that stands in this line. An error says why it is of no use.
pub(super) fn read(line: usize, text: &str) -> Result<Stamp, String> {
    const MALFORMED: &str = "its stamp is malformed";
    let encoded = text.trim().strip_prefix("sdns://");
    let encoded = encoded.ok_or("a stamp begins with sdns://")?;
    let octets = BASE64URL_NOPAD.decode(encoded.trim_end_matches('=').as_bytes());
    let octets = octets.map_err(|_| "its stamp is not base64url")?;
    let mut rest = Octets(&octets);
    let protocol = match rest.octet().ok_or(MALFORMED)? {
        0x00 => Protocol::Udp,
        0x01 => return Err("it is reached by DNSCrypt, which dotward does not speak".to_owned()),
        0x02 => Protocol::Https,
        0x03 => Protocol::Tls,
        0x04 => Protocol::Quic,
        0x05 | 0x85 => {
            return Err("it is reached by Oblivious DoH, which dotward does not speak".to_owned());
        }
        0x81 => return Err("it is a relay of DNSCrypt, and no resolver".to_owned()),
        _ => return Err("its stamp is of a protocol that is not known".to_owned()),
    };
    read_server(line, protocol, &mut rest).ok_or_else(|| MALFORMED.to_owned())
}

fn read_server(line: usize, protocol: Protocol, rest: &mut Octets<'_>) -> Option<Stamp> {
    // What the operator says of the service.
    rest.take(8)?;
    let address = rest.text()?;
    if protocol == Protocol::Udp {
        let server = Server::new(line, protocol, address)?;
        let has_hashes = false;
        return Some(Stamp { server, has_hashes });
    }
    let has_hashes = rest.has_items()?;
    let host = rest.text()?;
    let path = match protocol {
        Protocol::Https => rest.text()?,
        _ => "",
    };
    let named = Server::new(line, protocol, host)?;
    // Without an address, or with a port alone, the name has to be looked up.
    let server = match address.strip_prefix(':') {
        Some(port) => named.on_port(Some(port.parse().ok()?)),
        None if address.is_empty() => named,
        None => {
            let (name, port) = super::text::split_port(host)?;
            let name = name.trim_start_matches('[').trim_end_matches(']');
            Server::new(line, protocol, address)?
                .on_port(port)
                .named(Some(name))
        }
    };
    Some(Stamp {
        server: server.with_path(path),
        has_hashes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stamp of these octets, and of texts, each behind its length.
    fn stamp(protocol: u8, parts: &[&[u8]]) -> String {
        let mut octets = vec![protocol, 0, 0, 0, 0, 0, 0, 0, 0];
        for part in parts {
            octets.push(part.len() as u8);
            octets.extend_from_slice(part);
        }
        format!("sdns://{}", BASE64URL_NOPAD.encode(&octets))
    }

    #[test]
    fn servers_are_read() {
        let hash = [7; 32];
        for (text, expected, has_hashes) in [
            // The example of dnscrypt-proxy's documentation.
            (
                "sdns://AgcAAAAAAAAABzEuMC4wLjEAEmRucy5jbG91ZGZsYXJlLmNvbQovZG5zLXF1ZXJ5"
                    .to_owned(),
                "https://1.0.0.1/dns-query#dns.cloudflare.com",
                false,
            ),
            (
                stamp(2, &[b"", b"", b"dns.test", b"/q"]),
                "https://dns.test/q",
                false,
            ),
            (
                stamp(2, &[b":8443", &hash, b"dns.test", b"/q"]),
                "https://dns.test:8443/q",
                true,
            ),
            (
                stamp(2, &[b"[2001:db8::1]:8443", b"", b"dns.test", b"/q"]),
                "https://[2001:db8::1]:8443/q#dns.test",
                false,
            ),
            (
                stamp(3, &[b"192.0.2.1", &hash, b"dns.test"]),
                "192.0.2.1#dns.test",
                true,
            ),
            (
                stamp(3, &[b"192.0.2.1", b"", b"dns.test:8853"]),
                "192.0.2.1:8853#dns.test",
                false,
            ),
            (
                stamp(3, &[b"192.0.2.1", b"", b"192.0.2.1"]),
                "192.0.2.1",
                false,
            ),
            (
                stamp(4, &[b"192.0.2.1", b"", b"dns.test"]),
                "quic://192.0.2.1#dns.test",
                false,
            ),
            (stamp(0, &[b"192.0.2.1"]), "udp://192.0.2.1", false),
        ] {
            let stamp = read(3, &text).unwrap();
            assert_eq!(
                (stamp.server.spec().as_str(), stamp.has_hashes),
                (expected, has_hashes)
            );
            assert_eq!(stamp.server.line, 3);
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (text, expected) in [
            ("https://dns.test".to_owned(), "begins with sdns://"),
            ("sdns://!!".to_owned(), "not base64url"),
            ("sdns://".to_owned(), "malformed"),
            (stamp(1, &[b"192.0.2.1"]), "DNSCrypt"),
            (stamp(5, &[b"192.0.2.1"]), "Oblivious"),
            (stamp(9, &[]), "not known"),
            (stamp(2, &[b"192.0.2.1"]), "malformed"),
            (stamp(2, &[b"192.0.2.1", b"", b"a b", b"/"]), "malformed"),
        ] {
            let error = read(1, &text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
