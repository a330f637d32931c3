//! Settings of dotward, as they are written.

use super::text::{quoted, quoted_list};

/// The keys, in the order in which they are written.
const ORDER: [&str; 18] = [
    "listen",
    "listen-tls",
    "listen-https",
    "certificate",
    "certificate-key",
    "upstream",
    "policy",
    "bootstrap",
    "ca-file",
    "padding",
    "ecs",
    "timeout",
    "cache-size",
    "min-ttl",
    "max-ttl",
    "serve-stale",
    "hosts-file",
    "workers",
];

/// Where a key stands among the others; those that are not listed come behind.
pub(super) fn rank(key: &str) -> usize {
    let at = ORDER.iter().position(|known| *known == key);
    at.unwrap_or(ORDER.len())
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Text(String),
    Number(u64),
    List(Vec<String>),
}

impl From<&str> for Given {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Given {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Given {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) line: usize,
    pub(super) key: &'static str,
    pub(super) value: Given,
}

impl Setting {
    /// As a line of the file.
    pub(super) fn written(&self) -> String {
        let value = match &self.value {
            Given::Text(text) => quoted(text),
            Given::Number(number) => number.to_string(),
            Given::List(texts) => quoted_list(texts),
        };
        format!("{} = {value}", self.key)
    }
}
