//! A scripted upstream: answers what it is asked, unless its mood is another.

use super::dice::Dice;
use super::messages;
use super::stage::Stage;
use super::story::{Act, Mood, is_spoiled, upstream_addr};
use super::watch::Fruitless;
use crate::support::memory::Stream;
use dotward::engine::Time;
use dotward::runtime::Runtime;
use dotward::wire::{Frames, HEADER_LEN, append_frame};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

/// Later than any client waits.
const LATE: Duration = Duration::from_secs(5);

/// What an upstream remembers.
#[derive(Default)]
pub struct Memoir {
    pub mood: Mood,
    /// New connections are closed at once.
    pub is_shut: bool,
    /// Of the connections that were ended here.
    fruitless: Fruitless,
    /// How often each name was asked for.
    pub asked: BTreeMap<String, u64>,
}

/// Takes connections for ever.
pub async fn listen(stage: Rc<Stage>, index: usize) {
    let Ok(mut listener) = stage.world.listen(upstream_addr(index), false) else {
        unreachable!("each upstream has its own address")
    };
    for number in 0.. {
        let (stream, _) = listener.accept().await;
        stage
            .log
            .note(|| format!("upstream {index}: connection {number}"));
        let conversation = Conversation {
            stage: stage.clone(),
            index,
            number,
            in_flight: HashMap::new(),
            due: BTreeMap::new(),
            sequence: 0,
            free_at: Time::ZERO,
            answered: 0,
            stalled: false,
            active: stage.world.now().mono,
        };
        stage.join(conversation.hold(stream));
    }
}

/// What is to be sent, and how the connection goes on.
struct Word {
    octets: Vec<u8>,
    then: Then,
}

impl Word {
    /// Is it a message, with its length before it?
    fn is_whole(&self) -> bool {
        let length = self.octets.first_chunk();
        length.is_some_and(|length| {
            let length = usize::from(u16::from_be_bytes(*length));
            length >= HEADER_LEN && self.octets.len() == 2 + length
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    Stall,
    Close,
    Reset,
    Vanish,
}

/// One connection.
struct Conversation {
    stage: Rc<Stage>,
    index: usize,
    number: usize,
    /// Queries without an answer, by id.
    in_flight: HashMap<u16, Vec<u8>>,
    /// What is to be said when.
    due: BTreeMap<(Time, u64), Word>,
    sequence: u64,
    /// When the questions so far are answered, if they are in order.
    free_at: Time,
    answered: usize,
    /// Nothing more is said.
    stalled: bool,
    active: Time,
}

impl Conversation {
    async fn hold(mut self, mut stream: Stream) {
        let mut frames = Frames::new();
        let world = self.stage.world.clone();
        if self.stage.upstreams[self.index].borrow().is_shut {
            self.later(Duration::ZERO, Vec::new(), Then::Close);
        }
        loop {
            while let Some(query) = frames.next() {
                let query = query.to_vec();
                self.hear(&query);
            }
            let now = world.now().mono;
            let idle = self.stage.story.upstreams[self.index].idle;
            let next = self.due.first_key_value().map(|((at, _), _)| *at);
            let until = next.or_else(|| idle.map(|idle| self.active + idle));
            let read = stream.read(frames.space());
            // Without anything to do it has no timer either: one would show at rest.
            let read = match until {
                Some(until) => world.within(until.since(now), read).await,
                None => Some(read.await),
            };
            match read {
                Some(Ok(n)) if n > 0 => {
                    frames.filled(n);
                    self.active = world.now().mono;
                }
                Some(_) => return self.note("ended by the other end"),
                None => {
                    let Some((_, next)) = self.due.pop_first() else {
                        return self.note("closed: idle");
                    };
                    let then = self.say(next, &mut stream).await;
                    if !matches!(then, Then::GoOn | Then::Stall) {
                        self.ended();
                    }
                    match then {
                        Then::GoOn => {}
                        Then::Stall => self.stalled = true,
                        Then::Close => return self.note("closed"),
                        Then::Reset => {
                            self.note("reset");
                            return stream.abort();
                        }
                        Then::Vanish => {
                            self.note("vanished");
                            return stream.vanish();
                        }
                    }
                }
            }
        }
    }

    fn note(&self, what: &str) {
        let line = || format!("upstream {} connection {}: {what}", self.index, self.number);
        self.stage.log.note(line);
    }

    /// It ends this connection. If that did not carry one answer, it was of no use to anybody.
    fn ended(&self) {
        if self.answered > 0 {
            return;
        }
        let now = self.stage.world.now().mono;
        let mut memoir = self.stage.upstreams[self.index].borrow_mut();
        let counted = memoir.fruitless.ended(now, false);
        let counted = counted.map_err(|what| format!("upstream {}: {what}", self.index));
        self.stage.log.check(counted);
    }

    async fn say(&mut self, word: Word, stream: &mut Stream) -> Then {
        self.active = self.stage.world.now().mono;
        if self.stalled {
            return Then::GoOn;
        }
        if !word.octets.is_empty() {
            self.note(&format!("says {} octets", word.octets.len()));
        }
        // From here on the other end may use the id again.
        if let Some([high, low]) = word.octets.get(2..4) {
            self.in_flight.remove(&u16::from_be_bytes([*high, *low]));
        }
        if stream.write_all(&word.octets).await.is_err() {
            return Then::Close;
        }
        // Half of an answer is none.
        if word.is_whole() {
            self.answered += 1;
        }
        if !word.octets.is_empty() && word.then == Then::GoOn {
            let most = self.stage.story.upstreams[self.index].answers;
            if most.is_some_and(|most| self.answered >= most) {
                return Then::Close;
            }
        }
        word.then
    }

    /// A query came: checks it, and plans what to do.
    fn hear(&mut self, query: &[u8]) {
        let id = messages::id(query);
        let name = messages::name(query);
        let where_ = format!("upstream {} connection {}", self.index, self.number);
        if dotward::wire::parse_query(query).is_err() {
            let what = format!("{where_}: a malformed query {query:?}");
            self.stage.log.wrong(what);
            return;
        }
        if self.in_flight.insert(id, query.to_vec()).is_some() {
            let what = format!("{where_}: id {id} is in flight already, asked for {name}");
            self.stage.log.wrong(what);
        }
        let mut memoir = self.stage.upstreams[self.index].borrow_mut();
        let times = memoir.asked.entry(name.clone()).or_default();
        *times += 1;
        // The same question has the same fate, whatever else falls away from the story.
        let fate = format!("{name} {} {times}", self.index);
        let mut dice = Dice::of(self.stage.story.seed, fate.as_bytes());
        let acts = memoir.mood.0.iter();
        let act = acts.clone().find(|(percent, _)| dice.percent(*percent));
        let character = self.stage.story.upstreams[self.index];
        let act = match act {
            _ if is_spoiled(&name) => character.spoiled,
            Some((_, act)) => *act,
            None => Act::Answer,
        };
        drop(memoir);
        if self.index > 0 && is_spoiled(&name) && self.stage.story.promise.verdict_stands {
            let what = format!("{where_}: asked for {name}, which the first has judged");
            self.stage.log.wrong(what);
        }
        if !self.stage.story.allows(self.index, &name) {
            let what = format!("{where_}: asked for {name}, which goes to others");
            self.stage.log.wrong(what);
        }
        if self.stage.story.promise.keeps_edns && !is_spoiled(&name) && !messages::has_opt(query) {
            let what = format!("{where_}: asked for {name} without an OPT record");
            self.stage.log.wrong(what);
        }
        self.note(&format!("asked for {name}, id {id}: {act:?}"));
        let pace = Duration::from_nanos(dice.below(character.pace.as_nanos() as u64));
        let pace = if character.in_order {
            self.take_turn(act, pace)
        } else {
            pace
        };
        self.plan(act, query, pace, &mut dice);
    }

    /// When it is this question's turn to be answered, from now.
    fn take_turn(&mut self, act: Act, pace: Duration) -> Duration {
        let now = self.stage.world.now().mono;
        let late = if act == Act::AnswerLate {
            LATE
        } else {
            Duration::ZERO
        };
        let at = self.free_at.max(now) + pace;
        self.free_at = at + late;
        at.since(now)
    }

    fn plan(&mut self, act: Act, query: &[u8], pace: Duration, dice: &mut Dice) {
        let answer = messages::answer(query);
        let opt = messages::has_opt(query);
        let half = framed(&answer)[..answer.len() / 2].to_vec();
        let other = messages::query("other.test", messages::id(query), opt);
        let mut with_other_id = answer.clone();
        with_other_id[1] ^= 1 + dice.below(255) as u8;
        match act {
            Act::AnswerLate => self.reply(LATE + pace, &answer),
            Act::AnswerTwice => {
                self.reply(pace, &answer);
                self.reply(2 * pace, &answer);
            }
            Act::AnswerThenClose => self.later(pace, framed(&answer), Then::Close),
            Act::Silence => {}
            Act::Servfail => self.reply(pace, &messages::error(query, 2, opt)),
            Act::Bogus => self.reply(pace, &messages::bogus(query)),
            Act::Refused => self.reply(pace, &messages::error(query, 5, opt)),
            Act::NotImplemented => self.reply(pace, &messages::error(query, 4, opt)),
            Act::FailWithoutEdns => {
                let rcode = if opt { 1 } else { 2 };
                self.reply(pace, &messages::error(query, rcode, false));
            }
            Act::RefuseEdns if opt => self.reply(pace, &messages::error(query, 1, false)),
            Act::Answer | Act::RefuseEdns => self.reply(pace, &answer),
            Act::Cut => {
                let rcode = messages::Truth::about(&messages::name(query)).rcode;
                let mut cut = messages::error(query, rcode, opt);
                cut[2] |= 2;
                self.reply(pace, &cut);
            }
            Act::WrongId => self.reply(pace, &with_other_id),
            Act::WrongQuestion => self.reply(pace, &messages::answer(&other)),
            Act::Crossed => {
                let others = self
                    .in_flight
                    .iter()
                    .filter(|(id, _)| **id != messages::id(query));
                let crossed = others.min().map(|(_, other)| {
                    let mut crossed = messages::answer(other);
                    crossed[..2].copy_from_slice(&query[..2]);
                    crossed
                });
                if let Some(crossed) = crossed {
                    self.later(pace / 2, framed(&crossed), Then::GoOn);
                }
                self.reply(pace, &answer);
            }
            Act::Echo => self.later(pace, framed(query), Then::GoOn),
            Act::Garbage => {
                let garbage: Vec<u8> = (0..40).map(|_| dice.next() as u8).collect();
                self.later(pace, framed(&garbage), Then::GoOn);
            }
            Act::EmptyFrame => self.later(pace, vec![0, 0], Then::GoOn),
            Act::ShortFrame => self.reply(pace, &answer[..7]),
            Act::ExtraOctet => self.reply(pace, &[&answer[..], &[0]].concat()),
            Act::TwoQuestions => self.reply(pace, &messages::two_questions(query)),
            Act::PointsForward => self.reply(pace, &messages::points_forward(query)),
            Act::PastTheEnd => self.reply(pace, &answer[..answer.len() - 1]),
            Act::Costly => self.reply(pace, &messages::costly(query)),
            Act::HalfThenClose => self.later(pace, half, Then::Close),
            Act::HalfThenStall => self.later(pace, half, Then::Stall),
            Act::Close => self.later(pace, Vec::new(), Then::Close),
            Act::Reset => self.later(pace, Vec::new(), Then::Reset),
            Act::Vanish => self.later(pace, Vec::new(), Then::Vanish),
        }
    }

    fn reply(&mut self, wait: Duration, message: &[u8]) {
        self.later(wait, framed(message), Then::GoOn);
    }

    fn later(&mut self, wait: Duration, octets: Vec<u8>, then: Then) {
        self.sequence += 1;
        let at = self.stage.world.now().mono + wait;
        self.due.insert((at, self.sequence), Word { octets, then });
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    append_frame(message, &mut octets);
    octets
}
