//! Compares resolvers as they are from here: `dotward bench`.
//!
//! The connections and what is found out about a resolver are those of `probe`. `measure` takes the times of one resolver, `figures` makes
//! percentiles of them, `progress` shows how far it is, and `report` tells people and programs.

mod figures;
mod measure;
mod progress;
mod report;

pub use report::Report;

use crate::cli::Contest;
use crate::runtime::Runtime;
use crate::serve::random_seed;
use crate::transports::{RunError, Work, work_on};
use futures::future::join_all;
use measure::{Frame, measure};
use progress::Progress;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Measures all resolvers side by side. An error says why nothing could be done.
pub fn run(contest: &Contest) -> Result<Report, RunError> {
    work_on(&contest.runtime, Measuring(contest))?
}

/// Whether the report is wanted as JSON.
pub fn is_json(contest: &Contest) -> bool {
    contest.json
}

struct Measuring<'a>(&'a Contest);

impl Work for Measuring<'_> {
    type Output = Result<Report, RunError>;

    fn done_on<R: Runtime + 'static>(self, runtime: R) -> Self::Output {
        let contest = self.0;
        let mut random = ChaCha8Rng::from_seed(random_seed().map_err(RunError::System)?);
        let progress = Progress::new(contest.time);
        let start = runtime.now().mono;
        let frame = Frame {
            runtime: &runtime,
            contest,
            progress: &progress,
            start,
        };
        let all = contest.upstreams.iter().map(|upstream| {
            let mut seed = [0; 32];
            random.fill_bytes(&mut seed);
            measure(&frame, upstream, seed)
        });
        let resolvers = runtime.block_on(join_all(all.collect::<Vec<_>>()));
        progress.end();
        Ok(Report {
            name: contest.name.to_string(),
            time: runtime.now().mono.since(start),
            resolvers,
        })
    }
}
