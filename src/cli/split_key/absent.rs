//! In the place of the file that keeps the key of `policy = "split"`, in a build that lacks that policy.

use crate::cli::file::{Missing, NONE};
use crate::config::{ConfigError, SplitKey};

/// No key, since nothing is split. A file is an error: it would be of no use.
pub(super) fn read_split_key(
    file: &str,
    _missing: Missing,
) -> Result<(Option<SplitKey>, Vec<String>), ConfigError> {
    if file == NONE {
        return Ok((None, Vec::new()));
    }
    let reason = "is for policy = \"split\", which is not in this build of dotward (feature split)";
    Err(ConfigError::new("split_key_file", file, reason))
}
