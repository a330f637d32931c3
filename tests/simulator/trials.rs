//! Trials: stories in which the trouble is of one kind, as it was met in the field, and must stay with those whose trouble it is.

use super::dice::Dice;
use super::drawing::{self, Wanted};
use super::story::{Act, Character, End, Mood, Promise, Protocol, Story, What, spoiled};
use crate::support::memory::Conditions;
use dotward::config::{Limits, Policy};
use std::time::Duration;

/// Answers that cannot be read, in frames that can.
const MALFORMED: [Act; 7] = [
    Act::EmptyFrame,
    Act::ShortFrame,
    Act::ExtraOctet,
    Act::TwoQuestions,
    Act::PointsForward,
    Act::PastTheEnd,
    Act::Costly,
];
/// What an upstream does that is of no use.
const USELESS: [Act; 7] = [
    Act::Silence,
    Act::Servfail,
    Act::Refused,
    Act::NotImplemented,
    Act::Close,
    Act::ExtraOctet,
    Act::FailWithoutEdns,
];
/// So many upstreams can be asked for each question, and one of them has to be the good one.
const MAX_USELESS: usize = 2;
/// Questions of a trial, not more.
const MAX_QUESTIONS: u64 = 400;

/// What a trial is about, and what makes it of a story in which all is well.
type Trial = (&'static str, fn(&mut Story, &mut Dice) -> Pace);

/// How many milliseconds pass between two questions, and between two for spoiled names.
struct Pace(u64, u64);

/// All trials. Those behind the first [`KEPT`] show promises that are not kept yet.
const TRIALS: [Trial; 10] = [
    ("malformed answers", malformed),
    ("names after which the upstream hangs up", hung_up_after),
    ("connections that end without an answer", fruitless),
    ("names that fail with and without EDNS", without_edns),
    ("names that are bogus", bogus),
    ("other configurations", reconfigured),
    ("names at which the upstream hangs up", hung_up_at),
    (
        "slow names at an upstream that answers in order",
        slow_in_order,
    ),
    ("dead upstreams in front", dead_in_front),
    ("useless upstreams in front", useless_in_front),
];
const KEPT: usize = 6;

/// The trial of this seed: of those that end well, or of all.
pub fn draw(seed: u64, wanted: Wanted) -> Story {
    let mut dice = Dice::new(seed);
    let mut story = Story {
        seed,
        house: drawing::house(&mut dice),
        upstreams: vec![healthy(&mut dice)],
        clients: 1 + dice.index(3),
        steps: Vec::new(),
        calm_at: dice.ms(10_000, 40_000),
        promise: Promise {
            all_answered: true,
            ..Promise::default()
        },
        split: None,
        trial: "",
    };
    // Nothing fails for want of room.
    let limits = Limits::default();
    story.house.in_flight = limits.in_flight;
    story.house.in_flight_per_client = limits.in_flight_per_client;
    story.house.link_in_flight = limits.link_in_flight;
    story.house.tcp_in_flight = limits.tcp_in_flight;
    story.house.tcp_connections = limits.tcp_connections;
    story.house.tcp_per_client = limits.tcp_per_client;
    let some = if wanted.all {
        &TRIALS[..]
    } else {
        &TRIALS[..KEPT]
    };
    let (name, make) = dice.pick(some);
    story.trial = name;
    let pace = make(&mut story, &mut dice);
    ask(&mut story, &pace, &mut dice);
    story.steps.sort_by_key(|step| step.at);
    story
}

fn usual_pause(dice: &mut Dice) -> u64 {
    dice.pick(&[50, 200, 1_000])
}

/// Answers that cannot be read concern their own questions alone.
fn malformed(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 93
    let act = dice.pick(&MALFORMED);
    let upstream = &mut story.upstreams[0];
    (upstream.spoiled, upstream.answers) = (act, None);
    // Without an id it is an answer to no question, and many of those end a connection.
    let often = if act == Act::EmptyFrame { 1_000 } else { 10 };
    Pace(
        usual_pause(dice),
        dice.pick(&[often, 100.max(often), 1_000]),
    )
}

/// One slow name holds up all behind it.
fn slow_in_order(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 94
    let upstream = &mut story.upstreams[0];
    upstream.in_order = true;
    upstream.pace = Duration::from_millis(20);
    upstream.spoiled = Act::AnswerLate;
    Pace(usual_pause(dice), dice.pick(&[1_000, 5_000, 20_000]))
}

/// The connection ends instead of an answer.
fn hung_up_at(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 96
    let upstream = &mut story.upstreams[0];
    upstream.spoiled = dice.pick(&[Act::Close, Act::Reset]);
    upstream.answers = None;
    Pace(usual_pause(dice), 2_000)
}

/// The connection ends behind an answer.
fn hung_up_after(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 97
    let upstream = &mut story.upstreams[0];
    (upstream.spoiled, upstream.answers) = (Act::AnswerThenClose, None);
    Pace(usual_pause(dice), dice.pick(&[200, 500, 2_000]))
}

/// What one name earns without EDNS says nothing about EDNS, and nothing about the other upstream.
fn without_edns(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 98
    story.upstreams[0].spoiled = Act::FailWithoutEdns;
    story.upstreams.push(healthy(dice));
    story.promise.keeps_edns = true;
    Pace(usual_pause(dice), dice.pick(&[500, 5_000]))
}

/// The verdict of the first upstream stands.
fn bogus(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 115
    let upstream = &mut story.upstreams[0];
    (upstream.spoiled, upstream.answers) = (Act::Bogus, None);
    story.upstreams.push(healthy(dice));
    story.promise.keeps_edns = true;
    story.promise.verdict_stands = true;
    // Nothing but the verdict is a reason to ask the second.
    story.house.policy = Policy::Failover;
    story.house.hedge = false;
    Pace(usual_pause(dice), dice.pick(&[500, 5_000]))
}

/// Upstreams come and go with the configuration; each answers what it was asked.
fn reconfigured(story: &mut Story, dice: &mut Dice) -> Pace {
    for _ in 0..=dice.below(4) {
        story.upstreams.push(healthy(dice));
    }
    drawing::reloads(story, dice);
    Pace(dice.pick(&[20, 50, 200]), 0)
}

/// An upstream that answers all it is asked, soon.
fn healthy(dice: &mut Dice) -> Character {
    Character {
        protocol: Protocol::Tcp,
        conditions: Conditions {
            latency: dice.ms(1, 30),
            jitter: dice.ms(1, 10),
            piece: dice.pick(&[0, 0, 0, 100]),
            ..Conditions::default()
        },
        pace: dice.ms(1, 50),
        idle: dice.percent(40).then(|| dice.ms(2_000, 15_000)),
        answers: dice.percent(20).then(|| 1 + dice.index(50)),
        in_order: false,
        spoiled: Act::Answer,
    }
}

/// Several upstreams that are not there, or that only seem to be, before the healthy one.
fn dead_in_front(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 95
    let mut mute = 0;
    for _ in 0..2 + dice.below(5) {
        let upstream = add_in_front(story, dice);
        let mut conditions = story.upstreams[upstream].conditions;
        let what = match dice.below(4) {
            0 => {
                conditions.swallows = true;
                What::Conditions {
                    upstream,
                    conditions,
                }
            }
            1 if mute < MAX_USELESS => {
                mute += 1;
                let mood = Mood(vec![(100, Act::Silence)]);
                What::Mood { upstream, mood }
            }
            2 => What::Door {
                upstream,
                is_shut: true,
            },
            _ => {
                conditions.refuses = true;
                What::Conditions {
                    upstream,
                    conditions,
                }
            }
        };
        story.add(Duration::ZERO, what);
    }
    Pace(dice.pick(&[200, 1_000, 5_000, 12_000]), 0)
}

/// Upstreams that can be reached, and whose answers help nobody.
fn useless_in_front(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 114, and the like
    for _ in 0..=dice.index(MAX_USELESS) {
        let upstream = add_in_front(story, dice);
        let act = dice.pick(&USELESS);
        let mood = Mood(vec![(100, act)]);
        story.add(Duration::ZERO, What::Mood { upstream, mood });
        if act == Act::FailWithoutEdns {
            // It is asked twice.
            break;
        }
    }
    Pace(usual_pause(dice), 0)
}

/// One upstream more. The healthy one stays the last, which is the hardest place with failover.
fn add_in_front(story: &mut Story, dice: &mut Dice) -> usize {
    let last = story.upstreams.len() - 1;
    story.upstreams.insert(last, healthy(dice));
    last
}

/// An upstream that ends each connection before it answered anything, alone or with a healthy one.
fn fruitless(story: &mut Story, dice: &mut Dice) -> Pace {
    // fault 102
    let upstream = if dice.percent(50) {
        story.promise.all_answered = false;
        0
    } else {
        add_in_front(story, dice)
    };
    let what = if dice.percent(50) {
        What::Door {
            upstream,
            is_shut: true,
        }
    } else {
        let mood = Mood(vec![(100, dice.pick(&[Act::Close, Act::Reset]))]);
        What::Mood { upstream, mood }
    };
    story.add(Duration::ZERO, what);
    Pace(dice.pick(&[20, 50, 200]), 0)
}

/// Questions from the beginning to the end, and those for spoiled names between them.
fn ask(story: &mut Story, &Pace(pause, bad_pause): &Pace, dice: &mut Dice) {
    let end = story.calm_at.as_millis() as u64;
    let count = (end / pause).clamp(1, MAX_QUESTIONS);
    for number in 0..count {
        let at = dice.ms(number * pause, (number + 1) * pause);
        let (number, end) = (number as usize, End::Close);
        let name = drawing::name(dice, number);
        let what = if dice.percent(10) {
            let questions = vec![(Duration::ZERO, name)];
            What::Connect { questions, end }
        } else {
            question(story, number as u16, name, dice)
        };
        story.add(at, what);
    }
    let end = end.min(count * pause);
    for number in 0..end.checked_div(bad_pause).unwrap_or(0).min(MAX_QUESTIONS) {
        let at = Duration::from_millis((number + 1) * bad_pause);
        let name = spoiled(number as usize);
        let what = question(story, 30_000 + number as u16, name, dice);
        story.add(at, what);
    }
}

fn question(story: &Story, id: u16, name: String, dice: &mut Dice) -> What {
    What::Ask {
        client: dice.index(story.clients),
        id,
        name,
        edns: story.promise.keeps_edns || dice.percent(70),
        again: None,
    }
}
