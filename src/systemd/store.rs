//! The file descriptor store of the service manager: what is left there outlives this process.

use super::matching::{Protocol, store_name};
use super::tell;
use crate::serve::BoundSockets;
use log::{debug, warn};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use sd_notify::NotifyState;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The name of the cache in the store.
pub const CACHE: &str = "cache";
/// How long the end waits until the manager has read what it was sent: it takes microseconds, and may have other work.
const BARRIER_TIMEOUT: Duration = Duration::from_millis(500);

/// Is there a manager who may have a store? systemd tells how large it is from version 254 on.
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some() && is_offered().unwrap_or(true)
}

/// Does the manager say that it has a store for us? `None` if it says nothing.
pub fn is_offered() -> Option<bool> {
    let most = std::env::var("FDSTORE").ok()?;
    Some(most.parse().is_ok_and(|most: u32| most > 0))
}

/// Leaves these sockets there, except for those of the addresses that are `kept`, and says of which addresses these are.
pub fn leave_sockets(
    sockets: &BoundSockets,
    kept: &BTreeSet<(Protocol, SocketAddr)>,
) -> BTreeSet<(Protocol, SocketAddr)> {
    let mut left = BTreeSet::new();
    let udp = sockets.datagrams().iter();
    let udp = udp.map(|(addr, socket)| (Protocol::Udp, *addr, socket.as_fd()));
    let tcp = sockets.listeners().iter();
    let tcp = tcp.map(|(addr, socket)| (Protocol::Tcp, *addr, socket.as_fd()));
    for (protocol, addr, socket) in udp.chain(tcp) {
        if !kept.contains(&(protocol, addr)) {
            store(&store_name(protocol, addr), socket);
            left.insert((protocol, addr));
        }
    }
    left
}

/// Leaves the cache there. It can be read and not be changed.
pub fn leave_cache(dump: &[u8]) {
    let sealed = sealed(dump).inspect_err(|error| {
        warn!("the cache is not left to the next process: no memory for it: {error}");
    });
    if let Ok(memory) = sealed {
        store(CACHE, memory.as_fd());
    }
}

fn sealed(octets: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A system may insist on memory that cannot be executed; one before Linux 6.3 does not know of it.
    let memory = memfd_create("dotward-cache", flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create("dotward-cache", flags))?;
    let mut memory = File::from(memory);
    memory.write_all(octets)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&memory, seals)?;
    Ok(memory)
}

/// What was left there, if it is at most so long.
pub fn read_cache(mut memory: File, limit: usize) -> Option<Vec<u8>> {
    let read = memory.metadata().and_then(|known| {
        if known.len() > limit as u64 {
            return Ok(None);
        }
        let mut octets = Vec::with_capacity(known.len() as usize);
        // Whoever wrote it shares the position with us.
        memory.rewind()?;
        memory.read_to_end(&mut octets)?;
        Ok(Some(octets))
    });
    match read {
        Ok(Some(octets)) => Some(octets),
        Ok(None) => {
            warn!(
                "the cache of the process before is not used: it is larger than the cache may become"
            );
            None
        }
        Err(error) => {
            warn!("the cache of the process before is not used: {error}");
            None
        }
    }
}

/// Forgets all descriptors of this name.
pub fn forget(name: &str) {
    tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
}

/// A socket whose other end has an error is not taken out of the store for that (`FDPOLL=0`).
fn store(name: &str, descriptor: BorrowedFd<'_>) {
    let states = [
        NotifyState::FdStore,
        NotifyState::FdName(name),
        NotifyState::Custom("FDPOLL=0"),
    ];
    if let Err(error) = sd_notify::notify_with_fds(&states, &[descriptor]) {
        warn!("{name} is not left to the next process: {error}");
    }
}

/// Waits until the manager has read everything: it ignores what comes from a process that it knows to have ended.
pub fn wait_until_read() {
    let wait = || -> io::Result<()> {
        let (mut ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(BARRIER_TIMEOUT))?;
        sd_notify::notify_with_fds(&[NotifyState::Custom("BARRIER=1")], &[theirs.as_fd()])?;
        drop(theirs);
        // The manager closes the other end.
        ours.read(&mut [0]).map(drop)
    };
    if let Err(error) = wait() {
        debug!("the service manager does not say that it has read all: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_back_and_cannot_be_changed() {
        let memory = sealed(b"octets").unwrap();
        let mut writer = memory.try_clone().unwrap();
        writer.rewind().unwrap();
        assert!(writer.write_all(b"x").is_err());
        assert!(writer.set_len(3).is_err());
        let same = memory.try_clone().unwrap();
        assert_eq!(read_cache(same, 6).as_deref(), Some(&b"octets"[..]));
        assert_eq!(read_cache(memory, 5), None);
    }
}
