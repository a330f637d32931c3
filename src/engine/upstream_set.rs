//! A set of upstreams, by their numbers.

use std::ops::{BitAnd, BitOr, Not};

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

    /// Whether there is none in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether there are two or more in it.
    pub const fn has_several(self) -> bool {
        self.0 & self.0.wrapping_sub(1) != 0
    }

    /// Whether every one of these is in it.
    pub const fn has_all(self, of: Self) -> bool {
        of.0 & !self.0 == 0
    }
}

impl FromIterator<usize> for UpstreamSet {
    fn from_iter<I: IntoIterator<Item = usize>>(upstreams: I) -> Self {
        let one_more = |set, upstream| set | Self::of(upstream);
        upstreams.into_iter().fold(Self::EMPTY, one_more)
    }
}

impl Not for UpstreamSet {
    type Output = Self;

    /// All that are not in it.
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl BitOr for UpstreamSet {
    type Output = Self;

    /// Those that are in one of both.
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for UpstreamSet {
    type Output = Self;

    /// Those that are in both.
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
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
        assert_eq!(set, UpstreamSet::from_iter([63, 0]));
        assert!(set.has_all(UpstreamSet::of(63)) && set.has_all(UpstreamSet::EMPTY));
        assert!(!set.has_all(UpstreamSet::from_iter([0, 1])));
    }

    #[test]
    fn sets_are_counted_only_as_far_as_it_matters() {
        let [one, both] = [UpstreamSet::of(5), UpstreamSet::from_iter([5, 9])];
        assert!(UpstreamSet::EMPTY.is_empty() && !UpstreamSet::EMPTY.has_several());
        assert!(!one.is_empty() && !one.has_several());
        assert!(both.has_several() && (!one).has_several());
        assert_eq!((both & !one, one | both), (UpstreamSet::of(9), both));
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
