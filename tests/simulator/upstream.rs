//! A scripted upstream, whatever it speaks: it answers what it is asked, unless its mood is another.

#![cfg_attr(
    not(all(feature = "doh", feature = "doq")),
    allow(dead_code, reason = "what servers with streams alone do")
)]

use super::dice::Dice;
use super::framed;
#[cfg(feature = "doh")]
use super::https;
use super::messages;
#[cfg(feature = "doq")]
use super::quic;
use super::stage::Stage;
use super::story::{Act, Character, Manner, Mood, Protocol, is_spoiled};
use super::watch::Fruitless;
use dotward::runtime::Runtime;
use std::cell::Ref;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

/// Later than any client waits.
pub const LATE: Duration = Duration::from_secs(5);

/// What an upstream remembers.
#[derive(Default)]
pub struct Memoir {
    pub mood: Mood,
    /// New connections are closed at once.
    pub is_shut: bool,
    pub manner: Manner,
    /// How often it has lost all connections.
    pub resets: u64,
    /// Of the connections that were ended here.
    fruitless: Fruitless,
    /// How often each name was asked for.
    asked: BTreeMap<String, u64>,
    watchers: Vec<Waker>,
}

impl Memoir {
    /// This one is woken at the next change.
    pub fn watch(&mut self, waker: &Waker) {
        if !self.watchers.iter().any(|known| known.will_wake(waker)) {
            self.watchers.push(waker.clone());
        }
    }

    /// Something has changed.
    pub fn changed(&mut self) {
        for watcher in self.watchers.drain(..) {
            watcher.wake();
        }
    }
}

/// Takes connections for ever.
pub async fn listen(stage: Rc<Stage>, index: usize) {
    match stage.story.upstreams[index].protocol {
        Protocol::Tcp => framed::listen(stage, index).await,
        #[cfg(feature = "doh")]
        Protocol::Https => https::listen(stage, index).await,
        #[cfg(feature = "doq")]
        Protocol::Quic => quic::listen(stage, index).await,
        #[cfg(not(all(feature = "doh", feature = "doq")))]
        other => unreachable!("this build draws no upstream that speaks {other:?}"),
    }
}

/// One connection of an upstream.
pub struct Role {
    pub stage: Rc<Stage>,
    pub index: usize,
    pub number: usize,
}

/// A query that came, and what becomes of it.
pub struct Heard {
    pub name: String,
    pub act: Act,
    /// How long an answer takes.
    pub pace: Duration,
    pub dice: Dice,
}

impl Role {
    /// A connection has come.
    pub fn new(stage: Rc<Stage>, index: usize, number: usize) -> Self {
        let role = Self {
            stage,
            index,
            number,
        };
        role.stage
            .log
            .note(|| format!("upstream {index}: connection {number}"));
        role
    }

    fn place(&self) -> String {
        format!("upstream {} connection {}", self.index, self.number)
    }

    pub fn note(&self, what: &str) {
        let line = || format!("{}: {what}", self.place());
        self.stage.log.note(line);
    }

    pub fn wrong(&self, what: &str) {
        self.stage.log.wrong(format!("{}: {what}", self.place()));
    }

    pub fn character(&self) -> Character {
        self.stage.story.upstreams[self.index]
    }

    pub fn memoir(&self) -> Ref<'_, Memoir> {
        self.stage.upstreams[self.index].borrow()
    }

    /// It ends this connection, which has carried so many answers. If that is none, it was of no use to anybody.
    pub fn ended(&self, answered: usize) {
        if answered > 0 {
            return;
        }
        let now = self.stage.world.now().mono;
        let mut memoir = self.stage.upstreams[self.index].borrow_mut();
        let counted = memoir.fruitless.ended(now, false);
        let counted = counted.map_err(|what| format!("upstream {}: {what}", self.index));
        self.stage.log.check(counted);
    }

    /// A query came: checks it, and draws what to do. `which` tells it from others on this connection.
    pub fn hear(&self, query: &[u8], which: &str) -> Option<Heard> {
        let name = messages::name(query);
        if dotward::wire::parse_query(query).is_err() {
            self.wrong(&format!("a malformed query {query:?}"));
            return None;
        }
        self.stage.tally.borrow_mut().sent(name.clone(), 1);
        let mut memoir = self.stage.upstreams[self.index].borrow_mut();
        let times = memoir.asked.entry(name.clone()).or_default();
        *times += 1;
        // The same question has the same fate, whatever else falls away from the story.
        let fate = format!("{name} {} {times}", self.index);
        let mut dice = Dice::of(self.stage.story.seed, fate.as_bytes());
        let acts = memoir.mood.0.iter();
        let act = acts.clone().find(|(percent, _)| dice.percent(*percent));
        let act = match act {
            _ if is_spoiled(&name) => self.character().spoiled,
            Some((_, act)) => *act,
            None => Act::Answer,
        };
        drop(memoir);
        let promise = self.stage.story.promise;
        if self.index > 0 && is_spoiled(&name) && promise.verdict_stands {
            self.wrong(&format!("asked for {name}, which the first has judged"));
        }
        if !self.stage.story.allows(self.index, &name) {
            self.wrong(&format!("asked for {name}, which goes to others"));
        }
        if promise.keeps_edns && !is_spoiled(&name) && !messages::has_opt(query) {
            self.wrong(&format!("asked for {name} without an OPT record"));
        }
        self.note(&format!("asked for {name}, {which}: {act:?}"));
        let pace = dice.below(self.character().pace.as_nanos() as u64);
        Some(Heard {
            name,
            act,
            pace: Duration::from_nanos(pace),
            dice,
        })
    }

    /// The client is told that a query was not processed: it may be sent once more.
    #[cfg(any(feature = "doh", feature = "doq"))]
    pub fn unprocessed(&self, query: &[u8]) {
        let name = messages::name(query);
        self.note(&format!("has not processed the query for {name}"));
        self.stage.tally.borrow_mut().unprocessed(&name);
    }
}

/// The message that an upstream responds with, if the act is to respond with one.
pub fn message(act: Act, query: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let opt = messages::has_opt(query);
    let answer = messages::answer(query);
    Some(match act {
        Act::Servfail => messages::error(query, 2, opt),
        Act::Bogus => messages::bogus(query),
        Act::Refused => messages::error(query, 5, opt),
        Act::NotImplemented => messages::error(query, 4, opt),
        Act::FailWithoutEdns => messages::error(query, if opt { 1 } else { 2 }, false),
        Act::RefuseEdns if opt => messages::error(query, 1, false),
        Act::Answer | Act::RefuseEdns => answer,
        Act::Cut => {
            let rcode = messages::Truth::about(&messages::name(query)).rcode;
            let mut cut = messages::error(query, rcode, opt);
            cut[2] |= 2;
            cut
        }
        Act::WrongQuestion => {
            messages::answer(&messages::query("other.test", messages::id(query), opt))
        }
        Act::Echo => query.to_vec(),
        Act::Garbage => (0..40).map(|_| dice.next() as u8).collect(),
        Act::ShortFrame => answer[..7].to_vec(),
        Act::ExtraOctet => [&answer[..], &[0]].concat(),
        Act::TwoQuestions => messages::two_questions(query),
        Act::PointsForward => messages::points_forward(query),
        Act::PastTheEnd => answer[..answer.len() - 1].to_vec(),
        Act::Costly => messages::costly(query),
        _ => return None,
    })
}
