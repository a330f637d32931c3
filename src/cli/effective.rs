//! The effective configuration as a file: what `dotward config` prints.

use std::fmt::Write as _;

use super::file::{HostTexts, ROUTE_KEYS, RouteTexts, UPSTREAM_KEYS};
use super::given::Given;
use super::known::{Kind, Known};
use super::origin::{Origin, Place, key, option, variable};
use super::units::switch;
use super::values::{Values, Written};

/// All settings with their values, and where each comes from. Read as a file, they make the same configuration.
pub(super) fn effective(given: &Given, known: &[Known]) -> String {
    let mut text = concat!(
        "# The effective configuration of dotward ",
        env!("CARGO_PKG_VERSION"),
        ". With --config it can be read from a file.\n"
    )
    .to_owned();
    for known in known.iter().filter(|known| known.kind != Kind::ConfigFile) {
        if let Some(values) = given.values(known.name) {
            let origin = origin(known.name, &values.origin);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{} = {}  # {origin}",
                key(known.name),
                list(known.kind, values)
            );
        }
    }
    for route in &given.routes {
        write_route(&mut text, route);
    }
    if !given.hosts.is_empty() {
        text.push_str("\n[hosts]\n");
    }
    for HostTexts {
        name,
        place,
        addresses,
    } in &given.hosts
    {
        let addresses = list(Kind::List, addresses);
        let _ = writeln!(text, "{} = {addresses}  # {}", quoted(name), line(place));
    }
    text
}

fn write_route(text: &mut String, route: &RouteTexts) {
    let _ = writeln!(text, "\n# {}\n[[route]]", line(&route.place));
    for known in ROUTE_KEYS {
        if let Some(values) = route.fields.get(known.name) {
            let _ = writeln!(text, "{} = {}", key(known.name), list(known.kind, values));
        }
    }
}

fn origin(setting: &str, origin: &Origin) -> String {
    match origin {
        Origin::Option => format!("flag {}", option(setting)),
        Origin::Variable => format!("variable {}", variable(setting)),
        Origin::File(place) => line(place),
        Origin::Default => "default".to_owned(),
    }
}

fn line(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}

/// The values of a setting in TOML.
fn list(kind: Kind, values: &Values) -> String {
    let texts: Vec<String> = values.texts.iter().map(|text| value(kind, text)).collect();
    match (&texts[..], &values.texts[..]) {
        ([text], [one]) if !kind.repeats() || !is_table(one) => text.clone(),
        _ => format!("[{}]", texts.join(", ")),
    }
}

/// Whether an upstream is written as a table.
fn is_table(one: &Written) -> bool {
    one.allow_plaintext.is_some() || !one.parameters.is_empty()
}

fn value(kind: Kind, written: &Written) -> String {
    if is_table(written) {
        return table(written);
    }
    scalar(kind, &written.text)
}

/// An upstream of whom more is said than where it is.
fn table(written: &Written) -> String {
    let mut text = format!("{{ address = {}", quoted(&written.text));
    // Writing to a string does not fail.
    if let Some(allowed) = written.allow_plaintext {
        let _ = write!(text, ", allow-plaintext = {allowed}");
    }
    for known in UPSTREAM_KEYS {
        let given = written.parameters.iter();
        let given = given.filter(|(name, _)| *name == known.name);
        let values: Vec<String> = given.map(|(_, value)| scalar(known.kind, value)).collect();
        let _ = match &values[..] {
            [] => Ok(()),
            [one] => write!(text, ", {} = {one}", key(known.name)),
            several => write!(text, ", {} = [{}]", key(known.name), several.join(", ")),
        };
    }
    text + " }"
}

fn scalar(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Switch => switch(text).map_or_else(|_| quoted(text), |set| set.to_string()),
        Kind::Time | Kind::Octets | Kind::Count if is_number(text) => text.to_owned(),
        _ => quoted(text),
    }
}

/// Whether this is a whole number in TOML, of as many digits as every reader takes.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (1..=18).contains(&text.len()) && (text == "0" || !text.starts_with('0'))
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
