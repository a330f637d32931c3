//! The file of the control socket: it is there as long as the process, and never in the way of the next one.

use rustix::fs::AtFlags;
use rustix::fs::{CWD, Mode, chmodat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process;

/// The owner and the group may connect, and nobody else.
const MODE: u32 = 0o660;
/// Octets of a path that every system takes (macOS 103, Linux 107), less what stands behind it while it is made.
pub const MAX_PATH: usize = 92;

/// A file of ours, which is removed with this.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: another file at the same path is not ours.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens at this path. A file of a process that is gone is replaced; one that somebody listens at, or that is no socket, is not. The
    /// text of an error says what to do.
    pub fn make(path: &Path) -> Result<(UnixListener, Self), String> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(advice(path, &error)),
            Ok(there) if !there.file_type().is_socket() => {
                return Err("this file is no socket: remove it, or give another path".to_owned());
            }
            Ok(_) if is_listened_at(path) => {
                return Err(
                    "another process listens there: end it, or give another path".to_owned(),
                );
            }
            Ok(_) => {}
        }
        // It gets its mode before it gets its name, so that nobody else can connect meanwhile; and replaces the old one in one step.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", process::id()));
        let beside = PathBuf::from(beside);
        // One that another process with this number has left; usually there is none.
        let _none = fs::remove_file(&beside);
        let made = || -> io::Result<(UnixListener, Metadata)> {
            let listener = UnixListener::bind(&beside)?;
            listener.set_nonblocking(true)?;
            chmodat(CWD, &beside, Mode::from_raw_mode(MODE), AtFlags::empty())?;
            let metadata = fs::symlink_metadata(&beside)?;
            fs::rename(&beside, path)?;
            Ok((listener, metadata))
        };
        let (listener, metadata) = made().map_err(|error| {
            let _none = fs::remove_file(&beside);
            advice(path, &error)
        })?;
        let file = Self {
            path: path.to_owned(),
            identity: identity(&metadata),
        };
        Ok((listener, file))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The group whose members may connect, if the mode of the file lets them.
    pub fn group(&self) -> Option<u32> {
        let metadata = self.metadata()?;
        (metadata.mode() & 0o020 != 0).then(|| metadata.gid())
    }

    /// Removes it, unless something else has its place by now.
    pub fn remove(&self) {
        if self.metadata().is_some() {
            // Nothing depends on it: the next start replaces what is left.
            let _left = fs::remove_file(&self.path);
        }
    }

    /// What is at the path, if it is this file.
    fn metadata(&self) -> Option<Metadata> {
        let metadata = fs::symlink_metadata(&self.path).ok()?;
        (identity(&metadata) == self.identity).then_some(metadata)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether a process listens at this socket. One that cannot be looked at counts as one that is.
fn is_listened_at(path: &Path) -> bool {
    let connected = || -> Result<(), Errno> {
        let address = SocketAddrUnix::new(path)?;
        // One whose backlog is full would make this wait.
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &address)
    };
    !matches!(connected(), Err(Errno::CONNREFUSED | Errno::NOENT))
}

fn advice(path: &Path, error: &io::Error) -> String {
    let folder = path.parent().unwrap_or(Path::new("/")).display();
    match error.kind() {
        ErrorKind::NotFound => format!(
            "there is no folder {folder}: make it, or have systemd make it (RuntimeDirectory=dotward for /run/dotward)"
        ),
        ErrorKind::PermissionDenied => format!(
            "this process may not make files in {folder}: {error}; give it the folder, or take another path"
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// A folder of this test, which is removed in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("dotward-{name}-{}", process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn files(&self) -> usize {
            fs::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    // fault 144
    #[test]
    fn a_stale_file_is_replaced_and_one_in_use_is_not() {
        let folder = Folder::new("socket-file");
        let path = folder.0.join("control.sock");
        let (listener, file) = SocketFile::make(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, MODE);
        assert!(file.group().is_some());
        let error = SocketFile::make(&path).unwrap_err();
        assert!(
            error.starts_with("another process listens there"),
            "{error}"
        );
        UnixStream::connect(&path).expect("it is as it was");
        drop(listener);
        let (_listener, next) = SocketFile::make(&path).expect("nobody listens any more");
        UnixStream::connect(&path).expect("the next one listens");
        file.remove();
        assert!(path.exists(), "it is not that of the first any more");
        next.remove();
        assert_eq!(folder.files(), 0);
        next.remove();
    }

    // fault 144
    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = Folder::new("no-socket");
        let path = folder.0.join("control.sock");
        fs::write(&path, "a text").unwrap();
        let error = SocketFile::make(&path).unwrap_err();
        assert!(error.starts_with("this file is no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a text");
        let error = SocketFile::make(&folder.0.join("none/control.sock")).unwrap_err();
        assert!(error.starts_with("there is no folder "), "{error}");
        assert_eq!(folder.files(), 1);
    }
}
