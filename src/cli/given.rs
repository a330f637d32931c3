//! The values of all settings: from the command line, or else from the environment, or else from a file, or else the defaults.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;

use super::UsageError;
use super::environment::{own_variables, unknown_variable};
use super::file::{File, HostTexts, RouteTexts};
use super::known::Known;
use super::origin::{Origin, key, option, variable};
use super::values::{Values, Written};
use crate::config::{
    ConfigBuilder, ConfigError, DNS_PORT, Domain, Encryption, Listen, server_address,
};

/// Names of settings, and how each is given to a configuration.
pub(super) type Table<T> = [(&'static str, fn(ConfigBuilder, T) -> ConfigBuilder)];

/// The values of all settings, and where they come from.
#[derive(Debug)]
pub(super) struct Given {
    known: &'static [Known],
    values: BTreeMap<&'static str, Values>,
    /// What only a file can say.
    pub(super) routes: Vec<RouteTexts>,
    pub(super) hosts: Vec<HostTexts>,
    /// The name of that file.
    pub(super) file: Option<String>,
}

impl Given {
    /// Takes the value of an option that was not typed from its variable, or else its default. A variable of no option is an error, because
    /// what it was meant to forbid would be permitted.
    pub(super) fn join(
        known: &'static [Known],
        mut typed: BTreeMap<&'static str, Vec<String>>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, UsageError> {
        let mut variables = own_variables(variables)?;
        let mut values = BTreeMap::new();
        for known in known {
            let typed = typed.remove(known.name).unwrap_or_default();
            // Removed even if it does not count, so that those that are not known remain.
            let text = variables.remove(&variable(known.name));
            values.insert(known.name, joined(known, &typed, text)?);
        }
        if let Some((unknown, _)) = variables.first_key_value() {
            return Err(unknown_variable(unknown, known));
        }
        Ok(Self {
            known,
            values,
            routes: Vec::new(),
            hosts: Vec::new(),
            file: None,
        })
    }

    /// Takes from a file what neither the command line nor the environment says.
    pub(super) fn with_file(mut self, file: File) -> Self {
        for (setting, from_file) in file.values {
            let values = self.values.get_mut(setting);
            if let Some(values) = values.filter(|values| values.origin == Origin::Default) {
                *values = from_file;
            }
        }
        self.routes = file.routes;
        self.hosts = file.hosts;
        self.file = Some(file.name);
        self
    }

    /// Only these settings; the others are as if nobody had said anything of them, and neither read nor wrong.
    #[cfg(feature = "query")]
    pub(super) fn reduced_to(mut self, settings: &[&str]) -> Self {
        for known in self.known.iter().filter(|it| !settings.contains(&it.name)) {
            let texts = known.default.iter().map(|text| (*text).to_owned());
            let values = Values::new(texts, &Origin::Default);
            self.values.insert(known.name, values);
        }
        self.hosts.clear();
        self
    }

    /// The same with other values of a setting.
    #[cfg(feature = "query")]
    pub(super) fn with(mut self, setting: &'static str, values: Values) -> Self {
        self.values.insert(setting, values);
        self
    }

    pub(super) fn values(&self, setting: &str) -> Option<&Values> {
        self.values.get(setting)
    }

    /// All values of a setting.
    pub(super) fn all<T>(
        &self,
        setting: &'static str,
        read: impl Fn(&Written) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, UsageError> {
        let values = self.values(setting);
        values.map_or(Ok(Vec::new()), |values| values.all(setting, read))
    }

    /// The value of a setting that has one. An error of `read` is only the reason.
    pub(super) fn one<T>(
        &self,
        setting: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, UsageError> {
        let values = self.values(setting);
        values.map_or(Ok(None), |values| values.last(setting, read))
    }

    /// Sets all settings of this table. An error of `read` is only the reason.
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

    /// How a setting is named where it was given. A default has no such name, even if it is written out in a file, as it is where all are.
    pub(super) fn source(&self, setting: &str) -> Option<String> {
        let values = self.values(setting)?;
        let known = self.known.iter().find(|known| known.name == setting)?;
        let is_default = match values.origin {
            Origin::Option | Origin::Variable => false,
            Origin::File(_) => values.are_default(known),
            Origin::Default => true,
        };
        (!is_default).then(|| values.origin.name(setting))
    }

    /// An error of the library in the user's terms: with the place of the value, and the value as it was given.
    pub(super) fn usage_error(&self, error: &ConfigError) -> UsageError {
        let setting = error.setting;
        let texts = self.texts(setting);
        // Of several values the error knows which one is wrong, though perhaps in another form.
        let meant = |text: &&&Written| {
            text.text == error.value || normal(setting, &text.text).as_ref() == Some(&error.value)
        };
        let alike: Vec<&&Written> = texts.iter().filter(meant).collect();
        let (name, value) = match (&texts[..], &alike[..]) {
            ([only], _) => (only.origin.name(setting), &only.shown()),
            (_, [.., last]) => (last.origin.name(setting), &error.value),
            _ => {
                let values = self.values(setting);
                let origin = values.map_or(&Origin::Default, |values| &values.origin);
                (origin.name(setting), &error.value)
            }
        };
        let first = match alike[..] {
            [first, _, ..] => first.origin.place(),
            _ => None,
        };
        let first = first.map_or_else(String::new, |place| {
            format!(", first in line {}", place.line)
        });
        let remedy = error
            .remedy
            .map_or_else(String::new, |remedy| self.remedy(setting, remedy));
        UsageError(format!("{name} {value:?}: {}{first}{remedy}", error.reason))
    }

    /// The setting that would help, as it is named where it was given, or where the one that is wrong was.
    fn remedy(&self, setting: &str, remedy: &str) -> String {
        let origin = |setting| self.values(setting).map(|values| &values.origin);
        match (origin(remedy), origin(setting)) {
            (Some(Origin::File(place)), _) => format!(" ({} in line {})", key(remedy), place.line),
            (Some(Origin::Variable), _) => format!(" ({})", variable(remedy)),
            (Some(Origin::Default) | None, Some(Origin::File(_))) => format!(" ({})", key(remedy)),
            _ => format!(" ({})", option(remedy)),
        }
    }

    /// All texts of a setting. Upstreams and domains are in routes, too.
    fn texts(&self, setting: &str) -> Vec<&Written> {
        let own = self.values(setting).into_iter();
        let routes = self.routes.iter().filter_map(|route| route.values(setting));
        let values = own.chain(routes);
        values.flat_map(|values| &values.texts).collect()
    }
}

/// The values of one setting: typed, or else of the variable, or else the default.
fn joined(known: &Known, typed: &[String], text: Option<String>) -> Result<Values, UsageError> {
    if !typed.is_empty() {
        let texts = typed.iter().map(|text| known.kind.split(text));
        let texts: Option<Vec<Vec<String>>> = texts.collect();
        let empty = || UsageError(format!("a value of {} is empty", option(known.name)));
        let texts = texts.ok_or_else(empty)?;
        return Ok(Values::new(texts.concat(), &Origin::Option));
    }
    if let Some(text) = text {
        // An empty variable is more often a mistake in a script than a wish for the default.
        let texts = known.kind.split(&text).ok_or_else(|| {
            let name = variable(known.name);
            UsageError(format!(
                "the variable {name} is empty; unset it for the default"
            ))
        })?;
        return Ok(Values::new(texts, &Origin::Variable));
    }
    let texts = known.default.iter().map(|text| (*text).to_owned());
    Ok(Values::new(texts, &Origin::Default))
}

/// The form in which the library names a value that people write in several ways.
fn normal(setting: &str, text: &str) -> Option<String> {
    match setting {
        "listen" => text
            .parse()
            .ok()
            .map(|listen: Listen| listen.addr().to_string()),
        "listen_tls" => encrypted(text, Encryption::Tls),
        "listen_https" => encrypted(text, Encryption::Https),
        "bootstrap" => server_address(text, DNS_PORT)
            .ok()
            .as_ref()
            .map(SocketAddr::to_string),
        // A route is known by its domains.
        "route" => text.parse().ok().as_ref().map(Domain::to_string),
        _ => None,
    }
}

fn encrypted(text: &str, by: Encryption) -> Option<String> {
    let listen = Listen::parse_encrypted(text, by).ok();
    listen.map(|listen| listen.addr().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::known::Kind;
    use super::super::units::switch;
    use super::*;

    const KNOWN: [Known; 3] = [
        Known {
            name: "ca_file",
            kind: Kind::Path,
            default: &[],
        },
        Known {
            name: "listen",
            kind: Kind::List,
            default: &[],
        },
        Known {
            name: "hedge",
            kind: Kind::Switch,
            default: &[],
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
        given.all(setting, |text| Ok(text.text.clone())).unwrap()
    }

    #[test]
    fn an_option_wins_over_its_variable() {
        let typed = [("ca_file", "/a.pem"), ("listen", "::1"), ("hedge", "true")];
        let variables = [
            ("DOTWARD_CA_FILE", "/b.pem"),
            ("DOTWARD_LISTEN", "::2"),
            ("DOTWARD_HEDGE", "no"),
        ];
        let given = join(&typed, &variables).unwrap();
        assert_eq!(texts(&given, "ca_file"), ["/a.pem"]);
        assert_eq!(texts(&given, "listen"), ["::1"]);
        assert_eq!(given.one("hedge", switch), Ok(Some(true)));
    }

    #[test]
    fn a_variable_stands_in_for_its_option() {
        let variables = [
            ("DOTWARD_CA_FILE", "/my, own.pem"),
            ("DOTWARD_LISTEN", " ::1,::2  ::3,\n::4 "),
            ("DOTWARD_HEDGE", "Yes"),
        ];
        let given = join(&[], &variables).unwrap();
        assert_eq!(texts(&given, "ca_file"), ["/my, own.pem"]);
        assert_eq!(texts(&given, "listen"), ["::1", "::2", "::3", "::4"]);
        assert_eq!(given.one("hedge", switch), Ok(Some(true)));
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
        let variables = [("DOTWARD_HEDGE", "true")];
        for (text, set) in [("false", false), ("yes", true)] {
            let given = join(&[("hedge", text)], &variables).unwrap();
            assert_eq!(given.one("hedge", switch), Ok(Some(set)));
        }
    }

    #[test]
    fn without_either_there_is_nothing() {
        let given = join(&[], &[("PATH", "/bin"), ("dotward_listen", "::1")]).unwrap();
        assert!(texts(&given, "listen").is_empty());
        assert_eq!(given.one("hedge", switch), Ok(None));
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
        let variables = [("DOTWARD_CA_FILE", "/a"), ("DOTWARD_HEDGE", "maybe")];
        let given = join(&[("listen", "x")], &variables).unwrap();
        let told = |setting| {
            given
                .usage_error(&ConfigError::new(setting, "x", "is wrong"))
                .to_string()
        };
        assert_eq!(told("listen"), r#"--listen "x": is wrong"#);
        assert_eq!(told("ca_file"), r#"DOTWARD_CA_FILE "/a": is wrong"#);
        let error = given.one("hedge", switch).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"DOTWARD_HEDGE "maybe": is neither true nor false"#
        );
    }
}
