//! Descriptors that are reserved for connections to upstreams. When one is lost, the next client would otherwise get its descriptor, and no
//! query could be sent upstream until a client leaves.

use crate::locks::lock;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

/// One for the socket, one for a duplicate of it that is open only briefly.
const RESERVED: usize = 2;

/// The reserved descriptors of one loop. A handle: clones share them.
#[derive(Clone, Debug, Default)]
pub struct Reserve(Arc<Mutex<Vec<OwnedFd>>>);

impl Reserve {
    /// Reserves as many as the system allows.
    pub fn new() -> Self {
        let reserve = Self::default();
        if let Err(error) = reserve.refill() {
            log::debug!("descriptors could not be reserved for upstreams: {error}");
        }
        reserve
    }

    /// Reserves again what was released. On an error the caller must not keep the descriptor that it has just got: it is the one missing here.
    pub fn refill(&self) -> io::Result<()> {
        let mut files = lock(&self.0);
        while files.len() < RESERVED {
            files.push(io::stderr().as_fd().try_clone_to_owned()?);
        }
        Ok(())
    }

    /// Connects. If no descriptor is left, releases the reserved ones and tries once more.
    pub async fn connect<S, F>(&self, connect: impl Fn() -> F) -> io::Result<S>
    where
        F: Future<Output = io::Result<S>>,
    {
        match connect().await {
            Err(error) if is_shortage(&error) && self.release() => connect().await,
            done => done,
        }
    }

    /// Closes the reserved descriptors. False if there are none.
    fn release(&self) -> bool {
        let released = std::mem::take(&mut *lock(&self.0));
        !released.is_empty()
    }
}

/// Has the process, or the whole system, no descriptor left?
fn is_shortage(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|shortage| error.raw_os_error() == Some(shortage.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::cell::Cell;

    #[test]
    fn a_connect_without_a_descriptor_gets_a_reserved_one_and_a_second_try() {
        // fault 105
        let reserve = Reserve::new();
        let tries = Cell::new(0);
        let connect = |shortages: usize| {
            tries.set(0);
            let connecting = reserve.connect(|| {
                let before = tries.replace(tries.get() + 1);
                std::future::ready(if before < shortages {
                    Err(Errno::MFILE.into())
                } else {
                    Ok(before)
                })
            });
            let connected = connecting.now_or_never().expect("nothing to wait for");
            connected.map_err(|error| error.raw_os_error())
        };
        let shortage = Some(Errno::MFILE.raw_os_error());
        assert_eq!((connect(0), lock(&reserve.0).len()), (Ok(0), RESERVED));
        assert_eq!((connect(1), lock(&reserve.0).len()), (Ok(1), 0));
        assert_eq!(
            (connect(1), tries.get()),
            (Err(shortage), 1),
            "released before"
        );
        reserve.refill().unwrap();
        assert_eq!((connect(2), tries.get()), (Err(shortage), 2));
    }

    #[test]
    fn other_errors_release_nothing() {
        let reserve = Reserve::new();
        let refused = || std::future::ready(Err::<(), _>(io::ErrorKind::ConnectionRefused.into()));
        let connected = reserve.connect(refused).now_or_never();
        let error = connected.expect("nothing to wait for").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(lock(&reserve.0).len(), RESERVED);
    }
}
