//! Whose question makes room at a bound: the oldest of the client that has most in flight.

use super::{A, Rig, ms, query};
use dotward::config::ConfigBuilder;
use dotward::engine::{Client, Via};

/// Somebody on another machine, over UDP or TCP.
fn afar(host: u8, port: u16, stream: Option<u64>) -> Client {
    let datagram = Via::Datagram {
        socket: 0,
        local: None,
    };
    Client {
        addr: ([192, 168, 1, host], port).into(),
        via: stream.map_or(datagram, Via::Stream),
    }
}

fn ask(r: &mut Rig, client: Client, id: u16, name: &str) {
    let n = r.n();
    r.f.query(&query(name, id), client, n, &mut r.out);
    r.drain();
}

/// A forwarder with a connection, and room for so many questions.
fn rig(in_flight: usize, tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Rig {
    let mut r = Rig::with(&[A], |c| {
        tweak(c.max_in_flight(in_flight).cache_bytes(1 << 20))
    });
    r.ask("first.test");
    r.up(r.last_dial());
    r.answer(0, 0, true);
    r.replies.clear();
    r.sends.clear();
    r
}

/// The ids and the codes of what was answered.
fn answered(r: &Rig) -> Vec<(u16, u8)> {
    let one = |reply: &Vec<u8>| (u16::from_be_bytes([reply[0], reply[1]]), reply[3] & 15);
    r.replies.iter().map(one).collect()
}

#[test]
fn a_light_client_finds_room_at_the_expense_of_the_heaviest() {
    // fault 99: one client over many connections, which have no bound of their own in common but this one.
    let mut r = rig(6, |c| c);
    for id in 0..5 {
        let hog = afar(66, 1_000 + id, Some(u64::from(id)));
        ask(&mut r, hog, id, &format!("never{id}.test"));
    }
    ask(&mut r, afar(7, 1, None), 100, "a.test");
    assert_eq!(answered(&r), []);
    ask(&mut r, afar(7, 2, Some(9)), 101, "b.test");
    ask(&mut r, afar(8, 1, None), 102, "c.test");
    // The oldest of the one that has most.
    assert_eq!(answered(&r), [(0, 2), (1, 2)]);
    assert_eq!((r.f.stats().yielded, r.f.stats().shed), (2, 0));
    assert_eq!(r.f.in_flight(), 6);
    // The heaviest itself finds none: it would push its own questions through to the upstream without end.
    let hog = afar(66, 2_000, None);
    ask(&mut r, hog, 6, "never6.test");
    assert_eq!(answered(&r).last(), Some(&(6, 2)));
    assert_eq!((r.f.stats().yielded, r.f.stats().shed), (2, 1));
    // But each had its fair time after a while, and a later one may do better.
    r.pass(ms(200));
    ask(&mut r, hog, 7, "never7.test");
    assert_eq!(answered(&r).last(), Some(&(2, 2)));
    for sent in 5..r.sends.len() {
        r.answer(sent, 0, true);
    }
    let good: Vec<u16> = answered(&r)
        .iter()
        .filter(|(_, rcode)| *rcode == 0)
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(good, [100, 101, 102, 7]);
}

#[test]
fn each_socket_of_this_machine_is_a_client_at_the_bound_for_all() {
    // fault 99
    let mut r = rig(4, |c| c.max_in_flight_per_client(1));
    for id in 0..4 {
        let n = r.n();
        let client = Client {
            addr: ([127, 0, 0, 1], 5_000).into(),
            via: Via::Stream(1),
        };
        r.f.query(&query(&format!("n{id}.test"), id), client, n, &mut r.out);
        r.drain();
    }
    assert_eq!(answered(&r), [], "no bound of its own");
    assert!(r.ask_as(50, "light.test"));
    assert_eq!(answered(&r), [(0, 2)]);
}

#[test]
fn whoever_waits_for_the_same_question_is_not_affected() {
    // fault 99
    let mut r = rig(4, |c| c);
    for id in 0..3 {
        ask(&mut r, afar(66, 1, None), id, &format!("n{id}.test"));
    }
    ask(&mut r, afar(7, 1, None), 100, "n0.test");
    ask(&mut r, afar(8, 1, None), 101, "b.test");
    assert_eq!(answered(&r), [(0, 2)]);
    r.answer(0, 0, true);
    assert_eq!(answered(&r), [(0, 2), (100, 0)]);
}

#[test]
fn an_answer_out_of_date_is_given_before_anybody_is_turned_away() {
    // fault 100: the newcomer's, and that of a question which makes room.
    let mut r = rig(2, |c| c);
    r.ask("old.test");
    r.answer(0, 0, true);
    r.replies.clear();
    r.pass(ms(301_000));
    // The connection that was made when the first one had been idle.
    r.up(r.last_dial());
    ask(&mut r, afar(66, 1, None), 1, "old.test");
    ask(&mut r, afar(66, 1, None), 2, "never.test");
    ask(&mut r, afar(66, 1, None), 3, "first.test");
    assert_eq!(answered(&r), [(3, 0)], "nobody has to make room for it");
    ask(&mut r, afar(7, 1, None), 4, "new.test");
    assert_eq!(answered(&r), [(3, 0), (1, 0)]);
    let stats = r.f.stats();
    assert_eq!((stats.stale, stats.shed, stats.yielded), (2, 0, 0));
}

#[test]
fn a_large_question_counts_as_several() {
    // fault 103: 60,000 octets in options of EDNS, to names that are never answered.
    let mut r = rig(64, |c| c);
    let large = |id: u16| {
        let mut large = query(&format!("n{id}.test"), id);
        let opt = large.len() - 2;
        large[opt..].copy_from_slice(&60_004_u16.to_be_bytes());
        large.extend_from_slice(&[0xff, 0x01]);
        large.extend_from_slice(&60_000_u16.to_be_bytes());
        large.resize(large.len() + 60_000, 0);
        large
    };
    for id in 0..20 {
        let n = r.n();
        r.f.query(&large(id), afar(66, 1, Some(1)), n, &mut r.out);
        r.drain();
        assert!(r.f.gauges().octets <= 64 * 2_048);
    }
    assert_eq!((r.f.in_flight(), r.f.stats().shed), (2, 18));
    ask(&mut r, afar(7, 1, None), 100, "small.test");
    assert_eq!(r.f.in_flight(), 3);
}

#[test]
fn what_nobody_waits_for_makes_room_first() {
    // fault 63: a popular answer is asked for ahead of time, and then clients need the place.
    let mut r = rig(2, |c| c);
    r.pass(ms(285_000));
    for _ in 0..3 {
        r.ask("first.test");
    }
    assert_eq!(r.f.stats().prefetches, 1);
    r.replies.clear();
    ask(&mut r, afar(7, 1, None), 1, "a.test");
    ask(&mut r, afar(7, 1, None), 2, "b.test");
    assert_eq!((r.f.gauges().transactions, r.f.in_flight()), (2, 2));
    assert_eq!(answered(&r), []);
}

#[test]
fn one_large_answer_for_many_leaves_in_parts() {
    // fault 103: the list of what is to be done stays small, and everybody gets the answer.
    const WAITING: u16 = 200;
    let mut r = rig(2_048, |c| c);
    for id in 0..WAITING {
        ask(
            &mut r,
            afar(7, 1_000 + id, Some(id.into())),
            id,
            "large.test",
        );
    }
    assert_eq!(r.sends.len(), 1);
    let (connection, _, asked) = r.sends[0].clone();
    let mut large = super::answer(&asked, 0, false);
    // The one record is of 60,000 octets.
    let end = large.len() - 6;
    large[end - 8..end - 6].copy_from_slice(&[0, 16]);
    large.truncate(end);
    large.extend_from_slice(&60_000_u16.to_be_bytes());
    large.resize(large.len() + 60_000, 0);
    let (mut most, mut got) = (0, 0);
    let n = r.n();
    r.f.answer(connection, &large, n, &mut r.out);
    loop {
        most = most.max(r.out.octets());
        let before = r.replies.len();
        r.drain();
        got += r.replies.len() - before;
        if r.f.next_alarm().is_none_or(|at| at > r.now) {
            break;
        }
        let n = r.n();
        r.f.time(n, &mut r.out);
    }
    assert_eq!((got, r.f.in_flight()), (WAITING.into(), 0));
    assert!(r.rcodes().iter().all(|rcode| *rcode == 0));
    assert!(most < 400_000, "{most}");
}
