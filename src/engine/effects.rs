//! What follows from an event: for the driver, for the statistics, and for the forwarder's list of tasks. The owners of state
//! never call each other; they leave tasks here, and the [`Forwarder`](super::Forwarder) carries them out one after the other.

use super::answered::Origin;
use super::client::Client;
use super::failure::Explanation;
use super::failures::Failures;
use super::history::Attempt;
use super::keys::{ConnectionKey, TransactionKey};
use super::output::Output;
use super::recorder::{Asked, Crowd, Kind};
use super::replies::Replies;
use super::stats::Stats;
use super::time::{Now, Time};
use std::collections::VecDeque;

/// Something that the forwarder has to do because of an event.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// A connection ended under a query; and whether perhaps because of it.
    ConnectionLost(TransactionKey, ConnectionKey, bool),
    /// A connection could not be made on which a query was sent before the handshake was over.
    NotSent(TransactionKey, ConnectionKey),
    /// An attempt came to nothing, and its connection lives on.
    AttemptFailed(TransactionKey, ConnectionKey),
    /// An attempt was lost with what carried it, and its connection lives on.
    AttemptLost(TransactionKey, ConnectionKey),
    /// An attempt was not processed by its upstream, and its connection lives on.
    AttemptUnprocessed(TransactionKey, ConnectionKey),
    /// Ask an upstream that was not asked yet, if one can be.
    AskElsewhere(TransactionKey),
    /// Send a query also on this connection: the one that it is on is suspect.
    RepeatOn(TransactionKey, ConnectionKey),
    /// Send a query also on a connection of its own: others wait behind it.
    RepeatAlone(TransactionKey),
    /// Have a connection ready that replaces this one, which is suspect.
    Replace(ConnectionKey),
    /// Nobody waits for this attempt any more.
    Abandon(Attempt),
    /// There is no room for one more query: have silent connections looked at.
    Relieve,
}

/// Everything that is gathered between two looks of the driver.
#[derive(Default)]
pub struct Ledger {
    pub stats: Stats,
    pub replies: Replies,
    pub failures: Failures,
    pub tasks: VecDeque<Task>,
}

impl Ledger {
    /// What one event may add to.
    pub fn at<'a>(&'a mut self, now: Now, out: &'a mut Output) -> Effects<'a> {
        Effects {
            now,
            out,
            stats: &mut self.stats,
            replies: &mut self.replies,
            failures: &mut self.failures,
            tasks: &mut self.tasks,
        }
    }
}

/// What one event may add to, and when it happened.
pub struct Effects<'a> {
    pub now: Now,
    pub out: &'a mut Output,
    pub stats: &'a mut Stats,
    pub replies: &'a mut Replies,
    pub failures: &'a mut Failures,
    tasks: &'a mut VecDeque<Task>,
}

impl Effects<'_> {
    /// One task more for the forwarder.
    pub fn task(&mut self, task: Task) {
        self.tasks.push_back(task);
    }

    /// A query fails without an attempt: it is recorded, where failures are, and its client is told the name of the record.
    #[cold]
    pub fn record_at_once(
        &mut self,
        kind: Kind,
        why: Explanation,
        crowd: Crowd,
        arrived: Time,
        asked: impl FnOnce() -> Asked,
    ) -> Explanation {
        let Some(recorder) = &mut self.failures.recorder else {
            return why;
        };
        let times = (arrived, self.now.mono);
        let id = recorder.failed_at_once((kind, &why), Some(crowd), times, asked);
        why.with_id(id)
    }

    /// Replies with what `write` appends, and counts that. `origin` is for the query log.
    #[inline]
    pub fn reply(&mut self, client: Client, origin: Origin<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let rcode = self.out.reply(client, write);
        self.replies.count(client, rcode);
        if self.out.notes() {
            self.out.note(origin, self.now.mono);
        }
    }

    /// Replies with what `write` appends, and counts that, unless it is nothing.
    #[inline]
    pub fn reply_if_any<T>(
        &mut self,
        client: Client,
        origin: Origin<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> T {
        let (result, rcode) = self.out.reply_if_any(client, write);
        if let Some(rcode) = rcode {
            self.replies.count(client, rcode);
            if self.out.notes() {
                self.out.note(origin, self.now.mono);
            }
        }
        result
    }
}
