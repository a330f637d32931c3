//! The transactions as a whole, driven by hand as the forwarder does: what becomes of queries, their clients and their timers.

use super::*;
use crate::config::SCHEMES;
use crate::config::{ConfigBuilder, Upstream};
use crate::engine::cache::{Found, Key, Times};
use crate::engine::client::{Client, Via};
use crate::engine::effects::Ledger;
use crate::engine::failure::Failure;
use crate::engine::output::{Action, Output};
use crate::engine::response::Edns;
use crate::engine::routes::ForwardingRoute;
use crate::wire::testing::{self, Message};
use crate::wire::{self, Rcode};

const TTL: u32 = 300;
/// One for each letter case of the question in these stories.
const CASES: [&str; 3] = ["www.example", "WWW.Example", "wWw.eXAMPLE"];

/// Transactions over two upstreams, and all that they left to do.
struct Stage {
    transactions: Transactions,
    cache: Arc<Cache>,
    ledger: Ledger,
    out: Output,
    now: Now,
    connections: SlotMap<ConnectionKey, ()>,
}

/// A reply as a client gets it.
struct Reply {
    client: Client,
    message: Vec<u8>,
}

impl Reply {
    fn id(&self) -> u16 {
        testing::word(&self.message, 0)
    }

    fn rcode(&self) -> Rcode {
        wire::parse_response(&self.message).unwrap().rcode()
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The client of this number in a network that is not this host.
fn client(number: u8) -> Client {
    Client {
        addr: ([192, 0, 2, number], 40_000).into(),
        via: Via::Datagram {
            socket: 0,
            local: None,
        },
    }
}

fn query(name: &str, id: u16) -> Vec<u8> {
    testing::query(name, 1).id(id).build()
}

impl Stage {
    fn new() -> Self {
        Self::with(|config| config)
    }

    fn with(tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let upstreams = ["tcp://192.0.2.1", "tcp://192.0.2.2"];
        let upstreams = upstreams.map(|spec| Upstream::parse(spec, SCHEMES).unwrap());
        let config = Config::builder().upstreams(upstreams);
        let config = tweak(config).build().unwrap();
        let cache = Arc::new(Cache::new(config.cache_bytes(), [1; 16], Times::default()));
        let mut stage = Self {
            transactions: Transactions::new(&config, cache.clone()),
            cache,
            ledger: Ledger::default(),
            out: Output::new(),
            now: Now::default(),
            connections: SlotMap::with_key(),
        };
        stage.pass(Duration::from_secs(100));
        // The wheel of timers goes on to the present.
        assert_eq!(stage.transactions.pop_due(stage.now), None);
        stage
    }

    /// Time goes on, on both clocks.
    fn pass(&mut self, span: Duration) {
        self.now.mono = self.now.mono + span;
        self.now.boot = self.now.boot + span;
    }

    fn key<'a>(&self, message: &'a [u8]) -> Key<'a> {
        let query = wire::parse_query(message).unwrap();
        self.cache
            .key(message, &query, 0, wire::ClientSubnet::Keep)
            .unwrap()
    }

    /// A client's query, which the cache does not answer.
    fn ask(&mut self, name: &str, client: Client, id: u16) -> Accepted {
        self.accept(&query(name, id), client)
    }

    fn accept(&mut self, message: &[u8], client: Client) -> Accepted {
        let query = wire::parse_query(message).unwrap();
        let waiting = WaitingClient::new(message, &query, client, (1232, wire::ClientSubnet::Keep));
        let key = self.key(message);
        let reply = waiting.reply(query.question.octets(message));
        let mut scratch = Vec::new();
        let now = self.now.boot;
        let found = self.cache.get(&key, &reply, 1232, now, &mut scratch);
        let hash = Some(key.hash());
        let stale = (found == Found::Stale).then_some(key);
        let (route, lookup) = (
            ForwardingRoute::default_of(2),
            Lookup {
                hash,
                stale,
                at_once: false,
            },
        );
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.transactions
            .accept(message, query, waiting, route, lookup, fx)
    }

    /// The same, of a query that starts a transaction.
    fn start(&mut self, name: &str, client: Client, id: u16) -> TransactionKey {
        match self.ask(name, client, id) {
            Accepted::Started(key) => key,
            other => panic!("{name} from {client:?}: {other:?}"),
        }
    }

    /// It is sent on a new connection to an upstream.
    fn send(&mut self, key: TransactionKey, upstream: usize, late: Option<Duration>) -> Attempt {
        let attempt = Attempt {
            connection: self.connections.insert(()),
            id: 1,
            sent_at: self.now.mono,
            edns: Edns::Absent,
            probes: false,
            keepalive: false,
            padded: false,
        };
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        let to = (upstream, late);
        self.transactions.sent(key, attempt, Purpose::Need, to, fx);
        attempt
    }

    /// The response to it, with an address.
    fn finish(&mut self, key: TransactionKey, tweak: impl FnOnce(Message) -> Message) {
        let sent = &self.transactions.get(key).unwrap().message;
        let message = tweak(testing::response_to(sent).a(TTL, [192, 0, 2, 7])).build();
        let answer = wire::parse_response(&message).unwrap();
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        let from = (None, None);
        self.transactions.finish(key, (&message, &answer), from, fx);
    }

    fn fail(&mut self, key: TransactionKey) {
        let why = Failure::NotAnswered.explain(std::iter::empty());
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.transactions.fail(key, why, fx);
    }

    fn serve_stale(&mut self, key: TransactionKey) {
        let fx = &mut self.ledger.at(self.now, &mut self.out);
        self.transactions.serve_stale(key, fx);
    }

    /// The response to this name has been cached, and has expired since.
    fn expired(&mut self, name: &str) {
        let key = self.start(name, client(1), 1);
        self.finish(key, |response| response);
        self.replies();
        self.pass(Duration::from_secs(TTL.into()) + ms(1));
    }

    /// The replies since this was asked last.
    fn replies(&mut self) -> Vec<Reply> {
        let replies = self.out.actions().iter().map(|action| match action {
            Action::Reply { client, message } => Reply {
                client: *client,
                message: self.out.message(message).to_vec(),
            },
            other => panic!("not of a transaction: {other:?}"),
        });
        let replies = replies.collect();
        self.out.clear();
        replies
    }

    /// The attempts that are to be abandoned, of the tasks since this was asked last.
    fn abandoned(&mut self) -> Vec<ConnectionKey> {
        let tasks = self.ledger.tasks.drain(..);
        let connection = |task| match task {
            Task::Abandon(attempt) => Some(attempt.connection),
            _ => None,
        };
        tasks.filter_map(connection).collect()
    }

    fn gauges(&self) -> Gauges {
        let mut gauges = Gauges::default();
        self.transactions.measure(&mut gauges);
        gauges
    }

    /// Nothing is left of any transaction.
    fn is_empty(&self) -> bool {
        let idle = self.transactions.next_alarm(self.now.mono) == Time::NEVER;
        idle && self.gauges() == Gauges::default() && self.transactions.in_flight() == 0
    }

    /// What is due by now means, in order.
    fn due(&mut self) -> Vec<(TransactionKey, Due)> {
        let mut all = Vec::new();
        while let Some(key) = self.transactions.pop_due(self.now) {
            all.extend(self.transactions.due(key, self.now).map(|due| (key, due)));
            assert!(all.len() < 100, "due again and again: {all:?}");
        }
        all
    }
}

// req 1, 2, 61
#[test]
fn identical_queries_are_one_and_each_client_gets_its_own_id_and_letter_case() {
    let mut stage = Stage::new();
    let key = stage.start(CASES[0], client(1), 71);
    for (number, name) in [(2, CASES[1]), (3, CASES[2])] {
        let joined = stage.ask(name, client(number), 70 + u16::from(number));
        assert_eq!(joined, Accepted::Done);
    }
    let other = testing::query(CASES[0], 28).id(74).build();
    let other = stage.accept(&other, client(1));
    assert!(matches!(other, Accepted::Started(_)), "of another type");
    assert_eq!(
        (stage.ledger.stats.joined, stage.gauges().transactions),
        (2, 2)
    );
    assert_eq!(
        (stage.transactions.in_flight(), stage.gauges().queries),
        (4, 4)
    );
    assert!(stage.replies().is_empty());

    stage.finish(key, |response| response);
    let replies = stage.replies();
    let clients: Vec<_> = replies.iter().map(|reply| reply.client).collect();
    assert_eq!(clients, [1, 2, 3].map(client));
    for (reply, (id, name)) in replies.iter().zip((71..).zip(CASES)) {
        assert_eq!(reply.id(), id);
        let asked = query(name, id);
        let question = testing::question_octets(&asked);
        assert_eq!(testing::question_octets(&reply.message), question);
        assert_eq!(reply.rcode(), Rcode::NOERROR);
    }
    assert_eq!(stage.ledger.stats.answered, 3);
    assert_eq!(stage.transactions.in_flight(), 1, "that of another type");
}

// fault 62
#[test]
fn a_query_that_its_client_repeats_gets_one_reply() {
    let mut stage = Stage::new();
    let key = stage.start(CASES[0], client(1), 71);
    assert_eq!(stage.ask(CASES[0], client(1), 71), Accepted::Repeated);
    assert_eq!(
        stage.ask(CASES[1], client(1), 71),
        Accepted::Done,
        "in another case"
    );
    assert_eq!(
        stage.ask(CASES[0], client(1), 72),
        Accepted::Done,
        "with another id"
    );
    assert_eq!(
        (stage.ledger.stats.repeats, stage.ledger.stats.joined),
        (1, 2)
    );
    stage.finish(key, |response| response);
    assert_eq!(stage.replies().len(), 3);
    assert!(stage.is_empty());
}

// fault 99
#[test]
fn at_the_bound_the_client_with_most_queries_gives_way() {
    let mut stage = Stage::with(|config| config.max_in_flight(4));
    for id in 1..=3 {
        stage.start(&format!("{id}.example"), client(1), id);
    }
    stage.start("4.example", client(2), 4);
    assert!(stage.ledger.tasks.is_empty());

    stage.start("5.example", client(3), 5);
    let replies = stage.replies();
    let [reply] = &replies[..] else {
        panic!("{} replies", replies.len());
    };
    assert_eq!((reply.client, reply.id()), (client(1), 1), "its oldest");
    assert_eq!(reply.rcode(), Rcode::SERVFAIL);
    assert_eq!(
        (stage.ledger.stats.yielded, stage.ledger.stats.shed),
        (1, 0)
    );
    let relieve = |task: &Task| matches!(task, Task::Relieve);
    assert!(stage.ledger.tasks.iter().any(relieve));
    assert_eq!(stage.gauges().transactions, 4);

    // It has more than any other again: nobody gives way to it, until its own oldest query had its time.
    assert_eq!(stage.ask("6.example", client(1), 6), Accepted::Done);
    let replies = stage.replies();
    assert_eq!((replies.len(), replies[0].id()), (1, 6));
    assert_eq!(stage.ledger.stats.shed, 1);
    stage.pass(ms(200));
    stage.start("7.example", client(1), 7);
    assert_eq!(stage.replies()[0].id(), 2);
    assert_eq!(
        (stage.ledger.stats.yielded, stage.ledger.stats.shed),
        (2, 1)
    );
}

// fault 99
#[test]
fn a_remote_client_has_a_bound_of_its_own() {
    let mut stage = Stage::with(|config| config.max_in_flight_per_client(2));
    let local = Client {
        addr: ([127, 0, 0, 1], 40_000).into(),
        ..client(0)
    };
    for id in 1..=3 {
        stage.start(&format!("{id}.local.example"), local, id);
    }
    stage.start("1.example", client(1), 1);
    stage.start("2.example", client(1), 2);
    assert_eq!(stage.ask("3.example", client(1), 3), Accepted::Done);
    stage.start("4.example", client(2), 4);
    let replies = stage.replies();
    assert_eq!((replies.len(), replies[0].id()), (1, 3));
    assert_eq!(replies[0].rcode(), Rcode::SERVFAIL);
    assert_eq!(stage.ledger.stats.shed_per_client, 1);
    assert_eq!(stage.transactions.in_flight(), 6);
}

// fault 50
#[test]
fn a_query_that_is_not_answered_is_asked_elsewhere_and_has_a_deadline() {
    let mut stage = Stage::with(|config| config.timeout(ms(4_000)));
    let key = stage.start(CASES[0], client(1), 71);
    stage.send(key, 0, None);
    let deadline = stage.now.mono + ms(4_000);
    let alarm = stage.transactions.next_alarm(stage.now.mono);
    let elsewhere_at = stage.now.mono + ATTEMPT_TIMEOUT;
    assert!(
        alarm <= elsewhere_at && elsewhere_at.since(alarm) <= TICK,
        "{alarm:?}, {elsewhere_at:?}"
    );

    stage.pass(ATTEMPT_TIMEOUT.saturating_sub(2 * TICK));
    assert!(stage.due().is_empty());
    stage.pass(2 * TICK);
    let due = stage.due();
    let [
        (
            of,
            Due::Slow {
                elsewhere: true,
                stale: false,
            },
        ),
    ] = &due[..]
    else {
        panic!("{due:?}");
    };
    assert_eq!(*of, key);
    let alarm = stage.transactions.next_alarm(stage.now.mono);
    assert!(alarm <= deadline && deadline.since(alarm) <= TICK);

    stage.pass(deadline.since(stage.now.mono));
    let due = stage.due();
    assert!(
        matches!(due[..], [(of, Due::Deadline)] if of == key),
        "{due:?}"
    );
    stage.fail(key);
    let replies = stage.replies();
    assert_eq!((replies.len(), replies[0].id()), (1, 71));
    assert_eq!(replies[0].rcode(), Rcode::SERVFAIL);
    assert_eq!(stage.ledger.stats.failed, 1);
}

// req 53
#[test]
fn a_stale_response_is_served_when_the_client_response_timer_ends() {
    let mut stage = Stage::new();
    stage.expired(CASES[0]);
    let key = stage.start(CASES[1], client(2), 72);
    stage.pass(ms(1_800).saturating_sub(2 * TICK));
    assert!(stage.due().is_empty());
    stage.pass(2 * TICK);
    let due = stage.due();
    let [
        (
            of,
            Due::Slow {
                elsewhere: false,
                stale: true,
            },
        ),
    ] = &due[..]
    else {
        panic!("{due:?}");
    };
    assert_eq!(*of, key);

    stage.serve_stale(key);
    let replies = stage.replies();
    assert_eq!((replies.len(), replies[0].client), (1, client(2)));
    let response = wire::parse_response(&replies[0].message).unwrap();
    let ttls: Vec<u32> = wire::records(&replies[0].message, &response)
        .map(|record| record.ttl)
        .collect();
    assert_eq!((response.rcode(), ttls), (Rcode::NOERROR, vec![30]));
    assert_eq!(stage.ledger.stats.stale, 1);

    // Nobody waits for it any more, and it goes on to learn the fresh response.
    assert_eq!(
        (stage.gauges().queries, stage.gauges().transactions),
        (0, 1)
    );
    stage.finish(key, |response| response);
    assert!(stage.replies().is_empty() && stage.is_empty());
    let asked = query(CASES[0], 1);
    let (key, parsed) = (stage.key(&asked), wire::parse_query(&asked).unwrap());
    let waiting = WaitingClient::new(&asked, &parsed, client(1), (1232, wire::ClientSubnet::Keep));
    let reply = waiting.reply(parsed.question.octets(&asked));
    let found = (stage.cache).get(&key, &reply, 1232, stage.now.boot, &mut Vec::new());
    assert!(matches!(found, Found::Hit { .. }), "{found:?}");
}

// fault 181
#[test]
fn a_failure_says_whether_its_clients_got_a_stale_response() {
    for stale in [false, true] {
        let mut stage = Stage::new();
        stage.transactions.failed_mut().remember();
        if stale {
            stage.expired(CASES[0]);
        }
        let key = stage.start(CASES[0], client(2), 72);
        stage.fail(key);
        let rcode = if stale {
            Rcode::NOERROR
        } else {
            Rcode::SERVFAIL
        };
        assert_eq!(stage.replies()[0].rcode(), rcode);
        let asked = query(CASES[0], 1);
        let question = wire::parse_query(&asked).unwrap().question;
        let failed = stage.transactions.failed();
        let failed = failed.of(&asked, &question, |_| Vec::new(), stage.now);
        assert_eq!((failed.len(), failed[0].served_stale), (1, stale));
        assert_eq!(failed[0].rcode, Rcode::SERVFAIL);
    }
}

// fault 99, 100
#[test]
fn a_query_that_nobody_waits_for_any_more_gives_way_first() {
    let mut stage = Stage::with(|config| config.max_in_flight(2));
    stage.expired(CASES[0]);
    let idle = stage.start(CASES[0], client(1), 1);
    stage.serve_stale(idle);
    let waits = stage.start("waits.example", client(2), 2);
    assert_eq!(stage.replies().len(), 1, "the stale response");
    let new = stage.start("new.example", client(2), 3);
    assert!(stage.replies().is_empty(), "no client gives way");
    assert_eq!(stage.transactions.keys(), [new, waits]);
    assert_eq!(
        (stage.ledger.stats.yielded, stage.ledger.stats.shed),
        (0, 0)
    );
}

// req 53
#[test]
fn a_stale_response_is_better_than_a_failure_or_an_unusable_response() {
    for unusable in [false, true] {
        let mut stage = Stage::new();
        stage.expired(CASES[0]);
        let key = stage.start(CASES[0], client(2), 72);
        if unusable {
            stage.finish(key, |response| response.rcode(2));
        } else {
            stage.fail(key);
        }
        let replies = stage.replies();
        assert_eq!((replies.len(), replies[0].rcode()), (1, Rcode::NOERROR));
        assert_eq!(
            (stage.ledger.stats.stale, stage.ledger.stats.failed),
            (1, 0)
        );
        assert!(stage.is_empty());
    }
}

// fault 31
#[test]
fn the_unusable_response_that_was_kept_is_better_than_none() {
    let mut stage = Stage::new();
    let key = stage.start(CASES[0], client(1), 71);
    let sent = stage.transactions.get(key).unwrap().message.clone();
    let refused = testing::response_to(&sent).rcode(5).build();
    stage.transactions.keep_fallback(key, &refused, 0);
    let later = testing::response_to(&sent).rcode(2).build();
    stage.transactions.keep_fallback(key, &later, 1);
    let kept = stage.transactions.take_fallback(key);
    assert_eq!(kept, Some((refused, 0)), "the first");
}

#[test]
fn nothing_of_a_transaction_stays_behind() {
    let mut stage = Stage::new();
    stage.expired("stale.example");
    let mut attempts = Vec::new();
    let mut keys = Vec::new();
    for (number, name) in (1..).zip([
        "stale.example",
        "sent.example",
        "twice.example",
        "waits.example",
    ]) {
        let key = stage.start(name, client(number), 1);
        // Another client, with a question of its own.
        assert_eq!(
            stage.ask(&name.to_uppercase(), client(9), 9),
            Accepted::Done
        );
        keys.push(key);
    }
    for (key, upstream) in [(keys[1], 0), (keys[2], 0), (keys[2], 1)] {
        let attempt = stage.send(key, upstream, Some(ms(50)));
        attempts.push(attempt.connection);
    }
    stage.transactions.wait(keys[3], stage.now);
    let queue = stage.transactions.history(keys[3]).unwrap().queue();
    assert_eq!(stage.transactions.first_waiting(queue), Some(keys[3]));
    let prefetched = testing::query("soon.example", 1).build();
    let asked = wire::parse_query(&prefetched).unwrap();
    let hash = Some(stage.key(&prefetched).hash());
    let on = (ForwardingRoute::default_of(2), hash);
    let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
    keys.extend(stage.transactions.prefetch(&prefetched, asked, on, fx));
    stage.serve_stale(keys[0]);
    let expected = Gauges {
        queries: 6,
        transactions: 5,
        joinable: 5,
        waiting: 1,
        queues: 1,
        queued: 1,
        stranded: 2,
        timers: 5,
        sends: 2,
        octets: stage.gauges().octets,
        ..Gauges::default()
    };
    assert_eq!(stage.gauges(), expected);

    for (turn, key) in keys.into_iter().enumerate() {
        if turn % 2 == 0 {
            stage.finish(key, |response| response);
        } else {
            stage.fail(key);
        }
    }
    assert_eq!(stage.replies().len(), 8);
    assert_eq!(stage.abandoned(), attempts, "each attempt once");
    assert_eq!(stage.gauges().queued, 1, "until its turn comes");
    assert_eq!(stage.transactions.first_waiting(queue), None);
    assert!(stage.is_empty(), "{:?}", stage.gauges());
    stage.transactions.close();
}

#[test]
fn a_large_response_for_many_clients_leaves_in_parts() {
    let mut stage = Stage::new();
    let stream = |number: u8| Client {
        via: Via::Stream(number.into()),
        ..client(number)
    };
    let key = stage.start(CASES[0], stream(1), 1);
    for number in 2..=12 {
        stage.ask(CASES[0], stream(number), number.into());
    }
    stage.finish(key, |response| response.fill(60_000));
    assert!(stage.transactions.has_unfinished());
    let first = stage.replies();
    assert_eq!(first.len(), 5, "256 KiB, and the one that fills it");
    assert_eq!(
        (stage.transactions.in_flight(), stage.gauges().queries),
        (7, 7)
    );
    assert_eq!(
        stage.transactions.next_alarm(stage.now.mono),
        stage.now.mono
    );
    let mut ids: Vec<u16> = first.iter().map(Reply::id).collect();
    while stage.transactions.has_unfinished() {
        let fx = &mut stage.ledger.at(stage.now, &mut stage.out);
        stage.transactions.go_on(fx);
        ids.extend(stage.replies().iter().map(Reply::id));
    }
    assert_eq!(ids, (1..=12).collect::<Vec<u16>>());
    assert!(stage.is_empty());
}

// fault 113
#[test]
fn one_late_query_in_twenty_is_hedged() {
    let mut stage = Stage::new();
    let late = Some(ms(20));
    let mut copies = 0;
    for number in 0..400 {
        let key = stage.start(&format!("{number}.example"), client(1), number);
        stage.send(key, 0, late);
        stage.pass(ms(19));
        assert_eq!(stage.transactions.pop_late(stage.now), None, "not late yet");
        stage.pass(ms(1));
        if let Some(found) = stage.transactions.pop_late(stage.now) {
            assert_eq!(found, key);
            stage.transactions.hedged();
            copies += 1;
        }
        stage.finish(key, |response| response);
        stage.replies();
    }
    assert_eq!(copies, 20);
    assert!(stage.is_empty());
}

// fault 113
#[test]
fn only_a_query_whose_response_may_still_come_is_hedged() {
    let mut stage = Stage::new();
    for number in 0..100 {
        let key = stage.start("budget.example", client(1), number);
        stage.finish(key, |response| response);
    }
    let [answered, copied, waits] =
        ["answered", "copied", "waits"].map(|name| stage.start(name, client(1), 1));
    let mut sent = Vec::new();
    for key in [answered, copied, waits] {
        sent.push(stage.send(key, 0, Some(ms(20))).connection);
    }
    let left = (stage.transactions).answered_on(answered, sent[0], stage.now);
    assert_eq!(left.unwrap().connection, sent[0]);
    let again = (stage.transactions).answered_on(answered, sent[0], stage.now);
    assert!(again.is_none(), "once");
    let attempt = stage.send(copied, 1, None);
    let history = stage.transactions.history_mut(copied).unwrap();
    history.sent(attempt, Purpose::Copy, 1);
    stage.pass(ms(20));
    assert_eq!(stage.transactions.pop_late(stage.now), Some(waits));
    assert_eq!(stage.transactions.pop_late(stage.now), None);
}
