//! What an upstream says of a connection with a stream for each query: how much it takes, and what became of one query.

use super::{A, B, Rig, ms};
use dotward::transport::ConnectionError;

const UNPROCESSED: ConnectionError = ConnectionError::Unprocessed;

fn rejected() -> ConnectionError {
    ConnectionError::Rejected("HTTP status 503".into())
}

/// A rig with one query on a connection that takes so many.
fn limited(upstreams: &[&str], in_flight: usize) -> Rig {
    let mut r = Rig::new(upstreams);
    r.ask("first.test");
    let connection = r.dials[0].0;
    r.limit(connection, in_flight);
    r.up(connection);
    assert_eq!(r.sends.len(), 1);
    r
}

// req 94
#[test]
fn no_more_is_sent_on_a_connection_than_it_takes() {
    let mut r = limited(&[A], 2);
    for name in ["b.test", "c.test", "d.test"] {
        r.ask(name);
    }
    assert_eq!(r.sends.len(), 2);
    // Another connection is made for the rest; here it never comes up.
    assert_eq!(r.dials.len(), 2);
    r.answer(0, 0, true);
    assert_eq!(r.sends.len(), 3, "there is room for one");
    r.limit(r.dials[0].0, 100);
    assert_eq!(r.sends.len(), 4, "and now for all");
    for sent in 1..4 {
        r.answer(sent, 0, true);
    }
    assert_eq!(r.rcodes(), [0; 4]);
}

#[test]
fn the_limit_holds_for_those_that_wait_when_a_connection_comes_up() {
    let mut r = Rig::new(&[A]);
    for n in 0..5 {
        r.ask(&format!("n{n}.test"));
    }
    let connection = r.dials[0].0;
    r.limit(connection, 3);
    r.up(connection);
    assert_eq!(r.sends.len(), 3);
}

#[test]
fn queries_given_up_count_until_their_streams_end() {
    let mut r = limited(&[A], 2);
    let connection = r.dials[0].0;
    // The connection is alive, and one query on it is not answered.
    for n in 0..100 {
        r.pass(ms(100));
        r.ask(&format!("n{n}.test"));
        let sent = r.sends.len() - 1;
        assert_eq!(r.sends[sent].0, connection, "{n}");
        r.answer(sent, 0, true);
    }
    let failed = |rcode: &u8| *rcode == 2;
    assert_eq!(r.rcodes().into_iter().filter(failed).count(), 1);
    // It holds its stream, so that one is left.
    for name in ["one.test", "more.test"] {
        r.ask(name);
    }
    let sent = |r: &Rig| r.sends.iter().filter(|sent| sent.0 == connection).count();
    let before = sent(&r);
    r.lose_to(0, &UNPROCESSED);
    assert_eq!(sent(&r), before + 1, "the stream has ended");
}

// req 95, fault 120
#[test]
fn a_connection_that_takes_no_more_is_left_to_end() {
    let mut r = limited(&[A], 100);
    let going = r.dials[0].0;
    r.ask("second.test");
    r.limit(going, 0);
    r.lose_to(1, &UNPROCESSED);
    // It goes again at once, on another connection, and the first one stays where it is.
    assert_eq!((r.dials.len(), r.closes.len()), (2, 0));
    r.up(r.last_dial());
    assert_eq!((r.sends.len(), r.sends[2].0), (3, r.last_dial()));
    r.ask("third.test");
    assert_eq!(r.sends[3].0, r.last_dial());
    for sent in [0, 2, 3] {
        r.answer(sent, 0, true);
    }
    assert_eq!(r.rcodes(), [0; 3]);
    r.pass(ms(10));
    assert_eq!(r.closes, [going], "once it is empty");
    assert_eq!(r.f.stats().connections_lost, 0);
}

// fault 120
#[test]
fn that_an_idle_connection_takes_no_more_is_learned_as_its_close() {
    let mut r = limited(&[A], 100);
    r.answer(0, 0, true);
    let mut ended_here = 0;
    for n in 0..20 {
        let connection = r.last_dial();
        let closed = r.closes.len();
        r.pass(ms(5_000));
        if r.closes.len() > closed {
            // Closed here before its upstream would do it; another one is ready, or made for the next query.
            ended_here += 1;
        } else {
            r.limit(connection, 0);
            r.pass(ms(1));
        }
        let sent = r.sends.len();
        r.ask(&format!("n{n}.test"));
        if r.sends.len() == sent {
            r.up(r.last_dial());
        }
        r.answer(r.sends.len() - 1, 0, true);
    }
    assert!(ended_here >= 10, "{ended_here}");
    assert!(r.rcodes().iter().all(|rcode| *rcode == 0));
}

// req 95, fault 120
#[test]
fn what_was_not_processed_goes_to_the_same_upstream_and_does_not_count() {
    let mut r = limited(&[A, B], 100);
    for refused in 0..3 {
        r.lose_to(refused, &UNPROCESSED);
        assert_eq!(r.sends.len(), refused + 2, "at once");
        assert_eq!(
            r.sends[refused + 1].0,
            r.dials[0].0,
            "on a connection that goes on"
        );
    }
    // All attempts are left: it is lost three times, and answered.
    for lost in 3..6 {
        r.pass(ms(10));
        r.lose(lost);
        if r.last_dial() != r.dials[0].0 && r.sends.len() == lost + 1 {
            r.up(r.last_dial());
        }
        assert_eq!(r.sends.len(), lost + 2);
    }
    r.answer(6, 0, true);
    assert_eq!(r.rcodes(), [0]);
}

// fault 36, 120
#[test]
fn an_upstream_that_processes_nothing_is_not_asked_without_end() {
    let mut r = limited(&[A], 100);
    let mut refused = 0;
    while refused < r.sends.len() {
        r.lose_to(refused, &UNPROCESSED);
        refused += 1;
    }
    assert!((4..=8).contains(&refused), "{refused}");
    assert_eq!(r.rcodes(), [2]);
    let text = String::from_utf8_lossy(&r.replies[0]);
    let reason = format!("{A}: not processed by the upstream");
    assert!(text.contains(&reason), "{text}");
}

// fault 120
#[test]
fn what_one_upstream_refuses_four_times_is_asked_elsewhere() {
    let mut r = limited(&[A, B], 100);
    for refused in 0..4 {
        assert_eq!((r.dials.len(), r.sends.len()), (1, refused + 1));
        r.lose_to(refused, &UNPROCESSED);
    }
    assert_eq!((r.last_dial_to(), r.sends.len()), (1, 4));
    r.up(r.last_dial());
    r.answer(4, 0, true);
    assert_eq!(r.rcodes(), [0]);
}

// fault 36, 120
#[test]
fn what_no_upstream_processes_is_sent_seven_times() {
    let mut r = limited(&[A, B], 100);
    let mut refused = 0;
    while refused < r.sends.len() {
        r.lose_to(refused, &UNPROCESSED);
        if r.dials.len() == 2 && r.sends.len() == refused + 1 {
            r.up(r.last_dial());
        }
        r.pass(ms(10));
        refused += 1;
    }
    assert_eq!((r.sends.len(), r.rcodes()), (7, vec![2]));
    let to_second = r.sends.iter().filter(|sent| sent.0 == r.dials[1].0);
    assert!(to_second.count() > 0);
}

// fault 119
#[test]
fn what_is_rejected_is_asked_elsewhere() {
    let mut r = limited(&[A, B], 100);
    r.lose_to(0, &rejected());
    assert_eq!(r.last_dial_to(), 1);
    r.up(r.last_dial());
    r.answer(1, 0, true);
    assert_eq!(r.rcodes(), [0]);
}

// fault 119
#[test]
fn what_one_upstream_rejects_twice_fails_with_the_reason() {
    let mut r = limited(&[A], 100);
    r.lose_to(0, &rejected());
    assert_eq!(r.sends.len(), 2, "once more");
    r.lose_to(1, &rejected());
    assert_eq!(r.rcodes(), [2]);
    let text = String::from_utf8_lossy(&r.replies[0]);
    let reason = format!("{A}: no DNS response: HTTP status 503");
    assert!(text.contains(&reason), "{text}");
    assert!(r.closes.is_empty());
    r.ask("second.test");
    r.answer(2, 0, true);
    assert_eq!(r.rcodes(), [2, 0]);
}

// fault 119
#[test]
fn an_upstream_that_rejects_everything_is_passed_over() {
    let mut r = limited(&[A, B], 100);
    r.lose_to(0, &rejected());
    r.up(r.last_dial());
    r.answer(1, 0, true);
    let second = r.last_dial();
    for n in 0..40 {
        let mut sent = r.sends.len();
        r.ask(&format!("n{n}.test"));
        while sent < r.sends.len() {
            if r.sends[sent].0 == second {
                r.answer(sent, 0, true);
            } else {
                r.lose_to(sent, &rejected());
            }
            sent += 1;
        }
    }
    assert_eq!(r.rcodes(), [0; 41]);
    let first = |sent: &&(_, _, _)| sent.0 == r.dials[0].0;
    let asked = r.sends.iter().filter(first).count();
    assert!((16..=20).contains(&asked), "{asked}");
    assert_eq!(r.f.upstream_stats().next().unwrap().1.passed_over, 1);
}
