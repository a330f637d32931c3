//! The log of the secrets of TLS connections (RFC 9850), which programs such as Wireshark decrypt recorded connections with.

use crate::config::{Config, ConfigError};
use crate::locks::lock;
use crate::transports::can_be_made;
use log::warn;
use rustls::KeyLog;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The environment variable that names the file, as in other programs (RFC 9850 section 1).
const VARIABLE: &str = "SSLKEYLOGFILE";

/// A key log in a file, to which other connections and other programs may write, too.
#[derive(Debug)]
pub(super) struct KeyLogFile {
    path: PathBuf,
    file: Mutex<File>,
    /// A line could not be written, which has been told.
    has_failed: AtomicBool,
}

/// The key log, if it is wanted and the environment names a file, which is made if it is not there. An error says why there can be none.
pub(super) fn of(config: &Config) -> Result<Option<Arc<KeyLogFile>>, ConfigError> {
    let log = path(config)?.map(KeyLogFile::open).transpose()?;
    Ok(log.map(Arc::new))
}

/// Checks what [`of`] checks, and makes no file.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let Some(path) = path(config)? else {
        return Ok(());
    };
    let opened = match open(&path, false) {
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => can_be_made(&path),
        opened => opened.map(drop),
    };
    opened.map_err(|why| error(&path, &why))
}

/// The file, if a key log is wanted and the environment names one.
fn path(config: &Config) -> Result<Option<PathBuf>, ConfigError> {
    let path = config.key_log().then(|| std::env::var_os(VARIABLE));
    let path = path.flatten().map(PathBuf::from);
    if path.is_some() && cfg!(target_os = "wasi") {
        let reason = "this build for WASI writes no key log";
        return Err(ConfigError::new("key_log", "", reason));
    }
    Ok(path)
}

/// What is to be said of a key log that is wanted.
pub(super) fn remark(config: &Config) -> Option<ConfigError> {
    let mut upstreams = config.all_upstreams().iter();
    if !config.key_log() || !upstreams.any(|upstream| upstream.server_name().is_some()) {
        return None;
    }
    let reason = match std::env::var_os(VARIABLE) {
        Some(path) => format!(
            "whoever can read {:?}, which {VARIABLE} names, can decrypt all connections to upstreams",
            path.to_string_lossy()
        ),
        None => format!("has no effect: the variable {VARIABLE}, which names the file, is not set"),
    };
    Some(ConfigError::new("key_log", "", reason))
}

impl KeyLogFile {
    /// Opens a file to append to it; one that is new can be read by its owner alone. An error names it and says why it cannot be written.
    fn open(path: PathBuf) -> Result<Self, ConfigError> {
        let file = open(&path, true).map_err(|why| error(&path, &why))?;
        Ok(Self {
            path,
            file: Mutex::new(file),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Opens the file of this name once more, for example when the one before was renamed. An error leaves the one before.
    pub(super) fn reopen(&self) -> Result<(), ConfigError> {
        let file = open(&self.path, true).map_err(|why| error(&self.path, &why))?;
        *lock(&self.file) = file;
        self.has_failed.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Opens a file to append to it, without waiting: for a FIFO that nobody reads that is an error. With `create` it is made if it is not there.
fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(create);
    #[cfg(unix)]
    options
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let opened = options.open(path);
    #[cfg(unix)]
    if let Err(why) = &opened
        && why.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
    {
        return Err(io::Error::other("it is a FIFO that nobody reads"));
    }
    opened
}

fn error(path: &Path, why: &io::Error) -> ConfigError {
    let name = path.to_string_lossy();
    let reason = format!("the key log {name:?}, which {VARIABLE} names, cannot be written: {why}");
    ConfigError::new("key_log", "", reason)
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = format!("{label} ");
        hex(&mut line, client_random);
        line.push(' ');
        hex(&mut line, secret);
        line.push('\n');
        // In one write, so that the lines of several workers do not mix.
        let written = lock(&self.file).write_all(line.as_bytes());
        if let Err(why) = written
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            let name = self.path.to_string_lossy();
            warn!("the key log {name:?} lacks lines, since it cannot be written: {why}");
        }
    }
}

fn hex(text: &mut String, octets: &[u8]) {
    for octet in octets {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_label_and_two_values_in_hexadecimal() {
        let path = std::env::temp_dir().join(format!("dotward-key-log-{}", std::process::id()));
        let log = KeyLogFile::open(path.clone()).unwrap();
        log.log("CLIENT_RANDOM", &[0, 0xAB], &[1, 2, 0xF0]);
        // A second one appends, as that of another worker does.
        let other = KeyLogFile::open(path.clone()).unwrap();
        other.log("EXPORTER_SECRET", &[1], &[2]);
        let text = std::fs::read_to_string(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "for its owner alone");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "CLIENT_RANDOM 00ab 0102f0\nEXPORTER_SECRET 01 02\n");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = KeyLogFile::open("/no-such-folder/keys".into()).unwrap_err();
        assert_eq!(error.setting, "key_log");
        let named =
            r#"the key log "/no-such-folder/keys", which SSLKEYLOGFILE names, cannot be written: "#;
        assert!(error.reason.starts_with(named), "{error}");
    }
}
