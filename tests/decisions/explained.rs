//! What the core tells of a question, and of a query of its driver.

use super::*;
use dotward::config::{Policy, Route, Target};
use dotward::engine::{ConnectionState, Explained, Source, Trace, Way};

/// The driver itself, for the query of this number.
fn inside(number: u64) -> Client {
    Client {
        addr: ([127, 0, 0, 1], 1).into(),
        via: Via::Inside(number),
    }
}

impl Rig {
    fn explain(&self, name: &str) -> Explained {
        let explained = self.f.explain(&query(name, 0), self.n());
        explained.expect("a query that is forwarded")
    }

    /// The driver asks.
    fn ask_inside(&mut self, number: u64, name: &str) -> Source {
        let (n, client) = (self.n(), inside(number));
        let source = self.f.ask(&query(name, 0), client, n, &mut self.out);
        self.drain();
        source
    }

    fn trace(&mut self, number: u64) -> Option<Trace> {
        self.f.take_trace(inside(number))
    }
}

fn forwarded(joined: bool) -> Source {
    Source::Upstream { joined }
}

// req 124
#[test]
fn a_query_is_told_from_its_connect_to_its_response() {
    let mut rig = Rig::new(&[A, B]);
    assert!(rig.explain("a.test").in_flight.is_empty());
    rig.ask("a.test");
    rig.pass(ms(20));
    let told = rig.explain("A.Test");
    let [waiting] = &told.in_flight[..] else {
        panic!("{told:?}");
    };
    assert!(waiting.waits_for_connection && waiting.attempts.is_empty());
    assert_eq!((waiting.age, waiting.clients), (ms(20), 1));
    let [a, b] = &told.route.upstreams[..] else {
        panic!("{told:?}");
    };
    assert_eq!((&*a.label, &*b.label), (A, B));
    assert_eq!(a.connections[0].state, ConnectionState::Connecting);
    assert!(b.connections.is_empty());
    rig.up(rig.last_dial());
    rig.pass(ms(30));
    let told = rig.explain("a.test");
    let flying = &told.in_flight[0];
    assert!(!flying.waits_for_connection);
    assert_eq!(
        (flying.sends, flying.tried.clone()),
        (1, vec![A.to_owned()])
    );
    assert_eq!(
        (&*flying.attempts[0].upstream, flying.attempts[0].age),
        (A, ms(30))
    );
    assert_eq!(told.route.upstreams[0].connections[0].in_flight, 1);
    assert!(rig.explain("b.test").in_flight.is_empty());
    rig.answer(0, 0, true);
    assert!(rig.explain("a.test").in_flight.is_empty());
}

// req 124
#[test]
fn a_query_of_the_driver_is_traced_to_the_upstream_that_answers() {
    let mut rig = Rig::new(&[A, B]);
    assert_eq!(rig.ask_inside(1, "a.test"), forwarded(false));
    rig.pass(ms(20));
    rig.up(rig.last_dial());
    rig.pass(ms(30));
    assert_eq!(rig.ask_inside(2, "a.test"), forwarded(true));
    rig.answer(0, 0, true);
    assert_eq!(rig.rcodes(), [0, 0]);
    for number in [1, 2] {
        let trace = rig.trace(number).expect("a trace");
        assert_eq!(
            trace.answered_by.as_deref(),
            Some("tcp://192.0.2.1:53 192.0.2.1:53")
        );
        assert_eq!(
            (trace.sent_after, trace.round_trip),
            (Some(ms(20)), Some(ms(30)))
        );
        assert_eq!((trace.sends, trace.connects), (1, 1));
        assert_eq!(rig.trace(number), None, "it is told once");
    }
    // One whose upstreams fail has a trace without an answer.
    rig.f.remember_failures();
    assert_eq!(rig.ask_inside(3, "b.test"), forwarded(false));
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.rcodes().last(), Some(&2));
    let trace = rig.trace(3).expect("a trace");
    assert_eq!((trace.answered_by, trace.round_trip), (None, None));
    assert!(trace.sends >= 1, "{}", trace.sends);
    let told = rig.explain("b.test");
    assert_eq!((told.failures.len(), told.failures[0].code), (1, Some(23)));
    assert!(told.failures[0].tried.contains(&A.to_owned()));
}

// req 124
#[test]
fn the_cache_and_what_is_answered_here_are_told_apart() {
    let refuse = Route::new(vec!["refused.test".parse().unwrap()], Target::Refuse);
    let mut rig = Rig::with(&[A], |config| config.cache_bytes(1 << 20).routes([refuse]));
    rig.ask("a.test");
    rig.up(rig.last_dial());
    rig.answer(0, 0, true);
    assert_eq!(rig.ask_inside(1, "a.test"), Source::Cache);
    assert_eq!(rig.trace(1), None);
    assert_eq!(rig.explain("a.test").cached.len(), 1);
    assert_eq!(rig.ask_inside(2, "x.refused.test"), Source::Local);
    let told = rig.explain("x.refused.test");
    assert_eq!((told.route.way, told.route.policy), (Way::Refuse, None));
    let domain = b"\x07refused\x04test\0".to_vec();
    assert_eq!(told.route.domain, Some(domain));
    let default = rig.explain("a.test").route;
    assert_eq!(
        (default.domain, default.policy),
        (None, Some(Policy::Failover))
    );
}

// req 122
#[test]
fn the_access_list_does_not_matter_to_the_driver() {
    let nobody = || std::iter::once("192.0.2.7/32".parse().unwrap()).collect();
    let mut rig = Rig::with(&[A], |config| config.allow(nobody()));
    rig.ask("a.test");
    assert_eq!(rig.rcodes(), [5]);
    assert_eq!(rig.ask_inside(1, "a.test"), forwarded(false));
    rig.up(rig.last_dial());
    rig.answer(0, 0, true);
    assert_eq!(rig.rcodes(), [5, 0]);
}
