//! What a question earns: one answer or none, a place on a connection within its bounds, three sends at most.

use super::{A, B, Rig, client, ms, query};
use dotward::config::{Config, ConfigBuilder, Policy, Upstream};
use dotward::engine::{Cache, Forwarder, Gauges, Times};
use dotward::transports::SCHEMES;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn port_zero_is_nobodys() {
    // fault 60: nothing can be sent there, so nothing is asked for it.
    let mut r = Rig::new(&[A]);
    let n = r.n();
    assert!(!r.f.query(&query("a.test", 1), client(0), n, &mut r.out));
    r.drain();
    assert_eq!((r.dials.len(), r.replies.len()), (0, 0));
    assert_eq!(r.f.stats().dropped, 1);
}

type Change = Box<dyn FnOnce(ConfigBuilder) -> ConfigBuilder>;

#[test]
fn no_core_is_made_of_what_it_cannot_obey() {
    // fault 54: an empty list had round-robin divide by zero, and the 65th upstream was taken for the first.
    let upstreams = |count: u8| -> Vec<Upstream> {
        let spec = |n: u8| format!("tcp://192.0.2.{n}:53");
        (1..=count)
            .map(|n| Upstream::parse(&spec(n), SCHEMES).unwrap())
            .collect()
    };
    let most = Config::builder()
        .upstreams(upstreams(64))
        .policy(Policy::RoundRobin);
    let cache = Arc::new(Cache::new(0, [1; 16], Times::default()));
    let core = Forwarder::new(&most.build().unwrap(), cache, [9; 32]);
    assert_eq!(core.stats().queries, 0);
    let none: [(Change, &str); 4] = [
        (Box::new(|c| c.upstreams([])), "upstream"),
        (Box::new(move |c| c.upstreams(upstreams(65))), "upstream"),
        (Box::new(|c| c.timeout(Duration::ZERO)), "timeout"),
        (Box::new(|c| c.max_in_flight(0)), "max_in_flight"),
    ];
    for (change, setting) in none {
        let error = change(Config::builder()).build().unwrap_err();
        assert_eq!(error.setting, setting);
    }
}

#[test]
fn what_is_answered_here_is_counted_by_its_reason() {
    let mut r = Rig::with(&[A], |c| {
        c.allow(["127.0.0.0/8".parse().unwrap()].into_iter().collect())
    });
    let mut ask = |message: &[u8], from: &str| {
        let (n, mut client) = (r.n(), client(1000));
        client.addr.set_ip(from.parse().unwrap());
        r.f.query(message, client, n, &mut r.out);
    };
    let (good, mut two_questions, mut update) =
        (query("a.test", 1), query("a.test", 2), query("a.test", 3));
    two_questions[5] = 2;
    update[2] |= 5 << 3;
    ask(&good, "192.0.2.7");
    ask(&two_questions, "127.0.0.1");
    ask(&update, "127.0.0.1");
    let stats = r.f.stats();
    assert_eq!(
        (
            stats.queries,
            stats.denied,
            stats.malformed,
            stats.unsupported
        ),
        (3, 1, 1, 1)
    );
    assert_eq!(stats.accepted(), 0);
}

#[test]
fn a_repeated_datagram_gets_one_answer_although_the_bound_is_reached() {
    // fault 62: it asks for nothing new, so the bound on questions in flight is not its business.
    let mut r = Rig::with(&[A], |c| c.max_in_flight(2));
    r.ask("a.test");
    r.ask("b.test");
    assert!(!r.ask_as(1, "a.test") && !r.ask_as(2, "b.test"));
    assert_eq!((r.f.stats().repeats, r.f.stats().shed), (2, 0));
    assert!(r.ask_as(1, "B.test"), "another question");
    assert!(r.ask_as(3, "a.test"), "another client");
    assert_eq!((r.rcodes(), r.f.stats().shed), (vec![2, 2], 2));
    r.up(r.dials[0].0);
    r.answer(0, 0, true);
    r.answer(1, 0, true);
    assert_eq!(r.rcodes(), [2, 2, 0, 0]);
}

#[test]
fn a_repeat_that_is_spelled_differently_gets_an_answer_in_its_own_letter_case() {
    // fault 62, req 61: whoever checks the letter case of its answers (DNS 0x20) takes no other for its own.
    let mut r = Rig::new(&[A]);
    r.ask_as(7, "a.test");
    r.up(r.dials[0].0);
    assert!(r.ask_as(7, "A.test"), "spelled otherwise");
    assert!(r.ask_as(7, "a.TEST"), "and once more");
    for name in ["a.test", "A.test", "a.TEST"] {
        assert!(!r.ask_as(7, name), "{name} is a repeat");
    }
    // Asked again without EDNS, which shows in the answer.
    let mut bare = query("A.test", 7);
    bare[11] = 0;
    bare.truncate(bare.len() - 11);
    let n = r.n();
    assert!(r.f.query(&bare, client(1007), n, &mut r.out));
    assert!(!r.f.query(&bare, client(1007), n, &mut r.out));
    r.drain();
    assert_eq!((r.f.stats().repeats, r.f.stats().joined), (4, 3));
    r.answer(0, 0, true);
    let got: Vec<_> = r.replies.iter().map(|reply| &reply[12..20]).collect();
    let spelled = |name| query(name, 7)[12..20].to_vec();
    assert_eq!(got, ["a.test", "A.test", "a.TEST", "A.test"].map(spelled));
    let opts: Vec<_> = r.replies.iter().map(|reply| reply[11]).collect();
    assert_eq!(opts, [1, 1, 1, 0]);
}

#[test]
fn what_is_asked_ahead_of_time_keeps_to_the_bound_too() {
    // fault 63: a popular answer ends soon, while as many questions are in flight as may be.
    let mut r = Rig::with(&[A], |c| c.cache_bytes(1 << 20).max_in_flight(1));
    r.ask("popular.test");
    r.up(r.last_dial());
    r.answer(0, 0, true);
    r.pass(ms(285_000));
    r.ask("slow.test");
    for _ in 0..3 {
        r.ask("popular.test");
    }
    assert_eq!((r.f.stats().hits, r.f.stats().prefetches), (3, 0));
    assert_eq!(r.f.gauges().transactions, 1);
}

#[test]
fn the_end_leaves_nothing() {
    let mut r = Rig::new(&[A]);
    r.ask("sent.test");
    r.up(r.last_dial());
    r.down(r.dials[0].0);
    r.ask("waits.test");
    let n = r.n();
    r.f.close(n, &mut r.out);
    r.drain();
    assert_eq!((r.rcodes(), r.closes.len()), (vec![2, 2], 1));
    let stats = r.f.stats();
    assert_eq!((stats.failed, stats.failed_ending), (2, 2));
    assert_eq!(r.f.gauges(), Gauges::default());
}

#[test]
fn never_sent_more_than_four_times_for_its_own_sake() {
    // Every connection comes up, and ends with the question on it.
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let (mut up, mut down) = (0, 0);
    for _ in 0..500 {
        while let Some(&(connection, _)) = r.dials.get(up) {
            up += 1;
            r.up(connection);
        }
        while let Some(&(connection, ..)) = r.sends.get(down) {
            down += 1;
            r.down(connection);
        }
        r.pass(ms(10));
    }
    assert_eq!(r.rcodes(), [2]);
    assert!((3..=4).contains(&r.sends.len()), "{}", r.sends.len());
}

#[test]
fn one_question_waiting_for_the_second_upstream_does_not_block_those_for_the_first() {
    let mut r = Rig::new(&[A, B]);
    r.ask("servfail.test");
    let first = r.dials[0].0;
    r.up(first);
    r.answer(0, 2, true); // goes elsewhere: B is dialled, and hangs
    assert_eq!(r.dials.len(), 2);
    r.down(first); // A closes its idle connection
    r.pass(ms(5));
    r.ask("good.test");
    r.pass(ms(1_400));
    assert!(
        r.dials.iter().skip(2).any(|(_, u)| *u == 0),
        "A is not dialled: {:?}",
        r.dials
    );
}
