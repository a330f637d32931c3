//! What is known of each setting, wherever it is given.

use super::origin::key;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its name, with underscores between its words.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The values that it has unless others are given, as one would write them.
    pub(super) default: &'static [&'static str],
}

impl Known {
    /// Whether this is the key of it in a file.
    pub(super) fn has_key(&self, text: &str) -> bool {
        self.kind != Kind::ConfigFile && key(self.name) == text
    }
}

/// What to do with a name in `[hosts]` that is a key, or nothing for any other. In TOML each key belongs to the table above it.
pub(super) fn misplaced(name: &str, known: &[Known]) -> &'static str {
    if known.iter().any(|known| known.has_key(name)) {
        "; as a key it must stand above the first [table]"
    } else {
        ""
    }
}

/// What the values of a setting are. On the command line and in variables all of them are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The name of the file that holds settings, in which it is therefore no key.
    ConfigFile,
    /// Words; the option may be repeated.
    List,
    /// As a list; in a file each may be a table.
    Upstreams,
    Word,
    Path,
    Time,
    Octets,
    Count,
    /// On the command line the value may be left out.
    Switch,
}

impl Kind {
    /// Whether there may be several values.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::List | Self::Upstreams)
    }

    /// What is to be written in a file.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::ConfigFile | Self::Word | Self::Path => "a string",
            Self::List => "a string or a list of strings",
            Self::Upstreams => "a string, a table with an address or a list of these",
            Self::Time => "a string such as \"4s\" or a number of seconds",
            Self::Octets => "a whole number or a string such as \"4M\"",
            Self::Count => "a whole number",
            Self::Switch => "true or false",
        }
    }

    /// The values in one text, unless it is empty: several of a setting that may have several.
    pub(super) fn split(self, text: &str) -> Option<Vec<String>> {
        let parts: Vec<String> = if self.repeats() {
            text.split(|c: char| c == ',' || c.is_whitespace())
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        } else if text.trim().is_empty() {
            Vec::new()
        } else {
            vec![text.to_owned()]
        };
        (!parts.is_empty()).then_some(parts)
    }
}
