//! TOML, as nodes.

use super::error::ImportError;
use super::node::{Entry, Node, Value};
use super::source::Source;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Reads a file.
pub(super) fn read(source: &Source<'_>) -> Result<Node, ImportError> {
    let (table, errors) = DeTable::parse_recoverable(source.text);
    if let Some(error) = errors.first() {
        let line = source.line_at(error.span().unwrap_or_default().start);
        return Err(source.error(line, format_args!("this is not TOML: {}", error.message())));
    }
    let lines = Lines::of(source.text);
    Ok(Node::new(1, map(table.get_ref(), &lines)))
}

/// Where the lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self([0].into_iter().chain(ends).collect())
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.0.partition_point(|start| *start <= span.start)
    }
}

fn map(table: &DeTable<'_>, lines: &Lines) -> Value {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let line = lines.line(&key.span());
            let node = node(value.get_ref(), lines.line(&value.span()), lines);
            let key_text = key.get_ref().clone().into_owned();
            let entry = Entry {
                line,
                key: key_text,
                node,
            };
            (key.span().start, entry)
        })
        .collect();
    entries.sort_by_key(|(at, _)| *at);
    Value::Map(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// The parser bounds how deep values are within each other.
fn node(value: &DeValue<'_>, line: usize, lines: &Lines) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => Value::Text(number.to_string()),
        DeValue::Float(number) => Value::Text(number.to_string()),
        DeValue::Boolean(is) => Value::Text(is.to_string()),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => {
            let items = items.iter();
            let items = items.map(|item| node(item.get_ref(), lines.line(&item.span()), lines));
            Value::List(items.collect())
        }
        DeValue::Table(table) => map(table, lines),
    };
    Node::new(line, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Result<Node, ImportError> {
        read(&Source::read("f.toml", text.as_bytes()).unwrap())
    }

    #[test]
    fn each_value_knows_its_line() {
        let root = node("# c\nb = ['x',\n 'y']\na = 5\n[static.'n']\nstamp = \"s\"\n").unwrap();
        let keys: Vec<_> = root
            .entries()
            .iter()
            .map(|it| (it.line, &*it.key))
            .collect();
        assert_eq!(keys, [(2, "b"), (4, "a"), (5, "static")]);
        assert_eq!(root.text_of("a"), Some("5"));
        let second = &root.get("b").unwrap().items()[1];
        assert_eq!((second.line, second.text()), (3, Some("y")));
        let server = root.get("static").unwrap().get("n").unwrap();
        assert_eq!(server.text_of("stamp"), Some("s"));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let deep = format!("a = {}", "[".repeat(100_000));
        for (text, expected) in [
            (
                "a = 1\na = 2\n",
                "f.toml:2: this is not TOML: duplicate key",
            ),
            ("a = 1\nb = oops\n", "f.toml:2: this is not TOML: "),
            (&deep, "f.toml:1: this is not TOML: "),
        ] {
            let error = node(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:.20}: {error}");
        }
    }
}
