//! A set of upstreams, by their places in the configuration.

/// A set of upstreams, a bit for each. There is room for [`Config::MAX_UPSTREAMS`](crate::Config::MAX_UPSTREAMS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpstreamSet(u64);

impl UpstreamSet {
    /// No upstream.
    pub const EMPTY: Self = Self(0);

    /// One upstream; none if the number is too high for any.
    pub const fn of(upstream: usize) -> Self {
        Self(if upstream < 64 { 1 << upstream } else { 0 })
    }

    /// Whether an upstream is in it.
    pub const fn contains(self, upstream: usize) -> bool {
        self.0 & Self::of(upstream).0 != 0
    }

    /// Adds one.
    pub const fn insert(&mut self, upstream: usize) {
        self.0 |= Self::of(upstream).0;
    }

    /// Takes one out.
    pub const fn remove(&mut self, upstream: usize) {
        self.0 &= !Self::of(upstream).0;
    }

    /// Whether none of the first `count` upstreams is missing.
    pub fn has_all(self, count: usize) -> bool {
        (0..count).all(|upstream| self.contains(upstream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inserted_is_contained_until_it_is_removed() {
        let mut set = UpstreamSet::EMPTY;
        for upstream in [0, 3, 63] {
            set.insert(upstream);
            assert!(set.contains(upstream) && !set.contains(upstream + 1));
        }
        set.remove(3);
        assert!(!set.contains(3) && set.contains(0) && set.contains(63));
        assert!(set.has_all(1) && !set.has_all(2));
    }

    // fault 114
    #[test]
    fn a_number_beyond_the_last_upstream_is_nobody() {
        let mut set = UpstreamSet::of(64);
        set.insert(usize::MAX);
        assert_eq!(set, UpstreamSet::EMPTY);
        assert!(!set.contains(64));
    }
}
