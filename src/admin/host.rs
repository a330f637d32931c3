//! Which requests are meant for this program, by their Host header (RFC 9110 section 7.2).
//!
//! A page of the web can have a browser ask a name of its own that suddenly leads to 127.0.0.1 (DNS rebinding), and read the response. Its
//! requests bear that name. Whoever means this program gives an address, or `localhost`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether a host with or without a port is an address or `localhost`.
pub fn is_own(host: &str) -> bool {
    is_address(host) || is_localhost(host)
}

fn is_address(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    host.parse::<SocketAddr>().is_ok()
        || host.parse::<Ipv4Addr>().is_ok()
        || inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

fn is_localhost(host: &str) -> bool {
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_port =
        |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<u16>().is_ok();
    name.eq_ignore_ascii_case("localhost") && port.is_none_or(is_port)
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
            "localhost:+1",
            "localhost:",
            "localhost:1:2",
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
