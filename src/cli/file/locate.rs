//! Which configuration file is read.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::{ReadError, read_limited};
use crate::cli::UsageError;
use crate::cli::origin::Origin;
use crate::cli::values::Written;

/// The word for no file.
pub(in crate::cli) const NONE: &str = "none";

/// No configuration of people is larger; a device or an image that is named by mistake is not read to its end.
const MOST_OCTETS: u64 = 1 << 20;

/// Where the file is looked for that nobody names: a user's own, and that of the system.
pub(in crate::cli) fn usual_places(
    xdg_config_home: Option<&OsStr>,
    home: Option<&OsStr>,
    is_root: bool,
) -> Vec<PathBuf> {
    let absolute = |path: &OsStr| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let own = xdg_config_home
        .and_then(absolute)
        .or_else(|| home.and_then(absolute).map(|home| home.join(".config")));
    // Whoever can change root's variables does not choose the configuration of the system.
    let own = own.filter(|_| !is_root);
    let folders = own.into_iter().chain([PathBuf::from("/etc")]);
    folders
        .map(|folder| folder.join("dotward/dotward.toml"))
        .collect()
}

/// The name and the octets of the file: of the one that the user names, or else of the first that there is in the usual places.
pub(in crate::cli) fn find(
    named: Option<&Written>,
    usual: &[PathBuf],
) -> Result<Option<(String, Vec<u8>)>, UsageError> {
    let Some(named) = named else {
        return first_of(usual);
    };
    if named.text == NONE {
        return Ok(None);
    }
    match read_limited(Path::new(&named.text), MOST_OCTETS) {
        Ok(octets) => Ok(Some((named.text.clone(), octets))),
        Err(why) => {
            let name = named.origin.name("config");
            let none = match named.origin {
                Origin::Variable => format!("{name}={NONE}"),
                Origin::Option | Origin::File(_) | Origin::Default => format!("{name} {NONE}"),
            };
            Err(UsageError(format!(
                "{name} {:?}: {why}; name a file that can be read, or write {none} to use no file",
                named.text
            )))
        }
    }
}

fn first_of(usual: &[PathBuf]) -> Result<Option<(String, Vec<u8>)>, UsageError> {
    for path in usual {
        let name = path.to_string_lossy().into_owned();
        match read_limited(path, MOST_OCTETS) {
            Ok(octets) => return Ok(Some((name, octets))),
            Err(ReadError::Io(error)) if is_absent(&error) => {}
            Err(why) => {
                // To go on with the defaults would permit what the file was meant to forbid.
                return Err(UsageError(format!(
                    "{}: {why}; --config {NONE} starts without it",
                    name.escape_debug()
                )));
            }
        }
    }
    Ok(None)
}

fn is_absent(error: &io::Error) -> bool {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind());
    // A component cannot tell a file that is absent from one that its host keeps from it.
    absent || cfg!(target_os = "wasi")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_file_before_that_of_the_system() {
        let places = |config: Option<&str>, home: Option<&str>, is_root| {
            let places = usual_places(config.map(OsStr::new), home.map(OsStr::new), is_root);
            let texts = places.iter().map(|path| path.display().to_string());
            texts.collect::<Vec<_>>()
        };
        let system = "/etc/dotward/dotward.toml".to_owned();
        for (config, home, is_root, own) in [
            (None, None, false, None),
            (
                Some("/c"),
                Some("/home/u"),
                false,
                Some("/c/dotward/dotward.toml"),
            ),
            (
                None,
                Some("/home/u"),
                false,
                Some("/home/u/.config/dotward/dotward.toml"),
            ),
            // The XDG base directory specification: a relative path is invalid.
            (
                Some("c"),
                Some("/home/u"),
                false,
                Some("/home/u/.config/dotward/dotward.toml"),
            ),
            (Some(""), Some(""), false, None),
            (Some("/c"), Some("/root"), true, None),
        ] {
            let own = own.map(str::to_owned).into_iter();
            let expected: Vec<String> = own.chain([system.clone()]).collect();
            assert_eq!(
                places(config, home, is_root),
                expected,
                "{config:?} {home:?}"
            );
        }
    }
}
