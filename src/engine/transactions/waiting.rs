//! Transactions that wait for a connection, in order of arrival: a queue for each set of upstreams that they shall not be sent to, and
//! each lane.

use super::Transactions;
use crate::engine::history::{History, Queue};
use crate::engine::keys::TransactionKey;
use crate::engine::time::Now;
use std::collections::{BTreeMap, VecDeque};

/// The queues. Transactions that have left theirs stay in it until their turn comes.
#[derive(Default)]
pub struct Waiting(BTreeMap<Queue, VecDeque<TransactionKey>>);

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many queues there are.
    pub fn queues(&self) -> usize {
        self.0.len()
    }

    /// How many places there are in them.
    pub fn places(&self) -> usize {
        self.0.values().map(VecDeque::len).sum()
    }

    /// How many places there are in those whose transactions may be sent to this upstream.
    fn places_for(&self, upstream: usize) -> usize {
        let queues = self.0.iter();
        let its = queues.filter(|((exclude, _), _)| !exclude.contains(upstream));
        its.map(|(_, queue)| queue.len()).sum()
    }

    /// One more waits, behind all others of its queue.
    pub fn push(&mut self, queue: Queue, key: TransactionKey) {
        self.0.entry(queue).or_default().push_back(key);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Transactions {
    /// Has a transaction wait for a connection, in the queue that it belongs to now.
    pub fn wait(&mut self, key: TransactionKey, now: Now) {
        let Some(transaction) = self.table.get_mut(key) else {
            return;
        };
        if let Some(queue) = transaction.history.wait(now.mono) {
            self.waiting.push(queue, key);
        }
        self.look_again(key, now);
    }

    /// A transaction waits for a connection no more.
    pub fn stop_waiting(&mut self, key: TransactionKey) {
        if let Some(transaction) = self.table.get_mut(key) {
            transaction.history.stop_waiting();
        }
    }

    /// Upstreams of its route that were excluded because they were slow are as good as any others again, unless one gave an unusable response.
    pub fn readmit_tried(&mut self, key: TransactionKey) {
        if let Some(transaction) = self.table.get_mut(key)
            && transaction.fallback.is_none()
        {
            transaction.history.readmit_all();
        }
    }

    /// Whether some transaction may wait for a connection.
    pub fn any_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Places in the queues of those that may be sent to this upstream, an upper bound on how many of them wait.
    pub fn places_for(&self, upstream: usize) -> usize {
        self.waiting.places_for(upstream)
    }

    /// The queues that there are.
    pub fn queues(&self) -> Vec<Queue> {
        self.waiting.0.keys().copied().collect()
    }

    /// The first in a queue; those that have left it are forgotten.
    pub fn first_waiting(&mut self, queue: Queue) -> Option<TransactionKey> {
        let waiting = self.waiting.0.get_mut(&queue)?;
        while let Some(key) = waiting.front().copied() {
            let transaction = self.table.get(key);
            if transaction.is_some_and(|one| one.history.queued() == Some(queue)) {
                return Some(key);
            }
            waiting.pop_front();
        }
        self.waiting.0.remove(&queue);
        None
    }

    /// Those in a queue that may cost one more connect, for all that wait there: the first with something left of its budget, and the
    /// first that may still try an upstream that it did not try yet.
    pub fn payers(&self, queue: Queue) -> [Option<TransactionKey>; 2] {
        let first = |so: &dyn Fn(&History) -> bool| {
            let can_pay = |key: &&TransactionKey| {
                let history = self.history(**key);
                history.is_some_and(|history| history.queued() == Some(queue) && so(history))
            };
            self.waiting.0.get(&queue)?.iter().find(can_pay).copied()
        };
        let untried = |history: &History| !history.has_connected_to_all(queue.0);
        let rich = first(&History::may_connect_again);
        [rich, first(&untried).filter(|other| rich != Some(*other))]
    }

    /// One of these transactions that may cost one more connect to this upstream: one that has cost the fewest so far.
    pub fn payer_among(
        &self,
        keys: impl Iterator<Item = TransactionKey>,
        upstream: usize,
    ) -> Option<TransactionKey> {
        let can_pay = |key| {
            let history: &History = self.history(key)?;
            let may = history.may_connect(upstream);
            may.then_some((history.connects(), key))
        };
        keys.filter_map(can_pay).min().map(|(_, key)| key)
    }
}
