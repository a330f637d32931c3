//! Clients: over UDP they only send, since the network's journal knows what they get; over TCP they hold a conversation.

use super::messages;
use super::stage::Stage;
use super::story::{End, PROXY};
use dotward::config::Config;
use dotward::engine::Time;
use dotward::runtime::Runtime;
use dotward::transports::memory::Stream;
use dotward::wire::{Frames, append_frame};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Beside its time the forwarder has the rounding of its timers, and the network its own delays.
const ALLOWANCE: Duration = Duration::from_millis(150);

/// One TCP client, from its connection to its end.
pub struct Session {
    pub stage: Rc<Stage>,
    pub number: usize,
    pub end: End,
    /// Asked and not answered: when, and the query.
    open: BTreeMap<u16, (Time, Vec<u8>)>,
    /// How long an answer may take.
    patience: Duration,
}

impl Session {
    pub fn new(stage: Rc<Stage>, number: usize, questions: usize, end: End) -> Self {
        // Questions over the bound on those in flight wait for others to end.
        let turns = 1 + questions / stage.story.house.tcp_in_flight;
        let patience = Config::TIMEOUT * turns as u32 + ALLOWANCE;
        Self {
            stage,
            number,
            end,
            open: BTreeMap::new(),
            patience,
        }
    }

    pub async fn hold(mut self, questions: Vec<(Duration, String)>) {
        let world = self.stage.world.clone();
        let Ok(mut stream) = world.connect(PROXY).await else {
            return self.wrong("refused");
        };
        let mut questions: VecDeque<_> = questions.into();
        let mut frames = Frames::new();
        let mut next_id = 1;
        let mut ask_at = world.now().mono + questions.front().map_or(Duration::ZERO, |q| q.0);
        while !questions.is_empty() || !self.open.is_empty() {
            let now = world.now().mono;
            if now >= Time::ZERO + self.stage.story.calm_at {
                // What comes now belongs to the end, which has its own questions.
                questions.clear();
            }
            if now >= ask_at && let Some((_, name)) = questions.pop_front() {
                self.ask(&name, next_id, &mut stream).await;
                next_id += 1;
                ask_at = world.now().mono + questions.front().map_or(Duration::ZERO, |q| q.0);
                if questions.is_empty() && self.is_over(&mut stream).await {
                    return if self.end == End::Abort { stream.abort() };
                }
                continue;
            }
            let first = self.open.values().map(|(at, _)| *at + self.patience).min();
            let until = match first {
                _ if !questions.is_empty() => ask_at,
                Some(until) => until,
                None => return,
            };
            match world.within(until.since(now), stream.read(frames.space())).await {
                Some(Ok(n)) if n > 0 => {
                    frames.filled(n);
                    while let Some(message) = frames.next() {
                        let message = message.to_vec();
                        self.take(&message);
                    }
                }
                Some(_) => return self.wrong("was closed, with answers due"),
                None if questions.is_empty() => return self.wrong("waits in vain"),
                None => {}
            }
        }
    }

    async fn ask(&mut self, name: &str, id: u16, stream: &mut Stream) {
        let query = messages::query(name, id, id % 3 > 0);
        let mut octets = Vec::new();
        append_frame(&query, &mut octets);
        self.note(&format!("asks for {name}, id {id}"));
        if stream.write_all(&octets).await.is_err() {
            self.wrong("cannot write");
        }
        self.open.insert(id, (self.stage.world.now().mono, query));
    }

    /// The last question was asked: does the client leave now?
    async fn is_over(&mut self, stream: &mut Stream) -> bool {
        match self.end {
            End::Close => false,
            End::HalfClose => {
                self.note("says that it will ask no more");
                if stream.close().await.is_err() {
                    self.wrong("cannot close");
                }
                false
            }
            End::Leave | End::Abort => {
                self.note("leaves");
                true
            }
        }
    }

    fn take(&mut self, message: &[u8]) {
        let id = messages::id(message);
        let Some((at, query)) = self.open.remove(&id) else {
            return self.wrong(&format!("got an answer too many, id {id}"));
        };
        let took = self.stage.world.now().mono.since(at);
        if took > self.patience {
            self.wrong(&format!("got the answer to id {id} after {took:?}"));
        }
        match messages::check(&query, message, false) {
            Ok(rcode) => self.note(&format!("got {rcode}, id {id}")),
            Err(what) => self.wrong(&format!("id {id}, {}: {what}", messages::name(&query))),
        }
    }

    fn note(&self, what: &str) {
        let line = || format!("TCP client {}: {what}", self.number);
        self.stage.log.note(line);
    }

    fn wrong(&self, what: &str) {
        let what = format!("TCP client {} {what}", self.number);
        self.stage.log.wrong(what);
    }
}
