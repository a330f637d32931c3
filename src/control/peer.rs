//! Who may talk over the control socket: root, the user that the program runs as, and members of the group of the file.
//!
//! The mode of the file keeps others from connecting. This is beside it, for a file or a folder whose mode somebody has changed.

use super::socket_file::SocketFile;
use std::os::unix::net::UnixStream;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user; `None` where the system does not tell.
    pub user: Option<u32>,
}

impl Peer {
    /// The other end, if it may talk. An error says why not.
    #[cfg(target_os = "linux")]
    pub fn admitted(stream: &UnixStream, file: &SocketFile) -> Result<Self, String> {
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        let theirs = getsockopt(stream, PeerCredentials)
            .map_err(|error| format!("it is not known who you are: {error}"))?;
        let (user, group) = (theirs.uid(), theirs.gid());
        let own = rustix::process::geteuid().as_raw();
        let is_member = || {
            file.group()
                .is_some_and(|of| group == of || is_in(user, of))
        };
        if user == 0 || user == own || is_member() {
            return Ok(Self { user: Some(user) });
        }
        Err(format!(
            "user {user} may not control this program: root may, user {own}, and the group of the socket's file"
        ))
    }

    /// The other end: whoever could connect may talk, by the mode of the file.
    #[cfg(not(target_os = "linux"))]
    pub fn admitted(_stream: &UnixStream, _file: &SocketFile) -> Result<Self, String> {
        Ok(Self { user: None })
    }
}

/// Whether a user is a member of a group, as the system's tables of users have it. The groups of the very process are not told.
#[cfg(target_os = "linux")]
fn is_in(user: u32, group: u32) -> bool {
    use nix::unistd::{Gid, Uid, User, getgrouplist};
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(user)) else {
        return false;
    };
    let Ok(name) = std::ffi::CString::new(user.name) else {
        return false;
    };
    let groups = getgrouplist(&name, user.gid);
    groups.is_ok_and(|groups| groups.contains(&Gid::from_raw(group)))
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.user {
            Some(user) => write!(f, "user {user}"),
            None => f.write_str("somebody"),
        }
    }
}
