//! An upstream whose connections carry messages with a length before each: DNS over TCP, as DNS over TLS has it.

use super::dice::Dice;
use super::messages;
use super::stage::Stage;
use super::story::{Act, upstream_addr};
use super::upstream::{Heard, LATE, Role, message};
use crate::support::memory::Stream;
use dotward::engine::Time;
use dotward::runtime::Runtime;
use dotward::wire::{Frames, HEADER_LEN, append_frame};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

/// Takes connections for ever.
pub async fn listen(stage: Rc<Stage>, index: usize) {
    let Ok(mut listener) = stage.world.listen(upstream_addr(index), false) else {
        unreachable!("each upstream has its own address")
    };
    for number in 0.. {
        let (stream, _) = listener.accept().await;
        let role = Role::new(stage.clone(), index, number);
        let conversation = Conversation {
            active: stage.world.now().mono,
            role,
            in_flight: HashMap::new(),
            due: BTreeMap::new(),
            sequence: 0,
            free_at: Time::ZERO,
            answered: 0,
            stalled: false,
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
    role: Role,
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
        let world = self.role.stage.world.clone();
        if self.role.memoir().is_shut {
            self.later(Duration::ZERO, Vec::new(), Then::Close);
        }
        loop {
            while let Some(query) = frames.next() {
                let query = query.to_vec();
                self.hear(&query);
            }
            let now = world.now().mono;
            let idle = self.role.character().idle;
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
                Some(_) => return self.role.note("ended by the other end"),
                None => {
                    let Some((_, next)) = self.due.pop_first() else {
                        return self.role.note("closed: idle");
                    };
                    let then = self.say(next, &mut stream).await;
                    if !matches!(then, Then::GoOn | Then::Stall) {
                        self.role.ended(self.answered);
                    }
                    match then {
                        Then::GoOn => {}
                        Then::Stall => self.stalled = true,
                        Then::Close => return self.role.note("closed"),
                        Then::Reset => {
                            self.role.note("reset");
                            return stream.abort();
                        }
                        Then::Vanish => {
                            self.role.note("vanished");
                            return stream.vanish();
                        }
                    }
                }
            }
        }
    }

    async fn say(&mut self, word: Word, stream: &mut Stream) -> Then {
        self.active = self.role.stage.world.now().mono;
        if self.stalled {
            return Then::GoOn;
        }
        if !word.octets.is_empty() {
            self.role
                .note(&format!("says {} octets", word.octets.len()));
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
            let most = self.role.character().answers;
            if most.is_some_and(|most| self.answered >= most) {
                return Then::Close;
            }
        }
        word.then
    }

    /// A query came: checks it, and plans what to do.
    fn hear(&mut self, query: &[u8]) {
        let id = messages::id(query);
        let Some(heard) = self.role.hear(query, &format!("id {id}")) else {
            return;
        };
        if self.in_flight.insert(id, query.to_vec()).is_some() {
            let what = format!("id {id} is in flight already, asked for {}", heard.name);
            self.role.wrong(&what);
        }
        let Heard {
            act,
            mut pace,
            mut dice,
            ..
        } = heard;
        if self.role.character().in_order {
            pace = self.take_turn(act, pace);
        }
        self.plan(act, query, pace, &mut dice);
    }

    /// When it is this question's turn to be answered, from now.
    fn take_turn(&mut self, act: Act, pace: Duration) -> Duration {
        let now = self.role.stage.world.now().mono;
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
        let half = framed(&answer)[..answer.len() / 2].to_vec();
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
            Act::WrongId => self.reply(pace, &with_other_id),
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
            Act::EmptyFrame => self.later(pace, vec![0, 0], Then::GoOn),
            Act::HalfThenClose => self.later(pace, half, Then::Close),
            Act::HalfThenStall => self.later(pace, half, Then::Stall),
            Act::Close => self.later(pace, Vec::new(), Then::Close),
            Act::Reset => self.later(pace, Vec::new(), Then::Reset),
            Act::Vanish => self.later(pace, Vec::new(), Then::Vanish),
            other => {
                // What only streams know is no fault here.
                let said = message(other, query, dice).unwrap_or(answer);
                self.reply(pace, &said);
            }
        }
    }

    fn reply(&mut self, wait: Duration, message: &[u8]) {
        self.later(wait, framed(message), Then::GoOn);
    }

    fn later(&mut self, wait: Duration, octets: Vec<u8>, then: Then) {
        self.sequence += 1;
        let at = self.role.stage.world.now().mono + wait;
        self.due.insert((at, self.sequence), Word { octets, then });
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    append_frame(message, &mut octets);
    octets
}
