//! What people see of it, and have it forget.

use super::super::{Flush, Holds};
use super::*;
use crate::wire::testing::name_octets;

#[test]
fn what_is_remembered_for_a_question_is_told_with_its_age() {
    let mut stage = Stage::new();
    let of = |stage: &Stage, asked: &Asked| {
        let at = &asked.query.question;
        stage
            .cache
            .remembered(&asked.message, at, asked.route, stage.now)
    };
    assert!(of(&stage, &plain()).is_empty());
    stage.learn(&plain(), &a(60));
    let dnssec = asked(&testing::query("a.test.", 1).edns(1232, 0x8000, &[]));
    stage.learn(&dnssec, &a(30).edns(1232, 0, &[]));
    stage.wait(40.0);
    let mut found = of(&stage, &asked(&testing::query("A.Test.", 1)));
    found.sort_by_key(|one| one.dnssec_ok);
    let [plain, signed] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((plain.holds, plain.age.as_secs()), (Holds::Fresh, 40));
    assert_eq!((plain.left.as_secs(), plain.answers), (20, 1));
    assert!(plain.rd && !plain.ad && !plain.cd && !plain.is_failure);
    assert_eq!((signed.holds, signed.left.as_secs()), (Holds::Stale, 0));
    assert!(signed.dnssec_ok);
    assert!(of(&stage, &asked(&testing::query("b.test.", 1))).is_empty());
}

// fault 146
#[test]
fn a_name_a_suffix_or_all_is_forgotten_and_nothing_else() {
    let stage = Stage::new();
    let names = ["a.test.", "b.a.test.", "xa.test.", "other."];
    let fill = || {
        for name in names {
            let query = asked(&testing::query(name, 1));
            stage.learn(&query, &testing::response(name, 1).a(60, [192, 0, 2, 1]));
        }
    };
    let left = || -> Vec<&str> {
        let knows = |name: &&str| stage.knows(&asked(&testing::query(name, 1)));
        names.into_iter().filter(knows).collect()
    };
    fill();
    assert_eq!(stage.cache.flush(&Flush::Name(name_octets("a.test."))), 1);
    assert_eq!(left(), ["b.a.test.", "xa.test.", "other."]);
    fill();
    assert_eq!(stage.cache.flush(&Flush::Suffix(name_octets("a.test."))), 2);
    assert_eq!(left(), ["xa.test.", "other."]);
    assert_eq!(stage.cache.flush(&Flush::All), 2);
    assert!(stage.cache.is_empty() && left().is_empty());
    assert_eq!(stage.cache.flush(&Flush::All), 0);
    fill();
    assert_eq!(left(), names, "it goes on");
}

#[test]
fn more_than_what_is_looked_at_at_once_is_forgotten() {
    let stage = Stage::new();
    for number in 0..3_000 {
        let name = format!("n{number}.test.");
        let query = asked(&testing::query(&name, 1));
        stage.learn(&query, &testing::response(&name, 1).a(60, [192, 0, 2, 1]));
    }
    let count = stage.cache.len();
    assert!(count > 2_000, "{count}");
    let suffix = Flush::Suffix(name_octets("test."));
    assert_eq!(stage.cache.flush(&suffix), count);
    assert!(stage.cache.is_empty());
}
