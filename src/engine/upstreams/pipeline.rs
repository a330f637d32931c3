//! The queries in flight on one connection: which message id belongs to which transaction.
//!
//! An id stays taken until its response came or the connection is gone, also when nobody waits for the response any more: a late
//! response can so never be taken for that to another query (RFC 7766 section 6.2.1, RFC 5452 section 9.1).

use crate::engine::hashing::RandomMap;
use crate::engine::keys::TransactionKey;
use crate::engine::time::Time;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::collections::VecDeque;
use std::time::Duration;

/// With so many queries given up and never answered, a connection is of no use: it is closed, which frees the ids.
pub const MAX_ABANDONED: usize = 1_000;
/// With so many, a quarter of all ids, a connection takes no more queries, although others are in flight on it: when those are over, it is
/// closed.
pub const FULL_OF_ABANDONED: usize = 16_384;

/// A query that is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// Somebody waits for its response.
    Live(TransactionKey),
    /// It was given up. An upstream that answers in order answers it all the same before it answers the others.
    Abandoned,
}

/// The queries in flight on one connection.
#[derive(Default)]
pub struct Pipeline {
    slots: RandomMap<u16, Slot>,
    live: usize,
    /// The ids of unanswered queries in the order of sending, as long as answers come in that order.
    order: VecDeque<u16>,
    /// An answer overtook that of an older query.
    reordered: bool,
    /// Since when at least one query is unanswered and nothing at all was heard. The oldest query counts: one that comes
    /// later does not move it, and one that was given up, because it was answered elsewhere, still owes a sign of life.
    silent_since: Time,
    owing: bool,
    answered: u64,
}

impl Pipeline {
    /// Gives a query an id that no other query in flight on this connection has. Random, so that on a plain transport
    /// it cannot be guessed (RFC 5452 section 9.2). `None` when no id is to be had.
    pub fn enter(
        &mut self,
        transaction: TransactionKey,
        random: &mut ChaCha8Rng,
        now: Time,
    ) -> Option<u16> {
        // Fewer than half of the ids can be taken under the limits, so a free one is found at the second try on average.
        let id = (0..64)
            .map(|_| random.next_u32() as u16)
            .find(|id| !self.slots.contains_key(id))?;
        self.slots.insert(id, Slot::Live(transaction));
        if !self.reordered {
            self.order.push_back(id);
        }
        if !self.owing {
            self.owing = true;
            self.silent_since = now;
        }
        self.live += 1;
        Some(id)
    }

    /// The question that an answer with this id may belong to. The caller compares the questions, then [`Pipeline::leave`]s.
    pub fn find(&self, id: u16) -> Option<TransactionKey> {
        match self.slots.get(&id) {
            Some(Slot::Live(transaction)) => Some(*transaction),
            _ => None,
        }
    }

    /// The answer came: the id is free again. Says whether the id was in use, be it by a query given up.
    pub fn leave(&mut self, id: u16) -> bool {
        let slot = self.slots.remove(&id);
        if slot.is_some() && !self.reordered && self.order.pop_front() != Some(id) {
            self.reordered = true;
            self.order = VecDeque::new();
        }
        if let Some(Slot::Live(_)) = slot {
            self.live -= 1;
            self.answered += 1;
            self.owing = self.live > 0;
        }
        slot.is_some()
    }

    /// No response comes to this query: the id is free again. Gives the transaction that waits for one.
    pub fn lose(&mut self, id: u16) -> Option<TransactionKey> {
        let transaction = self.find(id);
        if self.leave(id) && transaction.is_some() {
            self.answered -= 1;
        }
        transaction
    }

    /// The upstream is known to answer in any order, so the order is not watched.
    pub fn expect_reordering(&mut self) {
        self.reordered = true;
    }

    /// Did an answer overtake that of an older query?
    pub fn is_reordered(&self) -> bool {
        self.reordered
    }

    /// The oldest unanswered query: if the upstream answers in order, all others wait for it. `None` if answers are known to
    /// come in any order, or no query is unanswered.
    pub fn head(&self) -> Option<Slot> {
        self.slots.get(self.order.front()?).copied()
    }

    /// Nobody waits for this answer any more. The id stays taken.
    pub fn abandon(&mut self, id: u16) {
        if let Some(slot @ Slot::Live(_)) = self.slots.get_mut(&id) {
            *slot = Slot::Abandoned;
            self.live -= 1;
        }
    }

    /// Something came from the other end.
    pub fn heard(&mut self, now: Time) {
        self.silent_since = now;
        self.owing = self.live > 0;
    }

    /// How long nothing came although an answer is due; `None` while none is.
    pub fn silence(&self, now: Time) -> Option<Duration> {
        (self.live > 0).then(|| now.since(self.silent_since))
    }

    /// Since when nothing came although an answer is due.
    pub fn silent_since(&self) -> Option<Time> {
        (self.live > 0).then_some(self.silent_since)
    }

    /// Queries that wait for an answer.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Queries given up whose answer may still come.
    pub fn abandoned(&self) -> usize {
        self.slots.len() - self.live
    }

    /// Queries answered so far.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Has no query been sent on it?
    pub fn is_unused(&self) -> bool {
        self.answered == 0 && self.slots.is_empty()
    }

    /// The transactions that wait for a response, in any order.
    pub fn waiting(&self) -> impl Iterator<Item = TransactionKey> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::Live(transaction) => Some(*transaction),
            Slot::Abandoned => None,
        })
    }

    /// The transactions that wait for a response, in their own order: the table's depends on random ids.
    pub fn live_transactions(&self) -> Vec<TransactionKey> {
        let mut live: Vec<_> = self.waiting().collect();
        live.sort_unstable();
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;
    use slotmap::SlotMap;
    use std::collections::HashSet;

    const T0: Time = Time::ZERO;

    #[test]
    fn never_an_id_twice_in_flight() {
        // req 59, fault 33: many more queries than there are ids, 100 in flight, answers in any order.
        let mut transactions: SlotMap<TransactionKey, ()> = SlotMap::with_key();
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut pipeline = Pipeline::default();
        let mut in_flight: Vec<(u16, TransactionKey)> = Vec::new();
        for _ in 0..70_000 {
            let transaction = transactions.insert(());
            let id = pipeline.enter(transaction, &mut random, T0).unwrap();
            assert!(in_flight.iter().all(|(taken, _)| *taken != id));
            in_flight.push((id, transaction));
            if in_flight.len() == 100 {
                let (id, transaction) = in_flight.swap_remove(random.next_u32() as usize % 100);
                assert_eq!(pipeline.find(id), Some(transaction));
                assert!(pipeline.leave(id));
                assert_eq!(pipeline.find(id), None);
            }
        }
        assert_eq!(pipeline.live(), 99);
    }

    #[test]
    fn ids_are_spread_over_the_whole_range() {
        // req 59: 256 cells with 256 ids expected in each; chi-square with 255 degrees of freedom, 99.9 % below 330.5.
        let mut transactions: SlotMap<TransactionKey, ()> = SlotMap::with_key();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut cells = [0f64; 256];
        for _ in 0..65_536 {
            let id = Pipeline::default()
                .enter(transactions.insert(()), &mut random, T0)
                .unwrap();
            cells[usize::from(id >> 8)] += 1.0;
        }
        let chi: f64 = cells.iter().map(|n| (n - 256.0).powi(2) / 256.0).sum();
        assert!(chi < 330.5, "{chi}");
    }

    #[test]
    fn a_query_given_up_keeps_its_id() {
        // fault 24
        let mut transactions: SlotMap<TransactionKey, ()> = SlotMap::with_key();
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let mut pipeline = Pipeline::default();
        let given_up = pipeline
            .enter(transactions.insert(()), &mut random, T0)
            .unwrap();
        pipeline.abandon(given_up);
        assert_eq!((pipeline.live(), pipeline.abandoned()), (0, 1));
        let ids: HashSet<u16> = (0..2_000)
            .filter_map(|_| pipeline.enter(transactions.insert(()), &mut random, T0))
            .collect();
        assert_eq!(ids.len(), 2_000);
        assert!(!ids.contains(&given_up));
        assert_eq!(pipeline.find(given_up), None);
        assert!(pipeline.leave(given_up), "the late answer was expected");
        assert!(!pipeline.leave(given_up), "a second one is not");
        assert_eq!(pipeline.live_transactions().len(), 2_000);
    }

    // fault 94
    #[test]
    fn the_oldest_unanswered_query_is_known_until_answers_come_out_of_order() {
        let mut transactions: SlotMap<TransactionKey, ()> = SlotMap::with_key();
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut pipeline = Pipeline::default();
        assert_eq!(pipeline.head(), None);
        let keys: Vec<TransactionKey> = (0..4).map(|_| transactions.insert(())).collect();
        let mut enter = |key: TransactionKey| pipeline.enter(key, &mut random, T0).unwrap();
        let ids: Vec<u16> = keys.iter().map(|key| enter(*key)).collect();
        assert_eq!(pipeline.head(), Some(Slot::Live(keys[0])));
        pipeline.leave(ids[0]);
        pipeline.abandon(ids[1]);
        assert_eq!(pipeline.head(), Some(Slot::Abandoned));
        assert!(!pipeline.is_reordered());
        pipeline.leave(ids[3]);
        assert!(pipeline.is_reordered());
        assert_eq!(pipeline.head(), None);
    }

    #[test]
    fn silence_counts_from_the_first_unanswered_query() {
        let mut transactions: SlotMap<TransactionKey, ()> = SlotMap::with_key();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut pipeline = Pipeline::default();
        let second = |n| Time::ZERO + Duration::from_secs(n);
        assert_eq!(pipeline.silence(second(9)), None);
        let id = pipeline
            .enter(transactions.insert(()), &mut random, second(10))
            .unwrap();
        pipeline.enter(transactions.insert(()), &mut random, second(11));
        assert_eq!(pipeline.silence(second(12)), Some(Duration::from_secs(2)));
        pipeline.heard(second(12));
        pipeline.leave(id);
        assert_eq!(pipeline.silence(second(13)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_query_answered_elsewhere_still_owes_a_sign_of_life() {
        // fault 7: or else a connection on which every query is overtaken would never be found dead.
        let mut transactions: SlotMap<TransactionKey, ()> = SlotMap::with_key();
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let mut pipeline = Pipeline::default();
        let second = |n| Time::ZERO + Duration::from_secs(n);
        let mut enter = |pipeline: &mut Pipeline, at| {
            let transaction = transactions.insert(());
            pipeline.enter(transaction, &mut random, at).unwrap()
        };
        let id = enter(&mut pipeline, second(10));
        pipeline.abandon(id);
        assert_eq!(pipeline.silence(second(11)), None, "nobody waits");
        let id = enter(&mut pipeline, second(12));
        assert_eq!(pipeline.silence(second(12)), Some(Duration::from_secs(2)));
        pipeline.heard(second(12));
        pipeline.leave(id);
        enter(&mut pipeline, second(20));
        assert_eq!(pipeline.silence(second(20)), Some(Duration::ZERO));
    }
}
