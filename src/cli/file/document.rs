//! The text of a configuration file: its lines and its syntax.

use std::fmt::Display;
use std::ops::Range;
use std::str::Utf8Error;
use std::sync::Arc;

use toml::de::{DeTable, DeValue, Error};

use crate::cli::UsageError;
use crate::cli::origin::Place;

/// A file that is valid UTF-8.
#[derive(Debug)]
pub(super) struct Document<'t> {
    file: Arc<str>,
    text: &'t str,
    is_ascii: bool,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'t> Document<'t> {
    pub(super) fn new(file: &str, octets: &'t [u8]) -> Result<Self, UsageError> {
        // Some editors begin each file with a byte order mark.
        let octets = octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets);
        let valid = std::str::from_utf8(octets);
        let sound = valid
            .as_ref()
            .map_or_else(Utf8Error::valid_up_to, |text| text.len());
        let text = octets.get(..sound).map(std::str::from_utf8);
        let text = text.and_then(Result::ok).unwrap_or_default();
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let document = Self {
            // A name with line breaks or control sequences does not reach the terminal.
            file: file.replace(char::is_control, "\u{fffd}").into(),
            text,
            is_ascii: text.is_ascii(),
            lines: [0].into_iter().chain(ends).collect(),
        };
        match valid {
            Ok(_) => Ok(document),
            Err(_) => Err(document.error(sound, "the file is not valid UTF-8")),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.file
    }

    pub(super) fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        // The characters of a long line are not counted again for each of its values.
        let before = if self.is_ascii {
            at.min(self.text.len()).saturating_sub(start)
        } else {
            self.text.get(start..at).unwrap_or_default().chars().count()
        };
        Place {
            file: Arc::clone(&self.file),
            line,
            column: before + 1,
        }
    }

    /// What is wrong at this place.
    pub(super) fn error(&self, at: usize, what: impl Display) -> UsageError {
        UsageError(format!("{}: {what}", self.place(at)))
    }

    pub(super) fn parse(&self) -> Result<DeTable<'t>, UsageError> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let table = table.into_inner();
        match errors.first() {
            None => Ok(table),
            Some(error) => Err(self.syntax_error(error, &table)),
        }
    }

    fn syntax_error(&self, error: &Error, sound: &DeTable<'_>) -> UsageError {
        let span = error.span().unwrap_or_default();
        if error.message() == "duplicate key" {
            return self.duplicate(span, sound);
        }
        let (start, word) = self.word_around(span.start);
        let no_value = [
            "string values must be quoted",
            "invalid boolean",
            "invalid float",
        ];
        if no_value
            .iter()
            .any(|start| error.message().starts_with(start))
        {
            let what = match word {
                "" => "a value is missing".to_owned(),
                word => format!(
                    "{} is no value of TOML; a string needs quotation marks: {word:?}",
                    word.escape_debug()
                ),
            };
            return self.error(start, what);
        }
        let message = error.message().trim_end_matches(", expected nothing");
        let message = message.replace(char::is_control, " ");
        self.error(span.start, format_args!("this is not TOML: {message}"))
    }

    /// The value without quotation marks that this place is in, and where it begins.
    fn word_around(&self, at: usize) -> (usize, &'t str) {
        let ends = |c: char| c.is_whitespace() || ",=[]{}#".contains(c);
        let (before, behind) = self.text.split_at_checked(at).unwrap_or((self.text, ""));
        let start = before.rfind(ends).map_or(0, |at| at + 1);
        let len = behind.find(ends).unwrap_or(behind.len());
        let word = self.text.get(start..at + len).unwrap_or_default();
        (start, word)
    }

    fn duplicate(&self, span: Range<usize>, sound: &DeTable<'_>) -> UsageError {
        let start = span.start;
        let key = self.text.get(span).unwrap_or_default();
        let key = key.trim_matches(['"', '\'']);
        let mut earlier = Vec::new();
        places_of(key, sound, &mut earlier);
        earlier.retain(|at| *at < start);
        let first = earlier.into_iter().max().map(|at| self.place(at).line);
        let first = first.map_or_else(String::new, |line| format!(", first in line {line}"));
        let key = key.escape_debug();
        self.error(start, format_args!("{key}: is given twice{first}"))
    }
}

/// Where a key stands, in this table and in those within it.
fn places_of(name: &str, table: &DeTable<'_>, places: &mut Vec<usize>) {
    for (key, value) in table {
        if key.get_ref() == name {
            places.push(key.span().start);
        }
        match value.get_ref() {
            DeValue::Table(inner) => places_of(name, inner, places),
            DeValue::Array(items) => {
                for item in items.iter().filter_map(|item| item.get_ref().as_table()) {
                    places_of(name, item, places);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        for (text, at, expected) in [
            ("", 0, "f:1:1"),
            ("a = 1", 4, "f:1:5"),
            ("a = 1\nb = 2\n", 6, "f:2:1"),
            ("a = 1\nb = 2\n", 12, "f:3:1"),
            ("\u{e9} = 1\r\n\u{e9}\u{e9} = 2", 12, "f:2:3"),
            ("\u{feff}a = 1", 4, "f:1:5"),
            ("a", 99, "f:1:2"),
        ] {
            let document = Document::new("f", text.as_bytes()).unwrap();
            assert_eq!(document.place(at).to_string(), expected, "{text:?} {at}");
        }
    }

    #[test]
    fn the_name_of_a_file_does_not_break_the_line() {
        let document = Document::new("a\n\u{1b}[2J", b"").unwrap();
        assert_eq!(document.name(), "a\u{fffd}\u{fffd}[2J");
    }
}
