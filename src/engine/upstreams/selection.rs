//! Which upstream a query should be sent to first, and which come after it: the policies.
//!
//! A policy ranks upstreams by what is known of them, the public fields of [`Upstream`]: `round_trip`, `answered_at`, `used_at`,
//! `stats` and others. It says nothing of those that are suspect or cannot be reached; the pool passes those over for every policy.

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

    /// The upstream that a new query should be sent to. It is chosen once for each query, and only here may a policy draw at random
    /// or remember something.
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

    /// An upstream's place in the order of a query that should be sent to `preferred`; the lowest is asked first.
    ///
    /// - It depends on the arguments alone: it is asked for many times about one query, and for pairs of upstreams.
    /// - No upstream has a lower one than `preferred`. Of equal ones any may be asked, so `preferred` should be below the others
    ///   unless they are as good.
    /// - Numbers are only compared with each other, so their distance means nothing. There is no clock here: to rank by an
    ///   age, the older the later, count back from the moment, as in `u64::MAX - moment.as_nanos()`.
    /// - It is part of every query, so it costs no memory and no search.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Upstream as Configured;
    use crate::engine::time::Time;
    use rand_chacha::rand_core::SeedableRng;
    use std::time::Duration;

    /// Upstreams that took so many milliseconds to answer, and answered at so many after the start; zero of both: not yet.
    fn upstreams(known: &[(u64, u64)]) -> Vec<Upstream> {
        let upstream = |&(took, at): &(u64, u64)| {
            let configured =
                Configured::known("u", "tls", None, vec![([192, 0, 2, 1], 853).into()]);
            let mut upstream = Upstream::new(&configured);
            let now = Time::ZERO + Duration::from_millis(at);
            if took > 0 {
                upstream.answered(0, now);
                upstream
                    .round_trip
                    .measured(Duration::from_millis(took), now);
            }
            upstream
        };
        known.iter().map(upstream).collect()
    }

    /// The upstreams in the order in which a query is sent to them.
    fn order(
        selection: &mut Selection,
        upstreams: &[Upstream],
        random: &mut ChaCha8Rng,
    ) -> Vec<usize> {
        let preferred = selection.preferred(upstreams, random);
        let mut order: Vec<usize> = (0..upstreams.len()).collect();
        order.sort_by_key(|upstream| selection.rank(upstreams, preferred, *upstream));
        order
    }

    #[test]
    fn no_policy_ranks_another_upstream_before_the_preferred_one() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        let known = [(0, 0), (80, 9_000), (20, 5_000), (40, 7_000), (20, 5_000)];
        for (name, policy) in Policy::ALL {
            for count in 1..=known.len() {
                let upstreams = upstreams(&known[..count]);
                let mut selection = Selection::new(*policy);
                for _ in 0..200 {
                    let preferred = selection.preferred(&upstreams, random);
                    let rank = |upstream| selection.rank(&upstreams, preferred, upstream);
                    let best = (0..count).map(rank).min();
                    assert_eq!(best, Some(rank(preferred)), "{name} of {count}");
                }
            }
        }
    }

    #[test]
    fn each_policy_has_its_order() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        let upstreams = upstreams(&[(80, 9_000), (20, 5_000), (40, 7_000)]);
        let mut failover = Selection::new(Policy::Failover);
        let mut round_robin = Selection::new(Policy::RoundRobin);
        for turn in 0..6 {
            assert_eq!(order(&mut failover, &upstreams, random), [0, 1, 2]);
            let expected = [0, 1, 2].map(|upstream| (upstream + turn) % 3);
            assert_eq!(order(&mut round_robin, &upstreams, random), expected);
        }
        let mut fastest = Selection::new(Policy::Fastest);
        let orders = (0..300).map(|_| order(&mut fastest, &upstreams, random));
        let usual = orders.filter(|order| order[..] == [1, 2, 0]).count();
        assert!((150..270).contains(&usual), "{usual} of 300");
    }
}
