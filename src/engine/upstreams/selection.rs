//! Which upstream of a route a query should be sent to first, and which come after it: the policies.
//!
//! A policy ranks upstreams by what is known of them, the public fields of [`Upstream`]: `round_trip`, `answered_at`, `used_at`,
//! `stats` and others. It says nothing of those that are suspect or cannot be reached; the pool passes those over for every policy.

use super::Upstream;
use super::split::Split;
use crate::config::{Config, Policy};
use crate::engine::history::Preference;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// One query in so many goes to the slower of two upstreams, so that one that became fast is found.
const EXPLORE: u32 = 64;
/// The place of an upstream that is not on the route.
const NOWHERE: u8 = u8::MAX;

/// What is known of all upstreams, by number.
#[derive(Clone, Copy)]
pub struct Known<'u> {
    pub upstreams: &'u [Upstream],
    pub split: &'u Split,
}

/// A policy, the upstreams that it chooses among, and what it remembers.
pub struct Selection {
    policy: Policy,
    /// By number, in the order of the route.
    order: Vec<usize>,
    /// By number, where in that order each is.
    places: [u8; Config::MAX_UPSTREAMS],
    /// The place whose turn it is.
    turn: usize,
}

impl Selection {
    /// By this policy among these upstreams, of which there is at least one, beginning with the first.
    pub fn new(policy: Policy, order: Vec<usize>) -> Self {
        let mut places = [NOWHERE; Config::MAX_UPSTREAMS];
        for (place, upstream) in (0..).zip(&order) {
            if let Some(slot) = places.get_mut(*upstream) {
                *slot = place;
            }
        }
        Self {
            policy,
            order,
            places,
            turn: 0,
        }
    }

    /// The policy.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The upstreams in their order.
    pub fn order(&self) -> impl Iterator<Item = usize> {
        self.order.iter().copied()
    }

    /// The upstream that a new query for this name should be sent to. It is chosen once for each query, and only here may a policy draw at
    /// random or remember something.
    #[inline]
    pub fn preferred(
        &mut self,
        name: &[u8],
        known: Known<'_>,
        random: &mut ChaCha8Rng,
    ) -> Preference {
        let place = match self.policy {
            Policy::Failover => 0,
            Policy::RoundRobin => {
                let turn = self.turn % self.order.len();
                self.turn = turn + 1;
                turn
            }
            Policy::Fastest => self.faster_of_two(known.upstreams, random),
            Policy::Split => return self.by_domain(name, known.split),
        };
        Preference {
            upstream: self.order[place],
            domain: 0,
        }
    }

    /// The upstream that the domain of this name belongs to.
    fn by_domain(&self, name: &[u8], split: &Split) -> Preference {
        let domain = split.domain(name);
        let first = split.first(domain, self.order());
        Preference {
            upstream: first.unwrap_or(self.order[0]),
            domain,
        }
    }

    /// An upstream's place in the order of a query that should be sent to `preferred`; the lowest is asked first.
    ///
    /// - It depends on the arguments alone: it is asked for many times about one query, and for pairs of upstreams.
    /// - No upstream has a lower one than `preferred`, not even one that became better since: upstreams answer and fail while the
    ///   query is under way. Of equal ones any may be asked, so `preferred` should be below the others unless they are as good.
    /// - Numbers are only compared with each other, so their distance means nothing. There is no clock here: to rank by an
    ///   age, the older the later, count back from the moment, as in `u64::MAX - moment.as_nanos()`.
    /// - What is not known of an upstream yet, as `answered_at: None`, needs a place too.
    /// - It is part of every query, so it costs no memory and no search.
    #[inline]
    pub fn rank(&self, known: Known<'_>, preferred: Preference, upstream: usize) -> u64 {
        match self.policy {
            Policy::Failover => self.place(upstream),
            Policy::RoundRobin => {
                let all = self.order.len() as u64;
                (self.place(upstream) + all - self.place(preferred.upstream)) % all
            }
            Policy::Fastest | Policy::Split if upstream == preferred.upstream => 0,
            Policy::Split => known.split.place(preferred.domain, upstream).max(1),
            Policy::Fastest => {
                let usual = known.upstreams[upstream].round_trip.smoothed();
                let nanos = usual.unwrap_or_default().as_nanos();
                1 + u64::try_from(nanos).unwrap_or(u64::MAX >> 1)
            }
        }
    }

    fn place(&self, upstream: usize) -> u64 {
        u64::from(self.places[upstream])
    }

    /// The power of two choices: nearly as good as the fastest of all, and not all queries follow one measurement.
    fn faster_of_two(&self, upstreams: &[Upstream], random: &mut ChaCha8Rng) -> usize {
        let all = self.order.len();
        if all < 2 {
            return 0;
        }
        let random = random.next_u32();
        let one = (random & 0xff) as usize % all;
        let other = (one + 1 + (random >> 8 & 0xff) as usize % (all - 1)) % all;
        // One that never answered is tried at once: an unknown time counts as none.
        let time = |place: usize| upstreams[self.order[place]].round_trip.smoothed();
        if (random >> 16).is_multiple_of(EXPLORE) || time(one) <= time(other) {
            one
        } else {
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::tests::split;
    use super::*;
    use crate::config::Upstream as Configured;
    use crate::engine::time::Time;
    use crate::wire::testing::name_octets;
    use rand_chacha::rand_core::SeedableRng;
    use std::collections::BTreeSet;
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

    fn known<'u>(upstreams: &'u [Upstream], split: &'u Split) -> Known<'u> {
        Known { upstreams, split }
    }

    /// The upstreams in the order in which a query for this name is sent to them.
    fn order(
        selection: &mut Selection,
        name: &str,
        known: Known<'_>,
        random: &mut ChaCha8Rng,
    ) -> Vec<usize> {
        let preferred = selection.preferred(&name_octets(name), known, random);
        let mut order: Vec<usize> = (0..known.upstreams.len()).collect();
        order.sort_by_key(|upstream| selection.rank(known, preferred, *upstream));
        assert_eq!(order[0], preferred.upstream);
        order
    }

    #[test]
    fn no_policy_ranks_another_upstream_before_the_preferred_one() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        let times = [(0, 0), (80, 9_000), (20, 5_000), (40, 7_000), (20, 5_000)];
        let split = split(&[1, 2, 3, 4, 5], 1, "secret");
        for (name, policy) in Policy::ALL {
            for count in 1..=times.len() {
                let mut upstreams = upstreams(&times[..count]);
                let mut selection = Selection::new(*policy, (0..count).collect());
                for turn in 0..200 {
                    let asked = name_octets(&format!("n{turn}.test."));
                    let preferred = selection.preferred(&asked, known(&upstreams, &split), random);
                    // Another one answers meanwhile, sooner than any did before.
                    let other = (preferred.upstream + 1) % count;
                    let now = Time::ZERO + Duration::from_secs(10 + turn);
                    upstreams[other].answered(0, now);
                    upstreams[other]
                        .round_trip
                        .measured(Duration::from_millis(1), now);
                    let known = known(&upstreams, &split);
                    let rank = |upstream| selection.rank(known, preferred, upstream);
                    let best = (0..count).map(rank).min();
                    assert_eq!(best, Some(rank(preferred.upstream)), "{name} of {count}");
                }
            }
        }
    }

    #[test]
    fn each_policy_has_its_order() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        let upstreams = upstreams(&[(80, 9_000), (20, 5_000), (40, 7_000)]);
        let split = split(&[1, 2, 3], 1, "secret");
        let known = known(&upstreams, &split);
        let mut failover = Selection::new(Policy::Failover, vec![0, 1, 2]);
        let mut round_robin = Selection::new(Policy::RoundRobin, vec![0, 1, 2]);
        for turn in 0..6 {
            assert_eq!(order(&mut failover, "a.", known, random), [0, 1, 2]);
            let expected = [0, 1, 2].map(|upstream| (upstream + turn) % 3);
            assert_eq!(order(&mut round_robin, "a.", known, random), expected);
        }
        let mut fastest = Selection::new(Policy::Fastest, vec![0, 1, 2]);
        let orders = (0..300).map(|_| order(&mut fastest, "a.", known, random));
        let usual = orders.filter(|order| order[..] == [1, 2, 0]).count();
        assert!((150..270).contains(&usual), "{usual} of 300");
        let mut by_domain = Selection::new(Policy::Split, vec![0, 1, 2]);
        let mut orders = BTreeSet::new();
        for number in 0..100 {
            let name = format!("n{number}.");
            let first = order(&mut by_domain, &name, known, random);
            assert_eq!(order(&mut by_domain, &name, known, random), first);
            orders.insert(first);
        }
        assert_eq!(orders.len(), 6, "each order there is");
    }

    #[test]
    fn only_upstreams_of_the_route_are_chosen_in_its_order() {
        let (upstreams, mut random) = (upstreams(&[(0, 0); 5]), ChaCha8Rng::seed_from_u64(1));
        let split = split(&[1, 2, 3, 4, 5], 1, "secret");
        let known = known(&upstreams, &split);
        let mut chosen = |policy| {
            let mut selection = Selection::new(policy, vec![4, 1, 3]);
            let mut next = |number| {
                let name = name_octets(&format!("n{number}."));
                selection.preferred(&name, known, &mut random).upstream
            };
            (0..200).map(&mut next).collect::<Vec<_>>()
        };
        assert!(chosen(Policy::Failover).iter().all(|one| *one == 4));
        assert_eq!(chosen(Policy::RoundRobin)[..4], [4, 1, 3, 4]);
        for policy in [Policy::Fastest, Policy::Split] {
            let chosen: BTreeSet<usize> = chosen(policy).into_iter().collect();
            assert_eq!(chosen, BTreeSet::from([1, 3, 4]));
        }
        let ranks = |policy| {
            let selection = Selection::new(policy, vec![4, 1, 3]);
            let preferred = Preference {
                upstream: 1,
                domain: 0,
            };
            [4, 1, 3].map(|one| selection.rank(known, preferred, one))
        };
        assert_eq!(ranks(Policy::Failover), [0, 1, 2]);
        assert_eq!(ranks(Policy::RoundRobin), [2, 0, 1]);
        assert_eq!(ranks(Policy::Fastest), [1, 0, 1]);
    }
}
