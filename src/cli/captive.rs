//! The captive mode: for how long, and of whom names are asked in the clear.

use std::path::PathBuf;
use std::time::Duration;

use super::UsageError;
use super::given::Given;
use super::name_servers::SYSTEM;
use super::units::duration;
use super::zones::read_zoned;
use crate::config::{Captive, ConfigError, DNS_PORT, NetworkResolver, server_address};
use crate::transports::interface_number;

/// What stands before the time.
const ALLOWED: &str = "allow-plaintext-for";
/// What stands before the name of a file.
const FILE: &str = "file:";

/// What is allowed, if anything is.
pub(super) fn read_captive(given: &Given) -> Result<Option<Captive>, UsageError> {
    let resolvers = given.all("captive_resolver", |text| read_resolver(&text.text))?;
    let time = given.one("captive", read_time)?.flatten();
    Ok(time.map(|time| Captive::new(time).with_resolvers(resolvers)))
}

/// Reads `allow-plaintext-for TIME`, or `off`. An error is the reason alone.
fn read_time(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    let wrong = || format!("is neither off nor {ALLOWED} TIME, such as \"{ALLOWED} 2m\"");
    let time = text.strip_prefix(ALLOWED).ok_or_else(wrong)?;
    let time = time.strip_prefix([' ', '=']).ok_or_else(wrong)?.trim();
    duration(time).map(Some).map_err(|_| wrong())
}

fn read_resolver(text: &str) -> Result<NetworkResolver, ConfigError> {
    if text == SYSTEM {
        return Ok(NetworkResolver::System);
    }
    if let Some(path) = text.strip_prefix(FILE) {
        if !path.starts_with('/') {
            let reason = "is no whole path: it begins with file:/";
            return Err(ConfigError::new("captive_resolver", text, reason));
        }
        return Ok(NetworkResolver::File(PathBuf::from(path)));
    }
    let parse = |text: &str| {
        let error = |reason: String| ConfigError::new("captive_resolver", text, reason);
        server_address(text, DNS_PORT).map_err(error)
    };
    let address = read_zoned("captive_resolver", text, interface_number, parse)?;
    Ok(NetworkResolver::Address(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stands_behind_what_is_allowed() {
        for (text, seconds) in [
            ("allow-plaintext-for 60s", 60),
            ("allow-plaintext-for 60 s", 60),
            ("allow-plaintext-for 2m", 120),
            ("allow-plaintext-for=90", 90),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!(read_time(text), Ok(Some(time)), "{text}");
        }
        assert_eq!(read_time("off"), Ok(None));
        for text in [
            "",
            "on",
            "60s",
            "allow-plaintext-for",
            "allow-plaintext-for x",
            "allow-plaintext-for60s",
        ] {
            let why = read_time(text).unwrap_err();
            assert!(
                why.contains("neither off nor allow-plaintext-for"),
                "{text}: {why}"
            );
        }
    }

    #[test]
    fn a_resolver_is_an_address_a_file_or_what_the_system_knows() {
        let read = |text| read_resolver(text).unwrap();
        assert_eq!(read("system"), NetworkResolver::System);
        let address = "192.0.2.1:53".parse().unwrap();
        assert_eq!(read("192.0.2.1"), NetworkResolver::Address(address));
        assert_eq!(read("file:/run/x"), NetworkResolver::File("/run/x".into()));
        for text in ["file:x", "file:", "portal.example", "192.0.2"] {
            assert!(read_resolver(text).is_err(), "{text}");
        }
    }
}
