//! A query is lost with one of the connections behind that on which it was sent: it alone is sent again, and its connection goes on.

use super::{A, B, Rig, ms};
use dotward::engine::Gauges;

/// Where every query has a connection of its own behind one.
#[cfg(feature = "isolate")]
const ISOLATED: &str = "192.0.2.1#dns.test?socks5=127.0.0.1:9050&isolate=true";

#[test]
fn a_query_that_is_lost_alone_is_sent_again_elsewhere_first() {
    let mut r = Rig::new(&[A, B]);
    r.ask("a.test");
    r.up(r.dials[0].0);
    r.ask("b.test");
    assert_eq!(r.sends.len(), 2);
    r.lose(0);
    // The second upstream is connected to, and the other query stays.
    assert_eq!(r.last_dial_to(), 1);
    assert!(r.closes.is_empty());
    r.up(r.last_dial());
    assert_eq!((r.sends.len(), r.sends[2].0), (3, r.last_dial()));
    r.answer(2, 0, true);
    r.answer(1, 0, true);
    assert_eq!(r.rcodes(), [0, 0]);
    assert_eq!(r.f.stats().strays, 0);
}

// fault 36
#[test]
fn one_that_is_lost_again_and_again_fails_with_the_reason() {
    let mut r = Rig::new(&[A]);
    r.ask("a.test");
    r.up(r.dials[0].0);
    let mut lost = 0;
    while lost < r.sends.len() {
        r.pass(ms(10));
        r.lose(lost);
        lost += 1;
    }
    assert_eq!(
        (lost, r.rcodes()),
        (4, vec![2]),
        "once, and three times again"
    );
    let text = String::from_utf8_lossy(&r.replies[0]);
    assert!(text.contains(&format!("{A}: the proxy is full")), "{text}");
    assert!(r.closes.is_empty());
    let gauges = r.f.gauges();
    assert_eq!((gauges.connected, gauges.stranded), (1, 0));
    // The next one is none the worse for it.
    r.ask("b.test");
    r.answer(lost, 0, true);
    assert_eq!(r.rcodes(), [2, 0]);
    assert_ne!(r.f.gauges(), Gauges::default());
}

#[cfg(feature = "isolate")]
#[test]
fn a_connection_of_several_is_not_doubted_while_they_are_made() {
    let mut doubted = Rig::new(&["192.0.2.1#dns.test"]);
    let mut r = Rig::new(&[ISOLATED]);
    for rig in [&mut doubted, &mut r] {
        rig.ask("a.test");
        rig.up(rig.dials[0].0);
        rig.pass(ms(3_000));
    }
    assert_eq!((doubted.dials.len() > 1, r.dials.len()), (true, 1));
    r.answer(0, 0, true);
    // It looks after idle ones itself.
    r.pass(ms(55_000));
    assert!(r.closes.is_empty());
    r.ask("b.test");
    assert_eq!((r.dials.len(), r.sends.len()), (1, 2));
    // When two queries in a row end in silence, it is given up like any other.
    r.pass(ms(4_000));
    r.ask("c.test");
    r.pass(ms(4_000));
    assert_eq!(r.closes, [r.dials[0].0]);
    assert_eq!(r.rcodes(), [0, 2, 2]);
}
