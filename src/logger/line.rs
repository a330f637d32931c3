//! The format of one line of the log.

use std::time::{SystemTime, UNIX_EPOCH};

use humantime::format_rfc3339_seconds;
use log::Level;

/// How a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// With the time in UTC and the level, for files and terminals.
    Timestamped,
    /// With the severity alone, as in `<6>` (sd-daemon(3)); the journal adds the time.
    Journal,
}

/// One line with its line feed. Control characters are escaped, those of the direction of text among them, so that a record is never more than
/// one line, never moves the cursor, and reads as it is written.
pub(super) fn line(style: Style, level: Level, now: SystemTime, text: &str) -> String {
    let mut line = match style {
        // A clock before 1970 is not set, and is shown as 1970.
        Style::Timestamped => format!("{} {level} ", format_rfc3339_seconds(now.max(UNIX_EPOCH))),
        Style::Journal => format!("<{}>", severity(level)),
    };
    for character in text.chars() {
        if character.is_control() || changes_direction(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

/// The marks, embeddings, overrides and isolates of Unicode's bidirectional algorithm.
fn changes_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

    #[test]
    fn lines_look_as_their_reader_expects() {
        let now = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        assert_eq!(
            line(Style::Timestamped, Level::Info, now, "text"),
            "2026-01-02T03:04:05Z INFO text\n"
        );
        let unset = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(
            line(Style::Timestamped, Level::Warn, unset, "text"),
            "1970-01-01T00:00:00Z WARN text\n"
        );
        for (level, start) in [
            (Level::Error, "<3>"),
            (Level::Warn, "<4>"),
            (Level::Info, "<6>"),
            (Level::Debug, "<7>"),
        ] {
            assert_eq!(
                line(Style::Journal, level, now, "text"),
                format!("{start}text\n")
            );
        }
    }

    #[test]
    fn a_record_is_one_line_whatever_it_says() {
        let line = line(
            Style::Journal,
            Level::Info,
            UNIX_EPOCH,
            "a\n<0>b\u{1b}[2Jc\u{85}é",
        );
        assert_eq!(line, "<6>a\\n<0>b\\u{1b}[2Jc\\u{85}é\n");
    }

    #[test]
    fn text_from_elsewhere_cannot_change_how_a_line_reads() {
        let text = "a\u{1b}[2J\r\n\u{9b}b\u{202e}c\u{2066}";
        assert_eq!(
            line(Style::Journal, Level::Info, UNIX_EPOCH, text),
            "<6>a\\u{1b}[2J\\r\\n\\u{9b}b\\u{202e}c\\u{2066}\n"
        );
    }
}
