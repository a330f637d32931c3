//! What one process leaves for the next.

use super::super::ImportError;
use super::*;

impl Stage {
    /// Another process a moment later, with a hash seed of its own, and what it took of a dump.
    fn next(&self, dump: &[u8]) -> (Stage, Result<usize, ImportError>) {
        let next = Stage {
            cache: Cache::new(AMPLE, [6; 16], Times::default()),
            now: self.now,
        };
        let taken = next.cache.import(dump, next.now);
        (next, taken)
    }

    fn dump(&self) -> Vec<u8> {
        self.cache.export(AMPLE, self.now).expect("it fits")
    }
}

fn named(number: u32) -> (Asked, Message) {
    let name = format!("n{number}.test.");
    let octets = number.to_be_bytes();
    let response = testing::response(&name, 1).a(100 + number, octets);
    (asked(&testing::query(&name, 1)), response)
}

/// Knows an address, a denial and an alias with EDNS.
fn filled() -> Stage {
    let stage = Stage::new();
    stage.learn(&plain(), &a(300).edns(1232, 0, &[(15, b"\x00\x04why")]));
    let signed = a(200).a(100, [192, 0, 2, 2]).edns(1232, 0x8000, &[]);
    stage.learn(&with_edns_do(), &signed);
    stage.learn(&asked(&testing::query("no.test.", 1)), &no_such_name());
    stage
}

fn with_edns_do() -> Asked {
    asked(&testing::query("a.test.", 1).edns(1232, 0x8000, &[]))
}

fn no_such_name() -> Message {
    soa(testing::response("no.test.", 1).flags(0x8183), 100, 50)
}

#[test]
fn the_next_process_answers_as_this_one_would_have() {
    let mut stage = filled();
    stage.wait(10.5);
    // This one's TTLs were lowered already, the others' not yet.
    assert_eq!(stage.hit(&plain()).ttls(), [290]);
    let dump = stage.dump();
    stage.wait(20.0);
    let (next, taken) = stage.next(&dump);
    assert_eq!((taken, next.cache.len()), (Ok(3), 3));
    for asked in [
        plain(),
        with_edns_do(),
        asked(&testing::query("nO.test.", 1)),
    ] {
        let (before, after) = (stage.hit(&asked), next.hit(&asked));
        assert_eq!(before.message, after.message);
    }
    assert_eq!(next.hit(&plain()).ttls(), [270]);
    assert_eq!(next.cache.bytes(), next.cache.bytes().min(AMPLE));
}

// A configuration may change while the program is restarted.
#[test]
fn what_the_upstreams_of_one_route_answered_is_not_for_another() {
    let stage = filled();
    let (next, taken) = stage.next(&stage.dump());
    assert_eq!(taken, Ok(3));
    let rerouted = Asked {
        route: 8,
        ..plain()
    };
    assert!(next.knows(&plain()) && !next.knows(&rerouted));
    // Nor is it in the way of what the others answer.
    next.learn(&rerouted, &a(55));
    assert_eq!(next.hit(&rerouted).ttls(), [55]);
    assert_eq!(next.hit(&plain()).ttls(), stage.hit(&plain()).ttls());
}

#[test]
fn what_ended_meanwhile_and_what_is_no_data_is_left_out() {
    let mut stage = filled();
    let old = asked(&testing::query("old.test.", 1));
    stage.learn(
        &old,
        &testing::response("old.test.", 1).a(5, [192, 0, 2, 3]),
    );
    let failing = asked(&testing::query("bad.test.", 1));
    stage.fail(&failing);
    stage.wait(6.0);
    stage.fail(&failing);
    assert_eq!(stage.cache.len(), 5);
    let dump = stage.dump();
    let (next, taken) = stage.next(&dump);
    assert_eq!(taken, Ok(3));
    assert!(!next.knows(&old) && !next.knows(&failing));
    // The denial ends after 50 s.
    stage.wait(50.0);
    assert_eq!(stage.next(&dump).1, Ok(2));
    stage.wait(1_000.0);
    assert_eq!(stage.next(&dump).1, Ok(0));
}

#[test]
fn every_part_and_every_changed_bit_is_refused() {
    let stage = filled();
    let dump = stage.dump();
    assert_eq!(stage.next(&dump).1, Ok(3));
    for len in 0..dump.len() {
        let (next, taken) = stage.next(&dump[..len]);
        assert!(taken.is_err() && next.cache.is_empty(), "{len} octets");
    }
    for bit in 0..dump.len() * 8 {
        let mut changed = dump.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let (next, taken) = stage.next(&changed);
        assert!(taken.is_err() && next.cache.is_empty(), "bit {bit}");
    }
    let longer = [&dump[..], &[0]].concat();
    assert_eq!(stage.next(&longer).1, Err(ImportError::Damaged));
}

#[test]
fn a_dump_of_another_kind_is_refused_by_name() {
    let stage = filled();
    let dump = stage.dump();
    assert_eq!(stage.next(b"").1, Err(ImportError::OtherVersion));
    let mut other = dump.clone();
    other[7] += 1;
    assert_eq!(stage.next(&other).1, Err(ImportError::OtherVersion));
    other = dump.clone();
    other[9] ^= 1;
    assert_eq!(stage.next(&other).1, Err(ImportError::OtherVersion));
    other = dump.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(stage.next(&other).1, Err(ImportError::Damaged));
    let times = Times {
        max: 60,
        ..Times::default()
    };
    let strict = Stage::with(AMPLE, times);
    assert_eq!(
        strict.cache.import(&dump, stage.now),
        Err(ImportError::OtherTimes)
    );
    let before = stage.now - Duration::from_secs(1);
    assert_eq!(
        Stage::new().cache.import(&dump, before),
        Err(ImportError::OtherClock)
    );
}

#[test]
fn both_ends_have_a_bound() {
    let stage = filled();
    let dump = stage.dump();
    assert_eq!(
        stage.cache.export(dump.len(), stage.now),
        Some(dump.clone())
    );
    assert_eq!(stage.cache.export(dump.len() - 1, stage.now), None);
    let small = Stage::with(dump.len() - 1, Times::default());
    assert_eq!(
        small.cache.import(&dump, stage.now),
        Err(ImportError::TooLarge)
    );
    let off = Stage::with(0, Times::default());
    assert!(off.cache.import(&dump, stage.now).is_err());
    assert_eq!(
        off.cache
            .export(AMPLE, off.now)
            .map(|empty| empty.len() < 100),
        Some(true)
    );
}

#[test]
fn a_dump_is_smaller_than_the_cache_and_keeps_what_was_asked_for() {
    let small = 1 << 17;
    let stage = Stage::with(small, Times::default());
    for number in 0..2_000 {
        let (asked, response) = named(number);
        stage.learn(&asked, &response);
        stage.hit(&named(0).0);
    }
    let dump = stage.cache.export(small, stage.now).expect("it fits");
    assert!(dump.len() < stage.cache.bytes());
    let next = Stage {
        cache: Cache::new(small, [9; 16], Times::default()),
        now: stage.now,
    };
    assert_eq!(next.cache.import(&dump, next.now), Ok(stage.cache.len()));
    assert_eq!(next.cache.counts().evictions, 0);
    // Room for others is made without the one that was asked for.
    for number in 2_000..2_000 + stage.cache.len() as u32 / 2 {
        let (asked, response) = named(number);
        next.learn(&asked, &response);
    }
    assert!(next.cache.counts().evictions > 0 && next.knows(&named(0).0));
}

#[test]
fn what_is_known_already_is_newer() {
    let mut stage = filled();
    let dump = stage.dump();
    stage.wait(1.0);
    stage.learn(&plain(), &a(77));
    assert_eq!(stage.cache.import(&dump, stage.now), Ok(0));
    assert_eq!(stage.hit(&plain()).ttls(), [77]);
}
