//! A list with a bound in octets, of which the oldest entries fall out.

use std::collections::VecDeque;

/// What an entry takes.
pub trait Octets {
    /// Octets beside the entry itself.
    fn heap(&self) -> usize;
}

/// The list.
pub struct Ring<T> {
    entries: VecDeque<T>,
    octets: usize,
    most: usize,
    /// Entries that fell out.
    lost: u64,
}

impl<T: Octets> Ring<T> {
    /// An empty one that takes so many octets at most.
    pub fn new(most: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            octets: 0,
            most,
            lost: 0,
        }
    }

    /// An entry counts twice for itself, since the list takes its memory in doubles.
    fn of(entry: &T) -> usize {
        2 * size_of::<T>() + entry.heap()
    }

    /// The newest entry. What would fill the list alone is left out.
    pub fn push(&mut self, entry: T) {
        let octets = Self::of(&entry);
        if octets > self.most {
            self.lost += 1;
            return;
        }
        self.octets += octets;
        while self.octets > self.most
            && let Some(oldest) = self.entries.pop_front()
        {
            self.octets -= Self::of(&oldest);
            self.lost += 1;
        }
        self.entries.push_back(entry);
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter()
    }

    /// The same, to be changed. What they take must stay as it is.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.entries.iter_mut()
    }

    /// Octets that it takes.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// How many entries fell out.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Octets for Box<[u8]> {
        fn heap(&self) -> usize {
            self.len()
        }
    }

    // fault 169
    #[test]
    fn the_oldest_fall_out_and_the_bound_holds() {
        let mut ring: Ring<Box<[u8]>> = Ring::new(1_000);
        for number in 0..100 {
            ring.push(vec![number; 100].into());
            assert!(ring.octets() <= 1_000);
        }
        let kept: Vec<u8> = ring.iter().map(|entry| entry[0]).collect();
        assert_eq!(kept, [93, 94, 95, 96, 97, 98, 99]);
        assert_eq!(ring.lost(), 93);
        ring.push(vec![0; 2_000].into());
        assert_eq!((ring.iter().count(), ring.lost()), (7, 94));
    }
}
