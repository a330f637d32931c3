//! Reaching upstreams: whom, when, and where a name leads.

use super::{A, B, C, Rig, ms};
use dotward::engine::Action;
use dotward::transport::ConnectError;
use std::time::Duration;

/// Where a connection is dialled to, by the actions that are not drained yet.
fn dialled(r: &Rig) -> Vec<String> {
    let addresses = r.out.actions().iter().filter_map(|action| match action {
        Action::Connect { addr, .. } => Some(addr.to_string()),
        _ => None,
    });
    addresses.collect()
}

/// A rig whose first upstream is known by name alone.
fn by_name(more: &[&str]) -> Rig {
    Rig::new(&[&["tls://dns.test"], more].concat())
}

#[test]
fn an_answer_does_not_end_the_back_off_for_connects() {
    let mut r = Rig::with(&[A], |c| c.max_link_in_flight(2));
    for i in 0..40 {
        r.ask(&format!("n{i}.test"));
    }
    let l = r.dials[0].0;
    r.up(l);
    let mut refused = 1;
    for next in 0..36 {
        while let Some(d) = r.dials.get(refused).copied() {
            r.refuse(d.0);
            refused += 1;
        }
        r.pass(ms(1));
        r.answer(next, 0, true);
    }
    assert!(r.dials.len() <= 4, "{} connects in 36 ms", r.dials.len());
}

#[test]
fn connects_under_way_are_bounded_and_yet_every_upstream_has_its_turn() {
    // fault 95: more mute upstreams than connects may be under way, and the last one is healthy.
    let addresses: Vec<String> = (1..=12).map(|n| format!("tcp://192.0.2.{n}:53")).collect();
    let upstreams: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut r = Rig::new(&upstreams);
    r.ask("a.test");
    while r.dials.last().is_none_or(|(_, upstream)| *upstream < 11) {
        r.pass(ms(50));
        assert!(r.f.gauges().connecting <= 8, "{:?}", r.f.gauges());
    }
    r.up(r.last_dial());
    r.answer(0, 0, true);
    assert_eq!(r.rcodes(), [0]);
}

#[test]
fn connects_to_a_silent_upstream_are_raced_by_fresh_ones() {
    // fault 111: the system repeats a lost SYN after a second; a fresh one gets through sooner. The first is kept: the path may be slow.
    let mut r = Rig::new(&[A]);
    r.ask("warm.test");
    let warm = r.last_dial();
    r.up(warm);
    r.answer(0, 0, true);
    r.down(warm);
    let first = r.dials.len();
    for i in 0..40 {
        r.ask(&format!("n{i}.test"));
        r.pass(ms(50));
        assert!(r.f.gauges().connecting <= 4, "{:?}", r.f.gauges());
    }
    let begun = r.dials.len() - first;
    assert!((6..=9).contains(&begun), "{begun} in two seconds");
    assert!(!r.closes.contains(&r.dials[first].0), "the first one");
    r.up(r.last_dial());
    assert_eq!(r.sends.len(), 41, "all that wait are asked");
}

#[test]
fn a_question_that_may_cost_no_more_connects_does_not_hold_up_those_behind_it() {
    let mut r = Rig::new(&[A, B, C, "tcp://192.0.2.4:53"]);
    r.ask("first.test"); // A, which hangs
    r.ask("behind.test");
    for _ in 0..5 {
        r.pass(ms(260));
        match r.dials.last() {
            Some(&(connection, 1 | 2)) => r.refuse(connection),
            Some(&(connection, 3)) => r.up(connection),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(r.sends.len(), 2, "both are asked there");
}

#[test]
fn a_replacement_for_a_silent_link_is_dialled_again() {
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    let l = r.dials[0].0;
    r.up(l);
    r.answer(0, 0, true);
    r.pass(ms(2_000));
    r.ask("b.test"); // the connection is dead
    r.pass(ms(200));
    assert_eq!(r.dials.len(), 2);
    r.refuse(r.dials[1].0); // a short outage
    r.pass(ms(1_000));
    r.ask("c.test");
    r.pass(ms(1_000));
    assert!(
        r.dials.len() > 2,
        "nobody dials, questions go into the dead connection"
    );
}

#[test]
fn the_preferred_one_is_dialled_first_after_a_quiet_hour() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    r.refuse(r.dials[0].0);
    assert_eq!(r.dials[1].1, 1);
    r.up(r.dials[1].0);
    r.answer(0, 0, true);
    r.pass(Duration::from_secs(3_600));
    r.ask("b.test");
    assert_eq!(r.dials.last().unwrap().1, 0, "the back-off is long over");
}

#[test]
fn a_failed_dial_beside_a_look_up_does_not_start_a_second_look_up() {
    let mut r = by_name(&[]);
    r.ask("a.test");
    assert_eq!(r.resolves, 1);
    let n = r.n();
    r.f.resolved(
        0,
        Ok((vec!["192.0.2.1:853".parse().unwrap()], ms(30_000))),
        n,
        &mut r.out,
    );
    r.drain();
    let l = r.dials[0].0;
    r.up(l);
    r.answer(0, 0, true);
    r.pass(ms(60_000)); // idle; the name's address is old now, and has changed
    r.ask("b.test");
    assert_eq!(r.resolves, 2, "looked up again beside the dial");
    r.refuse(r.last_dial());
    r.pass(ms(900));
    r.ask("c.test");
    r.pass(ms(900));
    assert_eq!(r.resolves, 2, "the look-up that is under way has not ended");
}

#[test]
fn a_look_up_that_finds_nothing_is_a_failure() {
    let mut r = by_name(&[]);
    r.ask("a.test");
    let n = r.n();
    r.f.resolved(0, Ok((vec![], ms(30_000))), n, &mut r.out);
    r.drain();
    r.pass(ms(5_000));
    assert_eq!((r.rcodes(), r.dials.len()), (vec![2], 0));
}

#[test]
fn an_upstream_whose_name_leads_nowhere_leaves_the_other() {
    // fault 51: no address, and no answer about it.
    for found in [
        Ok((vec![], ms(30_000))),
        Err(ConnectError::Unreachable("no address".into())),
    ] {
        let mut r = by_name(&[B]);
        r.ask("a.test");
        assert_eq!(r.resolves, 1);
        let n = r.n();
        r.f.resolved(0, found, n, &mut r.out);
        r.drain();
        r.pass(ms(500));
        assert_eq!(r.dials.last().map(|(_, upstream)| *upstream), Some(1));
        r.up(r.last_dial());
        r.answer(0, 0, true);
        assert_eq!(r.rcodes(), [0]);
    }
}

#[test]
fn a_designation_that_leads_to_a_wrong_certificate_is_not_asked_for_all_the_time() {
    // req 89: RFC 9462 section 4.2 has a client wait for the TTL, unless that is excessive.
    for (ttl, waits) in [(120, 120), (86_400, 300)] {
        let mut r = Rig::new(&["ddr://192.0.2.1"]);
        r.ask("a.test");
        assert_eq!(r.resolves, 1);
        let found = |r: &mut Rig| {
            let addresses = vec!["192.0.2.8:853".parse().unwrap()];
            let (n, ttl) = (r.n(), Duration::from_secs(ttl));
            r.f.resolved(0, Ok((addresses, ttl)), n, &mut r.out);
            r.drain();
        };
        found(&mut r);
        let (mut rejected, start) = (0, r.now);
        while r.resolves == 1 {
            while let Some((connection, _)) = r.dials.get(rejected).copied() {
                let why = ConnectError::Unauthenticated {
                    why: "x".into(),
                    remedy: String::new(),
                };
                let n = r.n();
                r.f.connect_failed(connection, &why, n, &mut r.out);
                r.drain();
                rejected += 1;
            }
            r.pass(ms(1_000));
            r.ask("b.test");
        }
        let after = r.now.since(start).as_secs();
        assert!((waits..=waits + 10).contains(&after), "{after} of {ttl} s");
        assert!(
            rejected >= 10,
            "it is connected to all the same: {rejected}"
        );
        assert!(r.sends.is_empty());
    }
}

#[test]
fn an_upstream_that_moved_is_found_where_it_is() {
    // fault 53: its name is looked up again when that is due, and the old connection serves until it ends.
    let mut r = by_name(&[]);
    let found = |address: &str| Ok((vec![address.parse().unwrap()], ms(30_000)));
    r.ask("a.test");
    let n = r.n();
    r.f.resolved(0, found("192.0.2.1:853"), n, &mut r.out);
    assert_eq!(dialled(&r), ["192.0.2.1:853"]);
    r.drain();
    let old = r.last_dial();
    r.up(old);
    r.answer(0, 0, true);
    r.pass(ms(120_000));
    r.down(old);
    r.ask("b.test");
    assert_eq!(r.resolves, 2, "it is looked up again");
    let n = r.n();
    r.f.resolved(0, found("192.0.2.2:853"), n, &mut r.out);
    r.drain();
    r.refuse(r.last_dial());
    for _ in 0..20 {
        let n = r.n();
        r.now = r.now + ms(100);
        r.f.time(n, &mut r.out);
        let addresses = dialled(&r);
        r.drain();
        if !addresses.is_empty() {
            assert_eq!(addresses, ["192.0.2.2:853"]);
            return;
        }
    }
    panic!("it is not dialled where it is now");
}
