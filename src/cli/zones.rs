//! The zones of link-local addresses (RFC 4007) by the names of interfaces, as in `fe80::1%eth0`. An address holds the interface's number,
//! which changes when interfaces come and go.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::config::ConfigError;

/// Reads a value that may hold such an address. An error shows the value as it was given.
pub(super) fn read_zoned<T>(
    setting: &'static str,
    text: &str,
    number_of: impl Fn(&str) -> Option<u32>,
    read: impl Fn(&str) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let numbered =
        numbered(text, number_of).map_err(|reason| ConfigError::new(setting, text, reason))?;
    read(&numbered).map_err(|error| ConfigError {
        value: text.to_owned(),
        ..error
    })
}

/// The text with the interface's number instead of its name.
fn numbered(text: &str, number_of: impl Fn(&str) -> Option<u32>) -> Result<Cow<'_, str>, String> {
    let Some((before, behind)) = text.split_once('%') else {
        return Ok(text.into());
    };
    let ip = before.rsplit(['[', '/']).next().unwrap_or_default();
    // No name of an interface contains one of these: they begin the rest of the address.
    let end = behind
        .find([']', '@', '#', ':', '?', '/'])
        .unwrap_or(behind.len());
    let (zone, rest) = behind.split_at(end);
    let is_number = zone.bytes().all(|byte| byte.is_ascii_digit());
    if ip.parse::<Ipv6Addr>().is_err() || is_number {
        return Ok(text.into());
    }
    let number = number_of(zone).ok_or_else(|| {
        format!("this host has no interface {zone:?}; `ip link` shows those it has")
    })?;
    Ok(format!("{before}%{number}{rest}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host with an interface `eth0.7`, which has the number 3.
    fn number_of(name: &str) -> Option<u32> {
        (name == "eth0.7").then_some(3)
    }

    #[test]
    fn the_name_of_an_interface_becomes_its_number() {
        for (text, expected) in [
            ("[fe80::1%eth0.7]:5300", "[fe80::1%3]:5300"),
            ("fe80::1%eth0.7", "fe80::1%3"),
            ("fe80::1%eth0.7@5300", "fe80::1%3@5300"),
            ("[fe80::1%eth0.7]#a.test", "[fe80::1%3]#a.test"),
            ("tls://fe80::1%eth0.7#a.test", "tls://fe80::1%3#a.test"),
            (
                "https://fe80::1%eth0.7/q#a.test",
                "https://fe80::1%3/q#a.test",
            ),
            ("fe80::1%eth0.7?profile=strict", "fe80::1%3?profile=strict"),
            ("tcp://[fe80::1%eth0.7]:53", "tcp://[fe80::1%3]:53"),
            // A number, and what is no zone, is left to the parser of the address.
            ("[fe80::1%2]:5300", "[fe80::1%2]:5300"),
            ("fe80::1%", "fe80::1%"),
            ("192.0.2.1%eth0.7", "192.0.2.1%eth0.7"),
            ("a.test%eth0.7", "a.test%eth0.7"),
            ("::1", "::1"),
        ] {
            assert_eq!(numbered(text, number_of).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn an_unknown_interface_is_named_beside_what_was_given() {
        // fault 86
        let read = |text: &str| -> Result<(), _> {
            read_zoned("listen", text, number_of, |numbered| {
                Err(ConfigError::new("listen", numbered, "is wrong"))
            })
        };
        assert_eq!(
            read("[fe80::1%eth1]:53").unwrap_err().to_string(),
            r#"listen "[fe80::1%eth1]:53": this host has no interface "eth1"; `ip link` shows those it has"#
        );
        assert_eq!(
            read("[fe80::1%eth0.7]53").unwrap_err().to_string(),
            r#"listen "[fe80::1%eth0.7]53": is wrong"#
        );
    }
}
