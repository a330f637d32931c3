//! Domains are split among upstreams: each goes to the same few of them, so that nobody is asked about all.
//!
//! This is rendezvous hashing: every upstream has a score for a domain, and the highest come first. The scores of an upstream depend on who it
//! is and not on its place in the list, so that another order moves nothing, and one upstream more or less moves its own share alone. The
//! key keeps everybody else from telling which domains an upstream is asked about.

use crate::config::{Config, SplitKey, domain_of};
use crate::engine::numbers::Numbers;
use crate::engine::upstream_set::UpstreamSet;

/// Octets in the longest name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;

/// Which upstreams a domain is sent to.
#[derive(Clone, Debug)]
pub struct Split {
    key: SplitKey,
    /// To so many of them.
    count: usize,
    /// By number: a hash of who the upstream is.
    upstreams: Vec<u64>,
}

impl Split {
    /// As configured, by this key if none is configured.
    pub fn new(config: &Config, key: SplitKey, numbers: &Numbers) -> Self {
        let key = config.split_key().unwrap_or(key);
        let identities = numbers.identities().iter();
        Self {
            key,
            count: config.split_upstreams(),
            upstreams: identities.map(|one| key.hash(&one.octets())).collect(),
        }
    }

    /// A hash of the domain that a name belongs to, whose octets are those of a question.
    pub fn domain(&self, name: &[u8]) -> u64 {
        let mut folded = [0; MAX_NAME];
        let Some(folded) = folded.get_mut(..name.len()) else {
            return 0;
        };
        folded.copy_from_slice(name);
        // The lengths of labels are below all letters.
        folded.make_ascii_lowercase();
        self.key.hash(domain_of(folded))
    }

    /// The score of an upstream for a domain.
    fn score(&self, domain: u64, upstream: usize) -> u64 {
        let identity = self.upstreams.get(upstream).copied().unwrap_or_default();
        // The finalizer of SplitMix64: a bijection, so that two upstreams have no score in common.
        let mut score = domain ^ identity;
        score = (score ^ (score >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        score = (score ^ (score >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        score ^ (score >> 31)
    }

    /// The first of these upstreams for a domain.
    pub fn first(&self, domain: u64, among: impl Iterator<Item = usize>) -> Option<usize> {
        among.max_by_key(|upstream| self.score(domain, *upstream))
    }

    /// The place of an upstream for a domain; the lowest is the first.
    pub fn place(&self, domain: u64, upstream: usize) -> u64 {
        !self.score(domain, upstream)
    }

    /// Those of these upstreams that a domain may be sent to: the first of them, as many as configured. While none of those is healthy, also
    /// the next ones up to the first that is. `is_healthy` is told whether the upstream is one of the former.
    pub fn within<I: Iterator<Item = usize>>(
        &self,
        domain: u64,
        among: impl Fn() -> I,
        is_healthy: impl Fn(usize, bool) -> bool,
    ) -> UpstreamSet {
        let (mut within, mut count, mut any) = (UpstreamSet::EMPTY, 0, false);
        while count < self.count || !any {
            let others = among().filter(|upstream| !within.contains(*upstream));
            let Some(next) = self.first(domain, others) else {
                break;
            };
            within.insert(next);
            count += 1;
            any = any || is_healthy(next, count <= self.count);
        }
        within
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::config::Upstream;
    use crate::wire::testing::name_octets;

    pub fn key(text: &str) -> SplitKey {
        SplitKey::new(format!("{text:_>16}").as_bytes()).unwrap()
    }

    fn upstream(number: u8) -> Upstream {
        let address = ([192, 0, 2, number], 53).into();
        Upstream::known(&format!("u{number}"), "tcp", None, vec![address])
    }

    /// Of these upstreams, each domain going to `count` of them.
    pub fn split(upstreams: &[u8], count: usize, secret: &str) -> Split {
        let all: Vec<Upstream> = upstreams.iter().map(|number| upstream(*number)).collect();
        let config = Config::builder().upstreams(all).split_upstreams(count);
        let config = config.build().unwrap();
        Split::new(&config, key(secret), &Numbers::new(&config))
    }

    #[test]
    fn neither_case_nor_strange_octets_matter() {
        let split = split(&[1, 2, 3], 1, "secret");
        let hash = |name: &[u8]| split.domain(name);
        assert_eq!(
            hash(b"\x03wWw\x04NaMe\x04TesT\x00"),
            hash(b"\x04name\x04test\x00")
        );
        assert_eq!(
            hash(b"\x02\xff.\x03a\xe9b\x04test\x00"),
            hash(b"\x03a\xe9b\x04test\x00")
        );
        assert_ne!(
            hash(b"\x03a\xe9b\x04test\x00"),
            hash(b"\x03a\xc9b\x04test\x00")
        );
        // A dot within a label separates nothing.
        assert_ne!(
            hash(b"\x06a.name\x04test\x00"),
            hash(b"\x04name\x04test\x00")
        );
        assert_eq!(hash(&[0; 300]), 0, "no such name comes from a question");
        hash(b"\x00");
    }

    #[test]
    fn another_order_moves_nothing_and_one_more_takes_its_share_alone() {
        let of = |upstreams: &[u8], name: &str| {
            let split = split(upstreams, 1, "secret");
            let domain = split.domain(&name_octets(name));
            upstreams[split.first(domain, 0..upstreams.len()).unwrap()]
        };
        let mut moved = 0;
        for number in 0..400 {
            let name = format!("n{number}.test.");
            let before = of(&[1, 2, 3], &name);
            assert_eq!(of(&[3, 1, 2], &name), before);
            let after = of(&[1, 4, 2, 3], &name);
            assert!(after == before || after == 4, "{name}");
            moved += u32::from(after == 4);
        }
        assert!((70..=130).contains(&moved), "{moved} of 400 for a quarter");
    }

    #[test]
    fn another_key_is_another_split() {
        let [one, other] = ["one", "other"].map(|secret| split(&[1, 2], 1, secret));
        let first = |split: &Split, number| {
            let domain = split.domain(&name_octets(&format!("n{number}.test.")));
            split.first(domain, 0..2)
        };
        let same = (0..400).filter(|number| first(&one, *number) == first(&other, *number));
        assert!((150..=250).contains(&same.count()));
    }

    #[test]
    fn a_domain_is_kept_to_its_first_upstreams_while_one_of_them_is_healthy() {
        let split = split(&[1, 2, 3, 4], 2, "secret");
        for number in 0..100 {
            let domain = split.domain(&name_octets(&format!("n{number}.test.")));
            let mut order: Vec<usize> = (0..4).collect();
            order.sort_by_key(|upstream| split.place(domain, *upstream));
            assert_eq!(split.first(domain, 0..4), Some(order[0]));
            let within =
                |down: &[usize]| split.within(domain, || 0..4, |one, _| !down.contains(&one));
            let first = |count: usize| order[..count].iter().copied().collect::<UpstreamSet>();
            assert_eq!(within(&[]), first(2));
            assert_eq!(within(&order[..1]), first(2));
            assert_eq!(within(&order[1..]), first(2));
            assert_eq!(within(&order[..2]), first(3));
            assert_eq!(within(&order[..3]), first(4));
            assert_eq!(
                within(&order),
                first(4),
                "all may be tried where none is healthy"
            );
        }
    }
}
