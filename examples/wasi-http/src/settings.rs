//! What the host's environment says.
#![forbid(unsafe_code)]

use crate::forwarding;
use crate::https::PLAIN;
#[cfg(feature = "dot")]
use dotward::config::Roots;
use dotward::config::{Config, Scheme, Upstream};
use std::time::Duration;

/// What can be reached.
pub const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "https",
        port: 443,
        encrypted: true,
    },
    Scheme {
        name: PLAIN,
        port: 80,
        encrypted: false,
    },
    #[cfg(feature = "dot")]
    Scheme {
        name: "tls",
        port: 853,
        encrypted: true,
    },
];

/// How long a query may take at most, unless it is said.
const TIMEOUT_MS: u64 = 4_000;

/// Reads the settings from variables. An error says what is wrong.
pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<(Config, Vec<Upstream>), String> {
    let specs = variable("UPSTREAMS").ok_or("UPSTREAMS is not set")?;
    let lines = specs.replace([' ', ','], "\n");
    let upstreams = forwarding::upstreams(&lines, SCHEMES)?;
    let timeout = match variable("TIMEOUT_MS") {
        Some(digits) => digits
            .parse()
            .map_err(|error| format!("TIMEOUT_MS {digits:?}: {error}"))?,
        None => TIMEOUT_MS,
    };
    let config = Config::builder()
        .upstreams(upstreams.clone())
        .timeout(Duration::from_millis(timeout))
        .driver_resolves_names();
    #[cfg(feature = "dot")]
    let config = match variable("CA_FILE") {
        Some(file) => config.roots(authorities(&file)?),
        None => config,
    };
    let config = config.build().map_err(|error| error.to_string())?;
    Ok((config, upstreams))
}

/// The certificates of a file, which the host has to make readable.
#[cfg(feature = "dot")]
fn authorities(file: &str) -> Result<Roots, String> {
    let pem = std::fs::read(file).map_err(|error| format!("CA_FILE {file}: {error}"))?;
    Roots::from_pem(file, pem).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(upstreams: Option<&str>, timeout: Option<&str>) -> String {
        let read = read(|name| {
            let value = if name == "UPSTREAMS" {
                upstreams
            } else {
                timeout
            };
            value.map(str::to_owned)
        });
        match read {
            Ok((config, upstreams)) => {
                let labels: Vec<_> = upstreams.iter().map(Upstream::label).collect();
                format!("{} {:?}", labels.join(" "), config.timeout())
            }
            Err(why) => why,
        }
    }

    // req 118
    #[test]
    fn upstreams_are_separated_by_spaces_and_commas() {
        let both = "https://one.example https://two.example";
        assert_eq!(shown(Some(both), None), format!("{both} 4s"));
        let commas = "https://one.example, https://two.example";
        assert_eq!(shown(Some(commas), Some("900")), format!("{both} 900ms"));
    }

    // req 118
    #[test]
    fn what_is_wrong_is_named() {
        for (upstreams, timeout, why) in [
            (None, None, "UPSTREAMS is not set"),
            (Some(" "), None, "upstream"),
            (Some("htps://one.example"), None, "https"),
            (
                Some("https://one.example"),
                Some("soon"),
                "TIMEOUT_MS \"soon\"",
            ),
            (Some("https://one.example"), Some("1"), "timeout"),
            (
                Some("https://one.example?socks5=127.0.0.1"),
                None,
                "socks5 is not for",
            ),
        ] {
            let got = shown(upstreams, timeout);
            assert!(got.contains(why), "{upstreams:?} {timeout:?}: {got}");
        }
    }
}
