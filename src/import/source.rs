//! The text of the file that is imported.

use super::error::ImportError;
use super::text::shown;
use std::fmt::Display;

/// A file that is text, and not empty.
#[derive(Debug)]
pub(super) struct Source<'t> {
    /// As it is shown: without control characters.
    name: String,
    pub(super) text: &'t str,
}

impl<'t> Source<'t> {
    /// An error says that this is no text, and where that shows.
    pub(super) fn read(name: &str, octets: &'t [u8]) -> Result<Self, ImportError> {
        // Some editors begin each file with a byte order mark.
        let octets = octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets);
        let mut source = Self {
            name: shown(name),
            text: "",
        };
        let line_of = |at: usize| {
            let before = octets.get(..at).unwrap_or_default();
            before.split(|octet| *octet == b'\n').count()
        };
        source.text = match std::str::from_utf8(octets) {
            Ok(text) => text,
            Err(error) => {
                let line = line_of(error.valid_up_to());
                return Err(source.error(line, "this is not text (UTF-8)"));
            }
        };
        if let Some(at) = source.text.find('\0') {
            return Err(source.error(line_of(at), "this is not text: it has an octet of 0"));
        }
        if source.text.trim().is_empty() {
            return Err(source.error_of_all("the file is empty"));
        }
        Ok(source)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The lines with their numbers from 1, without their ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &'t str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(index, line)| (index + 1, line))
    }

    /// The line of this octet.
    pub(super) fn line_at(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    /// What is wrong in a line.
    pub(super) fn error(&self, line: usize, what: impl Display) -> ImportError {
        let what = shown(&what.to_string());
        ImportError(format!("{}:{line}: {what}", self.name))
    }

    /// What is wrong with all of it.
    pub(super) fn error_of_all(&self, what: impl Display) -> ImportError {
        let what = shown(&what.to_string());
        ImportError(format!("{}: {what}", self.name))
    }
}
