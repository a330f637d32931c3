//! Draws a story from a seed.

#![cfg_attr(
    not(all(feature = "doh", feature = "doq")),
    allow(dead_code, reason = "what servers with streams alone do")
)]

use super::dice::Dice;
use super::split::Split;
use super::story::{Act, Character, End, House, Mood, Promise, Protocol, Step, Story, What};
use super::trials;
use crate::support::memory::Conditions;
use crate::support::memory::conditions::Way;
use dotward::config::Policy;
use std::time::Duration;

/// Misbehaviour of an upstream.
const ACTS: [Act; 19] = [
    Act::AnswerLate,
    Act::AnswerTwice,
    Act::AnswerThenClose,
    Act::Silence,
    Act::Servfail,
    Act::Refused,
    Act::RefuseEdns,
    Act::Cut,
    Act::WrongId,
    Act::WrongQuestion,
    Act::Crossed,
    Act::Echo,
    Act::Garbage,
    Act::EmptyFrame,
    Act::HalfThenClose,
    Act::HalfThenStall,
    Act::Close,
    Act::Reset,
    Act::Vanish,
];
/// Names that many clients ask for, beside those that only one does.
pub const POPULAR: usize = 8;

/// Which stories are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Also the trials whose promises are not kept yet.
    pub all: bool,
    /// One upstream at least speaks this.
    pub protocol: Option<Protocol>,
}

/// The story of this seed. Every fourth is a trial: its faults are of one kind, and leave somebody healthy.
pub fn draw(seed: u64, wanted: Wanted) -> Story {
    let story = if seed % 4 == 3 {
        trials::draw(seed, wanted)
    } else {
        mixed(seed)
    };
    #[cfg(any(feature = "doh", feature = "doq"))]
    let story = super::streams::added(story, wanted.protocol);
    story
}

/// A story of faults of all kinds.
fn mixed(seed: u64) -> Story {
    let mut dice = Dice::new(seed);
    let upstreams = 1 + dice.index(3);
    let clients = 1 + dice.index(3);
    let mut story = Story {
        seed,
        house: house(&mut dice),
        upstreams: (0..upstreams).map(|_| character(&mut dice)).collect(),
        clients,
        steps: Vec::new(),
        calm_at: dice.ms(20_000, 120_000),
        promise: Promise::default(),
        split: None,
        trial: "",
    };
    let end = story.calm_at.as_millis() as u64;
    let conditions = clients_conditions(&mut dice);
    story.add(Duration::ZERO, What::Clients { conditions });
    bursts(&mut story, &mut dice, end);
    for _ in 0..dice.below(8) {
        let at = dice.ms(0, end);
        let what = session(&mut dice);
        story.add(at, what);
    }
    for _ in 0..dice.below(10) {
        let upstream = dice.index(upstreams);
        trouble(&mut story, upstream, &mut dice, end);
    }
    story.steps.sort_by_key(|step| step.at);
    // Last, so that seeds known for their stories keep them.
    story.house.in_flight_per_client = dice.pick(&[1_000, 1_000, 5]);
    story.split = Split::draw(&mut dice, upstreams);
    if dice.percent(40) {
        reloads(&mut story, &mut dice);
    }
    story
}

impl Story {
    pub fn add(&mut self, at: Duration, what: What) {
        self.steps.push(Step { at, what });
    }
}

/// Other configurations from time to time. The first upstream is in all of them; with a split all are, and their order matters.
pub fn reloads(story: &mut Story, dice: &mut Dice) {
    let end = story.calm_at.as_millis() as u64;
    for _ in 0..=dice.below(12) {
        let mut upstreams = vec![0];
        for upstream in 1..story.upstreams.len() {
            if story.split.is_some() {
                upstreams.push(upstream);
            } else if dice.percent(50) {
                upstreams.insert(dice.index(upstreams.len() + 1), upstream);
            }
        }
        let policy = dice.pick(Policy::ALL).1;
        let at = dice.ms(0, end);
        story.add(at, What::Reload { upstreams, policy });
    }
    story.steps.sort_by_key(|step| step.at);
}

/// A configuration.
pub fn house(dice: &mut Dice) -> House {
    House {
        cache_bytes: dice.pick(&[0, 0, 64 << 10, 4 << 20]),
        in_flight: dice.pick(&[2_048, 2_048, 10]),
        in_flight_per_client: 1_000,
        link_in_flight: dice.pick(&[1_000, 1_000, 4]),
        tcp_in_flight: dice.pick(&[100, 100, 2]),
        tcp_connections: dice.pick(&[1_000, 1_000, 2]),
        tcp_per_client: dice.pick(&[100, 100, 1]),
        policy: dice.pick(Policy::ALL).1,
        hedge: dice.percent(50),
    }
}

fn character(dice: &mut Dice) -> Character {
    let mut conditions = Conditions {
        latency: dice.ms(1, 60),
        jitter: dice.ms(1, 20),
        ..Conditions::default()
    };
    conditions.piece = dice.pick(&[0, 0, 0, 1, 7, 100]);
    Character {
        protocol: Protocol::Tcp,
        conditions,
        pace: dice.ms(1, 300),
        idle: dice.percent(40).then(|| dice.ms(500, 15_000)),
        answers: dice.percent(20).then(|| 1 + dice.index(50)),
        in_order: false,
        spoiled: Act::Answer,
    }
}

fn clients_conditions(dice: &mut Dice) -> Conditions {
    Conditions {
        latency: dice.ms(0, 3),
        jitter: dice.ms(1, 10),
        loss: dice.pick(&[0, 5, 30]),
        repeats: dice.pick(&[0, 5, 30]),
        piece: dice.pick(&[0, 0, 1, 10]),
        window: dice.pick(&[0, 0, 200]),
        ..Conditions::default()
    }
}

/// A name that others may ask for, too, or the one of this number.
pub fn name(dice: &mut Dice, number: usize) -> String {
    let name = if dice.percent(30) {
        format!("popular{}.test", dice.index(POPULAR))
    } else {
        format!("n{number}.test")
    };
    super::messages::shout(&name, dice)
}

/// Questions come in bursts, with quiet between them, in which links grow idle.
fn bursts(story: &mut Story, dice: &mut Dice, end: u64) {
    for burst in 0..dice.below(12) {
        let start = dice.ms(0, end);
        let width = dice.pick(&[1, 100, 3_000, 10_000]);
        for one in 0..dice.pick(&[1, 2, 10, 40]) {
            let number = story.steps.len();
            let what = What::Ask {
                client: dice.index(story.clients),
                id: (burst * 100 + one) as u16,
                name: name(dice, number),
                edns: dice.percent(70),
                again: dice.percent(20).then(|| dice.ms(10, 5_000)),
            };
            let at = start + dice.ms(0, width);
            story.add(at, what);
        }
    }
}

fn session(dice: &mut Dice) -> What {
    let count = dice.pick(&[0, 1, 3, 10, 60]);
    let pause = dice.pick(&[1, 50, 2_000]);
    let number = dice.index(1_000_000);
    let questions = (0..count)
        .map(|one| (dice.ms(0, pause), name(dice, number + one)))
        .collect();
    let end = dice.pick(&[
        End::Close,
        End::Close,
        End::HalfClose,
        End::Leave,
        End::Abort,
    ]);
    What::Connect { questions, end }
}

/// A fault of an upstream or of the path to it, and perhaps its end.
fn trouble(story: &mut Story, upstream: usize, dice: &mut Dice, end: u64) {
    let at = dice.ms(0, end);
    let lasts = dice.percent(70).then(|| at + dice.ms(1, 20_000));
    let good = story.upstreams[upstream].conditions;
    let bad = |change: fn(&mut Conditions)| {
        let mut conditions = good;
        change(&mut conditions);
        What::Conditions {
            upstream,
            conditions,
        }
    };
    let (begins, ends) = match dice.below(12) {
        0 => (bad(|w| w.refuses = true), Some(bad(|_| ()))),
        1 => (bad(|w| w.swallows = true), Some(bad(|_| ()))),
        2 => (bad(|w| w.one_way = Some(Way::Up)), Some(bad(|_| ()))),
        3 => (bad(|w| w.one_way = Some(Way::Down)), Some(bad(|_| ()))),
        4 => {
            let slow = |w: &mut Conditions| w.latency += Duration::from_millis(700);
            (bad(slow), Some(bad(|_| ())))
        }
        5 => {
            let drip = |w: &mut Conditions| (w.piece, w.drip) = (3, Duration::from_millis(40));
            (bad(drip), Some(bad(|_| ())))
        }
        6 => (What::Reset { upstream }, None),
        7 => (What::Forget { upstream }, None),
        8 => (What::Suspend(dice.ms(1, 600_000)), None),
        _ => {
            let acts = 1 + dice.below(3);
            let mood = (0..acts).map(|_| (dice.pick(&[5, 30, 100]), dice.pick(&ACTS)));
            let mood = Mood(mood.collect());
            let good = What::Mood {
                upstream,
                mood: Mood::default(),
            };
            (What::Mood { upstream, mood }, Some(good))
        }
    };
    story.add(at, begins);
    if let (Some(until), Some(ends)) = (lasts, ends) {
        story.add(until, ends);
    }
}
