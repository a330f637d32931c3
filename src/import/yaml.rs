//! YAML, as nodes. The events come from saphyr-parser; what is made of them has bounds.

use super::error::ImportError;
use super::node::{Entry, Node, Value};
use super::source::Source;
use saphyr_parser::{Event, Parser};

/// No configuration that is read here has more levels.
const MOST_LEVELS: usize = 32;

/// A list or a map that is not yet at its end.
enum Open {
    List(usize, Vec<Node>),
    /// With the key whose value comes next.
    Map(usize, Vec<Entry>, Option<(usize, String)>),
}

/// Reads the one document of a file. A key that is there twice, or more levels than anybody writes, is an error.
pub(super) fn read(source: &Source<'_>) -> Result<Node, ImportError> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(source.text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            source.error(line, format_args!("this is not YAML: {}", error.info()))
        })?;
        let line = span.start.line();
        let node = match event {
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= MOST_LEVELS => {
                let what = format!("more than {MOST_LEVELS} levels are within each other");
                return Err(source.error(line, what));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line, Vec::new(), None));
                continue;
            }
            Event::Scalar(text, style, ..) => {
                let is_empty = style == saphyr_parser::ScalarStyle::Plain
                    && matches!(&*text, "" | "~" | "null");
                let value = if is_empty {
                    Value::Empty
                } else {
                    Value::Text(text.into_owned())
                };
                Node::new(line, value)
            }
            Event::Alias(_) => Node::new(line, Value::Unknown("an alias of YAML")),
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, items)) => Node::new(line, Value::List(items)),
                Some(Open::Map(line, entries, _)) => Node::new(line, Value::Map(entries)),
                None => continue,
            },
            Event::DocumentStart(_) if root.is_some() => {
                return Err(source.error(line, "a second document begins here; one is read"));
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => continue,
        };
        place(source, &mut open, &mut root, node)?;
    }
    match root {
        Some(root) if root.value != Value::Empty => Ok(root),
        _ => Err(source.error_of_all("there is nothing but comments in this file")),
    }
}

/// Puts a node that is whole where it belongs.
fn place(
    source: &Source<'_>,
    open: &mut [Open],
    root: &mut Option<Node>,
    node: Node,
) -> Result<(), ImportError> {
    match open.last_mut() {
        None => *root = Some(node),
        Some(Open::List(_, items)) => items.push(node),
        Some(Open::Map(_, entries, key)) => {
            if let Some((line, key)) = key.take() {
                entries.push(Entry { line, key, node });
                return Ok(());
            }
            let text = match node.value {
                Value::Text(text) => text,
                Value::Empty => "null".to_owned(),
                _ => return Err(source.error(node.line, "a key is not a text")),
            };
            if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                let what = format!("{text}: is given twice, first in line {}", first.line);
                return Err(source.error(node.line, what));
            }
            *key = Some((node.line, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Result<Node, ImportError> {
        read(&Source::read("f.yml", text.as_bytes()).unwrap())
    }

    #[test]
    fn each_value_knows_its_line() {
        let text = "# a comment\r\na:\r\n  - 1\r\n  - \"b: c\"   # behind\r\nd: {e: 'f', g: ~}\r\n";
        let root = node(text).unwrap();
        let list = root.get("a").unwrap();
        let texts: Vec<_> = list.items().iter().map(|it| (it.line, it.text())).collect();
        assert_eq!(texts, [(3, Some("1")), (4, Some("b: c"))]);
        let map = root.get("d").unwrap();
        assert_eq!((map.line, map.text_of("e")), (5, Some("f")));
        assert_eq!(map.get("g").unwrap().value, Value::Empty);
        let lines: Vec<_> = root.entries().iter().map(|it| it.line).collect();
        assert_eq!(lines, [2, 5]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let deep = format!("a: {}", "[".repeat(100_000));
        for (text, expected) in [
            (
                "a: 1\nb: 2\na: 3\n",
                "f.yml:3: a: is given twice, first in line 1",
            ),
            (deep.as_str(), "f.yml:1: "),
            (
                "a: 1\n---\nb: 2\n",
                "f.yml:2: a second document begins here",
            ),
            ("# nothing\n", "f.yml: there is nothing but comments"),
            ("a: [1, 2\n", "f.yml:2: this is not YAML: "),
            ("a:\n\t- b\n", "f.yml:2: this is not YAML: "),
            ("? [a]\n: b\n", "f.yml:1: a key is not a text"),
        ] {
            let error = node(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:.20}: {error}");
        }
    }

    #[test]
    fn an_alias_is_not_expanded() {
        let root = node("a: &x [1, 2]\nb: *x\n").unwrap();
        assert!(matches!(root.get("b").unwrap().value, Value::Unknown(_)));
    }
}
