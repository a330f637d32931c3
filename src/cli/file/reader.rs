//! From the tables of a file to texts with their places.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::document::Document;
use super::{Record, TABLES, UPSTREAM_KEYS};
use crate::cli::UsageError;
use crate::cli::known::{Kind, Known};
use crate::cli::origin::{Origin, key};
use crate::cli::units::switch;
use crate::cli::values::{Values, Written};
use crate::config::words::closest;

pub(super) type Value<'i> = Spanned<DeValue<'i>>;
pub(super) type Key<'i> = Spanned<DeString<'i>>;

/// A table whose keys are known, and how errors speak of it.
#[derive(Clone, Copy)]
pub(super) struct Within<'k> {
    known: &'k [Known],
    name: &'static str,
    /// The keys of the file outside of all tables.
    top: &'k [Known],
}

/// Takes values from tables. An error is one line with the place in it.
pub(super) struct Reader<'d> {
    pub(super) document: &'d Document<'d>,
    /// The keys of the file outside of all tables.
    pub(super) known: &'d [Known],
}

impl<'d> Reader<'d> {
    pub(super) fn within(&self, known: &'d [Known], name: &'static str) -> Within<'d> {
        Within {
            known,
            name,
            top: self.known,
        }
    }

    pub(super) fn known(&self, key: &Key<'_>, within: Within<'d>) -> Result<Known, UsageError> {
        let found = within
            .known
            .iter()
            .find(|known| known.has_key(key.get_ref()));
        found.copied().ok_or_else(|| {
            let what = no_key(key.get_ref(), within);
            self.document.error(key.span().start, what)
        })
    }

    /// The values of all keys of a table.
    pub(super) fn record(
        &self,
        table: &DeTable<'_>,
        within: Within<'d>,
    ) -> Result<Record, UsageError> {
        let value = |(key, value)| {
            let known = self.known(key, within)?;
            Ok((known.name, self.values(known, value)?))
        };
        entries(table).into_iter().map(value).collect()
    }

    pub(super) fn values(&self, known: Known, value: &Value<'_>) -> Result<Values, UsageError> {
        let texts = match value.get_ref() {
            DeValue::Array(items) if known.kind.repeats() => {
                if items.is_empty() && !known.default.is_empty() {
                    return Err(self.empty(known, value));
                }
                let texts: Result<Vec<_>, _> =
                    items.iter().map(|item| self.texts(known, item)).collect();
                texts?.concat()
            }
            _ => self.texts(known, value)?,
        };
        Ok(Values {
            origin: self.origin(value),
            texts,
        })
    }

    /// The texts of one value that is no list.
    fn texts(&self, known: Known, value: &Value<'_>) -> Result<Vec<Written>, UsageError> {
        if let (Kind::Upstreams, DeValue::Table(table)) = (known.kind, value.get_ref()) {
            return Ok(vec![self.upstream(table, value)?]);
        }
        let text = scalar(known.kind, value.get_ref())
            .ok_or_else(|| self.wrong_type(&key(known.name), value, known.kind.expected()))?;
        let texts = known
            .kind
            .split(&text)
            .ok_or_else(|| self.empty(known, value))?;
        Ok(Values::new(texts, &self.origin(value)).texts)
    }

    /// An upstream of whom more is said than where it is.
    fn upstream(&self, table: &DeTable<'_>, value: &Value<'_>) -> Result<Written, UsageError> {
        let within = self.within(UPSTREAM_KEYS, "an upstream");
        let fields = self.record(table, within)?;
        for (key, value) in entries(table) {
            // An empty list of pins would pass for none, and nothing would be pinned.
            if matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()) {
                return Err(self.empty(self.known(key, within)?, value));
            }
        }
        let address = fields.get("address").and_then(|values| values.texts.last());
        let missing = || {
            let start = value.span().start;
            self.document.error(start, "this upstream has no address")
        };
        let address = address.cloned().ok_or_else(missing)?;
        let mut parameters = Vec::new();
        for name in UPSTREAM_KEYS.iter().skip(2).map(|known| known.name) {
            let texts = fields.get(name).into_iter().flat_map(|one| &one.texts);
            parameters.extend(texts.map(|value| (name, value.text.clone())));
        }
        let allowed = fields
            .get("allow_plaintext")
            .map(|values| values.last("allow_plaintext", switch));
        Ok(Written {
            allow_plaintext: allowed.transpose()?.flatten(),
            parameters,
            ..address
        })
    }

    pub(super) fn origin(&self, value: &Value<'_>) -> Origin {
        Origin::File(self.document.place(value.span().start))
    }

    pub(super) fn wrong_type(&self, key: &str, value: &Value<'_>, expected: &str) -> UsageError {
        let found = found(value.get_ref());
        let what = format!("{key}: is {found}, where {expected} is expected");
        self.document.error(value.span().start, what)
    }

    fn empty(&self, known: Known, value: &Value<'_>) -> UsageError {
        let what = format!(
            "{}: is empty; leave it out for the default",
            key(known.name)
        );
        self.document.error(value.span().start, what)
    }
}

/// The entries of a table in the order of the file.
pub(super) fn entries<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t Key<'i>, &'t Value<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A value as one would write it on the command line, if it may have this type.
fn scalar(kind: Kind, value: &DeValue<'_>) -> Option<String> {
    match (value, kind) {
        (DeValue::String(text), _) => Some(text.to_string()),
        (DeValue::Integer(number), Kind::Count | Kind::Octets | Kind::Time) => {
            // Without the prefix, the underscores and the plus sign that TOML knows.
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            Some(decimal.map_or_else(|_| number.to_string(), |decimal| decimal.to_string()))
        }
        (DeValue::Float(number), Kind::Time) => Some(number.as_str().to_owned()),
        (DeValue::Boolean(set), Kind::Switch) => Some(set.to_string()),
        // As `off`.
        (DeValue::Boolean(false), Kind::Time) => Some("false".to_owned()),
        _ => None,
    }
}

/// What stands there, as an error names it.
pub(super) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time of day",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn no_key(name: &str, within: Within<'_>) -> String {
    let is_top = within.name.is_empty();
    let place = if is_top {
        String::new()
    } else {
        format!(" in {}", within.name)
    };
    if is_top && name == "config" {
        return "there is no key \"config\": a file does not name another one".to_owned();
    }
    let keys: Vec<String> = within.known.iter().map(|known| key(known.name)).collect();
    let tables = if is_top { &TABLES[..] } else { &[] };
    let all = keys
        .iter()
        .map(String::as_str)
        .chain(tables.iter().copied());
    let hint = closest(name, all).map_or_else(
        || {
            if is_top {
                "`dotward config` prints all of them".to_owned()
            } else if within.top.iter().any(|known| known.has_key(name)) {
                "write it above the first [table]".to_owned()
            } else {
                format!("those are {}", keys.join(", "))
            }
        },
        |near| format!("did you mean {near}?"),
    );
    format!("there is no key {name:?}{place}; {hint}")
}
