//! The format of one line of the log.

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use humantime::{format_rfc3339_millis, format_rfc3339_seconds};
use log::{Level, Record};

use crate::json::{Json, is_invisible};

/// Octets of a message that are logged, of which some hundred are usual. With it the lines that wait take at most 8 MiB.
const MAX_MESSAGE: usize = 8 * 1024;
/// Stands for the rest of a longer one.
const REST: &str = "[...]";

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What a line consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub format: Format,
    /// It begins with its severity, as in `<6>` (sd-daemon(3)), which the journal takes off; the journal has the time, too.
    pub for_journal: bool,
}

/// What is logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub level: Level,
    /// The module that it comes from.
    pub target: &'a str,
    pub message: fmt::Arguments<'a>,
}

impl<'a> From<&Record<'a>> for Entry<'a> {
    fn from(record: &Record<'a>) -> Self {
        Self {
            level: record.level(),
            target: record.target(),
            message: *record.args(),
        }
    }
}

/// One line with its line feed. Control characters are escaped, those of the direction of text among them, so that a record is never more than
/// one line, never moves the cursor, and reads as it is written.
pub(super) fn line(style: Style, now: SystemTime, entry: Entry<'_>) -> String {
    // A clock before 1970 is not set, and is shown as 1970.
    let now = now.max(UNIX_EPOCH);
    let level = entry.level;
    let mut line = match style {
        Style {
            for_journal: true, ..
        } => format!("<{}>", severity(level)),
        Style {
            format: Format::Text,
            ..
        } => format!("{} {level} ", format_rfc3339_seconds(now)),
        Style {
            format: Format::Json,
            ..
        } => String::new(),
    };
    let mut message = Bounded::default();
    // The error only says that there is more than fits.
    let is_whole = message.write_fmt(entry.message).is_ok();
    let Bounded(mut message) = message;
    if !is_whole {
        message += REST;
    }
    match style.format {
        Format::Text => append_escaped(&mut line, &message),
        Format::Json => {
            let object = Json::Object(vec![
                ("time", Json::text(format_rfc3339_millis(now).to_string())),
                ("level", Json::text(level.as_str().to_ascii_lowercase())),
                ("target", Json::text(entry.target)),
                ("message", Json::text(message)),
            ]);
            line += &object.to_string();
        }
    }
    line.push('\n');
    line
}

fn append_escaped(line: &mut String, text: &str) {
    for character in text.chars() {
        if is_invisible(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
}

/// A text of at most [`MAX_MESSAGE`] octets.
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_MESSAGE.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0 += text;
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end));
        self.0 += text.get(..end.unwrap_or_default()).unwrap_or_default();
        Err(fmt::Error)
    }
}

/// The severity of RFC 5424 section 6.2.1.
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FILE: Style = Style {
        format: Format::Text,
        for_journal: false,
    };
    const JOURNAL: Style = Style {
        format: Format::Text,
        for_journal: true,
    };

    fn line(style: Style, level: Level, now: SystemTime, text: &str) -> String {
        super::line(
            style,
            now,
            Entry {
                level,
                target: "dotward::module",
                message: format_args!("{text}"),
            },
        )
    }

    fn noon() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_767_323_045_678)
    }

    #[test]
    fn lines_look_as_their_reader_expects() {
        // req 130
        assert_eq!(
            line(FILE, Level::Info, noon(), "text"),
            "2026-01-02T03:04:05Z INFO text\n"
        );
        let unset = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(
            line(FILE, Level::Warn, unset, "text"),
            "1970-01-01T00:00:00Z WARN text\n"
        );
        for (level, start) in [
            (Level::Error, "<3>"),
            (Level::Warn, "<4>"),
            (Level::Info, "<6>"),
            (Level::Debug, "<7>"),
        ] {
            assert_eq!(
                line(JOURNAL, level, noon(), "text"),
                format!("{start}text\n")
            );
        }
    }

    #[test]
    fn an_object_has_the_time_the_level_the_module_and_the_message() {
        // req 130
        let style = Style {
            format: Format::Json,
            ..FILE
        };
        let object = "{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"warn\",\
                      \"target\":\"dotward::module\",\"message\":\"a \\\"b\\\" \\\\ c\"}\n";
        assert_eq!(line(style, Level::Warn, noon(), "a \"b\" \\ c"), object);
        let style = Style {
            for_journal: true,
            ..style
        };
        let line = line(style, Level::Warn, noon(), "a \"b\" \\ c");
        assert_eq!(line, format!("<4>{object}"));
    }

    #[test]
    fn a_record_is_one_line_whatever_it_says() {
        let text = "a\n<0>b\u{1b}[2Jc\u{85}é";
        assert_eq!(
            line(JOURNAL, Level::Info, UNIX_EPOCH, text),
            "<6>a\\n<0>b\\u{1b}[2Jc\\u{85}é\n"
        );
        let style = Style {
            format: Format::Json,
            ..FILE
        };
        let line = line(style, Level::Info, UNIX_EPOCH, text);
        assert!(
            line.ends_with("\"message\":\"a\\u000a<0>b\\u001b[2Jc\\u0085é\"}\n"),
            "{line}"
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], text);
    }

    #[test]
    fn text_from_elsewhere_cannot_change_how_a_line_reads() {
        let text = "a\u{1b}[2J\r\n\u{9b}b\u{202e}c\u{2066}";
        assert_eq!(
            line(JOURNAL, Level::Info, UNIX_EPOCH, text),
            "<6>a\\u{1b}[2J\\r\\n\\u{9b}b\\u{202e}c\\u{2066}\n"
        );
    }

    #[test]
    fn a_message_without_end_is_cut() {
        for (text, kept) in [("x", MAX_MESSAGE), ("€", MAX_MESSAGE / 3 * 3)] {
            let whole = text.repeat(kept / text.len());
            assert!(line(JOURNAL, Level::Info, UNIX_EPOCH, &whole).ends_with(&format!("{text}\n")));
            let longer = text.repeat(100_000);
            let line = line(JOURNAL, Level::Info, UNIX_EPOCH, &longer);
            assert_eq!(line, format!("<6>{whole}{REST}\n"));
        }
    }
}
