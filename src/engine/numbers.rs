//! The numbers of upstreams. Each keeps its own for as long as it is configured, whatever else changes, so that its connections and what is
//! known of it stay its own.

use super::upstream_set::UpstreamSet;
use crate::config::{Config, Identity, Upstream};

/// Which number each upstream has.
pub struct Numbers {
    /// By number, those of upstreams that are configured no more included.
    identities: Vec<Identity>,
    configured: UpstreamSet,
}

impl Numbers {
    /// In the order of the configuration.
    pub fn new(config: &Config) -> Self {
        let identities: Vec<Identity> = config.all_upstreams().iter().map(Identity::of).collect();
        Self {
            configured: (0..identities.len()).collect(),
            identities,
        }
    }

    /// The number of an upstream that is configured.
    pub fn of(&self, upstream: &Upstream) -> Option<usize> {
        let identity = Identity::of(upstream);
        let number = self.identities.iter().position(|one| *one == identity);
        number.filter(|number| self.configured.contains(*number))
    }

    /// Those of these upstreams, in their order.
    pub fn of_all(&self, upstreams: &[Upstream]) -> Vec<usize> {
        upstreams.iter().filter_map(|one| self.of(one)).collect()
    }

    /// How many there are, those of upstreams that are configured no more included.
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    /// By number, those of upstreams that are configured no more included.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Those of all upstreams that are configured.
    pub fn configured(&self) -> UpstreamSet {
        self.configured
    }

    /// Another configuration holds from now on. Gives the numbers that stand for other upstreams than before. They are taken from those of
    /// upstreams that are configured no more, at last from `busy` ones, which still have connections.
    pub fn change(&mut self, config: &Config, busy: UpstreamSet) -> UpstreamSet {
        let (mut configured, mut added) = (UpstreamSet::EMPTY, Vec::new());
        for upstream in config.all_upstreams() {
            let identity = Identity::of(upstream);
            match self.identities.iter().position(|one| *one == identity) {
                Some(number) => configured.insert(number),
                None => added.push(identity),
            }
        }
        let mut fresh = UpstreamSet::EMPTY;
        for identity in added {
            let len = self.identities.len();
            let mut unused = (0..len).filter(|number| !configured.contains(*number));
            let number = match unused.clone().find(|number| !busy.contains(*number)) {
                Some(idle) => idle,
                None if len < Config::MAX_UPSTREAMS => len,
                // There are no more upstreams than numbers, so that there is one.
                None => unused.next().unwrap_or_default(),
            };
            match self.identities.get_mut(number) {
                Some(place) => *place = identity,
                None => self.identities.push(identity),
            }
            configured.insert(number);
            fresh.insert(number);
        }
        self.configured = configured;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(number: u8) -> Upstream {
        let address = ([192, 0, 2, number], 53).into();
        Upstream::known(&format!("u{number}"), "tcp", None, vec![address])
    }

    fn config(upstreams: impl IntoIterator<Item = u8>) -> Config {
        let upstreams: Vec<Upstream> = upstreams.into_iter().map(upstream).collect();
        Config::builder().upstreams(upstreams).build().unwrap()
    }

    fn set(numbers: &[usize]) -> UpstreamSet {
        numbers.iter().copied().collect()
    }

    #[test]
    fn an_upstream_keeps_its_number_and_a_new_one_takes_one_that_is_free() {
        let mut numbers = Numbers::new(&config([1, 2, 3]));
        assert_eq!(numbers.change(&config([3, 1]), set(&[1])), set(&[]));
        assert_eq!(numbers.of_all(&[upstream(3), upstream(1)]), [2, 0]);
        assert_eq!(numbers.of(&upstream(2)), None);
        assert_eq!(numbers.configured(), set(&[0, 2]));
        // The second one still has connections.
        assert_eq!(numbers.change(&config([4, 3]), set(&[1])), set(&[0]));
        assert_eq!(numbers.change(&config([3, 4, 5]), set(&[1])), set(&[3]));
        assert_eq!(numbers.change(&config([3, 4, 5, 6]), set(&[])), set(&[1]));
        let all = [3, 4, 5, 6].map(upstream);
        assert_eq!(numbers.of_all(&all), [2, 0, 3, 1]);
    }

    #[test]
    fn one_that_returns_has_the_number_that_it_had() {
        let mut numbers = Numbers::new(&config([1, 2]));
        assert_eq!(numbers.change(&config([1]), set(&[1])), set(&[]));
        assert_eq!(numbers.change(&config([2, 1]), set(&[1])), set(&[]));
        assert_eq!(numbers.of(&upstream(2)), Some(1));
    }

    #[test]
    fn as_many_as_there_can_be_are_replaced_at_once() {
        // fault 114
        let most = Config::MAX_UPSTREAMS as u8;
        let mut numbers = Numbers::new(&config(1..=most));
        let busy = (0..Config::MAX_UPSTREAMS).filter(|n| n % 2 == 0).collect();
        let fresh = numbers.change(&config(101..101 + most), busy);
        assert_eq!(fresh, (0..Config::MAX_UPSTREAMS).collect());
        assert_eq!(numbers.of(&upstream(101)), Some(1), "an idle one at first");
        assert_eq!(numbers.of(&upstream(1)), None);
    }
}
