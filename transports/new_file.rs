//! Whether a file can be made, without making it.

use std::io;
use std::path::Path;

/// An error says why no file can be made at this path, where there is none: its folder is not there or not writable.
pub fn can_be_made(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    #[cfg(unix)]
    {
        use rustix::fs::{Access, access};
        // With a slash at its end it is a folder.
        access(folder.join(""), Access::WRITE_OK | Access::EXEC_OK)?;
    }
    #[cfg(not(unix))]
    folder.read_dir()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn the_folder_must_be_there() {
        let folder = std::env::temp_dir();
        assert!(can_be_made(&folder.join("dotward-new")).is_ok());
        assert!(can_be_made(Path::new("dotward-new")).is_ok());
        let kind = |path: &str| can_be_made(Path::new(path)).unwrap_err().kind();
        assert_eq!(kind("/no-such-folder/new"), ErrorKind::NotFound);
        assert_eq!(kind("/dev/null/new"), ErrorKind::NotADirectory);
    }
}
