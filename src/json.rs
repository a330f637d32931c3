//! JSON (RFC 8259), as far as a report needs it.

use std::fmt::{self, Write as _};

/// A value.
#[derive(Clone, Debug)]
pub enum Json {
    Null,
    Bool(bool),
    Number(i64),
    /// A number with three digits behind the point.
    Fraction(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// `null` for what there is not.
    pub fn maybe<T>(value: Option<T>, json: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, json)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Fraction(value) => write!(f, "{value:.3}"),
            Self::Text(text) => quoted(f, text),
            Self::List(values) => {
                f.write_char('[')?;
                for (index, value) in values.iter().enumerate() {
                    separated(f, index)?;
                    value.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    separated(f, index)?;
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn separated(f: &mut fmt::Formatter<'_>, index: usize) -> fmt::Result {
    if index == 0 {
        Ok(())
    } else {
        f.write_char(',')
    }
}

/// Whether a character is not shown as itself, or changes how those around it are shown: control characters, and the marks, embeddings,
/// overrides and isolates of Unicode's bidirectional algorithm.
pub fn is_invisible(character: char) -> bool {
    let changes_direction = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || changes_direction
}

/// A string. RFC 8259 section 7 asks for escapes of quotes, backslashes and control characters only; those that change the direction of text
/// are escaped, too, for people who read it.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if is_invisible(c) => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_rfc_says() {
        let value = Json::Object(vec![
            (
                "a",
                Json::List(vec![Json::Null, Json::Bool(true), Json::Number(-7)]),
            ),
            ("b", Json::Fraction(1.0)),
            ("c", Json::text("\"\\\n\u{7f}\u{85}\u{e9}")),
            ("d", Json::List(Vec::new())),
            ("e", Json::text("\u{202e}\u{2066}")),
        ]);
        assert_eq!(
            value.to_string(),
            "{\"a\":[null,true,-7],\"b\":1.000,\"c\":\"\\\"\\\\\\u000a\\u007f\\u0085\u{e9}\",\"d\":[],\"e\":\"\\u202e\\u2066\"}"
        );
    }
}
