//! Where the values of settings come from, and how each place names a setting.

use std::fmt;
use std::sync::Arc;

/// All environment variables of this program begin with it.
pub(super) const PREFIX: &str = "DOTWARD_";

/// How a setting is named in a file: `max_in_flight` is `max-in-flight`.
pub(super) fn key(setting: &str) -> String {
    setting.replace('_', "-")
}

/// How a setting is named on the command line: `max_in_flight` is `--max-in-flight`.
pub(super) fn option(setting: &str) -> String {
    format!("--{}", key(setting))
}

/// How a setting is named in the environment: `max_in_flight` is `DOTWARD_MAX_IN_FLIGHT`.
pub(super) fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.to_ascii_uppercase())
}

/// A place in a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Where a value comes from: of several, the first in the order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Option,
    Variable,
    File(Place),
    Default,
}

impl Origin {
    /// The setting as it is named there. A default has no name of its own: it is the option that would replace it.
    pub(super) fn name(&self, setting: &str) -> String {
        match self {
            Self::Option | Self::Default => option(setting),
            Self::Variable => variable(setting),
            Self::File(place) => format!("{place}: {}", key(setting)),
        }
    }

    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::File(place) => Some(place),
            Self::Option | Self::Variable | Self::Default => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_origin_names_a_setting_in_its_own_way() {
        let place = Place {
            file: "/etc/dotward.toml".into(),
            line: 3,
            column: 10,
        };
        for (origin, expected) in [
            (Origin::Option, "--max-ttl"),
            (Origin::Variable, "DOTWARD_MAX_TTL"),
            (Origin::File(place), "/etc/dotward.toml:3:10: max-ttl"),
            (Origin::Default, "--max-ttl"),
        ] {
            assert_eq!(origin.name("max_ttl"), expected);
        }
    }
}
