//! The configuration file (TOML 1.1): its octets in, the values of settings out, each with its place.
//!
//! `locate` finds and reads it, `document` knows its lines, `tables` knows which tables there are, and `reader` takes the values from them. What the values mean is not known
//! here: they are read like those of the command line.

mod document;
mod locate;
mod reader;
mod tables;

use std::collections::BTreeMap;

use super::UsageError;
use super::known::{Kind, Known};
use super::origin::Place;
use super::values::Values;
pub(super) use crate::transports::{PEM_OCTETS, ReadError, read_limited};
use document::Document;
pub(super) use locate::{NONE, find, usual_places};

/// What becomes of a file that is not there, and that the program can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is made, with a random key.
    Make,
    /// It must be possible to make it.
    CouldBeMade,
    /// It has no effect.
    Ignore,
}

/// The values of a table in which the keys are known.
pub(super) type Record = BTreeMap<&'static str, Values>;

/// The keys of an upstream that is written as a table: beside the first two, its parameters.
pub(super) const UPSTREAM_KEYS: &[Known] = &[
    field("address", Kind::Word),
    field("allow_plaintext", Kind::Switch),
    field("pin_sha256", Kind::List),
    field("profile", Kind::Word),
    field("client_certificate", Kind::Path),
    field("client_key", Kind::Path),
    field("early_data", Kind::Switch),
    field("socks5", Kind::Word),
    field("isolate", Kind::Switch),
];

/// The keys of a route.
pub(super) const ROUTE_KEYS: &[Known] = &[
    field("domain", Kind::List),
    field("upstreams", Kind::Upstreams),
    field("policy", Kind::Word),
    field("allow_plaintext", Kind::Switch),
    field("to", Kind::Word),
];

/// The tables of a file beside its keys.
pub(super) const TABLES: [&str; 2] = ["route", "hosts"];

const fn field(name: &'static str, kind: Kind) -> Known {
    Known {
        name,
        kind,
        default: &[],
    }
}

/// All that a file says.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) values: Record,
    pub(super) routes: Vec<RouteTexts>,
    pub(super) hosts: Vec<HostTexts>,
}

impl File {
    /// Reads the octets of the file of this name. An error is one line with the place in it.
    pub(super) fn read(name: &str, octets: &[u8], known: &[Known]) -> Result<Self, UsageError> {
        let document = Document::new(name, octets)?;
        let table = document.parse()?;
        tables::file(&document, &table, known)
    }
}

/// A route as it was written.
#[derive(Debug)]
pub(super) struct RouteTexts {
    pub(super) place: Place,
    pub(super) fields: Record,
}

impl RouteTexts {
    /// The values that errors about this setting mean.
    pub(super) fn values(&self, setting: &str) -> Option<&Values> {
        self.fields.get(match setting {
            "upstream" => "upstreams",
            "route" => "domain",
            _ => return None,
        })
    }
}

/// The addresses of one name as they were written.
#[derive(Debug)]
pub(super) struct HostTexts {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) addresses: Values,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::origin::key;

    #[test]
    fn the_annotated_file_describes_the_keys_of_all_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/dotward.toml");
        let text = std::fs::read_to_string(path).unwrap();
        for table in TABLES {
            let heads = [format!("#     [[{table}]]\n"), format!("#     [{table}]\n")];
            assert!(heads.iter().any(|head| text.contains(head)), "{table}");
        }
        for known in ROUTE_KEYS {
            let key = key(known.name);
            assert!(text.contains(&format!("#     {key} = ")), "{key}");
        }
        for known in UPSTREAM_KEYS {
            let key = key(known.name);
            let in_table = [format!("{{ {key} = "), format!(", {key} = ")];
            assert!(in_table.iter().any(|part| text.contains(part)), "{key}");
        }
        assert!(text.contains("--config") && text.contains("DOTWARD_CONFIG"));
    }
}
