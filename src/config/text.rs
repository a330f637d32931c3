//! Reading small values that people write: socket addresses, host names and lengths of time.
//!
//! Errors are the reason alone; the caller adds the setting and the value.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Reads `IP`, `IP:PORT`, `[IPv6]`, `[IPv6]:PORT` or a bare IPv6 address; a numeric zone
/// (`fe80::1%2`) is kept.
pub fn socket_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    let (_, digits) = split_port(text)?;
    let port = digits.map_or(Ok(default_port), port)?;
    address_with(text, port)
}

/// As [`socket_address`], for an address to bind: with port 0 the system chooses one.
pub fn local_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    match split_port(text)? {
        (_, Some("0")) => address_with(text, 0),
        _ => socket_address(text, default_port),
    }
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

/// Parts a host from the digits of its port. A bare IPv6 address has colons of its own and no port.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner
            .split_once(']')
            .ok_or("the bracket [ is never closed")?;
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(digits)) => Ok((host, Some(digits))),
            _ => Err(format!("{rest:?} follows the bracket where :PORT belongs")),
        };
    }
    match text.split_once(':') {
        Some((host, digits)) if !digits.contains(':') => Ok((host, Some(digits))),
        _ => Ok((text, None)),
    }
}

/// Reads a port, of which 0 stands for none.
pub(super) fn port(digits: &str) -> Result<u16, String> {
    match digits.parse() {
        Ok(0) | Err(_) => Err(format!(
            "the port {digits:?} is not a number from 1 to 65535"
        )),
        Ok(port) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        Ok(_) => Err(format!("the port {digits:?} is not a plain number")),
    }
}

/// Reads a host name (RFC 1123, with the underscore that some use) into lower case, without a final
/// dot.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if !name.is_ascii() {
        return Err(format!(
            "the name {text:?} is not ASCII; write it in its xn-- form"
        ));
    }
    // 253 characters are 255 octets on the wire, with the first length octet and the root (RFC
    // 1035).
    if name.len() > 253 {
        return Err("the name is longer than 253 characters".to_owned());
    }
    for label in name.split('.') {
        let letters = label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if label.is_empty()
            || label.len() > 63
            || !letters
            || label.starts_with('-')
            || label.ends_with('-')
        {
            return Err(format!(
                "{text:?} is not a host name: {label:?} is not 1 to 63 letters, digits or hyphens"
            ));
        }
    }
    // A last label of digits is a mistyped IPv4 address: no top-level domain is a number.
    if name
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(format!("{text:?} is neither an IP address nor a host name"));
    }
    Ok(name.to_ascii_lowercase())
}

/// Reads a length of time: `4s`, `1500ms`, or a plain number of seconds.
pub fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let (digits, per_second) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1_000),
        (None, Some(digits)) => (digits, 1),
        (None, None) => (text, 1),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 =
        digits.parse().ok().filter(|_| plain).ok_or(
            "is not a length of time; write it as 4s, 1500ms or a whole number of seconds",
        )?;
    let time = if per_second == 1 {
        Duration::from_secs(number)
    } else {
        Duration::from_millis(number)
    };
    if !range.contains(&time) {
        return Err(format!(
            "is not from {:?} to {:?}",
            range.start(),
            range.end()
        ));
    }
    Ok(time)
}

/// The candidate that a mistyped word most likely stands for, if any is near.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // One slip in three letters: enough for `clodflare` and `gogle`, too little for another word.
    let tolerated = word.len().min(64) / 3;
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, removed or replaced to turn one word into the other
/// (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    // The costs of turning the letters of `from` seen so far into each beginning of `to`.
    let mut costs: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.bytes().take(64).enumerate() {
        let mut left = row + 1;
        let mut next = vec![left];
        for (pair, other) in costs.windows(2).zip(to.bytes()) {
            let &[diagonal, above] = pair else { continue };
            let replaced = diagonal + usize::from(!letter.eq_ignore_ascii_case(&other));
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
        }
        costs = next;
    }
    costs.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

    #[test]
    fn times_come_in_seconds_and_milliseconds() {
        for (text, milliseconds) in [
            ("4s", 4_000),
            ("1500ms", 1_500),
            ("4", 4_000),
            ("100ms", 100),
            ("60s", 60_000),
        ] {
            assert_eq!(
                duration(text, &RANGE),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn wrong_times_are_named() {
        // fault 86
        for text in [
            "",
            "s",
            "ms",
            "4 s",
            "-4s",
            "+4s",
            "4m",
            "1.5s",
            "4sec",
            "99999999999999999999s",
        ] {
            assert!(
                duration(text, &RANGE)
                    .unwrap_err()
                    .contains("is not a length of time"),
                "{text}"
            );
        }
        for text in ["0", "99ms", "61s", "18446744073709551615"] {
            assert_eq!(
                duration(text, &RANGE),
                Err("is not from 100ms to 60s".to_owned()),
                "{text}"
            );
        }
    }

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
    fn the_nearest_word_is_found() {
        let words = || ["cloudflare", "cloudflare-family", "quad9", "google"].into_iter();
        assert_eq!(closest("clodflare", words()), Some("cloudflare"));
        assert_eq!(closest("GOGLE", words()), Some("google"));
        assert_eq!(closest("quad8", words()), Some("quad9"));
        assert_eq!(closest("mullvad", words()), None);
        assert_eq!(closest("", words()), None);
        assert_eq!(closest(&"x".repeat(100_000), words()), None);
        assert_eq!(
            (
                distance("kitten", "sitting"),
                distance("", "abc"),
                distance("abc", "")
            ),
            (3, 3, 3)
        );
    }
}
