//! Which upstream a query should be sent to first, and which come after it: the policies.

use super::Upstream;
use crate::config::Policy;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// One query in so many goes to the slower of two upstreams, so that one that became fast is found.
const EXPLORE: u32 = 64;

/// A policy, and what it remembers.
pub struct Selection {
    policy: Policy,
    /// The upstream whose turn it is.
    turn: usize,
}

impl Selection {
    /// By this policy, beginning with the first upstream.
    pub fn new(policy: Policy) -> Self {
        Self { policy, turn: 0 }
    }

    /// The policy.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The upstream that a new query should be sent to.
    pub fn preferred(&mut self, upstreams: &[Upstream], random: &mut ChaCha8Rng) -> usize {
        match self.policy {
            Policy::Failover => 0,
            Policy::RoundRobin => {
                let turn = self.turn % upstreams.len();
                self.turn = turn + 1;
                turn
            }
            Policy::Fastest => faster_of_two(upstreams, random),
        }
    }

    /// An upstream's place in the order of a query that should be sent to `preferred`; 0 is the best.
    pub fn rank(&self, upstreams: &[Upstream], preferred: usize, upstream: usize) -> u64 {
        let all = upstreams.len();
        match self.policy {
            Policy::Failover => upstream as u64,
            Policy::RoundRobin => ((upstream + all - preferred) % all) as u64,
            Policy::Fastest if upstream == preferred => 0,
            Policy::Fastest => {
                let usual = upstreams[upstream].round_trip.smoothed();
                let nanos = usual.unwrap_or_default().as_nanos();
                1 + u64::try_from(nanos).unwrap_or(u64::MAX >> 1)
            }
        }
    }
}

/// The power of two choices: nearly as good as the fastest of all, and not all queries follow one measurement.
fn faster_of_two(upstreams: &[Upstream], random: &mut ChaCha8Rng) -> usize {
    let all = upstreams.len();
    if all < 2 {
        return 0;
    }
    let random = random.next_u32();
    let one = (random & 0xff) as usize % all;
    let other = (one + 1 + (random >> 8 & 0xff) as usize % (all - 1)) % all;
    // One that never answered is tried at once: an unknown time counts as none.
    let time = |upstream: usize| upstreams[upstream].round_trip.smoothed();
    if (random >> 16).is_multiple_of(EXPLORE) || time(one) <= time(other) {
        one
    } else {
        other
    }
}
