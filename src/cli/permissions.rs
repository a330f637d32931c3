//! Files of secrets that others than their owner may read or write.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Its owner alone.
    #[cfg_attr(
        not(feature = "split"),
        expect(dead_code, reason = "the split key alone")
    )]
    Owner,
    /// Its group, too.
    #[cfg_attr(
        not(feature = "listen-tls"),
        expect(dead_code, reason = "the key of the certificate alone")
    )]
    OwnerAndGroup,
}

/// Says so if others may read or write the file of a key. systemd gives credentials by an access list, which shows as the permissions of the
/// group, and keeps others out by their folder.
pub(super) fn open_to_others(path: &Path, readers: Readers) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    if credentials.is_some_and(|folder| path.starts_with(folder)) {
        return None;
    }
    let (who, others, remedy) = match readers {
        Readers::Owner => ("its owner", 0o044, "go="),
        Readers::OwnerAndGroup => ("its owner and group", 0o004, "g-w,o="),
    };
    let may = match (mode & others != 0, mode & 0o022 != 0) {
        (true, true) => "read and write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => return None,
    };
    Some(format!(
        "others than {who} may {may} the key, which is to be secret: chmod {remedy} makes it so"
    ))
}
