//! What is different in dotward.

use super::text::shown;

/// What was not carried over, or in another way, and where it stands in the other program's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    /// 0: it concerns no line.
    line: usize,
    text: String,
}

impl Remark {
    pub(super) fn new(line: usize, text: &str) -> Self {
        Self {
            line,
            text: shown(text),
        }
    }

    /// With the place in the file of this name.
    pub(crate) fn told(&self, file: &str) -> String {
        match self.line {
            0 => format!("{file}: {}", self.text),
            line => format!("{file}:{line}: {}", self.text),
        }
    }
}
