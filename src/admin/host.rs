//! Which requests are meant for this program, by their Host header (RFC 9110 section 7.2).
//!
//! A page of the web can have a browser ask a name of its own that suddenly leads to 127.0.0.1 (DNS rebinding), and read the response. Its
//! requests bear that name. Whoever means this program gives an address, or `localhost`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a host with or without a port is an address or `localhost`.
pub fn is_own(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((inner, port)) = rest.split_once(']') else {
                return false;
            };
            if inner.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            (None, port)
        }
        None => {
            let at = host.find(':').unwrap_or(host.len());
            (Some(&host[..at]), &host[at..])
        }
    };
    let is_port = |digits: &str| {
        digits.bytes().all(|octet| octet.is_ascii_digit()) && digits.parse::<u16>().is_ok()
    };
    let has_good_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    let is_good_name = name.is_none_or(|name| {
        name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok()
    });
    has_good_port && is_good_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_own_and_names_are_not() {
        for own in [
            "127.0.0.1",
            "127.0.0.1:9553",
            "192.0.2.1:80",
            "localhost",
            "LocalHost:9553",
            "[::1]",
            "[2001:db8::1]:9553",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "",
            "rebind.example",
            "rebind.example:9553",
            "localhost.example",
            "localhost.",
            "127.0.0.1.example:9553",
            "127.0.0.1:",
            "127.0.0.1:99999",
            "127.0.0.1:+1",
            "user@127.0.0.1",
            "::1",
            "[::1",
            "[::1]x",
            "[rebind.example]:80",
            "2130706433",
            "0x7f.1",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
