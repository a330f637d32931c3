//! The pool as a whole, driven by hand as the forwarder does: which connection a query takes, and what connections and their ends lead to.

use super::*;
use crate::config::SCHEMES;
use crate::config::Upstream as Configured;
use crate::engine::effects::Ledger;
use crate::engine::gauges::Gauges;
use crate::engine::history::{Opt, Purpose};
use crate::engine::output::Output;
use crate::engine::response;
use crate::engine::routes::ForwardingRoute;
use crate::transport::{ConnectError, ConnectionError};
use crate::wire::testing;
use crate::wire::{self, Query};
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeSet;

/// A pool, the histories of the transactions that use it, and all that it left to do.
struct Stage {
    pool: UpstreamPool,
    histories: SlotMap<TransactionKey, History>,
    ledger: Ledger,
    out: Output,
    now: Now,
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A query and how it was read.
fn asked(name: &str) -> (Vec<u8>, Query) {
    let message = testing::query(name, 1).build();
    let query = wire::parse_query(&message).unwrap();
    (message, query)
}

impl Stage {
    fn new(upstreams: &[&str]) -> Self {
        let parse = |spec: &&str| Configured::parse(spec, SCHEMES).unwrap();
        let upstreams: Vec<Configured> = upstreams.iter().map(parse).collect();
        let config = Config::builder().upstreams(upstreams).build().unwrap();
        let mut stage = Self {
            pool: UpstreamPool::new(&config, ChaCha8Rng::seed_from_u64(3)),
            histories: SlotMap::with_key(),
            ledger: Ledger::default(),
            out: Output::new(),
            now: Now::default(),
        };
        stage.pass(Duration::from_secs(100));
        stage
    }

    fn one() -> Self {
        Self::new(&["tcp://192.0.2.1"])
    }

    /// Time goes on, on both clocks, and an event shows that to the pool.
    fn pass(&mut self, span: Duration) {
        self.now.mono = self.now.mono + span;
        self.now.boot = self.now.boot + span;
        self.notice_resume();
    }

    fn notice_resume(&mut self) {
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.pool.notice_resume(fx);
    }

    /// A new transaction.
    fn query(&mut self) -> TransactionKey {
        let route = ForwardingRoute::default_of(self.pool.upstreams.len());
        let history = History::new(Opt::Absent, route, self.now.mono);
        self.histories.insert(history)
    }

    /// The connection that it should take.
    fn assign(&self, key: TransactionKey) -> Option<ConnectionKey> {
        let history = &self.histories[key];
        self.pool.assign(history, history.queue(), self.now)
    }

    /// When the next connect for it is due, and to which upstream.
    fn next_connect(&self, key: TransactionKey) -> Option<(Time, usize)> {
        let history = &self.histories[key];
        self.pool
            .next_connect(history, history.queue(), self.now.mono)
    }

    /// A connect to an upstream begins.
    fn connect(&mut self, upstream: usize) -> ConnectionKey {
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        assert!(self.pool.connect(upstream, false, fx));
        let [Action::Connect { connection, .. }] = self.actions()[..] else {
            panic!("no connect alone");
        };
        connection
    }

    /// It succeeds.
    fn connected(&mut self, connection: ConnectionKey) {
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.pool.connected(connection, "as it is", 0, fx);
    }

    fn up(&mut self, upstream: usize) -> ConnectionKey {
        let connection = self.connect(upstream);
        self.connected(connection);
        connection
    }

    /// A transaction's query goes out on a connection.
    fn send(&mut self, key: TransactionKey, to: ConnectionKey) -> Attempt {
        let history = &mut self.histories[key];
        let purpose = Purpose::Need;
        let entered = self.pool.enter(key, history, to, purpose, self.now);
        let (attempt, upstream) = entered.expect("it may be sent there");
        history.sent(attempt, purpose, upstream);
        attempt
    }

    /// A new query, on the connection that it should take.
    fn ask(&mut self) -> (TransactionKey, Attempt) {
        let key = self.query();
        let to = self.assign(key).expect("a connection with room");
        (key, self.send(key, to))
    }

    /// Where a late query may be asked a second time.
    fn second(&mut self, key: TransactionKey) -> Second {
        let history = &self.histories[key];
        self.pool.second(history, false, self.now)
    }

    /// The response to an attempt.
    fn answer(&mut self, key: TransactionKey, attempt: Attempt) {
        let found = self.pool.find(attempt.connection, attempt.id, self.now);
        assert_eq!(found, Matched::Transaction(key));
        let message = testing::response("www.example", 1)
            .a(300, [192, 0, 2, 7])
            .build();
        let answer = wire::parse_response(&message).unwrap();
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.pool.matched(attempt.connection, attempt.id, fx);
        let left = self.histories[key].leave(attempt.connection).unwrap();
        let history = &self.histories[key];
        let meaning = response::meaning(&message, &answer);
        self.pool
            .learn(&left, history, (&message, &answer), meaning, fx);
    }

    fn lose(&mut self, connection: ConnectionKey, why: &ConnectionError) {
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.pool.lost(connection, why, fx);
    }

    /// What is due on connections.
    fn time(&mut self) {
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.pool.close_idle(fx);
        self.pool.check_silence(fx);
    }

    /// Time goes on to the next alarm.
    fn pass_to_alarm(&mut self) {
        let (at, _) = self.pool.next_alarm();
        self.pass(at.since(self.now.mono));
        self.time();
    }

    /// What the driver has to do, since this was asked last.
    fn actions(&mut self) -> Vec<Action> {
        let actions = self.out.actions().to_vec();
        self.out.clear();
        actions
    }

    /// The connections that were closed, and nothing else was done.
    fn closed(&mut self) -> Vec<ConnectionKey> {
        let actions = self.actions();
        let closed = actions.iter().map(|action| match action {
            Action::Close { connection } => *connection,
            other => panic!("{other:?}"),
        });
        closed.collect()
    }

    fn tasks(&mut self) -> Vec<Task> {
        self.ledger.tasks.drain(..).collect()
    }

    /// The transactions that lost this connection, and whether they may be to blame; there are no other tasks.
    fn losses(&mut self, on: ConnectionKey) -> Vec<(TransactionKey, bool)> {
        let tasks = self.tasks();
        let losses = tasks.iter().map(|task| match task {
            Task::ConnectionLost(transaction, connection, blame) if *connection == on => {
                (*transaction, *blame)
            }
            other => panic!("{other:?}"),
        });
        losses.collect()
    }

    fn gauges(&self) -> Gauges {
        let mut gauges = Gauges::default();
        self.pool.measure(&mut gauges);
        gauges
    }
}

// req 79
#[test]
fn one_connection_is_made_for_many_queries() {
    let mut stage = Stage::one();
    let waiting = [(); 3].map(|()| stage.query());
    assert_eq!(waiting.map(|key| stage.assign(key)), [None; 3]);
    assert_eq!(stage.next_connect(waiting[0]), Some((stage.now.mono, 0)));
    let connection = stage.connect(0);
    for key in waiting {
        assert_eq!(stage.assign(key), None, "it is not up yet");
        let (at, _) = stage.next_connect(key).unwrap();
        assert!(at > stage.now.mono, "one is under way, and not late");
    }
    assert_eq!(
        (stage.gauges().connecting, stage.gauges().connected),
        (1, 0)
    );

    stage.pass(ms(30));
    stage.connected(connection);
    let mut ids = BTreeSet::new();
    for key in waiting {
        assert_eq!(stage.assign(key), Some(connection));
        ids.insert(stage.send(key, connection).id);
        assert_eq!(stage.assign(key), None, "once on each connection");
        let history = &stage.histories[key];
        let again = (stage.pool).enter(key, history, connection, Purpose::Need, stage.now);
        assert!(again.is_none());
    }
    assert_eq!((ids.len(), stage.pool.in_flight_on(connection)), (3, 3));
    assert_eq!(
        (stage.gauges().connecting, stage.gauges().connected),
        (0, 1)
    );
    assert_eq!(stage.ledger.stats.dials, 1);
    assert!(stage.actions().is_empty() && stage.tasks().is_empty());
}

#[test]
fn a_late_connect_is_raced_by_one_that_is_closed_when_it_comes_up() {
    let mut stage = Stage::one();
    let key = stage.query();
    let first = stage.connect(0);
    stage.pass(ms(999));
    assert!(stage.next_connect(key).unwrap().0 > stage.now.mono);
    stage.pass(ms(1));
    assert_eq!(stage.next_connect(key), Some((stage.now.mono, 0)));
    let second = stage.connect(0);
    stage.connected(first);
    assert_eq!(stage.closed(), [second]);
    assert_eq!(stage.assign(key), Some(first));
}

// fault 4
#[test]
fn after_a_failed_connect_the_next_one_waits() {
    let mut stage = Stage::new(&["tcp://192.0.2.1", "tcp://192.0.2.2"]);
    let key = stage.query();
    let first = stage.connect(0);
    let refused = ConnectError::Unreachable("refused".into());
    let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
    stage.pool.connect_failed(first, &refused, fx);
    assert_eq!(
        stage.next_connect(key),
        Some((stage.now.mono, 1)),
        "the other one"
    );
    let second = stage.connect(1);
    let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
    stage.pool.connect_failed(second, &refused, fx);
    let (at, _) = stage.next_connect(key).unwrap();
    assert!(at > stage.now.mono && at.since(stage.now.mono) <= ms(250));
    assert_eq!(stage.ledger.stats.failed_connects, 2);
    let troubles = stage.pool.troubles(0, UpstreamSet::EMPTY);
    let reasons: Vec<_> = troubles.map(|trouble| trouble.reason).collect();
    assert_eq!(reasons, [Some("cannot connect: refused"); 2]);
}

// req 58, fault 19, 20
#[test]
fn a_response_belongs_to_the_query_with_its_id_and_question_on_its_connection() {
    let mut stage = Stage::new(&["tcp://192.0.2.1", "tcp://192.0.2.2"]);
    let [on, other] = [0, 1].map(|upstream| stage.up(upstream));
    let key = stage.query();
    let attempt = stage.send(key, on);
    assert_eq!(
        stage.pool.find(other, attempt.id, stage.now),
        Matched::Nobody
    );
    let wrong = attempt.id.wrapping_add(1);
    assert_eq!(stage.pool.find(on, wrong, stage.now), Matched::Nobody);
    let found = stage.pool.find(on, attempt.id, stage.now);
    assert_eq!(found, Matched::Transaction(key));
    // Whoever has the query compares the questions.
    let (message, query) = asked("www.example");
    for (name, is_answer) in [("www.example", true), ("ww2.example", false)] {
        let response = testing::response(name, 1).build();
        let read = wire::parse_response(&response).unwrap();
        let is = response::answers(&response, &read, &message, &query);
        assert_eq!(is, is_answer, "{name}");
    }
    stage.answer(key, attempt);
    let again = stage.pool.find(on, attempt.id, stage.now);
    assert_eq!(again, Matched::Nobody, "the id is free");
}

// fault 25
#[test]
fn a_flood_of_messages_that_answer_nothing_ends_their_connection() {
    let mut stage = Stage::one();
    let connection = stage.up(0);
    let (key, _) = stage.ask();
    for _ in 0..100 {
        let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
        stage.pool.unmatched(connection, fx);
    }
    assert!(stage.closed().is_empty());
    let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
    stage.pool.unmatched(connection, fx);
    assert_eq!(stage.closed(), [connection]);
    assert_eq!(stage.losses(connection), [(key, false)]);
    assert_eq!(stage.ledger.stats.strays, 101);
}

// req 79, fault 3
#[test]
fn a_lost_connection_is_a_task_for_each_query_on_it() {
    // What ended it, and how long it was quiet before; whether a query may be to blame.
    let table = [
        (ConnectionError::Closed, ms(0), true),
        (ConnectionError::Io("reset".into()), ms(0), true),
        (ConnectionError::Truncated, ms(0), true),
        (ConnectionError::Silent, ms(0), false),
        (ConnectionError::Protocol("no frame"), ms(0), false),
        (ConnectionError::Closed, ms(1_500), false),
    ];
    for (why, quiet, blame) in table {
        let mut stage = Stage::one();
        let connection = stage.up(0);
        let (answered, attempt) = stage.ask();
        stage.answer(answered, attempt);
        stage.pass(quiet);
        let keys = [(); 3].map(|()| stage.ask().0);
        stage.lose(connection, &why);
        let losses = stage.losses(connection);
        assert_eq!(losses, keys.map(|key| (key, blame)), "{why:?} {quiet:?}");
        assert_eq!(stage.assign(keys[0]), None);
        assert_eq!(stage.ledger.stats.connections_lost, 1);
        assert_eq!(stage.gauges(), Gauges::default());
    }
}

// fault 17
#[test]
fn a_response_that_cannot_be_read_fails_its_query_alone() {
    let mut stage = Stage::one();
    let connection = stage.up(0);
    let (failed, attempt) = stage.ask();
    let (other, _) = stage.ask();
    let message = [&attempt.id.to_be_bytes()[..], &[0xFF; 9]].concat();
    let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
    stage.pool.malformed(connection, &message, "too short", fx);
    let tasks = stage.tasks();
    let [Task::AttemptFailed(transaction, on)] = tasks[..] else {
        panic!("{tasks:?}");
    };
    assert_eq!((transaction, on), (failed, connection));
    let waiting: Vec<_> = stage.pool.waiting_on(connection).collect();
    assert_eq!(waiting, [other]);
}

// req 78, fault 112
#[test]
fn an_idle_connection_is_closed_before_the_upstream_closes_it() {
    let mut stage = Stage::one();
    let first = stage.up(0);
    let (key, attempt) = stage.ask();
    stage.answer(key, attempt);
    stage.pass(ms(3_000));
    stage.pass(ms(3_000));
    stage.pass(ms(2_499));
    stage.time();
    assert!(stage.actions().is_empty());
    stage.pass(ms(1));
    stage.time();
    // The upstream was in use a moment ago: the next query shall find a connection.
    let actions = stage.actions();
    let [
        Action::Close { connection },
        Action::Connect {
            connection: second, ..
        },
    ] = actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!((connection, stage.ledger.stats.renewed), (first, 1));
    stage.connected(second);

    // It is dared to last longer; and when the upstream has not been in use for a minute, none is made any more.
    let since = stage.now.mono;
    let mut ends = Vec::new();
    while !stage.pool.next_alarm().0.eq(&Time::NEVER) {
        stage.pass_to_alarm();
        for action in stage.actions() {
            match action {
                Action::Close { .. } => ends.push(stage.now.mono.since(since)),
                Action::Connect { connection, .. } => stage.connected(connection),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(ends.first(), Some(&ms(10_625)), "a quarter longer");
    assert!(ends.last().unwrap() > &ms(51_500), "{ends:?}");
    assert_eq!(stage.gauges(), Gauges::default());
    assert!(stage.tasks().is_empty());
}

// fault 7
#[test]
fn a_silent_connection_is_suspect_and_replaced() {
    let mut stage = Stage::one();
    let silent = stage.up(0);
    let (first, _) = stage.ask();
    let (second, on_silent) = stage.ask();
    stage.pass(ms(999));
    stage.time();
    assert!(stage.tasks().is_empty() && stage.pool.suspects().next().is_none());
    assert_eq!(stage.pool.next_alarm().0, stage.now.mono + ms(1));
    stage.pass(ms(1));
    stage.time();
    assert_eq!(stage.pool.suspects().collect::<Vec<_>>(), [silent]);
    let replaces = |task: &Task| matches!(task, Task::Replace(it) if *it == silent);
    let tasks = stage.tasks();
    assert!(!tasks.is_empty() && tasks.iter().all(replaces), "{tasks:?}");
    let (_, stats) = stage.pool.stats().next().unwrap();
    assert_eq!(stats.passed_over, 1);
    let (at, upstream) = stage.pool.replacement(silent, stage.now.mono).unwrap();
    assert!(at <= stage.now.mono && upstream == 0);

    // The oldest query may be what holds up the others: it goes on a connection of its own, the others on the fresh one.
    let fresh = stage.up(0);
    let tasks = stage.tasks();
    let [
        Task::RepeatAlone(alone),
        Task::RepeatOn(transaction, connection),
    ] = tasks[..]
    else {
        panic!("{tasks:?}");
    };
    assert_eq!((alone, transaction, connection), (first, second, fresh));
    assert_eq!(stage.pool.replacement(silent, stage.now.mono), None);
    let third = stage.query();
    assert_eq!(stage.assign(third), Some(fresh));

    // A response on it shows that it was slow, and not dead.
    stage.answer(second, on_silent);
    assert!(stage.pool.suspects().next().is_none());
}

// fault 7
#[test]
fn where_there_is_no_room_for_more_a_silent_connection_is_suspect_sooner() {
    let mut stage = Stage::one();
    let silent = stage.up(0);
    stage.ask();
    for (millis, suspect) in [(249, false), (1, true)] {
        stage.pass(ms(millis));
        let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
        stage.pool.relieve_full(fx);
        assert_eq!(stage.pool.suspects().any(|it| it == silent), suspect);
    }
    let tasks = stage.tasks();
    assert!(
        matches!(tasks[..], [Task::Replace(it)] if it == silent),
        "{tasks:?}"
    );
}

// fault 7, 24
#[test]
fn a_suspect_connection_is_closed_when_nobody_waits_on_it() {
    let mut stage = Stage::one();
    let silent = stage.up(0);
    let (key, attempt) = stage.ask();
    stage.pass(ms(1_000));
    stage.time();
    let fresh = stage.up(0);
    let again = stage.send(key, fresh);
    stage.answer(key, again);
    stage.time();
    assert!(stage.closed().is_empty(), "its response may still come");
    stage.pool.abandon(&attempt);
    stage.time();
    assert_eq!(stage.closed(), [silent]);
    assert_eq!(stage.gauges().connected, 1);
}

// fault 7
#[test]
fn two_queries_whose_time_ends_in_silence_end_their_connection() {
    let mut stage = Stage::one();
    let connection = stage.up(0);
    let (one, first) = stage.ask();
    let (other, second) = stage.ask();
    stage.pass(ms(4_000));
    let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
    stage.pool.missed(&first, fx);
    assert!(stage.closed().is_empty());
    let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
    stage.pool.missed(&second, fx);
    assert_eq!(stage.closed(), [connection]);
    assert_eq!(stage.losses(connection), [(one, false), (other, false)]);
}

// fault 94
#[test]
fn an_upstream_that_answers_in_order_gets_a_second_connection() {
    let mut stage = Stage::one();
    let blocked = stage.up(0);
    let (slow, _) = stage.ask();
    let (quick, _) = stage.ask();
    stage.pass(ms(1_000));
    stage.time();
    let fresh = stage.up(0);
    let again = stage.send(quick, fresh);
    let before = stage
        .pool
        .companions(&stage.histories[quick], fresh, stage.now);
    assert_eq!(before.unwrap().connect, [None; 2]);
    // Answered elsewhere at once, while it waits behind the slow one: nothing overtakes that.
    stage.answer(quick, again);
    stage.lose(blocked, &ConnectionError::Closed);
    let waited: Vec<_> = stage
        .tasks()
        .into_iter()
        .filter_map(|task| match task {
            Task::ConnectionLost(transaction, ..) => Some(transaction),
            _ => None,
        })
        .collect();
    assert_eq!(waited, [slow, quick]);

    let (key, attempt) = stage.ask();
    assert_eq!(attempt.connection, fresh);
    let companions = stage
        .pool
        .companions(&stage.histories[key], fresh, stage.now);
    assert_eq!(companions.unwrap().connect, [Some(0), None]);
    let second = stage.up(0);
    // Queries are spread over both.
    let used = [(); 4].map(|()| stage.ask().1.connection);
    assert_eq!(
        used.iter().filter(|on| **on == second).count(),
        3,
        "{used:?}"
    );
    assert_eq!(
        [fresh, second].map(|on| stage.pool.in_flight_on(on)),
        [2, 3]
    );
}

#[test]
fn a_late_query_is_copied_unless_a_later_one_is_answered() {
    let mut stage = Stage::one();
    let old = stage.up(0);
    stage.pass(ms(10));
    let new = stage.up(0);
    let (earlier, before) = stage.ask();
    stage.pass(ms(20));
    let (lost, attempt) = stage.ask();
    assert_eq!([before, attempt].map(|it| it.connection), [new; 2]);
    stage.pass(ms(20));
    // What was sent earlier is answered: that says nothing of this query's packet.
    stage.answer(earlier, before);
    stage.pass(ms(30));
    assert_eq!(stage.second(lost), Second::On(old));
    // What comes now takes the other connection until something is heard on this one.
    let (_, next) = stage.ask();
    assert_eq!(next.connection, old);
    stage.answer(lost, attempt);
    let (slow, first) = stage.ask();
    stage.pass(ms(1));
    let (quick, second) = stage.ask();
    assert_eq!([first, second].map(|it| it.connection), [new; 2]);
    stage.answer(quick, second);
    stage.pass(ms(50));
    assert_eq!(stage.second(slow), Second::Nowhere);
    assert_eq!(stage.ask().1.connection, new);
}

// req 59, fault 24
#[test]
fn the_id_of_an_abandoned_query_is_free_only_after_its_response() {
    let mut stage = Stage::one();
    let connection = stage.up(0);
    let mut abandoned = BTreeSet::new();
    let mut last = None;
    // Of so many random ids several would be the same.
    for _ in 0..2_000 {
        let (_, attempt) = stage.ask();
        assert!(abandoned.insert(attempt.id), "{} again", attempt.id);
        stage.pool.abandon(&attempt);
        last = Some(attempt);
    }
    assert_eq!(stage.pool.in_flight_on(connection), 0);
    let id = last.unwrap().id;
    assert_eq!(
        stage.pool.find(connection, id, stage.now),
        Matched::Abandoned
    );
    assert_eq!(stage.pool.find(connection, id, stage.now), Matched::Nobody);
}

// fault 83
#[test]
fn after_a_suspend_or_a_stop_all_connections_are_closed() {
    let suspend = |stage: &mut Stage| stage.now.boot = stage.now.boot + ms(1_001);
    let stop = |stage: &mut Stage| stage.now.mono = stage.now.mono + ms(6_001);
    for (what, absent) in [("suspend", suspend as fn(&mut Stage)), ("stop", stop)] {
        let mut stage = Stage::new(&["tcp://192.0.2.1", "tcp://192.0.2.2"]);
        let connections = [0, 1].map(|upstream| stage.up(upstream));
        let keys = connections.map(|connection| {
            let key = stage.query();
            stage.send(key, connection);
            key
        });
        stage.pass(ms(6_000));
        assert!(stage.actions().is_empty(), "{what}");
        absent(&mut stage);
        stage.notice_resume();
        assert_eq!(stage.closed(), connections, "{what}");
        let tasks = stage.tasks();
        let lost: Vec<_> = tasks
            .iter()
            .map(|task| match task {
                Task::ConnectionLost(transaction, _, false) => *transaction,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(lost, keys, "{what}");
        assert_eq!(stage.ledger.stats.retired, 2);
        assert_eq!(stage.pool.next_alarm(), (Time::NEVER, false));
        let key = stage.query();
        assert_eq!(stage.next_connect(key), Some((stage.now.mono, 0)), "{what}");
    }
}

#[test]
fn the_time_that_is_left_of_a_certificate_runs_down_until_another_one_is_shown() {
    let mut stage = Stage::one();
    let left = |stage: &Stage| {
        let (_, gauges) = stage.pool.gauges(stage.now).next().expect("an upstream");
        gauges.certificate_left
    };
    assert_eq!(left(&stage), None);
    let connection = stage.connect(0);
    stage
        .pool
        .certificate_left(connection, ms(5_000), stage.now);
    stage.connected(connection);
    assert_eq!(left(&stage), Some(ms(5_000)));
    // Also while the machine is suspended.
    stage.now.boot = stage.now.boot + ms(2_000);
    assert_eq!(left(&stage), Some(ms(3_000)));
    stage.now.boot = stage.now.boot + ms(4_000);
    assert_eq!(left(&stage), Some(ms(0)));
    stage
        .pool
        .certificate_left(connection, ms(9_000), stage.now);
    assert_eq!(left(&stage), Some(ms(9_000)));
}

impl Stage {
    fn early(&mut self, connection: ConnectionKey) {
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.pool.early(connection, fx);
    }

    fn fail_to_connect(&mut self, connection: ConnectionKey, why: &ConnectError) {
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.pool.connect_failed(connection, why, fx);
    }

    fn upstream_stats(&self) -> UpstreamStats {
        *self.pool.stats().next().expect("an upstream").1
    }
}

#[test]
fn a_connection_that_is_early_takes_queries_and_does_not_count_as_one_that_is_up() {
    let mut stage = Stage::one();
    let connection = stage.connect(0);
    stage.early(connection);
    let (key, attempt) = stage.ask();
    assert_eq!(attempt.connection, connection);
    let nothing_up = |stage: &Stage| stage.pool.nothing_up(stage.histories[key].upstreams());
    assert!(nothing_up(&stage) && !stage.pool.upstreams[0].was_connected);
    stage.pass(ms(20));
    stage.connected(connection);
    assert!(!nothing_up(&stage) && stage.pool.upstreams[0].was_connected);
    stage.answer(key, attempt);
    assert_eq!(stage.upstream_stats().answered, 1);
}

#[test]
fn what_was_sent_on_a_connection_that_then_cannot_be_made_was_not_sent() {
    let mut stage = Stage::one();
    for why in [
        ConnectError::TimedOut,
        ConnectError::Handshake("the server closed the connection".into()),
    ] {
        stage.pass(Duration::from_secs(60));
        let before = stage.upstream_stats();
        let connection = stage.connect(0);
        stage.early(connection);
        let (key, _) = stage.ask();
        stage.fail_to_connect(connection, &why);
        let [Task::NotSent(transaction, on)] = stage.tasks()[..] else {
            panic!("one task");
        };
        assert_eq!((transaction, on), (key, connection));
        let history = &mut stage.histories[key];
        assert!(history.not_sent(connection));
        assert_eq!((history.sends(), history.tried()), (0, UpstreamSet::EMPTY));
        assert!(!history.is_under_way());
        let after = stage.upstream_stats();
        assert_eq!(after.failed_connects, before.failed_connects + 1);
        assert_eq!((after.lost_connections, after.passed_over), (0, 0));
        assert!(
            stage.pool.upstreams[0]
                .backoff
                .has_failed_lately(stage.now.mono)
        );
        assert_eq!(stage.pool.connections.len(), 0);
    }
}

// It is as silent as any other one, so that its queries are asked elsewhere.
#[test]
fn a_connection_that_stays_early_becomes_suspect_until_it_comes_up() {
    let mut stage = Stage::one();
    let connection = stage.connect(0);
    stage.early(connection);
    stage.ask();
    stage.pass_to_alarm();
    assert!(stage.pool.connections[connection].is_suspect());
    stage.connected(connection);
    assert!(!stage.pool.connections[connection].is_suspect());
}

// req 99: RFC 9250 section 5.5.2, and RFC 7828 section 3.1.
#[test]
fn whether_queries_have_streams_is_a_matter_of_the_connection() {
    let mut stage = Stage::new(&["https+tls://192.0.2.1#a.test"]);
    for has_streams in [true, false, true] {
        let connection = stage.connect(0);
        if has_streams {
            stage.pool.has_streams(connection);
        }
        stage.connected(connection);
        let upstream = &stage.pool.upstreams[0];
        assert_eq!(upstream.is_known_to_reorder(), has_streams);
        let (key, attempt) = stage.ask();
        assert_eq!(attempt.keepalive, !has_streams);
        assert_eq!(attempt.connection, connection);
        stage.histories.remove(key);
        stage.pool.connections.remove(connection);
    }
}
