//! Clients: over UDP they only send, since the network's journal knows what they get; over TCP they hold a conversation.

use super::messages;
use super::stage::{Stage, may_fail};
use super::story::{End, PROXY};
use crate::support::memory::Stream;
use dotward::config::Config;
use dotward::engine::Time;
use dotward::runtime::Runtime;
use dotward::wire::{Frames, append_frame};
use futures::io::{AsyncRead, AsyncWrite};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Beside its time the forwarder has the rounding of its timers, and the network its own delays.
const ALLOWANCE: Duration = Duration::from_millis(150);

/// With a narrow window each answer may wait so much longer for those before it, which may all come at once when an outage ends.
const NARROW: Duration = Duration::from_millis(30);

/// The machine of all TCP clients. On loopback they would have only the bound on all.
const AFAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 9));

/// One TCP client, from its connection to its end.
pub struct Session {
    pub stage: Rc<Stage>,
    pub number: usize,
    pub end: End,
    /// Asked and not answered: when, and the query.
    open: BTreeMap<u16, (Time, Vec<u8>)>,
    /// How long an answer may take.
    patience: Duration,
    frames: Frames,
    /// Asked, and not yet written.
    outgoing: Vec<u8>,
    /// When all is written, the client has said its last word.
    says_last: bool,
}

impl Session {
    pub fn new(stage: Rc<Stage>, number: usize, questions: usize, end: End) -> Self {
        // Questions over the bound on those in flight wait for others to end.
        let turns = 1 + questions / stage.story.house.tcp_in_flight;
        let narrow = if stage.story.clients_are_narrow() {
            NARROW * questions as u32
        } else {
            Duration::ZERO
        };
        let patience = Config::TIMEOUT * turns as u32 + ALLOWANCE + narrow;
        Self {
            stage,
            number,
            end,
            open: BTreeMap::new(),
            patience,
            frames: Frames::new(),
            outgoing: Vec::new(),
            says_last: false,
        }
    }

    pub async fn hold(mut self, questions: Vec<(Duration, String)>) {
        let world = self.stage.world.clone();
        let visits = &self.stage.visits;
        visits.set(visits.get() + 1);
        let Ok(mut stream) = world.connect_from(AFAR, PROXY).await else {
            return self.wrong("refused");
        };
        let mut questions: VecDeque<_> = questions.into();
        let mut next_id = 1;
        let next = |questions: &VecDeque<(Duration, String)>| {
            let pause = questions
                .front()
                .map_or(Duration::ZERO, |(pause, _)| *pause);
            world.now().mono + pause
        };
        let mut ask_at = next(&questions);
        while !questions.is_empty() || !self.open.is_empty() {
            let now = world.now().mono;
            if now >= Time::ZERO + self.stage.story.calm_at {
                // What comes now belongs to the end, which has its own questions.
                questions.clear();
            }
            if now >= ask_at
                && let Some((_, name)) = questions.pop_front()
            {
                self.ask(&name, next_id);
                next_id += 1;
                ask_at = next(&questions);
                self.says_last = questions.is_empty() && self.end == End::HalfClose;
            }
            let first = self.open.values().map(|(at, _)| *at + self.patience).min();
            let until = match first {
                _ if !questions.is_empty() => ask_at,
                Some(until) => until,
                None => return,
            };
            let exchange = poll_fn(|cx| self.exchange(&mut stream, cx));
            match world.within(until.since(now), exchange).await {
                Some(Ok(())) => self.take_all(),
                // It may be one too many, or idle when another one needs its place.
                Some(Err(why)) if self.stage.story.house.is_small() => {
                    return self.note(&format!("turned away: {why}"));
                }
                Some(Err(why)) => return self.wrong(&format!("{why}, with answers due")),
                None if questions.is_empty() => return self.wrong("waits in vain"),
                None => {}
            }
            if questions.is_empty() && self.outgoing.is_empty() {
                match self.end {
                    End::Close | End::HalfClose => {}
                    End::Leave => return self.note("leaves"),
                    End::Abort => {
                        self.note("aborts");
                        return stream.abort();
                    }
                }
            }
        }
    }

    fn ask(&mut self, name: &str, id: u16) {
        let query = messages::query(name, id, !id.is_multiple_of(3));
        append_frame(&query, &mut self.outgoing);
        self.stage.tally.borrow_mut().asked(&query);
        self.note(&format!("asks for {name}, id {id}"));
        let now = self.stage.world.now().mono;
        self.open.insert(id, (now, query));
    }

    /// Writes what there is to write, and reads. Ready when something came.
    fn exchange(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, &self.outgoing) {
                Poll::Ready(Ok(n)) => drop(self.outgoing.drain(..n)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        if self.outgoing.is_empty() && std::mem::take(&mut self.says_last) {
            self.note("says that it will ask no more");
            ready!(Pin::new(&mut *stream).poll_close(cx))?;
        }
        match ready!(Pin::new(stream).poll_read(cx, self.frames.space()))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            n => {
                self.frames.filled(n);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn take_all(&mut self) {
        while let Some(message) = self.frames.next() {
            let message = message.to_vec();
            self.take(&message);
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
            Ok(rcode) => {
                let name = messages::name(&query);
                let good = [messages::NOERROR, messages::NXDOMAIN].contains(&rcode);
                if !good && !may_fail(&self.stage, &name) {
                    self.wrong(&format!("the question for {name} fails: RCODE {rcode}"));
                }
                self.note(&format!("got {rcode}, id {id}"));
            }
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
