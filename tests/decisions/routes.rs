//! Connects on several routes: none holds up another.

use super::*;
use dotward::config::{Policy, Route, Target};

/// `corp.test` goes to these; everything else goes to the upstreams of the rig.
fn corp(upstreams: &[&str]) -> impl FnOnce(ConfigBuilder) -> ConfigBuilder {
    let parse = |text: &&str| Upstream::parse(text, SCHEMES).unwrap();
    let target = Target::Upstreams {
        upstreams: upstreams.iter().map(parse).collect(),
        policy: Policy::Failover,
    };
    let route = Route::new(vec!["corp.test".parse().unwrap()], target);
    move |config| config.routes([route])
}

#[test]
fn a_connect_on_one_route_takes_no_place_of_those_on_another() {
    // fault 95: with eight under way, one more would have to wait, or to take the place of the oldest.
    let default: Vec<String> = (1..=8).map(|n| format!("tcp://192.0.2.{n}:53")).collect();
    let default: Vec<&str> = default.iter().map(String::as_str).collect();
    let mut rig = Rig::with(&default, corp(&["tcp://192.0.2.9:53"]));
    rig.ask("a.test");
    rig.pass(ms(1_900));
    assert_eq!((rig.dials.len(), rig.closes.len()), (8, 0));
    rig.ask("a.corp.test");
    assert_eq!((rig.last_dial_to(), rig.dials.len()), (8, 9));
    assert_eq!(rig.closes, []);
}

#[test]
fn a_slow_connect_is_raced_in_time_whatever_begins_on_other_routes() {
    // RFC 8305: 250 ms after the last one that was begun on this route.
    let mut rig = Rig::with(&[A], corp(&[B, C]));
    rig.ask("a.corp.test");
    rig.pass(ms(200));
    rig.ask("a.test");
    assert_eq!(rig.last_dial_to(), 0);
    rig.pass(ms(60));
    assert_eq!((rig.last_dial_to(), rig.dials.len()), (2, 3));
}
