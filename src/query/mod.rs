//! Asks upstreams by hand: `dotward query`.
//!
//! The connections are those of `probe`, and so of the transports, with their verifier. `message` builds the query, `asking` has it answered
//! by one server, `response` reads what comes, `records` shows records with the crate `domain`, `compare` sets several answers side by side,
//! and `report` tells people and programs.

pub(crate) mod asking;
mod compare;
pub(crate) mod message;
mod records;
mod report;
pub(crate) mod response;

pub use report::Report;
pub(crate) use report::count;

use crate::cli::Ask;
use crate::runtime::Runtime;
use crate::serve::random_seed;
use crate::transports::{RunError, Work, work_on};
use domain::base::Name;
use futures::future::join_all;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Asks the servers one after the other until one responds, or all at once if all are to be. An error says why nothing could be done.
pub fn run(ask: &Ask) -> Result<Report, RunError> {
    work_on(&ask.runtime, Asking(ask))?
}

/// Whether the report is wanted as JSON.
pub fn is_json(ask: &Ask) -> bool {
    ask.json
}

/// A name on the wire in presentation form, with the final dot.
pub(crate) fn shown(name: &[u8]) -> String {
    let name = Name::from_octets(name).ok();
    name.map_or_else(String::new, |name| name.fmt_with_dot().to_string())
}

struct Asking<'a>(&'a Ask);

impl Work for Asking<'_> {
    type Output = Result<Report, RunError>;

    fn done_on<R: Runtime + 'static>(self, runtime: R) -> Self::Output {
        let ask = self.0;
        let mut random = ChaCha8Rng::from_seed(random_seed().map_err(RunError::System)?);
        let mut one = |upstream| {
            let mut seed = [0; 32];
            random.fill_bytes(&mut seed);
            asking::ask(&runtime, ask, upstream, seed)
        };
        let asked = if ask.all {
            let all: Vec<_> = ask.upstreams.iter().map(one).collect();
            runtime.block_on(join_all(all))
        } else {
            let mut asked = Vec::new();
            for upstream in &ask.upstreams {
                let last = runtime.block_on(one(upstream));
                let has_responded = last.outcome.is_ok();
                asked.push(last);
                if has_responded {
                    break;
                }
            }
            asked
        };
        Ok(Report {
            name: shown(&ask.question.name),
            rtype: ask.question.rtype,
            all: ask.all,
            asked,
        })
    }
}
