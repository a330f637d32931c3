//! The parameters of SVCB records that are made here (RFC 9460, RFC 9461), for records and for options of DHCP.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::integers::put_u16;
use super::svcb::{ALPN, DOHPATH, IPV4HINT, IPV6HINT, PORT};

/// How a DNS server is spoken to. What is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SvcbParams<'a> {
    /// The protocols, by their names in ALPN, of 1 to 255 octets each.
    pub alpn: &'a [&'a str],
    /// The port; without it, that of the protocol counts.
    pub port: Option<u16>,
    /// IPv4 addresses of the server.
    pub ipv4_hints: &'a [Ipv4Addr],
    /// IPv6 addresses of the server.
    pub ipv6_hints: &'a [Ipv6Addr],
    /// The URI template of DNS over HTTPS, relative to the server.
    pub dohpath: Option<&'a str>,
}

impl SvcbParams<'_> {
    /// Appends them in the order of their keys (RFC 9460 section 2.2).
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut alpn = Vec::new();
        for protocol in self.alpn {
            alpn.push(protocol.len() as u8);
            alpn.extend_from_slice(protocol.as_bytes());
        }
        let ipv4 = self.ipv4_hints.iter().flat_map(Ipv4Addr::octets).collect();
        let ipv6 = self.ipv6_hints.iter().flat_map(Ipv6Addr::octets).collect();
        let port = self.port.map(u16::to_be_bytes);
        let port: Vec<u8> = port.into_iter().flatten().collect();
        let path: Vec<u8> = self.dohpath.unwrap_or_default().into();
        for (key, value) in [
            (ALPN, alpn),
            (PORT, port),
            (IPV4HINT, ipv4),
            (IPV6HINT, ipv6),
            (DOHPATH, path),
        ] {
            if !value.is_empty() {
                put_u16(out, key);
                put_u16(out, value.len() as u16);
                out.extend(value);
            }
        }
    }
}

/// The RDATA of an SVCB record in `ServiceMode`. The target is in wire format.
pub fn svcb_rdata(priority: u16, target: &[u8], params: &SvcbParams<'_>) -> Vec<u8> {
    let mut rdata = Vec::new();
    put_u16(&mut rdata, priority);
    rdata.extend_from_slice(target);
    params.write(&mut rdata);
    rdata
}

#[cfg(test)]
mod tests {
    use super::super::svcb::Svcb;
    use super::super::testing::{name_octets, svcb};
    use super::*;

    const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

    // req 115
    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let v6 = [Ipv6Addr::LOCALHOST];
        let params = SvcbParams {
            alpn: &["h2", "h3"],
            port: Some(8443),
            ipv4_hints: &V4,
            ipv6_hints: &v6,
            dohpath: Some("/dns-query{?dns}"),
        };
        let target = name_octets("dns.home.example");
        let rdata = svcb_rdata(7, &target, &params);
        let read = Svcb::read(&rdata).unwrap();
        assert_eq!((read.priority, read.target), (7, &target[..]));
        assert!(read.alpn().eq([&b"h2"[..], b"h3"]));
        assert!(read.ipv4_hints().eq(V4) && read.ipv6_hints().eq(v6));
        let told = (read.port(), read.dohpath());
        assert_eq!(told, (Some(8443), Some("/dns-query{?dns}")));
    }

    // req 115
    #[test]
    fn what_is_empty_is_left_out() {
        let params = SvcbParams {
            alpn: &["dot"],
            ..SvcbParams::default()
        };
        let rdata = svcb_rdata(1, &name_octets("a.test"), &params);
        assert_eq!(rdata, svcb(1, "a.test", &[(1, b"\x03dot")]));
    }
}
