//! The file that keeps the key of `policy = "split"` from one start to the next.

use super::file::{Missing, NONE, ReadError, read_limited};
#[cfg(unix)]
use super::permissions::{Readers, open_to_others};
use crate::config::{ConfigError, SplitKey};
use crate::transports::can_be_made;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// A key has some octets, and nobody means a larger file.
const MOST_OCTETS: u64 = 1 << 20;
/// Octets of a key that is made here.
const NEW_OCTETS: usize = 32;

/// The key in this file, or none if it is not there. Also what is to be warned of.
pub(super) fn read_split_key(
    file: &str,
    missing: Missing,
) -> Result<(Option<SplitKey>, Vec<String>), ConfigError> {
    if file == NONE {
        return Ok((None, Vec::new()));
    }
    let error = |why: String| ConfigError::new("split_key_file", file, why);
    let path = Path::new(file);
    let octets = match read_limited(path, MOST_OCTETS) {
        Ok(octets) => octets,
        Err(ReadError::Io(absent)) if absent.kind() == io::ErrorKind::NotFound => {
            let made = match (missing, fs::read_link(path)) {
                (Missing::Ignore, _) => return Ok((None, Vec::new())),
                (_, Ok(to)) => {
                    let to = to.to_string_lossy();
                    let why = format!("is a symbolic link to {to:?}, which is not there");
                    return Err(error(why));
                }
                (Missing::CouldBeMade, Err(_)) => can_be_made(path).map(|()| None),
                (Missing::Make, Err(_)) => make(path).map(Some),
            };
            let made =
                made.map_err(|why| error(format!("is not there and cannot be made: {why}")))?;
            match made {
                Some(octets) => octets,
                None => return Ok((None, Vec::new())),
            }
        }
        Err(why) => return Err(error(why.to_string())),
    };
    let key = SplitKey::new(&octets).map_err(|why| error(why.reason))?;
    Ok((Some(key), remarks(path, &octets)))
}

/// What makes a key one that others may know.
fn remarks(path: &Path, octets: &[u8]) -> Vec<String> {
    let mut remarks = Vec::new();
    #[cfg(unix)]
    remarks.extend(open_to_others(path, Readers::Owner));
    if octets.windows(2).all(|two| two[0] == two[1]) {
        let made = "without the file a random key is made";
        remarks.push(format!(
            "all octets of the key are the same, so that it can be guessed: {made}"
        ));
    }
    // Quoted, so that no name breaks the line.
    let path = path.to_string_lossy();
    let named = remarks.iter().map(|remark| format!("{path:?}: {remark}"));
    named.collect()
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
