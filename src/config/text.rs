//! Parsers of socket addresses and host names as people write them.
//!
//! An error is the reason alone; the caller adds the setting and the value.

use super::{DNS_PORT, TLS_PORT};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Reads `IP`, `IP:PORT`, `IP@PORT`, `[IPv6]`, `[IPv6]:PORT` or a bare IPv6 address; a numeric zone
/// (`fe80::1%2`) is kept.
fn socket_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    let (_, digits) = split_port(text)?;
    let port = digits.map_or(Ok(default_port), port)?;
    address_with(text, port)
}

/// As [`socket_address`], for an address to bind: with port 0 the system chooses one.
pub fn local_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    if let Some((host, port)) = port_without_bracket(text, |port| port >= FIRST_OF_FOUR_DIGITS) {
        return Err(ambiguous(text, host, port));
    }
    match split_port(text)? {
        (_, Some("0")) => address_with(text, 0),
        _ => socket_address(text, default_port),
    }
}

/// Beside the well-known ports people choose ports of four digits or more.
const FIRST_OF_FOUR_DIGITS: u16 = 1_000;

/// The host and the port of a text without brackets that is an IPv6 address as a whole, and an IPv6 address and a port, too. Only the ports
/// of DNS and those that `usual` accepts are taken for ports.
fn port_without_bracket(text: &str, usual: impl Fn(u16) -> bool) -> Option<(&str, u16)> {
    let (host, digits) = text.rsplit_once(':')?;
    let port = port(digits).ok()?;
    let both = host.parse::<Ipv6Addr>().is_ok() && text.parse::<Ipv6Addr>().is_ok();
    (both && (port == DNS_PORT || port == TLS_PORT || usual(port))).then_some((host, port))
}

fn ambiguous(text: &str, host: &str, port: u16) -> String {
    format!(
        "is either port {port} of {host} or an address without a port: write [{host}]:{port} or [{text}]"
    )
}

/// The address in `text` with this port.
fn address_with(text: &str, port: u16) -> Result<SocketAddr, String> {
    let (host, _) = split_port(text)?;
    let bracketed = text.starts_with('[');
    if let Ok(ip) = host.parse::<IpAddr>() {
        if bracketed && ip.is_ipv4() {
            return Err("brackets are for IPv6 addresses".to_owned());
        }
        return Ok(SocketAddr::new(ip, port));
    }
    if let Ok(zoned) = format!("[{host}]:{port}").parse::<SocketAddrV6>() {
        return Ok(zoned.into());
    }
    let is_v6 = |ip: &str| {
        ip.split('%')
            .take(1)
            .all(|ip| ip.parse::<Ipv6Addr>().is_ok())
    };
    if let Some((ip, digits)) = host.rsplit_once(':')
        && !bracketed
        && is_v6(ip)
        && self::port(digits).is_ok()
    {
        return Err(format!(
            "an IPv6 address with a port requires brackets: write [{}]:{digits}",
            ip.escape_debug()
        ));
    }
    if host.contains('%') {
        return Err(
            "the zone of an IPv6 address must be an interface's number, as in fe80::1%2".to_owned(),
        );
    }
    Err(format!("{host:?} is not an IP address"))
}

/// Reads an address that one server can have, in canonical form: an IPv4-mapped IPv6 address
/// becomes IPv4.
pub fn server_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    if let Some((host, port)) = port_without_bracket(text, |_| false) {
        return Err(ambiguous(text, host, port));
    }
    let mut address = socket_address(text, default_port)?;
    if let IpAddr::V4(ip) = address.ip().to_canonical() {
        address.set_ip(ip.into());
    }
    let ip = address.ip();
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(format!("{ip} is not the address of one server"));
    }
    Ok(address)
}

/// Separates a host from the digits of its port, which follow a colon, or an at sign as in the configuration of unbound. A bare IPv6 address
/// has colons of its own, and no port after a colon.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']').ok_or("the bracket [ is not closed")?;
        return match (rest, rest.strip_prefix([':', '@'])) {
            ("", _) => Ok((host, None)),
            (_, Some(digits)) => Ok((host, Some(digits))),
            _ => Err(format!("{rest:?} follows the bracket instead of :PORT")),
        };
    }
    if let Some((host, digits)) = text.split_once('@') {
        return Ok((host, Some(digits)));
    }
    match text.split_once(':') {
        Some((host, digits)) if !digits.contains(':') => Ok((host, Some(digits))),
        _ => Ok((text, None)),
    }
}

/// Reads a port from 1 to 65535.
pub(super) fn port(digits: &str) -> Result<u16, String> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| plain && *port != 0);
    port.ok_or_else(|| format!("the port {digits:?} is not a number from 1 to 65535"))
}

/// Reads a host name (RFC 1123 section 2.1, and the underscore that some use) into lower case, without a final dot.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let name = domain_name(text)?;
    // A last label of digits is a mistyped IPv4 address: no top-level domain is a number.
    let mut last = name.rsplit('.').take(1).flat_map(str::bytes);
    if last.all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text:?} is neither an IP address nor a host name"));
    }
    Ok(name)
}

/// Reads the name of a domain, not the root, into lower case, without a final dot. Its labels are those of host names.
pub(super) fn domain_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if !name.is_ascii() {
        return Err(format!(
            "the name {text:?} is not ASCII; write it in its xn-- form"
        ));
    }
    // 253 characters are 255 octets on the wire, with the first length octet and the root label (RFC 1035 section 2.3.4).
    if name.len() > 253 {
        return Err("the name is longer than 253 characters".to_owned());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if let Some(wrong) = name.split('.').find(|label| !is_label(label)) {
        let why = if wrong.starts_with('-') || wrong.ends_with('-') {
            "begins or ends with a hyphen"
        } else {
            "is not 1 to 63 letters, digits or hyphens"
        };
        return Err(format!("{text:?} is not a host name: {wrong:?} {why}"));
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lowered_and_lose_their_dot() {
        assert_eq!(host_name("DNS.Quad9.Net."), Ok("dns.quad9.net".to_owned()));
        assert_eq!(host_name("resolver"), Ok("resolver".to_owned()));
        assert_eq!(host_name("a_b.1.test"), Ok("a_b.1.test".to_owned()));
        assert_eq!(
            host_name(&format!("{}.test", "a".repeat(63))).map(|name| name.len()),
            Ok(68)
        );
    }

    #[test]
    fn wrong_names_are_refused() {
        // fault 86
        let long_label = format!("{}.test", "a".repeat(64));
        let long_name = "abcdefghi.".repeat(26);
        for (text, reason) in [
            ("", "empty"),
            (".", "empty"),
            ("a..b", "not a host name"),
            ("-a.test", "not a host name"),
            ("a-.test", "not a host name"),
            ("a b.test", "not a host name"),
            ("*.test", "not a host name"),
            (long_label.as_str(), "not a host name"),
            (long_name.as_str(), "longer than 253"),
            ("bücher.example", "xn--"),
            ("1.1.1.256", "neither an IP address nor a host name"),
        ] {
            let error = host_name(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_server_has_one_address() {
        assert_eq!(
            server_address("[::ffff:9.9.9.9]:853", 53),
            Ok("9.9.9.9:853".parse().unwrap())
        );
        assert_eq!(
            server_address("fe80::1%3", 53),
            Ok("[fe80::1%3]:53".parse().unwrap())
        );
        for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            assert!(
                server_address(text, 53)
                    .unwrap_err()
                    .contains("not the address of one server"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_port_may_follow_an_at_sign_as_unbound_writes_it() {
        for (text, address) in [
            ("192.0.2.1@5300", "192.0.2.1:5300"),
            ("2001:db8::1@5300", "[2001:db8::1]:5300"),
            ("[2001:db8::1]@5300", "[2001:db8::1]:5300"),
            ("fe80::1%3@5300", "[fe80::1%3]:5300"),
        ] {
            assert_eq!(
                server_address(text, 53),
                Ok(address.parse().unwrap()),
                "{text}"
            );
            assert_eq!(
                local_address(text, 53),
                Ok(address.parse().unwrap()),
                "{text}"
            );
        }
        assert_eq!(
            local_address("192.0.2.1@0", 53),
            Ok("192.0.2.1:0".parse().unwrap())
        );
        for text in [
            "192.0.2.1@",
            "192.0.2.1@x",
            "192.0.2.1@53@53",
            "192.0.2.1:53@53",
            "@53",
        ] {
            assert!(server_address(text, 53).is_err(), "{text}");
        }
    }

    #[test]
    fn a_forgotten_bracket_is_pointed_out() {
        // fault 86: this is an address, too, and port 53 of it is seldom meant.
        assert_eq!(
            local_address("fe80::1:5300", 53),
            Err("is either port 5300 of fe80::1 or an address without a port: write [fe80::1]:5300 or [fe80::1:5300]".to_owned())
        );
        for text in [
            "::1:53",
            "2001:db8::1:853",
            "::1:5353",
            "2001:db8::1:2:1024",
        ] {
            let error = local_address(text, 53).unwrap_err();
            assert!(
                error.contains("or an address without a port"),
                "{text}: {error}"
            );
        }
        for text in ["1:2:3:4:5:6:7:8:53", "fe80::1%2:53", "1:2:3:4:5:6:7:8:9"] {
            let error = local_address(text, 53).unwrap_err();
            assert!(error.contains("brackets"), "{text}: {error}");
        }
        for text in [
            "2001:db8::853",
            "2001:db8::1:1",
            "2620:fe::fe:10",
            "1:2:3:4:5:6:7:853",
            "::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(local_address(text, 53).is_ok(), "{text}");
        }
        // Of a server, other ports than the usual ones are rare, and such addresses are not.
        assert!(server_address("2001:db8::1:853", 853).is_err());
        assert!(server_address("2001:db8::1:1111", 853).is_ok());
    }
}
