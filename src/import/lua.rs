//! What a file of Lua calls, as far as that can be read without running it.

use super::error::ImportError;
use super::node::{Entry, Node, Value};
use super::source::Source;

/// No table that is read here has more levels.
const MOST_LEVELS: usize = 32;

/// A function that is called, with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) arguments: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Mark(char),
}

struct Reader<'s, 't> {
    source: &'s Source<'t>,
    tokens: Vec<(usize, Token)>,
    at: usize,
}

/// All calls that are statements, in their order.
pub(super) fn calls(source: &Source<'_>) -> Result<Vec<Call>, ImportError> {
    let mut reader = Reader {
        source,
        tokens: tokens(source)?,
        at: 0,
    };
    let mut calls = Vec::new();
    while let Some((line, token)) = reader.next() {
        let Token::Name(name) = token else { continue };
        if let Some(arguments) = reader.arguments()? {
            calls.push(Call {
                line,
                name,
                arguments,
            });
        }
    }
    Ok(calls)
}

fn tokens(source: &Source<'_>) -> Result<Vec<(usize, Token)>, ImportError> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source.text, 1);
    while let Some(c) = rest.chars().next() {
        let start = line;
        // What was read, and how many octets that were.
        let (found, taken) = if let Some(comment) = rest.strip_prefix("--") {
            let taken = match long_bracket(comment) {
                Some((opening, end)) => {
                    let inner = comment.get(opening..).unwrap_or_default();
                    let at = inner.find(&end).ok_or_else(|| {
                        source.error(start, "a comment begins here and does not end")
                    })?;
                    2 + opening + at + end.len()
                }
                None => rest.find('\n').unwrap_or(rest.len()),
            };
            (None, taken)
        } else if let Some((opening, end)) = long_bracket(rest) {
            let inner = rest.get(opening..).unwrap_or_default();
            let at = inner
                .find(&end)
                .ok_or_else(|| source.error(start, "a string begins here and does not end"))?;
            let text = inner.get(..at).unwrap_or_default();
            (Some(Token::Text(text.to_owned())), opening + at + end.len())
        } else if c == '"' || c == '\'' {
            let (text, taken) = string(rest, c).ok_or_else(|| {
                source.error(start, "a string begins here and does not end in this line")
            })?;
            (Some(Token::Text(text)), taken)
        } else if c.is_ascii_alphanumeric() || c == '_' {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_.:".contains(c);
            let taken = rest.find(|c| !fits(c)).unwrap_or(rest.len());
            (
                Some(Token::Name(
                    rest.get(..taken).unwrap_or_default().to_owned(),
                )),
                taken,
            )
        } else {
            let mark = (!c.is_whitespace()).then_some(Token::Mark(c));
            (mark, c.len_utf8())
        };
        tokens.extend(found.map(|found| (start, found)));
        let (read, behind) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        line += read.matches('\n').count();
        rest = behind;
    }
    Ok(tokens)
}

/// The length of `[[` or `[==[`, and the end that belongs to it.
fn long_bracket(text: &str) -> Option<(usize, String)> {
    let level = text.strip_prefix('[')?;
    let equals = level.len() - level.trim_start_matches('=').len();
    level.get(equals..)?.starts_with('[').then(|| {
        let end = format!("]{}]", "=".repeat(equals));
        (equals + 2, end)
    })
}

/// A string in quotation marks, and how many octets it takes with these.
fn string(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => return None,
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            c if c == quote => return Some((out, at + 1)),
            c => out.push(c),
        }
    }
    None
}

impl Reader<'_, '_> {
    fn next(&mut self) -> Option<(usize, Token)> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }

    fn line(&self) -> usize {
        let last = self.tokens.last();
        let token = self.tokens.get(self.at).or(last);
        token.map_or(1, |(line, _)| *line)
    }

    /// Those of a call, if this is one: `("x")`, `{...}`, `"x"`.
    fn arguments(&mut self) -> Result<Option<Vec<Node>>, ImportError> {
        match self.peek(0) {
            Some(Token::Mark('(' | '{') | Token::Text(_)) => Ok(Some(self.call(0)?)),
            _ => Ok(None),
        }
    }

    /// A value up to the comma or bracket behind it. What has to be computed is unknown.
    fn value(&mut self, level: usize) -> Result<Node, ImportError> {
        let line = self.line();
        if level > MOST_LEVELS {
            let what = format!("more than {MOST_LEVELS} levels are within each other");
            return Err(self.source.error(line, what));
        }
        let value = match self.next() {
            Some((_, Token::Text(text))) => Value::Text(text),
            Some((_, Token::Mark('{'))) => self.table(line, level)?,
            Some((_, Token::Name(name))) if name == "nil" => Value::Empty,
            Some((_, Token::Name(name))) => match self.peek(0) {
                // A call: its name, and what it is given.
                Some(Token::Mark('(' | '{') | Token::Text(_)) => {
                    let arguments = self.call(level + 1)?;
                    let entry = Entry {
                        line,
                        key: name,
                        node: Node::new(line, Value::List(arguments)),
                    };
                    Value::Map(vec![entry])
                }
                _ => Value::Text(name),
            },
            Some((_, Token::Mark('-'))) => match self.next() {
                Some((_, Token::Name(number))) => Value::Text(format!("-{number}")),
                _ => Value::Unknown("an expression"),
            },
            _ => Value::Unknown("an expression"),
        };
        // An operator behind it makes an expression of it.
        let mut depth = 0_usize;
        let mut is_whole = true;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Mark(',' | ';' | ')' | '}') if depth == 0 => break,
                Token::Mark('(' | '{' | '[') => depth += 1,
                Token::Mark(')' | '}' | ']') => depth = depth.saturating_sub(1),
                _ => {}
            }
            is_whole = false;
            self.at += 1;
        }
        let value = if is_whole {
            value
        } else {
            Value::Unknown("an expression")
        };
        Ok(Node::new(line, value))
    }

    /// The arguments that follow.
    fn call(&mut self, level: usize) -> Result<Vec<Node>, ImportError> {
        let line = self.line();
        match self.next() {
            Some((_, Token::Text(text))) => Ok(vec![Node::new(line, Value::Text(text))]),
            Some((_, Token::Mark('{'))) => {
                let table = self.table(line, level)?;
                Ok(vec![Node::new(line, table)])
            }
            _ => {
                let mut arguments = Vec::new();
                loop {
                    match self.peek(0) {
                        None => return Err(self.source.error(line, "a ( is not closed")),
                        Some(Token::Mark(')')) => {
                            self.at += 1;
                            return Ok(arguments);
                        }
                        Some(Token::Mark(',')) => self.at += 1,
                        Some(_) => arguments.push(self.value(level)?),
                    }
                }
            }
        }
    }

    /// What stands behind `{`.
    fn table(&mut self, opened: usize, level: usize) -> Result<Value, ImportError> {
        let (mut entries, mut items) = (Vec::<Entry>::new(), Vec::new());
        loop {
            let line = self.line();
            match (self.peek(0), self.peek(1)) {
                (None, _) => return Err(self.source.error(opened, "a { is not closed")),
                (Some(Token::Mark('}')), _) => {
                    self.at += 1;
                    break;
                }
                (Some(Token::Mark(',' | ';')), _) => self.at += 1,
                // In a list of calls, a stray bracket must not stop the reading.
                (Some(Token::Mark(')')), _) => {
                    return Err(self.source.error(line, "a ) stands where a } is missing"));
                }
                (Some(Token::Name(key)), Some(Token::Mark('='))) => {
                    let key = key.clone();
                    self.at += 2;
                    self.entry(line, key, level, &mut entries)?;
                }
                (Some(Token::Mark('[')), Some(Token::Text(key))) => {
                    let key = key.clone();
                    // `["key"] =`
                    self.at += 4;
                    self.entry(line, key, level, &mut entries)?;
                }
                _ => items.push(self.value(level + 1)?),
            }
        }
        Ok(if entries.is_empty() {
            Value::List(items)
        } else {
            Value::Map(entries)
        })
    }

    fn entry(
        &mut self,
        line: usize,
        key: String,
        level: usize,
        entries: &mut Vec<Entry>,
    ) -> Result<(), ImportError> {
        if let Some(first) = entries.iter().find(|entry| entry.key == key) {
            let what = format!("{key}: is given twice, first in line {}", first.line);
            return Err(self.source.error(line, what));
        }
        let node = self.value(level + 1)?;
        entries.push(Entry { line, key, node });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Call>, String> {
        let source = Source::read("f.lua", text.as_bytes()).unwrap();
        calls(&source).map_err(|error| error.to_string())
    }

    #[test]
    fn calls_are_found_with_their_arguments() {
        let text = "-- newServer('no')\n--[[ newServer(\n'no') ]]\nlocal x = 5\r\n\
                    newServer{address='a', [\"tls\"]=\"openssl\", -- c\n  n = 5, e = 1 + 2}\n\
                    addLocal(\"b\", {reusePort=true})\nsetACL({'x', [[y]]})\nf(g('z'))\n";
        let calls = read(text).unwrap();
        let names: Vec<_> = calls.iter().map(|call| (call.line, &*call.name)).collect();
        assert_eq!(
            names,
            [(5, "newServer"), (7, "addLocal"), (8, "setACL"), (9, "f")]
        );
        let server = &calls[0].arguments[0];
        assert_eq!(server.text_of("tls"), Some("openssl"));
        assert_eq!(server.get("n").unwrap().line, 6);
        assert!(matches!(server.get("e").unwrap().value, Value::Unknown(_)));
        let items: Vec<_> = calls[2].arguments[0]
            .items()
            .iter()
            .map(Node::text)
            .collect();
        assert_eq!(items, [Some("x"), Some("y")]);
        let inner = calls[3].arguments[0].get("g").unwrap();
        assert_eq!(inner.items()[0].text(), Some("z"));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let deep = format!("f({}", "{".repeat(100_000));
        for (text, expected) in [
            ("f('a\n')", "f.lua:1: a string begins here"),
            ("\nf([[a", "f.lua:2: a string begins here"),
            ("--[[", "f.lua:1: a comment begins here"),
            ("f({a=1", "f.lua:1: a { is not closed"),
            ("f(1", "f.lua:1: a ( is not closed"),
            (
                "f{a=1,\na=2}",
                "f.lua:2: a: is given twice, first in line 1",
            ),
            (&deep, "f.lua:1: more than 32 levels"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:.20}: {error}");
        }
    }
}
