//! The values that the user gave for each option, on the command line or else by its environment variable.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::UsageError;
use super::argv::{Kind, Known, option};
use crate::config::words::closest;
use crate::config::{ConfigBuilder, ConfigError};

/// All environment variables of this program begin with it.
const PREFIX: &str = "DOTWARD_";

/// Names of settings, and how each is given to a configuration.
pub(super) type Table<T> = [(&'static str, fn(ConfigBuilder, T) -> ConfigBuilder)];

/// The values of every option, and where they come from.
#[derive(Debug)]
pub(super) struct Given(BTreeMap<&'static str, Values>);

#[derive(Debug)]
struct Values {
    from_variable: bool,
    texts: Vec<String>,
}

impl Given {
    /// Takes the value of an option that was not given as an argument from its variable. A variable of no option is an error, because
    /// what it was meant to forbid would be permitted.
    pub(super) fn join(
        known: &[Known],
        mut typed: BTreeMap<&'static str, Vec<String>>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, UsageError> {
        let mut variables = own_variables(variables)?;
        let mut given = Self(BTreeMap::new());
        for Known { name, kind } in known {
            let typed = typed.remove(name).unwrap_or_default();
            let variable = variables.remove(&variable_name(name));
            let from_variable = typed.is_empty() && variable.is_some();
            let texts = match variable {
                // An empty variable is more often a mistake in a script than a wish for the default.
                Some(text) if from_variable => split(*kind, &text).ok_or_else(|| {
                    let name = variable_name(name);
                    UsageError(format!(
                        "the variable {name} is empty; unset it for the default"
                    ))
                })?,
                _ => {
                    let texts = typed.iter().map(|text| split(*kind, text));
                    let texts: Option<Vec<Vec<String>>> = texts.collect();
                    let name = option(name);
                    let empty = || UsageError(format!("a value of {name} is empty"));
                    texts.ok_or_else(empty)?.concat()
                }
            };
            let values = Values {
                from_variable,
                texts,
            };
            given.0.insert(name, values);
        }
        match variables.first_key_value() {
            None => Ok(given),
            Some((unknown, _)) => Err(given.unknown(unknown)),
        }
    }

    fn unknown(&self, variable: &str) -> UsageError {
        let known: Vec<String> = self.0.keys().map(|name| variable_name(name)).collect();
        let hint = closest(variable, known.iter().map(String::as_str)).map_or_else(
            || "see dotward serve --help".to_owned(),
            |known| format!("did you mean {known}?"),
        );
        UsageError(format!("the variable {variable:?} is not known; {hint}"))
    }

    /// All values of an option.
    pub(super) fn all<T>(
        &self,
        setting: &'static str,
        read: impl Fn(&str) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, UsageError> {
        let texts = self
            .0
            .get(setting)
            .map(|values| values.texts.as_slice())
            .unwrap_or_default();
        texts
            .iter()
            .map(|text| read(text).map_err(|error| self.usage_error(&error)))
            .collect()
    }

    /// The value of an option that takes one, if it was given. An error of `read` is only the reason.
    pub(super) fn one<T>(
        &self,
        setting: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, UsageError> {
        let read =
            |text: &str| read(text).map_err(|reason| ConfigError::new(setting, text, reason));
        Ok(self.all(setting, read)?.pop())
    }

    /// Sets all settings of this table that were given. An error of `read` is only the reason.
    pub(super) fn apply<T>(
        &self,
        config: ConfigBuilder,
        table: &Table<T>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<ConfigBuilder, UsageError> {
        table.iter().try_fold(config, |config, (setting, set)| {
            let value = self.one(setting, &read)?;
            Ok(match value {
                Some(value) => set(config, value),
                None => config,
            })
        })
    }

    /// Whether a switch is set.
    pub(super) fn switch(&self, setting: &'static str) -> Result<bool, UsageError> {
        let set = self.one(setting, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("is neither true nor false".to_owned()),
        })?;
        Ok(set.unwrap_or(false))
    }

    /// The option or the variable by which a setting was given, if it was.
    pub(super) fn source(&self, setting: &str) -> Option<String> {
        let values = self.0.get(setting)?;
        (!values.texts.is_empty()).then(|| source(setting, values.from_variable))
    }

    /// An error of the library in the user's terms: with the option or the variable, and the value as it was given.
    pub(super) fn usage_error(&self, error: &ConfigError) -> UsageError {
        let values = self.0.get(error.setting);
        let source = source(error.setting, values.is_some_and(|one| one.from_variable));
        // Of several values the error knows which one is wrong.
        let value = match values.map(|one| one.texts.as_slice()) {
            Some([only]) => only,
            _ => &error.value,
        };
        let remedy = error
            .remedy
            .map_or_else(String::new, |setting| format!(" ({})", option(setting)));
        UsageError(format!("{source} {value:?}: {}{remedy}", error.reason))
    }
}

fn source(setting: &str, from_variable: bool) -> String {
    if from_variable {
        variable_name(setting)
    } else {
        option(setting)
    }
}

/// `ca_file` is `DOTWARD_CA_FILE`.
fn variable_name(setting: &str) -> String {
    format!("{PREFIX}{}", setting.to_ascii_uppercase())
}

/// The values in one text, unless it is empty: several for an option that may be repeated.
fn split(kind: Kind, text: &str) -> Option<Vec<String>> {
    let parts = match kind {
        Kind::Many => text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
        Kind::One | Kind::Switch if text.trim().is_empty() => Vec::new(),
        Kind::One | Kind::Switch => vec![text.to_owned()],
    };
    (!parts.is_empty()).then_some(parts)
}

fn own_variables(
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
    use super::*;

    const KNOWN: [Known; 3] = [
        Known {
            name: "ca_file",
            kind: Kind::One,
        },
        Known {
            name: "listen",
            kind: Kind::Many,
        },
        Known {
            name: "check",
            kind: Kind::Switch,
        },
    ];

    fn join(
        typed: &[(&'static str, &str)],
        variables: &[(&str, &str)],
    ) -> Result<Given, UsageError> {
        let mut texts = BTreeMap::<_, Vec<_>>::new();
        for (setting, text) in typed {
            texts.entry(*setting).or_default().push((*text).to_owned());
        }
        let variables = variables.iter();
        Given::join(
            &KNOWN,
            texts,
            variables.map(|(name, value)| (name.into(), value.into())),
        )
    }

    fn texts(given: &Given, setting: &'static str) -> Vec<String> {
        given.all(setting, |text| Ok(text.to_owned())).unwrap()
    }

    #[test]
    fn an_option_wins_over_its_variable() {
        let typed = [("ca_file", "/a.pem"), ("listen", "::1"), ("check", "true")];
        let variables = [
            ("DOTWARD_CA_FILE", "/b.pem"),
            ("DOTWARD_LISTEN", "::2"),
            ("DOTWARD_CHECK", "no"),
        ];
        let given = join(&typed, &variables).unwrap();
        assert_eq!(texts(&given, "ca_file"), ["/a.pem"]);
        assert_eq!(texts(&given, "listen"), ["::1"]);
        assert_eq!(given.switch("check"), Ok(true));
    }

    #[test]
    fn a_variable_stands_in_for_its_option() {
        let variables = [
            ("DOTWARD_CA_FILE", "/my, own.pem"),
            ("DOTWARD_LISTEN", " ::1,::2  ::3,\n::4 "),
            ("DOTWARD_CHECK", "Yes"),
        ];
        let given = join(&[], &variables).unwrap();
        assert_eq!(texts(&given, "ca_file"), ["/my, own.pem"]);
        assert_eq!(texts(&given, "listen"), ["::1", "::2", "::3", "::4"]);
        assert_eq!(given.switch("check"), Ok(true));
    }

    #[test]
    fn an_option_that_may_be_repeated_takes_several_values_at_once() {
        let typed = |texts: [&str; 2]| join(&texts.map(|text| ("listen", text)), &[]);
        let given = typed(["::1,::2", "::3 ::4"]).unwrap();
        assert_eq!(texts(&given, "listen"), ["::1", "::2", "::3", "::4"]);
        for empty in ["", " ", ","] {
            let error = typed(["::1", empty]).unwrap_err();
            assert_eq!(error.to_string(), "a value of --listen is empty");
        }
    }

    #[test]
    fn a_switch_may_be_switched_off() {
        let variables = [("DOTWARD_CHECK", "true")];
        for (text, set) in [("false", false), ("yes", true)] {
            let given = join(&[("check", text)], &variables).unwrap();
            assert_eq!(given.switch("check"), Ok(set));
        }
    }

    #[test]
    fn without_either_there_is_nothing() {
        let given = join(&[], &[("PATH", "/bin"), ("dotward_listen", "::1")]).unwrap();
        assert!(texts(&given, "listen").is_empty());
        assert_eq!(given.switch("check"), Ok(false));
    }

    #[test]
    fn unknown_and_empty_variables_are_errors() {
        // fault 86
        let error = |name, value| join(&[], &[(name, value)]).unwrap_err().to_string();
        assert_eq!(
            error("DOTWARD_LISTN", "::1"),
            r#"the variable "DOTWARD_LISTN" is not known; did you mean DOTWARD_LISTEN?"#
        );
        assert!(error("DOTWARD_XYZZY", "1").ends_with("is not known; see dotward serve --help"));
        assert!(error("DOTWARD_PORT", "5300").contains("is not known"));
        assert_eq!(
            error("DOTWARD_CA_FILE", " "),
            "the variable DOTWARD_CA_FILE is empty; unset it for the default"
        );
        assert!(error("DOTWARD_LISTEN", " , ").contains("DOTWARD_LISTEN is empty"));
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
                let given = join(&[], &[(&name, value)]);
                assert!(given.is_ok(), "{name}: {given:?}");
            }
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
            let error = join(&[], &[(name, value)]).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("is not known"),
                "{error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_must_be_text() {
        // fault 86
        use std::os::unix::ffi::OsStringExt as _;
        let variables = [("DOTWARD_LISTEN".into(), OsString::from_vec(vec![0xff]))];
        let error = Given::join(&KNOWN, BTreeMap::new(), variables).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the variable DOTWARD_LISTEN is not valid UTF-8"
        );
    }

    #[test]
    fn an_error_names_where_the_value_came_from() {
        // fault 86
        let variables = [("DOTWARD_CA_FILE", "/a"), ("DOTWARD_CHECK", "maybe")];
        let given = join(&[("listen", "x")], &variables).unwrap();
        let told = |setting| {
            given
                .usage_error(&ConfigError::new(setting, "x", "is wrong"))
                .to_string()
        };
        assert_eq!(told("listen"), r#"--listen "x": is wrong"#);
        assert_eq!(told("ca_file"), r#"DOTWARD_CA_FILE "/a": is wrong"#);
        let error = given.switch("check").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"DOTWARD_CHECK "maybe": is neither true nor false"#
        );
    }
}
