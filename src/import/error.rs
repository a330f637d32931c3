//! Why a file cannot be imported.

use std::fmt;

/// Why nothing can be made of a file, in one line that names it, and the line where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError(pub(super) String);

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ImportError {}
