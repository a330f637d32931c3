//! Descriptors that are kept for connections to upstreams. A client that comes when a connection was lost would take its descriptor, and
//! nobody's questions could be sent until some client leaves.

use rustix::io::Errno;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One for the socket, one for a duplicate of it that lives for a moment.
const SPARES: usize = 2;

/// The spare descriptors of one loop. A handle: clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Spare(Arc<Mutex<Vec<OwnedFd>>>);

impl Spare {
    /// As many as there can be.
    pub fn new() -> Self {
        let spare = Self::default();
        if let Err(error) = spare.refill() {
            log::debug!("no spare descriptors: {error}");
        }
        spare
    }

    fn files(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        // A list has no half-done state that a panic elsewhere could leave behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back what was given up. An error says that there is none to be had, so that nobody else may have one either.
    pub fn refill(&self) -> io::Result<()> {
        let mut files = self.files();
        while files.len() < SPARES {
            files.push(io::stderr().as_fd().try_clone_to_owned()?);
        }
        Ok(())
    }

    /// Connects, at the expense of the spare ones if there are no others.
    pub async fn connect<S, F>(&self, connect: impl Fn() -> F) -> io::Result<S>
    where
        F: Future<Output = io::Result<S>>,
    {
        match connect().await {
            Err(error) if is_shortage(&error) && self.give_up() => connect().await,
            done => done,
        }
    }

    /// Closes the spare ones. False if there are none.
    fn give_up(&self) -> bool {
        let given_up = std::mem::take(&mut *self.files());
        !given_up.is_empty()
    }
}

/// Are there no descriptors, for the process or for the whole system?
fn is_shortage(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|shortage| error.raw_os_error() == Some(shortage.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use crate::transports::memory::Memory;
    use std::cell::Cell;

    #[test]
    fn a_connect_for_want_of_descriptors_has_the_spare_ones_and_one_more_try() {
        // fault 105
        let spare = Spare::new();
        let tries = Cell::new(0);
        let connect = |shortages: usize| {
            tries.set(0);
            let connecting = spare.connect(|| {
                let before = tries.replace(tries.get() + 1);
                std::future::ready(if before < shortages {
                    Err(Errno::MFILE.into())
                } else {
                    Ok(before)
                })
            });
            Memory::new()
                .block_on(connecting)
                .map_err(|error| error.raw_os_error())
        };
        let shortage = Some(Errno::MFILE.raw_os_error());
        assert_eq!((connect(0), spare.files().len()), (Ok(0), SPARES));
        assert_eq!((connect(1), spare.files().len()), (Ok(1), 0));
        assert_eq!((connect(1), tries.get()), (Err(shortage), 1), "given up");
        spare.refill().unwrap();
        assert_eq!((connect(2), tries.get()), (Err(shortage), 2));
    }

    #[test]
    fn other_errors_leave_the_spare_ones_alone() {
        let spare = Spare::new();
        let refused = || std::future::ready(Err::<(), _>(io::ErrorKind::ConnectionRefused.into()));
        let error = Memory::new().block_on(spare.connect(refused)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(spare.files().len(), SPARES);
    }
}
