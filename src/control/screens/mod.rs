//! Results as people read them: what stands in the JSON, and nothing else.

mod explain;
mod status;

use super::request::Request;
use crate::engine::words::{Lasting, counted};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// The result of a request, as text.
pub fn of(request: &Request, result: &Value) -> String {
    match request {
        Request::Status => status::screen(result),
        Request::Explain { .. } => explain::screen(result),
        Request::Why(_) => why(result),
        Request::Reload => format!("{}\n", text(&result["status"])),
        Request::Flush(_) => {
            let count = number(&result["flushed"]);
            let told = counted(count, "cached response was", "cached responses were");
            format!("{told} forgotten\n")
        }
        Request::LogLevel(_) => format!("the level of the log is {}\n", text(&result["level"])),
        Request::Trace(_) => match result["trace_seconds_left"].as_u64() {
            Some(seconds) => format!(
                "the log names what clients ask for, for {}\n",
                Lasting(Duration::from_secs(seconds))
            ),
            None if is(&result["log_names_queries"]) => {
                let level = text(&result["log_level"]);
                format!(
                    "queries are not traced, but the log still names what clients ask for, since its level is {level}: \
                     dotward log-level info ends that\n"
                )
            }
            None => "the log does not name what clients ask for\n".to_owned(),
        },
    }
}

/// What led to a failure, a row each.
fn why(result: &Value) -> String {
    let story = list(&result["story"]).iter().map(text);
    story.fold(String::new(), |shown, row| shown + &row + "\n")
}

/// Rows under headings, as `dotward check` has them.
#[derive(Default)]
struct Rows(String);

impl Rows {
    /// A row; the heading of the one before counts on if this has none.
    fn add(&mut self, heading: &str, text: &str) {
        if !text.is_empty() {
            // Writing to a string does not fail.
            let _infallible = writeln!(self.0, "{heading:<11}{text}");
        }
    }

    /// Rows of a list, or what is said where there is none.
    fn list(&mut self, heading: &str, rows: impl IntoIterator<Item = String>, none: &str) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            self.add(heading, none);
        }
        for (index, row) in rows.enumerate() {
            self.add(if index == 0 { heading } else { "" }, &row);
        }
    }
}

/// Goes on with a row.
fn append(row: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _infallible = row.write_fmt(text);
}

/// A text; control characters of whoever wrote it are not for a terminal.
fn text(value: &Value) -> String {
    let shown = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    shown.chars().map(plain).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |list| list)
}

fn is(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

/// Seconds as people say them.
fn seconds(value: &Value) -> String {
    lasting(value.as_f64().unwrap_or_default())
}

/// The same for milliseconds.
fn milliseconds(value: &Value) -> String {
    lasting(value.as_f64().unwrap_or_default() / 1e3)
}

fn lasting(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Lasting(time).to_string()
}

/// Octets as people say them.
fn octets(value: &Value) -> String {
    match number(value) {
        count @ 0..1_024 => format!("{count} octets"),
        count @ 1_024..1_048_576 => format!("{} KiB", count >> 10),
        count => {
            let tenths = (count * 10) >> 20;
            format!("{}.{} MiB", tenths / 10, tenths % 10)
        }
    }
}

/// `22 No Reachable Authority: why`.
fn extended_error(value: &Value) -> String {
    let (code, name, why) = (&value["code"], &value["name"], text(&value["text"]));
    let colon = if why.is_empty() { "" } else { ": " };
    format!("{} {}{colon}{why}", number(code), text(name))
}

fn joined(values: &Value) -> String {
    let all: Vec<String> = list(values).iter().map(text).collect();
    all.join(", ")
}
