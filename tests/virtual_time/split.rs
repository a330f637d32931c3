//! Stories of splitting domains among upstreams: which upstream is asked for what, and which never is.

use super::scene::{Act, Actor, FIRST, SECOND, Scene, THIRD, addr, direct, ms, tell_with};
use dotward::config::{ConfigBuilder, Policy, SplitKey};
use dotward::wire;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const ALL: [&str; 3] = [FIRST, SECOND, THIRD];

/// Each domain goes to so many upstreams.
fn to(count: usize) -> impl FnOnce(ConfigBuilder) -> ConfigBuilder {
    move |config| {
        let key = SplitKey::new(b"a key of the test").unwrap();
        let config = config.policy(Policy::Split).split_key(key);
        config.split_upstreams(count)
    }
}

fn servers(scene: &Scene) -> [Actor; 3] {
    [&scene.first, &scene.second, &scene.third].map(Clone::clone)
}

fn name_of(query: &[u8]) -> String {
    let at = wire::parse_query(query).unwrap().question;
    wire::display(at.name(query)).to_string()
}

/// Which servers were asked for each name since so many queries of each.
fn asked_since(scene: &Scene, seen: [usize; 3]) -> BTreeMap<String, BTreeSet<usize>> {
    let mut asked: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (number, server) in servers(scene).iter().enumerate() {
        for query in &server.borrow().asked[seen[number]..] {
            let name = name_of(&query.query).to_ascii_lowercase();
            asked.entry(name).or_default().insert(number);
        }
    }
    asked
}

fn seen(scene: &Scene) -> [usize; 3] {
    servers(scene).map(|server| server.borrow().asked.len())
}

/// Asks for each domain, and gives the one server that was asked.
async fn ask_all(scene: &mut Scene, domains: usize) -> Vec<usize> {
    let before = seen(scene);
    for number in 0..domains {
        assert_eq!(scene.get(&format!("www.d{number}.com")).await.rcode, 0);
        scene.world.sleep(ms(5)).await;
    }
    let asked = asked_since(scene, before);
    let only = |number| {
        let of = &asked[&format!("www.d{number}.com.")];
        assert_eq!(of.len(), 1, "d{number}.com: {of:?}");
        *of.first().unwrap()
    };
    (0..domains).map(only).collect()
}

/// The server that `www.d0.com` belongs to, with the others in its order.
async fn order_of_first(scene: &mut Scene) -> [usize; 3] {
    let own = ask_all(scene, 1).await[0];
    scene.world.conditions(addr(ALL[own]), |w| w.refuses = true);
    scene.world.reset(addr(ALL[own]));
    let next = ask_all(scene, 1).await[0];
    scene
        .world
        .conditions(addr(ALL[own]), |w| w.refuses = false);
    while ask_all(scene, 1).await[0] != own {
        scene.world.sleep(ms(500)).await;
    }
    [own, next, 3 - own - next]
}

#[test]
fn no_domain_is_asked_of_two_upstreams_and_the_shares_are_even() {
    tell_with(to(1), &ALL, async |scene| {
        let suffixes = ["com", "co.uk", "github.io", "xn--p1ai", "nosuchsuffix"];
        let names = (0..10_000).map(|number| {
            let (host, domain) = (["www", "Mail"][number % 2], number / 2);
            let suffix = suffixes[domain % suffixes.len()];
            (ms(number as u64), format!("{host}.d{domain}.{suffix}"))
        });
        let played = scene.play(names).await;
        assert!(played.iter().all(|one| one.rcode == 0));
        let mut of_domain: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let asked = asked_since(scene, [0; 3]);
        assert_eq!(asked.len(), 10_000);
        for (name, servers) in asked {
            let (_, domain) = name.split_once('.').unwrap();
            of_domain
                .entry(domain.to_owned())
                .or_default()
                .extend(servers);
        }
        assert_eq!(of_domain.len(), 5_000);
        assert!(of_domain.values().all(|servers| servers.len() == 1));
        for share in seen(scene) {
            assert!((3_000..=3_666).contains(&share), "{share} of 10,000");
        }
    });
}

#[test]
fn the_names_of_one_that_is_down_are_answered_and_return_and_no_others_move() {
    for mute in [false, true] {
        tell_with(to(1), &ALL, async |scene| {
            let before = ask_all(scene, 100).await;
            scene.world.conditions(addr(FIRST), |w| {
                w.refuses = !mute;
                w.swallows = mute;
            });
            if !mute {
                scene.world.reset(addr(FIRST));
            }
            // The first query may have to find out.
            scene.get("www.d0.com").await;
            for number in 0..100 {
                assert_eq!(scene.get(&format!("find.d{number}.com")).await.rcode, 0);
            }
            let own: Vec<usize> = (0..100).filter(|one| before[*one] == 0).collect();
            assert!((20..=45).contains(&own.len()));
            let mark = seen(scene);
            for number in 0..100 {
                assert_eq!(scene.get(&format!("down.d{number}.com")).await.rcode, 0);
            }
            let mut stand_ins = BTreeSet::new();
            for (name, servers) in asked_since(scene, mark) {
                let number: usize = name[6..].trim_end_matches(".com.").parse().unwrap();
                let others: BTreeSet<usize> = servers.into_iter().filter(|one| *one > 0).collect();
                assert_eq!(others.len(), 1, "{name}");
                if before[number] == 0 {
                    stand_ins.extend(others);
                } else {
                    assert!(others.contains(&before[number]), "{name} has moved");
                }
            }
            assert_eq!(stand_ins.len(), 2, "both take a part of its share");
            scene.world.conditions(addr(FIRST), |w| {
                w.refuses = false;
                w.swallows = false;
            });
            for number in 0..300 {
                let name = format!("back{number}.d{}.com", own[number % own.len()]);
                assert_eq!(scene.get(&name).await.rcode, 0);
                scene.world.sleep(ms(100)).await;
            }
            assert_eq!(ask_all(scene, 100).await, before);
        });
    }
}

#[test]
fn an_error_is_not_asked_of_another_operator_unless_the_domain_belongs_there_too() {
    for count in [1, 2] {
        tell_with(to(count), &ALL, async |scene| {
            let order = order_of_first(scene).await;
            for server in &servers(scene) {
                direct(server, |asked| {
                    let fails = name_of(&asked.query).starts_with("fail");
                    if fails { Act::Rcode(2) } else { Act::Answer }
                });
            }
            let before = seen(scene);
            for number in 0..10 {
                let got = scene.get(&format!("fail{number}.d0.com")).await;
                assert_eq!(got.rcode, 2);
                ask_all(scene, 5).await;
            }
            let asked = asked_since(scene, before);
            let expected: BTreeSet<usize> = order[..count].iter().copied().collect();
            for number in 0..10 {
                assert_eq!(asked[&format!("fail{number}.d0.com.")], expected);
            }
        });
    }
}

#[test]
fn a_query_that_its_upstream_closes_connections_on_is_answered_by_the_next() {
    tell_with(to(1), &ALL, async |scene| {
        let own = ask_all(scene, 1).await[0];
        direct(&servers(scene)[own], |asked| {
            let is_fatal = name_of(&asked.query).starts_with("fatal");
            if is_fatal { Act::Close } else { Act::Answer }
        });
        let before = seen(scene);
        assert_eq!(scene.get("fatal.d0.com").await.rcode, 0);
        let asked = &asked_since(scene, before)["fatal.d0.com."];
        assert_eq!(asked.len(), 2, "one stands in: {asked:?}");
        // Other queries stay where they were.
        assert_eq!(ask_all(scene, 1).await, [own]);
    });
}

#[test]
fn a_slow_answer_is_waited_for_while_its_upstream_answers_others() {
    tell_with(to(1), &ALL, async |scene| {
        let own = ask_all(scene, 1).await[0];
        direct(&servers(scene)[own], |asked| {
            let is_slow = name_of(&asked.query).starts_with("slow");
            Act::AnswerAfter(ms(if is_slow { 3_500 } else { 1 }))
        });
        let slow = std::iter::once((Duration::ZERO, "slow.d0.com".to_owned()));
        let others = (0..70).map(|n| (ms(50 * n), format!("n{n}.d0.com")));
        let played = scene.play(slow.chain(others)).await;
        assert!(played.iter().all(|one| one.rcode == 0));
        let asked = asked_since(scene, [0; 3]);
        assert!(
            asked
                .values()
                .all(|servers| *servers == BTreeSet::from([own]))
        );
    });
}

#[test]
fn late_queries_are_hedged_within_the_upstreams_of_their_domain() {
    for count in [1, 2] {
        let stats = tell_with(
            |config| to(count)(config).hedge(true),
            &ALL,
            async |scene| {
                let order = order_of_first(scene).await;
                for server in &servers(scene) {
                    let mut asked = 0;
                    direct(server, move |_| {
                        asked += 1;
                        Act::AnswerAfter(ms(if asked % 25 == 0 { 900 } else { 10 }))
                    });
                }
                let before = seen(scene);
                let names = (0..3_000).map(|n| (ms(10 * n), format!("n{n}.d{}.com", n % 40)));
                let played = scene.play(names).await;
                assert!(played.iter().all(|one| one.rcode == 0));
                let mut of_domain: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
                for (name, servers) in asked_since(scene, before) {
                    let (_, domain) = name.split_once('.').unwrap();
                    of_domain
                        .entry(domain.to_owned())
                        .or_default()
                        .extend(servers);
                }
                assert!(of_domain.values().all(|servers| servers.len() <= count));
                let own: BTreeSet<usize> = order[..count].iter().copied().collect();
                assert!(of_domain["d0.com."].is_subset(&own));
                let several = of_domain.values().any(|servers| servers.len() > 1);
                assert_eq!(several, count > 1);
            },
        );
        assert!(stats.hedges > 20, "{}", stats.hedges);
    }
}

#[test]
fn what_is_asked_again_before_or_after_it_ends_is_asked_of_the_same_upstream() {
    let with_cache = |config: ConfigBuilder| to(1)(config).cache_bytes(1 << 20);
    let stats = tell_with(with_cache, &ALL, async |scene| {
        for round in 0..4 {
            for wait in [0, 0, 285, 0, 400] {
                scene.world.sleep(Duration::from_secs(wait)).await;
                for number in 0..20 {
                    let got = scene.get(&format!("www.d{number}.com")).await;
                    assert_eq!(got.rcode, 0, "round {round}");
                }
            }
        }
        let asked = asked_since(scene, [0; 3]);
        assert_eq!(asked.len(), 20);
        assert!(asked.values().all(|servers| servers.len() == 1));
        assert!(seen(scene).iter().sum::<usize>() >= 120);
    });
    assert!(stats.prefetches >= 20, "{}", stats.prefetches);
}

#[test]
fn a_connect_that_takes_its_time_is_waited_for() {
    // The connect takes 600 ms, and others are connected at once.
    tell_with(to(1), &ALL, async |scene| {
        let own = ask_all(scene, 1).await[0];
        scene
            .world
            .conditions(addr(ALL[own]), |w| w.latency = ms(300));
        scene.world.reset(addr(ALL[own]));
        ask_all(scene, 20).await;
        let before = seen(scene);
        let got = scene.get("again.d0.com").await;
        assert_eq!(got.rcode, 0);
        let asked = asked_since(scene, before);
        assert_eq!(asked["again.d0.com."], BTreeSet::from([own]));
    });
}

#[test]
fn another_order_of_the_list_moves_nothing_and_the_key_stays() {
    tell_with(to(1), &ALL, async |scene| {
        let before = ask_all(scene, 50).await;
        let split = |config: ConfigBuilder| config.policy(Policy::Split);
        scene.reload(split, &[THIRD, FIRST, SECOND]).await;
        assert_eq!(ask_all(scene, 50).await, before);
        // One less: its share moves, and no other.
        scene.reload(split, &[FIRST, SECOND]).await;
        let after = ask_all(scene, 50).await;
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after || *before == 2);
        }
        assert!(!after.contains(&2));
    });
}
