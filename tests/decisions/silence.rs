//! Links that say nothing: the dead are found, the living are kept, and after an absence none is trusted.

use super::{A, B, Rig, ms};
use dotward::engine::ConnectionKey;
use std::time::Duration;

/// A rig with one upstream whose connection has answered once, and then been quiet for so long.
fn after_quiet(quiet: Duration) -> (Rig, ConnectionKey) {
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    let connection = r.last_dial();
    r.up(connection);
    r.answer(0, 0, true);
    r.pass(quiet);
    (r, connection)
}

#[test]
fn one_dead_name_does_not_close_a_busy_link() {
    // A and AAAA of a dead name time out in one tick, while the connection answers everything else.
    let mut r = Rig::new(&[A]);
    r.ask("dead1.test");
    r.ask("dead2.test");
    let l = r.dials[0].0;
    r.up(l);
    for i in 0..410 {
        r.pass(ms(5));
        r.ask(&format!("n{i}.test"));
        let last = r.sends.len() - 1;
        r.pass(ms(5));
        r.answer(last, 0, true);
    }
    let failed: Vec<u8> = r.rcodes().into_iter().filter(|c| *c == 2).collect();
    assert_eq!(failed, [2, 2]);
    assert!(
        !r.closes.contains(&l),
        "a connection that answered 5 ms ago is closed as silent"
    );
}

#[test]
fn a_link_that_may_be_stale_is_used_while_a_fresh_one_is_prepared() {
    // fault 8: the question goes out at once, and what it would need if the connection is dead begins at once, too.
    let (mut r, old) = after_quiet(ms(5_000));
    r.ask("b.test");
    assert_eq!((r.sends[1].0, r.dials.len()), (old, 2));
    let fresh = r.last_dial();
    r.up(fresh);
    r.pass(ms(200));
    assert_eq!(
        r.sends.len(),
        2,
        "not asked twice while the old one may live"
    );
    r.pass(ms(60));
    assert_eq!((r.sends.len(), r.sends[2].0), (3, fresh), "it is dead");
    r.answer(2, 0, true);
    r.pass(ms(20));
    assert_eq!((r.replies.len(), r.closes.as_slice()), (2, &[old][..]));
}

#[test]
fn a_quiet_that_links_survive_needs_no_second_link() {
    let (mut r, connection) = after_quiet(ms(5_000));
    r.ask("b.test");
    r.answer(1, 0, true);
    assert_eq!(r.dials.len(), 2);
    r.down(r.last_dial());
    r.pass(ms(5_500));
    r.ask("c.test");
    assert_eq!((r.dials.len(), r.sends[2].0), (2, connection));
}

#[test]
fn the_timer_belongs_to_the_oldest_unanswered_question() {
    // fault 7: a question every 100 ms does not keep a dead connection alive.
    let (mut r, connection) = after_quiet(ms(500));
    let start = r.now;
    for i in 0..20 {
        r.ask(&format!("n{i}.test"));
        if r.dials.len() > 1 {
            break;
        }
        r.pass(ms(100));
    }
    assert!(r.now.since(start) <= ms(1_100), "{:?}", r.now.since(start));
    let fresh = r.last_dial();
    r.up(fresh);
    let moved = r.sends.iter().filter(|send| send.0 == fresh).count();
    // fault 94: the upstream may answer in order, and the first question be the one that it cannot answer.
    assert_eq!(
        moved + 1,
        r.f.in_flight_on(connection),
        "all others are asked on the fresh one"
    );
    let alone = r.last_dial();
    r.up(alone);
    assert_eq!(r.sends.last().map(|send| send.0), Some(alone));
}

#[test]
fn one_stale_link_retires_its_elders() {
    // Two connections in use, then a quiet in which both die; the first question finds out for both.
    let mut r = Rig::with(&[A], |c| c.max_link_in_flight(2));
    for i in 0..3 {
        r.ask(&format!("n{i}.test"));
    }
    r.up(r.dials[0].0);
    r.pass(ms(300));
    r.up(r.dials[1].0);
    assert_eq!(r.sends.len(), 3);
    for i in 0..3 {
        r.answer(i, 0, true);
    }
    r.pass(ms(5_000));
    r.ask("b.test");
    let fresh = r.last_dial();
    r.up(fresh);
    r.pass(ms(1_000));
    assert!(
        r.closes.contains(&r.dials[0].0),
        "the one that has no question"
    );
    let before = r.closes.len();
    r.answer(4, 0, true);
    r.pass(ms(20));
    assert_eq!(r.closes.len(), before + 1);
    r.ask("c.test");
    assert_eq!(r.sends[5].0, fresh);
}

#[test]
fn answers_overdue_in_a_row_retire_a_link() {
    // fault 7: the kernel says established, nothing can be dialled instead, and yet the connection goes.
    let (mut r, connection) = after_quiet(ms(500));
    r.ask("b.test");
    r.ask("c.test");
    for _ in 0..100 {
        r.pass(ms(50));
        if let Some((dial, _)) = r.dials.get(1..).and_then(<[_]>::last).copied() {
            r.refuse(dial);
        }
    }
    assert_eq!(r.rcodes(), [0, 2, 2]);
    assert!(r.closes.contains(&connection));
}

#[test]
fn a_dead_link_is_found_although_others_answer_its_questions() {
    // fault 7: each question is overtaken by the second upstream before the first one's silence is long enough.
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    let a = r.last_dial();
    r.up(a);
    r.pass(ms(1_550));
    let b = r.dials.iter().rfind(|dial| dial.1 == 1).unwrap().0;
    r.up(b);
    let on_b = r.sends.iter().position(|send| send.0 == b).unwrap();
    r.answer(on_b, 0, true);
    r.pass(ms(50));
    r.ask("b.test");
    assert_eq!(
        r.sends.last().unwrap().0,
        b,
        "the silent one is passed over"
    );
}

#[test]
fn a_stopped_process_trusts_no_link_afterwards() {
    // fault 83: SIGSTOP for a minute, then SIGCONT: both clocks went on, and no alarm was served.
    let (mut r, connection) = after_quiet(ms(2_000));
    r.now = r.now + Duration::from_secs(60);
    r.ask("b.test");
    assert_eq!((r.closes.as_slice(), r.dials.len()), (&[connection][..], 2));
    assert_eq!(r.f.stats().retired, 1);
    r.up(r.last_dial());
    r.answer(1, 0, true);
    assert_eq!(r.rcodes(), [0, 0]);
}

#[test]
fn a_loop_that_is_merely_late_keeps_its_links() {
    let (mut r, connection) = after_quiet(ms(2_000));
    r.now = r.now + ms(3_500);
    r.ask("b.test");
    assert_eq!((r.closes.len(), r.sends[1].0), (0, connection));
}

#[test]
fn an_absence_ends_all_back_offs() {
    // The machine wakes in another network: what was out of reach there may be near here.
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    r.refuse(r.last_dial());
    let b = r.last_dial();
    r.up(b);
    r.answer(0, 0, true);
    for _ in 0..8 {
        r.pass(ms(4_000));
        r.ask("b.test");
        let last = r.sends.len() - 1;
        r.answer(last, 0, true);
        if let Some((dial, 0)) = r.dials.last().copied() {
            r.refuse(dial);
        }
    }
    r.now = r.now + Duration::from_secs(60);
    r.ask("c.test");
    assert_eq!(r.dials.last().unwrap().1, 0, "the preferred one, at once");
}
