//! The forwarder's work: the tasks that events left, transactions that look for a connection, and timers.

use super::Forwarder;
use crate::engine::effects::Task;
use crate::engine::failure::Failure;
use crate::engine::history::{Attempt, History, Purpose, Queue};
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::output::Output;
use crate::engine::recorder::Came;
use crate::engine::response;
use crate::engine::routes::ForwardingRoute;
use crate::engine::time::{Now, Time};
use crate::engine::transactions::{Due, Happened, Outcome, Possible, Step, WaitsFor, next_step};
use crate::engine::upstream_set::UpstreamSet;
use crate::engine::upstreams::Second;
use crate::wire;

impl Forwarder {
    /// Carries out the tasks that an event left, and those that they leave.
    pub(super) fn carry_out(&mut self, now: Now, out: &mut Output) {
        while let Some(task) = self.ledger.tasks.pop_front() {
            self.carry_out_one(task, now, out);
        }
    }

    fn carry_out_one(&mut self, task: Task, now: Now, out: &mut Output) {
        match task {
            Task::ConnectionLost(key, connection, blame) => {
                let Some(history) = self.transactions.history_mut(key) else {
                    return;
                };
                let attempt = history.on(connection);
                history.lost(connection, blame, now.mono);
                self.note_ended(key, attempt, || Came::ConnectionEnded, now);
                self.react(key, Happened::ConnectionLost, now, out);
            }
            Task::NotSent(key, connection) => {
                let Some(history) = self.transactions.history_mut(key) else {
                    return;
                };
                let attempt = history.on(connection);
                if history.not_sent(connection) {
                    let stats = &mut self.ledger.stats;
                    stats.sent = stats.sent.saturating_sub(1);
                    let again = u64::from(history.sends() > 0);
                    stats.resent = stats.resent.saturating_sub(again);
                }
                self.note_ended(key, attempt, || Came::NotSent, now);
                self.react(key, Happened::ConnectionLost, now, out);
            }
            Task::AttemptFailed(key, connection) => {
                let Some(history) = self.transactions.history_mut(key) else {
                    return;
                };
                history.leave(connection);
                history.malformed = true;
                self.react(key, Happened::AttemptFailed, now, out);
            }
            Task::AttemptLost(key, connection) => {
                let Some(history) = self.transactions.history_mut(key) else {
                    return;
                };
                history.lost(connection, false, now.mono);
                self.react(key, Happened::AttemptLost, now, out);
            }
            Task::AttemptUnprocessed(key, connection) => {
                let Some(history) = self.transactions.history_mut(key) else {
                    return;
                };
                // It goes again to wherever is best, and that may be the same upstream. If it goes on like that, another one is asked.
                let happened = if history.unprocessed(connection) {
                    Happened::ConnectionLost
                } else {
                    history.lost(connection, false, now.mono);
                    Happened::AttemptLost
                };
                self.react(key, happened, now, out);
            }
            Task::AskElsewhere(key) => self.react(key, Happened::Slow, now, out),
            Task::RepeatOn(key, connection) => {
                let history = self.transactions.history(key);
                let may = |history: &History| !history.lane().is_isolated() && history.may_repeat();
                if history.is_some_and(may)
                    && !self.send(key, connection, Purpose::Need, now, out)
                    && !self.may_be_sent_on(key, connection)
                {
                    self.react(key, Happened::Slow, now, out);
                }
            }
            Task::RepeatAlone(key) => {
                if let Some(history) = self.transactions.history_mut(key)
                    && !history.holds_up_others
                    && history.may_repeat()
                {
                    history.holds_up_others = true;
                    self.dispatch(key, now, out);
                }
            }
            Task::Replace(suspect) => self.replace(suspect, now, out),
            Task::Abandon(attempt) => self.pool.abandon(&attempt),
            Task::Relieve => self.pool.relieve_full(&mut self.ledger.at(now, out)),
        }
    }

    /// Whether a transaction may be sent to the upstream of this connection. It may be on one where it may not, if its route has changed.
    fn may_be_sent_on(&self, key: TransactionKey, connection: ConnectionKey) -> bool {
        let history = self.transactions.history(key);
        let upstream = self.pool.upstream_of(connection);
        history
            .zip(upstream)
            .is_some_and(|(history, upstream)| history.upstreams().contains(upstream))
    }

    /// What is done next for a transaction. `same_connection`: whether it may be sent again on the connection that its response came on.
    pub(super) fn next_step(
        &self,
        key: TransactionKey,
        happened: Happened,
        same_connection: bool,
        now: Now,
    ) -> Step {
        let Some(transaction) = self.transactions.get(key) else {
            return Step::Wait;
        };
        let history = &transaction.history;
        let waits_for = match () {
            () if history.is_under_way() => WaitsFor::Response,
            () if history.queued().is_some() => WaitsFor::Connection,
            () => WaitsFor::Nothing,
        };
        let outcome = match () {
            () if transaction.fallback.is_some() => Outcome::Unusable,
            () if history.repeated => Outcome::Repeated,
            () if history.malformed => Outcome::Malformed,
            () if history.sends() > 0 => Outcome::Silence,
            () => Outcome::Unsent,
        };
        let again = history.may_send(Purpose::Need);
        let possible = Possible {
            again,
            elsewhere: again && self.pool.has_untried(history, now),
            same_connection: again && same_connection,
        };
        next_step(happened, waits_for, outcome, possible)
    }

    /// Does what is to be done next for a transaction.
    fn react(&mut self, key: TransactionKey, happened: Happened, now: Now, out: &mut Output) {
        self.confine(key, now);
        let step = self.next_step(key, happened, false, now);
        self.take(step, key, now, out);
    }

    /// Takes a step. Relaying a response, or sending again on its connection, is for the one who has it.
    pub(super) fn take(&mut self, step: Step, key: TransactionKey, now: Now, out: &mut Output) {
        match step {
            Step::Again => {
                self.transactions.readmit_tried(key);
                self.dispatch(key, now, out);
            }
            Step::Repeat => {
                if let Some(history) = self.transactions.history_mut(key) {
                    history.repeated = true;
                    history.readmit_all();
                }
                self.dispatch(key, now, out);
            }
            Step::Elsewhere => {
                self.transactions.exclude_tried(key, now);
                self.dispatch(key, now, out);
            }
            Step::Fail(failure) => self.fail(key, failure, now, out),
            Step::Wait | Step::SameConnection | Step::Relay => {}
        }
    }

    /// Answers the clients of a transaction with a failure.
    pub(super) fn fail(
        &mut self,
        key: TransactionKey,
        failure: Failure,
        now: Now,
        out: &mut Output,
    ) {
        self.trace(key, None, now);
        let Some(history) = self.transactions.history(key) else {
            return;
        };
        let (route, tried) = (history.route().number, history.tried());
        if let Some((message, upstream)) = self.transactions.take_fallback(key)
            && let Ok(answer) = wire::parse_response(&message)
        {
            // An unusable response is better than none.
            self.record_relayed(key, &message, &answer, now);
            let meaning = response::meaning(&message, &answer);
            let why = self.pool.useless(upstream, meaning, &message, &answer);
            let (from, fx) = ((Some(upstream), why), &mut self.ledger.at(now, out));
            self.transactions.finish(key, (&message, &answer), from, fx);
            return;
        }
        let failure = match failure {
            Failure::NotAnswered if self.is_loop(key, tried) => Failure::Loop,
            other => other,
        };
        let why = failure.explain(self.pool.troubles(route, tried));
        let why = self.record_failure(key, why, now);
        self.transactions
            .fail(key, why, &mut self.ledger.at(now, out));
    }

    /// Whether an upstream that a query was sent to has asked the same here since: its address is that of a client that joined.
    fn is_loop(&self, key: TransactionKey, tried: UpstreamSet) -> bool {
        let Some(transaction) = self.transactions.get(key) else {
            return false;
        };
        let mut joined = transaction.more.iter();
        joined.any(|waiting| self.pool.is_at(tried, waiting.client.addr.ip()))
    }

    /// After an event: all tasks, then the transactions that wait for a connection.
    pub(super) fn settle(&mut self, now: Now, out: &mut Output) {
        self.carry_out(now, out);
        if self.transactions.any_waiting() {
            self.confine_waiting(now);
            self.dispatch_waiting(now, out);
            self.give_up_hopeless(now, out);
            self.carry_out(now, out);
        }
    }

    /// Sends a query on the best connection there is, or has it wait for one.
    pub(super) fn dispatch(&mut self, key: TransactionKey, now: Now, out: &mut Output) {
        let Some(history) = self.transactions.history(key) else {
            return;
        };
        let queue = history.queue();
        if let Some(connection) = self.pool.assign(history, queue, now)
            && self.send(key, connection, Purpose::Need, now, out)
        {
            self.accompany(key, connection, now, out);
            return;
        }
        self.transactions.wait(key, now);
        self.connect_one(key, queue, now, out);
    }

    /// Sends those that wait, in order of arrival, as far as connections have room; then connects for the rest.
    fn dispatch_waiting(&mut self, now: Now, out: &mut Output) {
        for queue in self.transactions.queues() {
            while let Some(key) = self.transactions.first_waiting(queue) {
                let history = self.transactions.history(key);
                let connection = history.and_then(|it| self.pool.assign(it, queue, now));
                if !connection.is_some_and(|to| self.send(key, to, Purpose::Need, now, out)) {
                    self.connect_for_queue(queue, now, out);
                    break;
                }
            }
        }
    }

    /// Answers those that would have to wait too long for the next try. Those behind them came later, and may wait longer.
    pub(super) fn give_up_hopeless(&mut self, now: Now, out: &mut Output) {
        if !self.transactions.any_waiting() {
            return;
        }
        self.ask_network(now);
        for queue in self.transactions.queues() {
            while let Some(key) = self.transactions.first_waiting(queue)
                && self.is_hopeless(key, queue)
                && !self.awaits_network(key)
            {
                self.transactions.stop_waiting(key);
                self.react(key, Happened::NoConnection, now, out);
            }
        }
        self.carry_out(now, out);
    }

    fn is_hopeless(&self, key: TransactionKey, queue: Queue) -> bool {
        let payers = self.transactions.payers(queue);
        let can_pay = payers.into_iter().flatten().next().is_some();
        let history = self.transactions.history(key);
        history.is_some_and(|history| {
            // Queries that lost their connections repeatedly do not get the time for another one again and again.
            let isolated = queue.1.is_isolated();
            let since = if isolated {
                history.arrived
            } else {
                history.queued_at()
            };
            let route = ForwardingRoute {
                upstreams: history.upstreams(),
                ..history.route()
            };
            self.pool.is_hopeless(route, queue, since, can_pay)
        })
    }

    /// Sends a query on a connection. False if it may not be sent there.
    pub(super) fn send(
        &mut self,
        key: TransactionKey,
        to: ConnectionKey,
        purpose: Purpose,
        now: Now,
        out: &mut Output,
    ) -> bool {
        let Some(transaction) = self.transactions.get(key) else {
            return false;
        };
        let history = &transaction.history;
        let Some((attempt, upstream)) = self.pool.enter(key, history, to, purpose, now) else {
            return false;
        };
        out.send(to, attempt.id, |out| {
            let (message, query) = (&transaction.message, &transaction.query);
            self.pool.write_query(message, query, &attempt, out);
        });
        let late = self.pool.late_after(upstream);
        let fx = &mut self.ledger.at(now, out);
        self.transactions
            .sent(key, attempt, purpose, (upstream, late), fx);
        true
    }

    /// What a query that was just sent gives occasion to.
    fn accompany(&mut self, key: TransactionKey, on: ConnectionKey, now: Now, out: &mut Output) {
        let Some(history) = self.transactions.history(key) else {
            return;
        };
        let Some(companions) = self.pool.companions(history, on, now) else {
            return;
        };
        if companions.replace {
            self.replace(on, now, out);
        }
        if let Some(to) = companions.probe
            && self.send(key, to, Purpose::Copy, now, out)
        {
            self.ledger.stats.probes += 1;
            self.pool.probed(to, now);
        }
        for upstream in companions.connect.into_iter().flatten() {
            self.connect_for(key, upstream, false, now, out);
        }
    }

    /// Connects to an upstream at the expense of this transaction, if it can pay for that.
    fn connect_for(
        &mut self,
        key: TransactionKey,
        upstream: usize,
        isolated: bool,
        now: Now,
        out: &mut Output,
    ) {
        let payer = self.transactions.history(key);
        if payer.is_some_and(|history| history.may_connect(upstream))
            && self
                .pool
                .connect(upstream, isolated, &mut self.ledger.at(now, out))
            && let Some(history) = self.transactions.history_mut(key)
        {
            history.connecting(upstream);
        }
    }

    /// Connects for a transaction to an upstream that is not excluded, unless a connect is under way that is not late yet.
    fn connect_one(&mut self, key: TransactionKey, queue: Queue, now: Now, out: &mut Output) {
        if let Some(history) = self.transactions.history(key)
            && let Some((at, upstream)) = self.pool.next_connect(history, queue, now.mono)
            && now.mono >= at
        {
            self.connect_for(key, upstream, queue.1.is_isolated(), now, out);
        }
    }

    /// Connects for all that wait in a queue, at the expense of one of them.
    fn connect_for_queue(&mut self, queue: Queue, now: Now, out: &mut Output) {
        let payers = self.transactions.payers(queue);
        for payer in payers.into_iter().flatten() {
            self.connect_one(payer, queue, now, out);
        }
    }

    /// When those that wait need a decision: a connect is late, or a back-off is over.
    pub(super) fn connect_alarm(&self) -> Option<Time> {
        let of_queue = |queue: Queue| {
            let payers = self.transactions.payers(queue);
            let at = payers.into_iter().flatten().filter_map(|payer| {
                let history = self.transactions.history(payer)?;
                self.pool.next_connect(history, queue, Time::ZERO)
            });
            at.map(|(at, _)| at).min()
        };
        let queues = self.transactions.queues();
        queues.into_iter().filter_map(of_queue).min()
    }

    /// A suspect connection gets a replacement, so that there is something to go to if it is dead. One of the transactions on it pays for
    /// that.
    fn replace(&mut self, suspect: ConnectionKey, now: Now, out: &mut Output) {
        if let Some((at, upstream, payer)) = self.replacement(suspect, now.mono)
            && now.mono >= at
        {
            self.connect_for(payer, upstream, false, now, out);
        }
    }

    /// When the next connect to replace a suspect connection is due, to which upstream, and who pays for it. `None` if there is no need.
    pub(super) fn replacement(
        &self,
        suspect: ConnectionKey,
        now: Time,
    ) -> Option<(Time, usize, TransactionKey)> {
        let (at, upstream) = self.pool.replacement(suspect, now)?;
        let waiting = self.pool.waiting_on(suspect);
        let payer = self.transactions.payer_among(waiting, upstream)?;
        Some((at, upstream, payer))
    }

    /// A transaction's timer: its time is over, or it is slow.
    pub(super) fn due(&mut self, key: TransactionKey, now: Now, out: &mut Output) {
        match self.transactions.due(key, now) {
            Some(Due::Deadline) => {
                let history = self.transactions.history(key);
                let attempts = history.into_iter().flat_map(History::attempts);
                let attempts: Vec<Attempt> = attempts.copied().collect();
                self.react(key, Happened::DeadlinePassed, now, out);
                self.carry_out(now, out);
                for attempt in attempts {
                    self.pool.missed(&attempt, &mut self.ledger.at(now, out));
                }
            }
            Some(Due::Slow { elsewhere, stale }) => {
                if stale {
                    let fx = &mut self.ledger.at(now, out);
                    self.transactions.serve_stale(key, fx);
                }
                if elsewhere {
                    self.react(key, Happened::Slow, now, out);
                    self.transactions.look_again(key, now);
                }
            }
            None => {}
        }
    }

    /// A query is late: it is sent a second time where a connection is up. Where there is none, one is made for the next such query.
    pub(super) fn hedge(&mut self, key: TransactionKey, now: Now, out: &mut Output) {
        let elsewhere = self.transactions.hedges_elsewhere();
        let Some(history) = self.transactions.history(key) else {
            return;
        };
        match self.pool.second(history, elsewhere, now) {
            Second::On(to) => {
                if self.send(key, to, Purpose::Copy, now, out) {
                    self.transactions.hedged();
                    self.ledger.stats.hedges += 1;
                }
            }
            Second::Connect(upstream) => self.connect_for(key, upstream, false, now, out),
            Second::Nowhere => {}
        }
    }
}
