//! The folder that the files are in. What something else has made is replaced only if that is asked for.

use crate::transports::{PEM_OCTETS, ReadError, read_limited};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// By this the files are known that were made here.
pub(super) const MARK: &str = "made by dotward certificate";
/// Of a key: its owner alone reads it.
pub(super) const KEY_MODE: u32 = 0o600;
/// Of what everybody may have.
pub(super) const PUBLIC_MODE: u32 = 0o644;

/// A folder that is there.
pub(super) struct Folder {
    path: PathBuf,
    force: bool,
}

impl Folder {
    /// Makes it if it is not there.
    pub(super) fn open(path: &Path, force: bool) -> Result<Self, String> {
        let error = |why: io::Error| match why.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                format!(
                    "{}: is not a directory: name another --directory",
                    path.display()
                )
            }
            _ => format!("{}: {why}", path.display()),
        };
        fs::create_dir_all(path).map_err(error)?;
        let path = fs::canonicalize(path).map_err(error)?;
        Ok(Self { path, force })
    }

    /// The whole name of a file.
    pub(super) fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// The octets of a file, if it is there.
    pub(super) fn octets(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match read_limited(&self.path.join(name), PEM_OCTETS) {
            Ok(octets) => Ok(Some(octets)),
            Err(ReadError::Io(absent)) if absent.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(format!("{}: {why}", self.path(name))),
        }
    }

    /// The text of a file that was made here. One that something else has made is an error, or, by force, as good as none.
    pub(super) fn own_text(&self, name: &str) -> Result<Option<String>, String> {
        let octets = self.octets(name)?;
        let text = octets.and_then(|octets| String::from_utf8(octets).ok());
        match text.filter(|text| is_ours(text)) {
            Some(text) => Ok(Some(text)),
            None => self.may_write(name).map(|()| None),
        }
    }

    /// An error says that the file was made by something else.
    pub(super) fn may_write(&self, name: &str) -> Result<(), String> {
        let octets = self.octets(name)?;
        let is_foreign = octets.is_some_and(|octets| !is_ours(&String::from_utf8_lossy(&octets)));
        if is_foreign && !self.force {
            let path = self.path(name);
            return Err(format!(
                "{path}: is there and was not made by dotward certificate: name another --directory, or replace it with --force"
            ));
        }
        Ok(())
    }

    pub(super) fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), String> {
        self.write_octets(name, text.as_bytes(), mode)
    }

    /// One that was made here already stays as it is, with its mode.
    pub(super) fn write_if_absent(&self, name: &str, text: &str, mode: u32) -> Result<(), String> {
        match self.own_text(name)? {
            Some(_) => Ok(()),
            None => self.write(name, text, mode),
        }
    }

    /// In the place of what was there, at once: nobody reads half a file.
    pub(super) fn write_octets(&self, name: &str, octets: &[u8], mode: u32) -> Result<(), String> {
        let path = self.path.join(name);
        let new = self
            .path
            .join(format!(".{name}.new-{}", std::process::id()));
        let written = write_new(&new, octets, mode).and_then(|()| fs::rename(&new, &path));
        written.map_err(|why| {
            // It is of no use; if it cannot be removed, the error that counts is the first one.
            let _ = fs::remove_file(&new);
            format!("{}: cannot be written: {why}", self.path(name))
        })
    }
}

fn is_ours(text: &str) -> bool {
    text.lines().take(3).any(|line| line.contains(MARK))
}

fn write_new(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode; // Other systems have no such modes.
    let mut file = options.open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}
