//! The tables of a file: its routes and hosts, and what stands above them.

use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::reader::{Reader, Value, entries, found};
use super::{File, HostTexts, ROUTE_KEYS, Record, RouteTexts};
use crate::cli::UsageError;
use crate::cli::known::{Known, misplaced};
use crate::cli::values::{Values, Written};

/// Reads all that stands in a file.
pub(super) fn file(
    document: &Document<'_>,
    table: &DeTable<'_>,
    known: &[Known],
) -> Result<File, UsageError> {
    let mut file = File {
        name: document.name().to_owned(),
        values: Record::new(),
        routes: Vec::new(),
        hosts: Vec::new(),
    };
    let reader = Reader { document, known };
    let top = reader.within(known, "");
    for (key, value) in entries(table) {
        match key.get_ref().as_ref() {
            "route" => file.routes = reader.routes(value)?,
            "hosts" => reader.hosts("", value, &mut file.hosts)?,
            _ => {
                let known = reader.known(key, top)?;
                file.values.insert(known.name, reader.values(known, value)?);
            }
        }
    }
    Ok(file)
}

impl Reader<'_> {
    fn routes(&self, value: &Value<'_>) -> Result<Vec<RouteTexts>, UsageError> {
        let within = self.within(ROUTE_KEYS, "[[route]]");
        let tables: Vec<&Value<'_>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let route = |value: &Value<'_>| {
            let DeValue::Table(table) = value.get_ref() else {
                return Err(self.wrong_type("route", value, "a table: [[route]]"));
            };
            Ok(RouteTexts {
                place: self.document.place(value.span().start),
                fields: self.record(table, within)?,
            })
        };
        tables.into_iter().map(route).collect()
    }

    /// A name may be written as a key with dots, which in TOML is a table in a table.
    fn hosts(
        &self,
        below: &str,
        value: &Value<'_>,
        hosts: &mut Vec<HostTexts>,
    ) -> Result<(), UsageError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong_type("hosts", value, "a table: [hosts]"));
        };
        for (key, value) in entries(table) {
            let name = match below {
                "" => key.get_ref().to_string(),
                below => format!("{below}.{}", key.get_ref()),
            };
            if matches!(value.get_ref(), DeValue::Table(_)) {
                self.hosts(&name, value, hosts)?;
                continue;
            }
            let items = match value.get_ref() {
                DeValue::Array(items) => items.iter().collect(),
                _ => vec![value],
            };
            let address = |item: &Value<'_>| {
                if let DeValue::String(text) = item.get_ref() {
                    return Ok(Written::new(text.as_ref(), self.origin(item)));
                }
                let found = found(item.get_ref());
                let hint = misplaced(&name, self.known);
                let what = format!(
                    "{name:?}: is {found}, where an address, as a string, or a list of these is expected{hint}"
                );
                Err(self.document.error(item.span().start, what))
            };
            let texts: Result<Vec<Written>, UsageError> = items.into_iter().map(address).collect();
            hosts.push(HostTexts {
                place: self.document.place(key.span().start),
                addresses: Values {
                    origin: self.origin(value),
                    texts: texts?,
                },
                name,
            });
        }
        Ok(())
    }
}
