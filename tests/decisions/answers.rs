//! What comes back: poor answers, those without EDNS, and what is no answer at all.

use super::{A, B, C, Rig, answer, ms};

#[test]
fn two_questions_at_once_to_a_server_without_edns() {
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    r.ask("b.test");
    let l = r.dials[0].0;
    r.up(l);
    r.answer(0, 1, false);
    r.answer(1, 1, false);
    assert_eq!(
        r.rcodes(),
        [] as [u8; 0],
        "FORMERR must not be relayed, the question is to be asked without EDNS"
    );
    assert_eq!(r.sends.len(), 4);
}

#[test]
fn edns_is_given_up_only_when_it_was_the_cause() {
    let mut r = Rig::new(&[A]);
    r.ask("odd.test");
    let l = r.dials[0].0;
    r.up(l);
    r.answer(0, 1, false);
    r.answer(1, 1, false); // without EDNS the same: EDNS was not the reason
    r.ask("b.test");
    assert_eq!(r.sends[2].2[11], 1, "asked with EDNS");
}

#[test]
fn no_id_is_leaked_when_a_question_goes_round() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let a = r.dials[0].0;
    r.up(a);
    r.pass(ms(1_550)); // late: goes to B
    let b = r.dials.iter().find(|d| d.1 == 1).expect("B dialled").0;
    r.up(b);
    let nb = r.sends.iter().position(|s| s.0 == b).unwrap();
    r.answer(0, 1, false); // A does not know EDNS: asked plain - of B!
    r.answer(nb, 0, true);
    assert_eq!(r.replies.len(), 1);
    assert_eq!(r.f.in_flight(), 0);
    let (ba, bb) = (r.f.in_flight_on(a), r.f.in_flight_on(b));
    assert_eq!((ba, bb), (0, 0), "nothing is in flight any more");
}

#[test]
fn servfail_while_the_other_upstream_is_being_dialled() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let l = r.dials[0].0;
    r.up(l);
    r.pass(ms(1_550)); // late: B is dialled
    assert!(r.dials.iter().any(|d| d.1 == 1));
    r.answer(0, 2, true); // SERVFAIL from A; B is up in a moment
    assert_eq!(r.rcodes(), [] as [u8; 0], "B has not been asked yet");
}

#[test]
fn two_poor_answers_from_one_upstream_do_not_hide_the_other() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let l = r.dials[0].0;
    r.up(l);
    r.pass(ms(1_100)); // in doubt: A is dialled anew
    let l2 = r.dials[1];
    assert_eq!(l2.1, 0);
    r.up(l2.0); // and asked on it, too
    assert_eq!(r.sends.len(), 2);
    r.answer(0, 2, true);
    r.answer(1, 2, true);
    assert_eq!(r.rcodes(), [] as [u8; 0], "B was never asked");
}

#[test]
fn a_third_upstream_is_asked_when_two_were_of_no_use() {
    // fault 114
    let mut r = Rig::new(&[A, B, C]);
    r.ask("a.test");
    for (i, rcode) in [2, 5, 0].into_iter().enumerate() {
        r.up(r.last_dial());
        r.answer(i, rcode, true);
    }
    assert_eq!(r.rcodes(), [0]);
    let asked: Vec<usize> = r.dials.iter().map(|dial| dial.1).collect();
    assert_eq!(asked, [0, 1, 2], "each once");
}

#[test]
fn a_third_upstream_is_asked_when_two_say_nothing() {
    // fault 95
    let mut r = Rig::new(&[A, B, C]);
    r.ask("a.test");
    r.up(r.last_dial());
    let mut seen = 1;
    while r.f.in_flight() > 0 {
        r.pass(ms(50));
        while let Some(&(connection, upstream)) = r.dials.get(seen) {
            seen += 1;
            r.up(connection);
            let sent = r.sends.iter().position(|sent| sent.0 == connection);
            if upstream == 2 {
                r.answer(sent.expect("asked at last"), 0, true);
            }
        }
    }
    assert_eq!(r.rcodes(), [0]);
}

#[test]
fn who_would_get_a_stale_answer_waits_on_when_it_is_gone() {
    // In a small cache it is there when it is asked for, and has made room for others when it would be served.
    let mut r = Rig::with(&[A], |c| c.cache_bytes(3_000));
    r.ask("old.test");
    r.up(r.last_dial());
    r.answer(0, 0, true);
    r.pass(ms(301_000));
    // The connection that was made when the first one had been idle.
    r.up(r.last_dial());
    r.ask("old.test");
    for i in 2..42 {
        r.ask(&format!("n{i}.test"));
        r.answer(i, 0, true);
    }
    r.pass(ms(2_000));
    assert_eq!((r.replies.len(), r.f.gauges().queries), (41, 1));
    r.answer(1, 0, true);
    assert_eq!((r.rcodes(), r.f.stats().stale), (vec![0; 42], 0));
}

#[test]
fn a_truncated_answer_is_asked_for_elsewhere() {
    // fault 26: over a stream nothing need be cut, so the next upstream may know better.
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let a = r.last_dial();
    r.up(a);
    let mut cut = answer(&r.sends[0].2, 0, true);
    cut[2] |= 2;
    r.hear(a, &cut);
    assert_eq!((r.replies.len(), r.dials[1].1), (0, 1));
    r.up(r.last_dial());
    r.answer(1, 0, true);
    assert_eq!((r.rcodes(), r.replies[0][2] & 2), (vec![0], 0));
}

#[test]
fn more_than_a_hundred_answers_to_no_question_end_a_link() {
    // fault 19, 25: on a connection that has answered nothing yet. What was asked on it is asked once more elsewhere.
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    let connection = r.last_dial();
    r.up(connection);
    let mut stray = answer(&r.sends[0].2, 0, true);
    stray[1] ^= 1;
    for _ in 0..10_000 {
        r.hear(connection, &stray);
    }
    assert_eq!(
        (r.closes.as_slice(), r.f.stats().strays),
        (&[connection][..], 101)
    );
    r.pass(ms(300));
    let fresh = r.last_dial();
    assert_ne!(fresh, connection);
    r.up(fresh);
    r.answer(1, 0, true);
    assert_eq!(r.rcodes(), [0]);
}

#[test]
fn of_an_answer_in_many_messages_the_first_is_used() {
    // fault 32: as in a zone transfer (RFC 5936): one id, one message after the other. The stream stays usable.
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    let connection = r.last_dial();
    r.up(connection);
    for _ in 0..50 {
        r.answer(0, 0, true);
    }
    r.ask("b.test");
    r.answer(1, 0, true);
    assert_eq!((r.rcodes(), r.closes.len()), (vec![0, 0], 0));
    assert_eq!((r.replies.len(), r.dials.len()), (2, 1));
}

#[test]
fn a_message_of_another_length_than_its_frame_concerns_its_question_alone() {
    // fault 17, 93: the next frame begins where this one ends, so the connection stays, and its other questions with it.
    for excess in [-3_isize, -1, 1, 3] {
        let mut r = Rig::new(&[A]);
        r.ask("a.test");
        r.ask("neighbour.test");
        let connection = r.last_dial();
        r.up(connection);
        for sent in [0, 2] {
            let mut cut = answer(&r.sends[sent].2, 0, true);
            cut.resize(cut.len().saturating_add_signed(excess), 0);
            r.hear(connection, &cut);
        }
        assert_eq!(r.rcodes(), [2], "asked twice, answered badly twice");
        r.answer(1, 0, true);
        assert_eq!((r.rcodes(), r.f.stats().sent), (vec![2, 0], 3));
        assert_eq!((r.closes.len(), r.dials.len()), (0, 1));
        assert_eq!(r.f.stats().malformed_answers, 2);
    }
}

#[test]
fn after_a_malformed_answer_another_upstream_is_asked() {
    // fault 93
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let first = r.last_dial();
    r.up(first);
    let mut cut = answer(&r.sends[0].2, 0, true);
    cut.push(0);
    r.hear(first, &cut);
    let second = r.last_dial();
    r.up(second);
    assert_eq!(r.sends[1].0, second);
    r.answer(1, 0, true);
    assert_eq!((r.rcodes(), r.closes.len()), (vec![0], 0));
}

#[test]
fn messages_to_no_question_end_a_connection_only_when_they_are_most_of_it() {
    // fault 19, 93: a frame without content names no question.
    let mut r = Rig::new(&[A]);
    r.ask("first.test");
    let connection = r.last_dial();
    r.up(connection);
    r.answer(0, 0, true);
    for i in 1..=1_000 {
        r.ask(&format!("n{i}.test"));
        r.hear(connection, &[]);
        r.hear(connection, &[1]);
        r.answer(i, 0, true);
        r.ask(&format!("m{i}.test"));
        let last = r.sends.len() - 1;
        r.answer(last, 0, true);
        r.sends.pop();
    }
    assert_eq!((r.closes.len(), r.f.stats().strays), (0, 2_000));
    for _ in 0..=100 {
        r.hear(connection, &[]);
    }
    assert_eq!(r.closes, [connection]);
}
