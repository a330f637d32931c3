//! An upstream that speaks DNS over QUIC (RFC 9250).

use super::certificates;
use super::messages;
use super::stage::Stage;
use super::story::{Act, Manner, upstream_addr};
use super::upstream::{Heard, LATE, Role, message};
use crate::support::memory::{Memory, Sleep};
use crate::support::quic::{Asked, QuicServer};
use dotward::engine::Time;
use dotward::runtime::Runtime;
use quinn_proto::ConnectionHandle;
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Streams at once on a connection, in good times.
const STREAMS: u32 = 100;
/// Without a datagram for so long a connection has ended, where the upstream has no time of its own.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The version that clients speak, and one that they do not.
const VERSION: u32 = 1;
const OTHER_VERSION: u32 = 0xFF00_001D;
/// The time between two parts of a response.
const PARTS: Duration = Duration::from_millis(30);
/// A connection is closed so long after its last response, which has left then.
const PARTING: Duration = Duration::from_millis(500);

/// Serves for ever.
pub async fn listen(stage: Rc<Stage>, index: usize) {
    let mut host = Host::new(stage, index);
    poll_fn(|cx| host.poll(cx)).await;
}

/// What is to be done on a connection.
enum Word {
    /// These octets, and perhaps the end of the stream. The query has its response.
    Say(Asked, Vec<u8>, bool),
    Reset(Asked, u32),
    Stop(Asked, u32),
    Close(u32),
    /// As after a restart, for this connection alone.
    Forget,
    Vanish,
}

/// A server with all its connections.
struct Host {
    server: QuicServer<Memory>,
    usual: Arc<ServerConfig>,
    other: Arc<ServerConfig>,
    /// Of each connection: its number is known, and how often it has responded.
    roles: BTreeMap<ConnectionHandle, (Role, usize)>,
    count: usize,
    due: BTreeMap<(Time, u64), (ConnectionHandle, usize, Word)>,
    sequence: u64,
    alarm: Option<(Time, Sleep)>,
    manner: Manner,
    resets: u64,
    /// Nobody in particular.
    role: Role,
}

impl Host {
    fn new(stage: Rc<Stage>, index: usize) -> Self {
        let (usual, other) = (certificates::server("doq"), certificates::server("h3"));
        let idle = stage.story.upstreams[index].idle.unwrap_or(IDLE_TIMEOUT);
        let at = upstream_addr(index);
        stage.world.connect_datagrams(at);
        let server = QuicServer::with_idle_timeout(&stage.world, at, usual.clone(), STREAMS, idle);
        Self {
            server,
            usual,
            other,
            roles: BTreeMap::new(),
            count: 0,
            due: BTreeMap::new(),
            sequence: 0,
            alarm: None,
            manner: Manner::Usual,
            resets: 0,
            role: Role {
                stage,
                index,
                number: 0,
            },
        }
    }

    /// Does all that can be done now.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.notice(cx);
            self.server.poll(cx);
            self.welcome();
            while let Some((asked, octets)) = self.server.heard.pop_front() {
                self.hear(asked, &octets);
            }
            self.say_all();
            self.server.poll(cx);
            if self.server.heard.is_empty() && self.poll_alarm(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Something has changed about this upstream.
    fn notice(&mut self, cx: &mut Context<'_>) {
        let memoir = &self.role.stage.upstreams[self.role.index];
        let mut memoir = memoir.borrow_mut();
        memoir.watch(cx.waker());
        let (manner, resets) = (memoir.manner, memoir.resets);
        self.server.refuses = memoir.is_shut;
        drop(memoir);
        if resets != self.resets {
            self.resets = resets;
            self.server.restart();
        }
        if manner == self.manner {
            return;
        }
        let before = std::mem::replace(&mut self.manner, manner);
        self.role.note(&format!("from now on: {manner:?}"));
        self.server.retries = manner == Manner::Retry;
        let streams = match manner {
            Manner::Streams(streams) => streams,
            _ => STREAMS,
        };
        self.server.allow(streams);
        let tls = match manner {
            Manner::OtherProtocol => &self.other,
            _ => &self.usual,
        };
        let idle = self.role.character().idle.unwrap_or(IDLE_TIMEOUT);
        self.server.accept_with(tls.clone(), streams, idle);
        match (before, manner) {
            (_, Manner::OtherVersion) => self.server.speak_version(OTHER_VERSION),
            (Manner::OtherVersion, _) => self.server.speak_version(VERSION),
            _ => {}
        }
    }

    /// Connections have come.
    fn welcome(&mut self) {
        for connection in std::mem::take(&mut self.server.accepted) {
            let role = Role::new(self.role.stage.clone(), self.role.index, self.count);
            self.count += 1;
            if self.manner == Manner::OtherProtocol {
                role.ended(0);
            }
            self.roles.insert(connection, (role, 0));
        }
    }

    /// A query has come: plans what to do.
    fn hear(&mut self, asked: Asked, octets: &[u8]) {
        let Some((role, _)) = self.roles.get(&asked.0) else {
            return;
        };
        let Some((length, query)) = octets.split_first_chunk() else {
            return role.note(&format!("{}: nothing", asked.1));
        };
        if usize::from(u16::from_be_bytes(*length)) != query.len() || messages::id(query) != 0 {
            role.wrong(&format!("{}: no query: {octets:?}", asked.1));
            return;
        }
        if let Some(heard) = role.hear(query, &asked.1.to_string()) {
            self.plan(asked, query, heard);
        }
    }

    fn plan(&mut self, asked: Asked, query: &[u8], heard: Heard) {
        let Heard {
            act,
            pace,
            mut dice,
            ..
        } = heard;
        let answer = framed(&messages::answer(query));
        let (first, second) = answer.split_at(answer.len() / 2);
        let (first, second) = (first.to_vec(), second.to_vec());
        let good = Word::Say(asked, answer.clone(), true);
        let mut later = |wait, word| self.later(asked.0, wait, word);
        match act {
            Act::Silence => {}
            Act::AnswerLate => later(LATE + pace, good),
            Act::AnswerTwice => later(pace, Word::Say(asked, answer.repeat(2), true)),
            Act::AnswerThenClose => {
                later(pace, good);
                later(pace + PARTING, Word::Close(0));
            }
            Act::WrongId => {
                let mut wrong = answer;
                wrong[3] = 1 + dice.below(255) as u8;
                later(pace, Word::Say(asked, wrong, true));
            }
            Act::EmptyFrame => later(pace, Word::Say(asked, Vec::new(), true)),
            Act::TooShort => later(pace, Word::Say(asked, vec![0, 1, 0], true)),
            Act::ResetStream(code) => later(pace, Word::Reset(asked, code)),
            Act::HalfThenReset(code) => {
                later(pace, Word::Say(asked, first, false));
                later(pace + PARTS, Word::Reset(asked, code));
            }
            Act::StopSending(code) => {
                later(Duration::ZERO, Word::Stop(asked, code));
                later(pace, Word::Reset(asked, code));
            }
            Act::InParts => {
                later(pace, Word::Say(asked, first, false));
                later(pace + PARTS, Word::Say(asked, second, true));
            }
            Act::NoEnd => later(pace, Word::Say(asked, answer, false)),
            Act::HalfThenStall => later(pace, Word::Say(asked, first, false)),
            Act::HalfThenClose => later(pace, Word::Say(asked, first, true)),
            Act::CloseWith(code) => later(pace, Word::Close(code)),
            Act::Close => later(pace, Word::Close(0)),
            Act::Reset => later(pace, Word::Forget),
            Act::Vanish => later(pace, Word::Vanish),
            act => {
                let said = message(act, query, &mut dice).map(|said| framed(&said));
                later(pace, Word::Say(asked, said.unwrap_or(answer), true));
            }
        }
    }

    fn later(&mut self, connection: ConnectionHandle, wait: Duration, word: Word) {
        let Some((role, _)) = self.roles.get(&connection) else {
            return;
        };
        self.sequence += 1;
        let at = self.role.stage.world.now().mono + wait;
        let number = role.number;
        self.due
            .insert((at, self.sequence), (connection, number, word));
    }

    /// What is due.
    fn say_all(&mut self) {
        let now = self.role.stage.world.now().mono;
        while let Some(due) = self.due.first_entry().filter(|due| due.key().0 <= now) {
            let (connection, number, word) = due.remove();
            // A connection that is gone may have left its place to another one.
            let role = self.roles.get_mut(&connection);
            if let Some((role, answered)) = role.filter(|(role, _)| role.number == number)
                && self.server.has(connection)
            {
                let closes_at = say(&mut self.server, connection, word, role, answered);
                if let Some(wait) = closes_at {
                    self.later(connection, wait, Word::Close(0));
                }
            }
        }
    }

    /// Waits for what is due next.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(next) = self.due.first_key_value().map(|((at, _), _)| *at) else {
            self.alarm = None;
            return Poll::Pending;
        };
        if self.alarm.as_ref().is_none_or(|(at, _)| *at != next) {
            self.alarm = Some((next, self.role.stage.world.sleep_until(next)));
        }
        let alarm = self.alarm.as_mut();
        alarm.map_or(Poll::Pending, |(_, sleep)| Pin::new(sleep).poll(cx))
    }
}

/// Does what is due on a connection. Says when it is closed, if it has responded so often as it does.
fn say(
    server: &mut QuicServer<Memory>,
    connection: ConnectionHandle,
    word: Word,
    role: &Role,
    answered: &mut usize,
) -> Option<Duration> {
    match word {
        Word::Say(asked, octets, is_end) => {
            role.note(&format!("says {} octets on {}", octets.len(), asked.1));
            server.put(asked, &octets, is_end);
            *answered += usize::from(is_end);
            return role
                .character()
                .answers
                .filter(|most| answered == most)
                .map(|_| PARTING);
        }
        Word::Reset(asked, code) => {
            role.note(&format!("resets {}", asked.1));
            server.reset(asked, code);
        }
        Word::Stop(asked, code) => server.stop(asked, code),
        Word::Close(code) => {
            role.note(&format!("closes with {code}"));
            role.ended(*answered);
            server.close_one(connection, code);
        }
        Word::Forget => {
            role.note("forgets this connection");
            role.ended(*answered);
            server.forget(connection);
        }
        Word::Vanish => {
            role.note("is silent from now on");
            role.ended(*answered);
            server.be_silent(connection);
        }
    }
    None
}

/// A message with its length before it, and the id 0 unless something is wrong with it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u16).to_be_bytes();
    let mut framed = [&length, message].concat();
    if let Some(id) = framed.get_mut(2..4) {
        id.fill(0);
    }
    framed
}
