//! What upstreams with a stream for each query add to a story.

use super::dice::Dice;
use super::story::{Act, Manner, Mood, Protocol, Story, What};
use crate::support::memory::Conditions;
use std::time::Duration;

/// Of a hundred stories so many have such upstreams, if nobody asks for more.
const SHARE: u64 = 4;
/// What only an upstream that speaks HTTP/2 can do.
const OF_HTTPS: [Act; 9] = [
    Act::Html,
    Act::TooLong,
    Act::Interim,
    Act::LateInterim,
    Act::Trailers,
    Act::Pings,
    Act::GoAway,
    Act::GoAway,
    Act::TooShort,
];
/// Statuses (RFC 9110 section 15).
const STATUSES: [u16; 5] = [400, 429, 500, 502, 503];
/// Error codes of HTTP/2 end here (RFC 9113 section 7).
const HTTPS_CODES: u64 = 14;
/// Error codes of DNS over QUIC (RFC 9250 section 8.4), and one that there is not.
const QUIC_CODES: [u32; 8] = [0, 1, 2, 3, 4, 5, 0xD098_EA5E, 77];
/// What either can do.
const OF_BOTH: [Act; 22] = [
    Act::InParts,
    Act::NoEnd,
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
    Act::ShortFrame,
    Act::HalfThenClose,
    Act::HalfThenStall,
    Act::Close,
    Act::Reset,
    Act::Vanish,
];

/// The story with streams for some of the upstreams: one at least that speaks the wanted protocol, or in some stories any. Then there are faults that only
/// these can have.
pub fn added(mut story: Story, wanted: Option<Protocol>) -> Story {
    // Its own dice: what was drawn before stays.
    let mut dice = Dice::of(story.seed, b"streams");
    if wanted.is_none() && !dice.percent(SHARE) {
        return story;
    }
    let upstreams = story.upstreams.len();
    let first = dice.index(upstreams);
    for index in 0..upstreams {
        let any = dice.pick(Protocol::WITH_STREAMS);
        let protocol = match wanted {
            _ if index != first && dice.percent(60) => continue,
            Some(wanted) if index == first => wanted,
            _ => any,
        };
        speak(&mut story, index, protocol, &mut dice);
        // A trial has the faults of its kind alone.
        if story.trial.is_empty() {
            for _ in 0..dice.below(6) {
                trouble(&mut story, index, &mut dice);
            }
        }
    }
    story.steps.sort_by_key(|step| step.at);
    story
}

/// An upstream speaks this.
fn speak(story: &mut Story, index: usize, protocol: Protocol, dice: &mut Dice) {
    let upstream = &mut story.upstreams[index];
    upstream.protocol = protocol;
    if protocol != Protocol::Quic {
        return;
    }
    if upstream.spoiled == Act::Costly {
        // Congestion control lets a path that reorders carry few responses of that size, and others wait behind them.
        upstream.spoiled = Act::PastTheEnd;
    }
    if !story.trial.is_empty() {
        // Who is healthy in a trial has a good way, too.
        return;
    }
    // Some datagrams are lost or come twice even in good times.
    let (loss, repeats) = (dice.pick(&[0, 0, 1, 3]), dice.pick(&[0, 0, 5]));
    let set = |conditions: &mut Conditions| (conditions.loss, conditions.repeats) = (loss, repeats);
    set(&mut upstream.conditions);
    for step in &mut story.steps {
        match &mut step.what {
            What::Conditions {
                upstream,
                conditions,
            } if *upstream == index => set(conditions),
            _ => {}
        }
    }
}

/// Something that an upstream does which speaks this.
pub fn act(protocol: Protocol, dice: &mut Dice) -> Act {
    let is_https = protocol == Protocol::Https;
    match dice.below(8) {
        0 | 1 => dice.pick(&OF_BOTH),
        2 | 3 => reset(protocol, dice),
        4 if is_https => Act::Status(dice.pick(&STATUSES)),
        4 => Act::StopSending(dice.pick(&QUIC_CODES)),
        5 if is_https => Act::CloseWith(dice.below(HTTPS_CODES) as u32),
        5 => Act::CloseWith(dice.pick(&QUIC_CODES)),
        _ if is_https => dice.pick(&OF_HTTPS),
        _ => dice.pick(&[Act::NoEnd, Act::InParts, Act::AnswerTwice, Act::Vanish]),
    }
}

/// A stream is reset, with any error code.
fn reset(protocol: Protocol, dice: &mut Dice) -> Act {
    let code = match protocol {
        Protocol::Https => dice.below(HTTPS_CODES) as u32,
        _ => dice.pick(&QUIC_CODES),
    };
    if dice.percent(70) {
        Act::ResetStream(code)
    } else {
        Act::HalfThenReset(code)
    }
}

/// A fault, and perhaps its end.
fn trouble(story: &mut Story, upstream: usize, dice: &mut Dice) {
    let end = story.calm_at.as_millis() as u64;
    let at = dice.ms(0, end);
    let until = at + dice.ms(1, 20_000);
    let character = story.upstreams[upstream];
    let protocol = character.protocol;
    let (begins, ends) = match dice.below(10) {
        0..3 => {
            let manner = match (dice.below(6), protocol) {
                (0, _) => Manner::OtherProtocol,
                (1, Protocol::Https) => Manner::Narrow,
                (1, _) => Manner::Retry,
                (2, Protocol::Quic) => Manner::OtherVersion,
                _ => Manner::Streams(dice.pick(&[0, 0, 1, 2, 5])),
            };
            // Another change comes before the last one.
            if dice.percent(50) {
                let between = at + dice.ms(1, 2_000);
                let manner = Manner::Streams(dice.pick(&[0, 1, 3]));
                story.add(between, What::Manner { upstream, manner });
            }
            let manner = What::Manner { upstream, manner };
            let usual = What::Manner {
                upstream,
                manner: Manner::Usual,
            };
            (manner, usual)
        }
        3 if protocol == Protocol::Quic => {
            let good = character.conditions;
            let mut conditions = good;
            conditions.loss = dice.pick(&[10, 30, 60]);
            conditions.jitter += Duration::from_millis(dice.pick(&[0, 50, 200]));
            let set = |conditions| What::Conditions {
                upstream,
                conditions,
            };
            (set(conditions), set(good))
        }
        _ => {
            let acts = 1 + dice.below(3);
            let mood = (0..acts).map(|_| (dice.pick(&[5, 30, 100]), act(protocol, dice)));
            let mood = Mood(mood.collect());
            let good = What::Mood {
                upstream,
                mood: Mood::default(),
            };
            (What::Mood { upstream, mood }, good)
        }
    };
    story.add(at, begins);
    if dice.percent(70) {
        story.add(until, ends);
    }
}
