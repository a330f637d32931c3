//! A part of the cache, bounded in octets: slots, the table that finds them, and the row that they leave by.

use super::Counts;
use super::entry::Entry;
use super::index::Index;
use super::key::Key;
use super::sieve::{self, Sieve};

/// The part of the bound that one answer may take: an eighth, so that one cannot push out all others.
const LARGEST_PART: usize = 8;
/// Slots that are made at least when there are too few.
const MIN_GROWTH: usize = 16;
/// Octets that a slot takes, used or not: its entry, its links, and its place in the list of free ones.
const SLOT: usize = size_of::<Option<Entry>>() + size_of::<sieve::Link>() + size_of::<u32>();

/// The sum of a shard's memory is at most its bound at any time between two calls.
pub(super) struct Shard {
    bound: usize,
    slots: Vec<Option<Entry>>,
    /// Slots for which memory is there.
    capacity: usize,
    free: Vec<u32>,
    index: Index,
    order: Sieve,
    /// Octets behind the entries.
    heap: usize,
    pub(super) counts: Counts,
}

impl Shard {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            bound,
            slots: Vec::new(),
            capacity: 0,
            free: Vec::new(),
            index: Index::default(),
            order: Sieve::new(),
            heap: 0,
            counts: Counts::default(),
        }
    }

    /// It takes at most so many octets from now on. What is too much goes, all of it if the places alone are too many.
    pub(super) fn set_bound(&mut self, bound: usize) {
        self.bound = bound;
        while self.bytes() > bound && self.evict() {}
        if self.bytes() > bound {
            *self = Self {
                counts: self.counts,
                ..Self::new(bound)
            };
        }
    }

    /// Octets in use.
    pub(super) fn bytes(&self) -> usize {
        size_of_slots(self.capacity) + self.heap
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The slot of this key.
    pub(super) fn find(&self, key: &Key<'_>) -> Option<u32> {
        self.index.candidates(key.hash()).find(|&slot| {
            let entry = self.slots[slot as usize].as_ref();
            entry.is_some_and(|entry| key.matches(entry.question(), entry.bits))
        })
    }

    /// The slot of this key and what is in it.
    pub(super) fn get(&mut self, key: &Key<'_>) -> Option<(u32, &mut Entry)> {
        let slot = self.find(key)?;
        Some((slot, self.entry(slot)?))
    }

    /// The entry of a slot that was found.
    pub(super) fn entry(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots[slot as usize].as_mut()
    }

    /// The entries, the oldest first, and whether somebody asked for each lately.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Entry, bool)> {
        let row = self.order.row();
        row.filter_map(|(slot, asked)| Some((self.slots[slot as usize].as_ref()?, asked)))
    }

    /// Notes that somebody asked for a slot that was found.
    pub(super) fn ask(&mut self, slot: u32) {
        self.order.ask(slot);
    }

    /// Remembers an entry in the place of the one that this key has, if any.
    pub(super) fn put(&mut self, key: &Key<'_>, entry: Entry) {
        let found = self.find(key);
        if entry.heap_size() > self.bound / LARGEST_PART {
            // What it would have replaced is no longer true.
            if let Some(slot) = found {
                self.remove(slot);
            }
            return;
        }
        if let Some(slot) = found {
            self.heap += entry.heap_size();
            if let Some(old) = self.slots[slot as usize].replace(entry) {
                self.heap -= old.heap_size();
            }
            // It was wanted more than once.
            self.order.ask(slot);
            self.counts.insertions += 1;
            while self.bytes() > self.bound && self.evict() {}
        } else {
            self.insert(key.hash(), entry);
        }
    }

    /// Forgets a slot that was found.
    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(entry) = self.slots[slot as usize].take() {
            self.heap -= entry.heap_size();
            self.index.remove(slot);
            self.order.remove(slot);
            self.free.push(slot);
        }
    }

    /// Forgets those among `count` slots, from the slot `from` on, whose questions are `so`. Says how many those were, and whether there are
    /// more slots.
    pub(super) fn forget(
        &mut self,
        from: usize,
        count: usize,
        so: impl Fn(&[u8]) -> bool,
    ) -> (usize, bool) {
        let end = self.slots.len().min(from.saturating_add(count));
        let mut forgotten = 0;
        for slot in from..end {
            let entry = self.slots[slot].as_ref();
            if entry.is_some_and(|entry| so(entry.question())) {
                self.remove(slot as u32);
                forgotten += 1;
            }
        }
        (forgotten, end < self.slots.len())
    }

    fn insert(&mut self, hash: u64, entry: Entry) {
        let size = entry.heap_size();
        while self.bytes() + size + self.growth_needed() > self.bound {
            if !self.evict() {
                return;
            }
        }
        if self.growth_needed() > 0 {
            self.grow();
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = Some(entry),
            None => self.slots.push(Some(entry)),
        }
        self.index.insert(slot, hash);
        self.order.insert(slot);
        self.heap += size;
        self.counts.insertions += 1;
    }

    fn evict(&mut self) -> bool {
        let victim = self.order.victim();
        if let Some(slot) = victim {
            self.remove(slot);
            self.counts.evictions += 1;
        }
        victim.is_some()
    }

    /// Octets that one more slot costs: none while there is a free one.
    fn growth_needed(&self) -> usize {
        if self.free.is_empty() && self.slots.len() == self.capacity {
            size_of_slots(self.next_capacity()) - size_of_slots(self.capacity)
        } else {
            0
        }
    }

    /// A quarter more: few moves, and little that lies idle.
    fn next_capacity(&self) -> usize {
        self.capacity + MIN_GROWTH.max(self.capacity / 4)
    }

    fn grow(&mut self) {
        let capacity = self.next_capacity();
        self.slots.reserve_exact(capacity - self.slots.len());
        self.free.reserve_exact(capacity - self.free.len());
        self.index.grow(capacity);
        self.order.grow(capacity);
        self.capacity = capacity;
    }
}

/// Octets that so many slots take, used or not.
fn size_of_slots(slots: usize) -> usize {
    slots * SLOT + Index::size(slots)
}
