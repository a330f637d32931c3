//! The environment variables of this program.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::UsageError;
use super::known::Known;
use super::origin::{PREFIX, variable};
use crate::config::words::closest;

/// A variable of no setting, with the nearest that there is.
pub(super) fn unknown_variable(name: &str, known: &[Known]) -> UsageError {
    // The prefix, which all have in common, would make any two of them look alike.
    let word = name.strip_prefix(PREFIX).unwrap_or(name);
    let hint = closest(word, known.iter().map(|known| known.name)).map_or_else(
        || "see dotward serve --help".to_owned(),
        |near| format!("did you mean {}?", variable(near)),
    );
    UsageError(format!("the variable {name:?} is not known; {hint}"))
}

/// This program's own variables.
pub(super) fn own_variables(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, UsageError> {
    let mut own = BTreeMap::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let value = value.into_string().map_err(|_| {
            UsageError(format!(
                "the variable {} is not valid UTF-8",
                name.escape_debug()
            ))
        })?;
        if !is_service_link(name, &value) {
            own.insert(name.to_owned(), value);
        }
    }
    Ok(own)
}

/// Whether Kubernetes set this variable: it gives each container the addresses of the services in its namespace, and those of a service
/// whose name begins with `dotward` begin as this program's own variables do: `DOTWARD_DNS_SERVICE_HOST`, `DOTWARD_DNS_SERVICE_PORT[_NAME]`,
/// `DOTWARD_DNS_PORT=udp://...`, `DOTWARD_DNS_PORT_53_UDP[_PROTO|_PORT|_ADDR]`.
fn is_service_link(name: &str, value: &str) -> bool {
    let host = name.ends_with("_SERVICE_HOST");
    let port = name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_");
    let place = name.ends_with("_PORT") && value.contains("://");
    host || port
        || place
        || name.match_indices("_PORT_").any(|(at, before)| {
            let rest = name.get(at + before.len()..).unwrap_or_default();
            is_numbered_port(rest)
        })
}

/// Whether this is `53_UDP`, alone or with one of the suffixes.
fn is_numbered_port(text: &str) -> bool {
    let mut parts = text.split('_');
    let number = parts.next().unwrap_or_default();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits
        && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        && matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::super::known::Kind;
    use super::*;

    /// The names of those that are this program's own.
    fn own(name: &str, value: &str) -> Vec<String> {
        let variables = own_variables([(name.into(), value.into())]);
        variables.unwrap().into_keys().collect()
    }

    #[test]
    fn what_kubernetes_sets_is_not_ours() {
        for service in ["DOTWARD", "DOTWARD_DNS", "DOTWARD_UDP", "DOTWARD_MY_PORT_2"] {
            for (rest, value) in [
                ("SERVICE_HOST", "10.0.0.7"),
                ("SERVICE_PORT", "53"),
                ("SERVICE_PORT_DNS_TCP", "53"),
                ("PORT", "udp://10.0.0.7:53"),
                ("PORT_53_UDP", "udp://10.0.0.7:53"),
                ("PORT_53_TCP_PROTO", "tcp"),
                ("PORT_53_SCTP_PORT", "53"),
                ("PORT_53_UDP_ADDR", "10.0.0.7"),
            ] {
                let name = format!("{service}_{rest}");
                assert_eq!(own(&name, value), [""; 0], "{name}");
            }
        }
    }

    #[test]
    fn a_misspelt_variable_gets_the_nearest_one_and_another_none() {
        let known = ["listen", "hedge"].map(|name| Known {
            name,
            kind: Kind::Word,
            default: &[],
        });
        for (name, hint) in [
            ("DOTWARD_LISTN", "did you mean DOTWARD_LISTEN?"),
            ("DOTWARD_CHECK", "see dotward serve --help"),
        ] {
            let error = unknown_variable(name, &known).to_string();
            assert_eq!(error, format!("the variable {name:?} is not known; {hint}"));
        }
    }

    #[test]
    fn what_only_resembles_a_service_link_is_an_error() {
        // fault 86
        for (name, value) in [
            ("DOTWARD_PORT", "53"),
            ("DOTWARD_DNS_PORT", "53"),
            ("DOTWARD_LISTEN_PORT_UDP", "53"),
            ("DOTWARD_PORT_53", "udp"),
            ("DOTWARD_PORT_53_QUIC", "udp"),
            ("DOTWARD_PORT_53_UDP_NAME", "dns"),
            ("DOTWARD_PORT_53_UDP_ADDR_2", "10.0.0.7"),
            ("DOTWARD_SERVICE", "10.0.0.7"),
        ] {
            assert_eq!(own(name, value), [name]);
            let error = unknown_variable(name, &[]).to_string();
            let expected = format!("the variable {name:?} is not known; see dotward serve --help");
            assert_eq!(error, expected);
        }
    }
}
