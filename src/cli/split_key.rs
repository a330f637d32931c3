//! The file that keeps the key of `policy = "split"` from one start to the next.

use super::file::{NONE, ReadError, read_limited};
use crate::config::{ConfigError, SplitKey};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// A key has some octets, and nobody means a larger file.
const MOST_OCTETS: u64 = 1 << 20;
/// Octets of a key that is made here.
const NEW_OCTETS: usize = 32;

/// The key in this file, or none if it is not there. With `create` it is made then, with a random key.
pub(super) fn read_split_key(file: &str, create: bool) -> Result<Option<SplitKey>, ConfigError> {
    if file == NONE {
        return Ok(None);
    }
    let error = |why: String| ConfigError::new("split_key_file", file, why);
    let path = Path::new(file);
    let octets = match read_limited(path, MOST_OCTETS) {
        Ok(octets) => octets,
        Err(ReadError::Io(absent)) if absent.kind() == io::ErrorKind::NotFound => {
            if !create {
                return Ok(None);
            }
            let made = make(path);
            made.map_err(|why| error(format!("is not there and cannot be made: {why}")))?
        }
        Err(why) => return Err(error(why.to_string())),
    };
    let key = SplitKey::new(&octets);
    key.map(Some).map_err(|why| error(why.reason))
}

/// Makes the file, which only its owner may read. Gives what is in it.
fn make(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; NEW_OCTETS];
    getrandom::fill(&mut octets).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(&octets).and_then(|()| file.sync_all());
    if let Err(why) = written {
        // The next start would find too few octets.
        drop(fs::remove_file(path));
        return Err(why);
    }
    Ok(octets)
}
