//! Values within each other, whatever the syntax in which they were written. Each knows its line.

/// A value and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing.
    Empty,
    /// A string, a number or a word: the formats disagree on which is which.
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; no key is there twice.
    Map(Vec<Entry>),
    /// What cannot be read: another place of the file is meant, or it has to be computed.
    Unknown(&'static str),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn new(line: usize, value: Value) -> Self {
        Self { line, value }
    }

    /// Its text, if it has one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its entries, if it has some.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What stands there under this key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let mut entries = self.entries().iter();
        entries
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    /// What stands there under this key, as a text.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::text)
    }

    /// Its items, if it is a list, or else itself: many formats leave out the brackets around one.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Empty => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// Whether it says yes or no.
    pub(super) fn switch(&self) -> Option<bool> {
        super::text::switch(self.text()?)
    }

    /// As it is shown in a remark.
    pub(super) fn brief(&self) -> String {
        match &self.value {
            Value::Empty => String::new(),
            Value::Text(text) => text.clone(),
            Value::List(items) => {
                let texts: Vec<String> = items.iter().map(Node::brief).collect();
                format!("[{}]", texts.join(", "))
            }
            Value::Map(_) => "{...}".to_owned(),
            Value::Unknown(what) => (*what).to_owned(),
        }
    }
}
