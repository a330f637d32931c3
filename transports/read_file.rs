//! The octets of a file that the configuration names.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Larger than any bundle of root certificates in use, small enough to read into memory.
pub const PEM_OCTETS: u64 = 8 << 20;

/// Why a file was not read.
#[derive(Debug)]
pub enum ReadError {
    /// By the system.
    Io(io::Error),
    /// It has more octets than so many.
    TooLarge(u64),
    /// It may never have anything to read: this is what it is.
    NotRegular(&'static str),
    /// A pipe that another program has written to can be read once. Nothing is in it any more, or never was.
    EmptyPipe,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooLarge(most) => write!(f, "the file is larger than {} MiB", most >> 20),
            Self::NotRegular(what) => write!(f, "is not a regular file (it is {what})"),
            Self::EmptyPipe => f.write_str(
                "is a pipe with nothing in it; a pipe can be read once, and a reload takes a regular file",
            ),
        }
    }
}

/// The octets of a file, unless it has more than `most`. All files that the configuration names are read by this function.
///
/// A FIFO, a socket or a block device is an error, and a character device is read without waiting: whoever reads a file does not wait for
/// another program. The exception is a pipe that this process was started with, as `/dev/stdin` or by `<(...)` of a shell.
pub fn read_limited(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    let (file, is_pipe) = open(path)?;
    let mut octets = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut octets);
    match read {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(ReadError::NotRegular("a device that has nothing to read"));
        }
        read => read.map_err(ReadError::Io)?,
    };
    if octets.len() as u64 > most {
        return Err(ReadError::TooLarge(most));
    }
    if is_pipe && octets.is_empty() {
        return Err(ReadError::EmptyPipe);
    }
    Ok(octets)
}

/// Opens a file without waiting. Also says whether it is a pipe.
#[cfg(unix)]
fn open(path: &Path) -> Result<(File, bool), ReadError> {
    use rustix::fs::{FileType, Mode, OFlags, fcntl_setfl, fstat};
    let io = |error: rustix::io::Errno| ReadError::Io(error.into());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        // A socket is not opened by its name.
        Err(rustix::io::Errno::NXIO) => return Err(ReadError::NotRegular("a socket or a device")),
        opened => opened.map_err(io)?,
    };
    let kind = FileType::from_raw_mode(fstat(&file).map_err(io)?.st_mode);
    match kind {
        FileType::Fifo if is_own_descriptor(path) => {
            // Its writer may take its time.
            fcntl_setfl(&file, OFlags::RDONLY).map_err(io)?;
        }
        FileType::Fifo => return Err(ReadError::NotRegular("a FIFO")),
        FileType::Socket => return Err(ReadError::NotRegular("a socket")),
        FileType::BlockDevice => return Err(ReadError::NotRegular("a block device")),
        // A character device, such as /dev/null, is read without waiting; reading a directory is an error of its own.
        _ => {}
    }
    Ok((file.into(), kind == FileType::Fifo))
}

/// What this process was started with has such a name.
#[cfg(unix)]
fn is_own_descriptor(path: &Path) -> bool {
    let folders = ["/dev/fd", "/proc/self/fd"];
    path == Path::new("/dev/stdin") || folders.iter().any(|folder| path.starts_with(folder))
}

#[cfg(not(unix))]
fn open(path: &Path) -> Result<(File, bool), ReadError> {
    let file = File::open(path).map_err(ReadError::Io)?;
    Ok((file, false))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    fn error(path: &str) -> String {
        read_limited(Path::new(path), 9).unwrap_err().to_string()
    }

    #[test]
    fn a_pipe_of_this_process_is_read_once() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"text").unwrap();
        drop(writer);
        let name = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(read_limited(Path::new(&name), 4).unwrap(), b"text");
        assert!(error(&name).starts_with("is a pipe with nothing in it"));
    }

    #[test]
    fn devices_are_not_waited_for() {
        assert_eq!(read_limited(Path::new("/dev/null"), 9).unwrap(), b"");
        assert_eq!(error("/dev/zero"), "the file is larger than 0 MiB");
    }

    #[test]
    fn a_socket_is_no_file() {
        let path = std::env::temp_dir().join(format!("dotward-socket-{}", std::process::id()));
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let told = error(path.to_str().unwrap());
        drop((socket, std::fs::remove_file(&path)));
        assert_eq!(told, "is not a regular file (it is a socket or a device)");
    }
}
