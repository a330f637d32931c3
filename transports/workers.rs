//! The workers besides the first, each an event loop on a thread of its own.

use super::RunError;
use super::listen_tls::ListenTls;
use super::native::Worker;
pub use super::resource_limits::{affordable, check as check_resource_limits};
pub use super::scheduling::use_batch_policy;
use crate::engine::Stats;
use crate::runtime::Runtime;
use crate::serve::{BoundSockets, Options};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

/// Running workers.
pub struct Others(Vec<JoinHandle<Stats>>);

impl Others {
    /// Starts all but the first. An error says why one of them cannot listen.
    pub fn start<R: Runtime + Default>(
        options: &Options,
        tls: &ListenTls,
        bound: &Arc<BoundSockets>,
    ) -> Result<Self, RunError> {
        let numbers = 1..options.config().workers().get();
        let started = numbers
            .map(|number| start_one::<R>(number, options.clone(), tls.clone(), bound.clone()));
        started.collect::<Result<_, _>>().map(Self)
    }

    /// Waits until all have ended.
    pub fn join(self) -> Result<Vec<Stats>, RunError> {
        let ends = self.0.into_iter().map(JoinHandle::join);
        ends.map(|end| end.map_err(|_| RunError::System("a worker has panicked".into())))
            .collect()
    }
}

fn start_one<R: Runtime + Default>(
    number: usize,
    options: Options,
    tls: ListenTls,
    bound: Arc<BoundSockets>,
) -> Result<JoinHandle<Stats>, RunError> {
    let (ready, is_ready) = mpsc::channel();
    let work = move || match Worker::<R>::new(options.config(), &tls, &bound, number) {
        Ok(worker) => {
            drop(bound);
            let serve = worker.start(&options);
            // The receiver waits for this, so that it cannot fail.
            drop(ready.send(Ok(())));
            serve()
        }
        Err(error) => {
            drop(ready.send(Err(error)));
            Stats::default()
        }
    };
    let thread = thread::Builder::new().name(format!("dotward-{number}"));
    let thread = thread
        .spawn(work)
        .map_err(|error| RunError::System(format!("worker {number}: {error}")))?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(RunError::System(format!("worker {number} has panicked"))),
    }
}
