//! Late answers: a second connection to the same upstream, for a path that loses packets.

use super::{A, B, Rig, ms};

/// A rig whose upstreams answer after so long, known from a hundred answers of the first.
fn used_to(upstreams: &[&str], time: u64) -> Rig {
    let mut r = Rig::new(upstreams);
    for i in 0..100 {
        r.ask(&format!("warm{i}.test"));
        if i == 0 {
            r.up(r.dials[0].0);
        }
        r.pass(ms(time));
        r.answer(i, 0, true);
    }
    assert_eq!((r.dials.len(), r.sends.len()), (1, 100));
    r
}

#[test]
fn a_late_question_is_asked_on_a_second_connection_to_the_same_upstream() {
    // fault 113
    let mut r = used_to(&[A, B], 40);
    r.ask("lost.test");
    r.pass(ms(49));
    assert_eq!(r.dials.len(), 1, "it is not late yet");
    r.pass(ms(2));
    assert_eq!(r.dials.last().map(|dial| dial.1), Some(0));
    let second = r.last_dial();
    r.up(second);
    r.pass(ms(100));
    r.answer(100, 0, true);
    assert_eq!(r.sends.len(), 101, "the connection is for the next one");
    for i in 0..100 {
        r.ask(&format!("warm{i}.test"));
        let last = r.sends.len() - 1;
        r.pass(ms(40));
        r.answer(last, 0, true);
    }
    r.ask("lost.test");
    let (first, sent) = (r.sends[201].0, r.sends.len());
    r.pass(ms(51));
    assert_eq!(r.sends.len(), sent + 1);
    assert_ne!(r.sends[sent].0, first);
    r.answer(sent, 0, true);
    assert_eq!((r.f.stats().hedges, r.dials.len()), (1, 2));
    assert_eq!(r.replies.len(), 202);
}

#[test]
fn a_slow_name_among_others_that_are_answered_is_asked_once() {
    // Behind a lost packet nothing arrives. Here something does.
    let mut r = used_to(&[A], 40);
    r.ask("slow.test");
    r.pass(ms(5));
    r.ask("other.test");
    r.pass(ms(40));
    r.answer(101, 0, true);
    r.pass(ms(400));
    assert_eq!((r.sends.len(), r.dials.len()), (102, 1));
}

#[test]
fn an_upstream_near_by_has_no_late_questions() {
    let mut r = used_to(&[A], 2);
    r.ask("slow.test");
    r.pass(ms(400));
    assert_eq!((r.sends.len(), r.dials.len()), (101, 1));
}

#[test]
fn late_questions_cost_at_most_one_copy_in_twenty() {
    let mut r = used_to(&[A], 40);
    for i in 0..1_000 {
        r.ask(&format!("n{i}.test"));
        r.pass(ms(60));
        if r.dials.len() > 1 && i == 0 {
            r.up(r.last_dial());
        }
        let last = r.sends.len() - 1;
        r.answer(last, 0, true);
    }
    let hedges = r.f.stats().hedges;
    assert!(hedges <= 1_100 / 20, "{hedges}");
}
