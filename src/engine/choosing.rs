//! Which upstream a question should go to first, and who comes after it: the policies.

use super::forwarder::Forwarder;
use crate::config::Policy;
use rand_chacha::rand_core::Rng;

/// One question in so many goes where it would not, so that one that became fast is found.
const EXPLORE: u32 = 64;

impl Forwarder {
    /// The upstream that a new question should go to.
    pub(super) fn preferred(&mut self) -> usize {
        match self.policy {
            Policy::Failover => 0,
            Policy::RoundRobin => {
                let turn = self.turn % self.upstreams.len();
                self.turn = turn + 1;
                turn
            }
            Policy::Fastest => self.faster_of_two(),
        }
    }

    /// The power of two choices: nearly as good as the fastest of all, and no herd runs after one measurement.
    fn faster_of_two(&mut self) -> usize {
        let all = self.upstreams.len();
        if all < 2 {
            return 0;
        }
        let random = self.random.next_u32();
        let one = (random & 0xff) as usize % all;
        let other = (one + 1 + (random >> 8 & 0xff) as usize % (all - 1)) % all;
        // One that never answered is tried at once: an unknown time counts as none.
        let time = |upstream: usize| self.upstreams[upstream].srtt;
        if (random >> 16).is_multiple_of(EXPLORE) || time(one) <= time(other) {
            one
        } else {
            other
        }
    }

    /// An upstream's place in the order of a question that should go to `preferred`; 0 is the best.
    pub(super) fn rank(&self, preferred: usize, upstream: usize) -> u64 {
        let all = self.upstreams.len();
        match self.policy {
            Policy::Failover => upstream as u64,
            Policy::RoundRobin => ((upstream + all - preferred) % all) as u64,
            Policy::Fastest if upstream == preferred => 0,
            Policy::Fastest => {
                let srtt = self.upstreams[upstream].srtt.unwrap_or_default();
                1 + u64::try_from(srtt.as_nanos()).unwrap_or(u64::MAX >> 1)
            }
        }
    }
}
