//! A timer for each query in flight: a hashed wheel, so that setting and cancelling cost a few instructions.
//!
//! A timer may fire up to one [`TICK`] early and never late (given that the driver calls in time). The coarse tick has
//! a second use: the earliest alarm changes at most once a tick, so the loop seldom has to re-arm its one real timer.

use crate::engine::keys::TransactionKey;
use crate::engine::time::Time;
use slotmap::Key;
use std::time::Duration;

/// 2^24 ns, about 17 ms: far below every timeout here (the shortest is 100 ms).
const TICK_SHIFT: u32 = 24;
/// The wheel's resolution.
pub const TICK: Duration = Duration::from_nanos(1 << TICK_SHIFT);
/// With 512 slots a turn takes 8.6 s, longer than the default deadline; what is due later goes round again.
const SLOTS: usize = 512;
/// Slots whose bits share a word.
const WORD: usize = 64;
/// Eight, so that a bit for each of them is an octet.
const WORDS: usize = SLOTS / WORD;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    key: TransactionKey,
    due: u64,
    slot: u32,
    prev: u32,
    next: u32,
}

/// The wheel. At most one timer per transaction.
pub struct Timers {
    /// Indexed by the transaction's place in its slab.
    nodes: Vec<Node>,
    heads: Box<[u32; SLOTS]>,
    /// A bit for each slot that holds a timer.
    occupied: [u64; WORDS],
    /// A bit for each word above that has one: the loop asks for the earliest timer at each turn, and finds it without a search.
    busy: u8,
    /// The tick up to which slots were emptied.
    current: u64,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            heads: Box::new([NONE; SLOTS]),
            occupied: [0; WORDS],
            busy: 0,
            current: 0,
        }
    }
}

fn index_of(key: TransactionKey) -> usize {
    // The low half of slotmap's documented ffi form is the slot's index.
    (key.data().as_ffi() & 0xffff_ffff) as usize
}

impl Timers {
    /// Sets the transaction's timer, in place of the one that it may have.
    pub fn set(&mut self, key: TransactionKey, due: Time) {
        self.cancel(key);
        let index = index_of(key);
        if index >= self.nodes.len() {
            let empty = Node {
                key: TransactionKey::null(),
                due: 0,
                slot: NONE,
                prev: NONE,
                next: NONE,
            };
            self.nodes.resize(index + 1, empty);
        }
        let due = due.as_nanos() >> TICK_SHIFT;
        let tick = due.clamp(self.current, self.current + SLOTS as u64 - 1);
        let slot = (tick % SLOTS as u64) as usize;
        let head = self.heads[slot];
        self.nodes[index] = Node {
            key,
            due,
            slot: slot as u32,
            prev: NONE,
            next: head,
        };
        if head != NONE {
            self.nodes[head as usize].prev = index as u32;
        }
        self.heads[slot] = index as u32;
        self.occupied[slot / WORD] |= 1 << (slot % WORD);
        self.busy |= 1 << (slot / WORD);
    }

    /// Takes the transaction's timer away, if it has one.
    pub fn cancel(&mut self, key: TransactionKey) {
        let index = index_of(key);
        if let Some(node) = self.nodes.get(index)
            && node.key == key
            && node.slot != NONE
        {
            self.unlink(index);
        }
    }

    fn unlink(&mut self, index: usize) {
        let Node {
            slot, prev, next, ..
        } = self.nodes[index];
        let slot = slot as usize;
        if prev == NONE {
            self.heads[slot] = next;
            if next == NONE {
                let word = &mut self.occupied[slot / WORD];
                *word &= !(1 << (slot % WORD));
                if *word == 0 {
                    self.busy &= !(1 << (slot / WORD));
                }
            }
        } else {
            self.nodes[prev as usize].next = next;
        }
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
        self.nodes[index].slot = NONE;
    }

    /// How many are set. Looks at all of them.
    pub fn count(&self) -> usize {
        self.nodes.iter().filter(|node| node.slot != NONE).count()
    }

    /// When to call [`Timers::pop_due`] next.
    pub fn next(&self) -> Option<Time> {
        let tick = self.next_occupied()?;
        Some(Time::from_nanos(tick << TICK_SHIFT))
    }

    /// The first tick from the current one whose slot holds a timer.
    fn next_occupied(&self) -> Option<u64> {
        let start = (self.current % SLOTS as u64) as usize;
        let (word, bit) = (start / WORD, start % WORD);
        let ahead = self.occupied[word] & (u64::MAX << bit);
        let (word, bits) = if ahead != 0 {
            (word, ahead)
        } else if self.busy != 0 {
            // The words behind this one; the last of them is this one again, for what stands in it before the current slot.
            let next = word + 1 + self.busy.rotate_right(word as u32 + 1).trailing_zeros() as usize;
            (next % WORDS, self.occupied[next % WORDS])
        } else {
            return None;
        };
        let slot = word * WORD + bits.trailing_zeros() as usize;
        Some(self.current + ((slot + SLOTS - start) % SLOTS) as u64)
    }

    /// Takes one timer that is due. Call until it returns none.
    pub fn pop_due(&mut self, now: Time) -> Option<TransactionKey> {
        let now = now.as_nanos() >> TICK_SHIFT;
        while let Some(tick) = self.next_occupied() {
            if tick > now {
                break;
            }
            self.current = tick;
            let slot = (tick % SLOTS as u64) as usize;
            let index = self.heads[slot] as usize;
            let Node { key, due, .. } = self.nodes[index];
            self.unlink(index);
            if due <= now {
                return Some(key);
            }
            // A turn of the wheel was not enough: once more round, into the farthest slot or its own.
            self.set(key, Time::from_nanos(due << TICK_SHIFT));
        }
        self.current = self.current.max(now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use slotmap::SlotMap;
    use std::collections::BTreeMap;

    fn keys(n: usize) -> Vec<TransactionKey> {
        let mut map: SlotMap<TransactionKey, ()> = SlotMap::with_key();
        (0..n).map(|_| map.insert(())).collect()
    }

    fn at_ms(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    /// The first tick whose slot holds a timer, found by looking at all of them.
    fn searched(timers: &Timers) -> Option<Time> {
        let ticks = timers.current..timers.current + SLOTS as u64;
        let holds = |tick: &u64| timers.heads[(tick % SLOTS as u64) as usize] != NONE;
        ticks.into_iter().find(holds).map(at_tick)
    }

    fn at_tick(tick: u64) -> Time {
        Time::from_nanos(tick << TICK_SHIFT)
    }

    #[test]
    fn fires_in_order_and_never_late() {
        let keys = keys(3);
        let mut timers = Timers::default();
        timers.set(keys[0], at_ms(4000));
        timers.set(keys[1], at_ms(1500));
        timers.set(keys[2], at_ms(60_000));
        assert!(timers.next().unwrap() <= at_ms(1500));
        assert_eq!(timers.pop_due(at_ms(1000)), None);
        assert_eq!(timers.pop_due(at_ms(1500)), Some(keys[1]));
        assert_eq!(timers.pop_due(at_ms(1500)), None);
        timers.cancel(keys[0]);
        assert_eq!(timers.pop_due(at_ms(59_000)), None);
        assert_eq!(timers.pop_due(at_ms(60_000)), Some(keys[2]));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn the_earliest_is_found_from_everywhere() {
        let keys = keys(2);
        for now in 0..2 * SLOTS as u64 {
            for ahead in [0, 1, 62, 63, 64, 65, 200, 448, 510, 511] {
                let mut timers = Timers::default();
                assert_eq!(timers.pop_due(at_tick(now)), None);
                for (key, ahead) in keys.iter().zip([511, ahead]) {
                    timers.set(*key, at_tick(now + ahead));
                    assert_eq!(timers.next(), Some(at_tick(now + ahead)));
                }
                timers.cancel(keys[0]);
                assert_eq!(timers.next(), searched(&timers));
                timers.cancel(keys[1]);
                assert_eq!(timers.next(), None);
            }
        }
    }

    proptest! {
        /// Against a sorted map: the same timers fire, each within one tick before its moment.
        #[test]
        fn agrees_with_a_sorted_map(steps in proptest::collection::vec((0usize..16, 0u64..70_000, 0u64..3000), 1..200)) {
            let keys = keys(16);
            let mut timers = Timers::default();
            let mut model: BTreeMap<usize, u64> = BTreeMap::new();
            let mut now = 0u64;
            for (which, delay, pass) in steps {
                if delay % 7 == 0 {
                    timers.cancel(keys[which]);
                    model.remove(&which);
                } else {
                    timers.set(keys[which], at_ms(now + delay));
                    model.insert(which, now + delay);
                }
                now += pass;
                prop_assert_eq!(timers.next(), searched(&timers));
                if let Some(next) = timers.next() {
                    let first = *model.values().min().unwrap();
                    prop_assert!(next <= at_ms(first) || first <= now);
                } else {
                    prop_assert!(model.is_empty());
                }
                while let Some(key) = timers.pop_due(at_ms(now)) {
                    let which = keys.iter().position(|k| *k == key).unwrap();
                    let due = model.remove(&which).unwrap();
                    prop_assert!(at_ms(due) <= at_ms(now) + TICK);
                    prop_assert_eq!(timers.next(), searched(&timers));
                }
                prop_assert!(model.values().all(|due| *due > now), "late: {model:?} at {now}");
            }
        }
    }
}
