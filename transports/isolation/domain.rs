//! The queries of one registrable domain, and their connection, which is made when there is one.

use super::super::tls::Tls;
use super::{Single, SingleConnect, Way};
use crate::engine::Time;
use crate::runtime::Runtime;
use crate::transport::{Connection, ConnectionError, Event, Transport};
use std::collections::BTreeMap;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// So often a query is sent: again if its connection ended, which may have been idle for too long when the query left (RFC 7766
/// section 6.2.4).
const MAX_SENDS: u8 = 2;
/// A connection without queries is closed after so long. A new one takes several round trips through the proxy.
const IDLE: Duration = Duration::from_secs(30);

/// The queries that wait for a response, by their ids, and the connection.
pub struct Domain<R: Runtime> {
    name: Vec<u8>,
    /// With sessions and a username that no other domain has.
    tls: Tls<R>,
    stage: Stage<R>,
    waiting: BTreeMap<u16, Waiting>,
    /// Its queries were lost since the last response to those of any domain.
    pub failing: bool,
    /// Since when nothing has happened: no message came, and before the oldest query that waits no other one was sent.
    quiet_since: Time,
}

enum Stage<R: Runtime> {
    None,
    Connecting(SingleConnect<R>),
    Open(Box<Single<R>>),
}

struct Waiting {
    message: Vec<u8>,
    sends: u8,
}

/// Queries that are lost.
pub struct Lost {
    pub ids: Vec<u16>,
    pub why: ConnectionError,
}

impl<R: Runtime> Domain<R> {
    /// No queries and no connection.
    pub fn new(name: Vec<u8>, tls: Tls<R>, now: Time) -> Self {
        Self {
            name,
            tls,
            stage: Stage::None,
            waiting: BTreeMap::new(),
            failing: false,
            quiet_since: now,
        }
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Whether there is no connection, nor one in the making.
    pub fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::None)
    }

    /// Whether queries wait for a response.
    pub fn is_used(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub fn quiet_since(&self) -> Time {
        self.quiet_since
    }

    /// Octets that have not left.
    pub fn backlog(&self) -> usize {
        match &self.stage {
            Stage::Open(connection) => connection.backlog(),
            _ => self.waiting.values().map(|one| one.message.len()).sum(),
        }
    }

    /// Takes a query, which leaves at the next [`Domain::poll_send`].
    pub fn queue(&mut self, id: u16, message: Vec<u8>, now: Time) {
        if !self.is_used() {
            self.quiet_since = now;
        }
        let mut waiting = Waiting { message, sends: 0 };
        if let Stage::Open(connection) = &mut self.stage {
            waiting.send(connection.as_mut());
        }
        self.waiting.insert(id, waiting);
    }

    /// Nobody waits any more for the response to this query.
    pub fn forget(&mut self, id: u16) {
        self.waiting.remove(&id);
    }

    /// Sends what is queued; connects first if there is no connection. `Pending` until that is done.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        way: &Way<R>,
        now: Time,
    ) -> Poll<Result<(), Lost>> {
        loop {
            match &mut self.stage {
                Stage::None if self.waiting.is_empty() => return Poll::Ready(Ok(())),
                Stage::None => {
                    self.stage = Stage::Connecting(self.tls.connect(&way.to, way.addr));
                }
                Stage::Connecting(connect) => match ready!(Pin::new(connect).poll(cx)) {
                    Ok(mut connection) => {
                        for waiting in self.waiting.values_mut() {
                            waiting.send(&mut connection);
                        }
                        self.stage = Stage::Open(Box::new(connection));
                        self.quiet_since = now;
                    }
                    Err(why) => {
                        self.stage = Stage::None;
                        let ids = mem::take(&mut self.waiting).into_keys().collect();
                        let why = ConnectionError::Io(why.to_string());
                        self.failing = true;
                        return Poll::Ready(Err(Lost { ids, why }));
                    }
                },
                Stage::Open(connection) => match ready!(connection.poll_flush(cx)) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(why) => self.ended(why)?,
                },
            }
        }
    }

    /// Sends what is queued. `Ready` when there is a response, which it copies.
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        way: &Way<R>,
        now: Time,
        response: &mut Vec<u8>,
    ) -> Poll<Result<(), Lost>> {
        loop {
            if let Poll::Ready(Err(lost)) = self.poll_send(cx, way, now) {
                return Poll::Ready(Err(lost));
            }
            let Stage::Open(connection) = &mut self.stage else {
                return Poll::Pending;
            };
            match ready!(connection.poll_next(cx)) {
                Event::Message(message) => {
                    self.quiet_since = now;
                    response.clear();
                    response.extend_from_slice(message);
                    if let Some(id) = response.first_chunk() {
                        self.waiting.remove(&u16::from_be_bytes(*id));
                    }
                    return Poll::Ready(Ok(()));
                }
                // It is not said of a stream of messages.
                Event::Limits(_) => {}
                Event::Closed(why) | Event::Failed { why, .. } => self.ended(why)?,
            }
        }
    }

    /// The connection ended: what waits is sent on another, or is lost.
    fn ended(&mut self, why: ConnectionError) -> Result<(), Lost> {
        self.stage = Stage::None;
        let spent = |(id, one): (&u16, &Waiting)| (one.sends >= MAX_SENDS).then_some(*id);
        let ids: Vec<u16> = self.waiting.iter().filter_map(spent).collect();
        self.waiting.retain(|id, _| !ids.contains(id));
        if ids.is_empty() {
            return Ok(());
        }
        self.failing = true;
        Err(Lost { ids, why })
    }

    /// When [`Domain::time`] has something to do.
    pub fn next_alarm(&self, silence: Duration) -> Option<Time> {
        let span = if self.is_used() { silence } else { IDLE };
        self.is_open().then_some(self.quiet_since + span)
    }

    /// Time went on: ends a connection that is idle or silent. Says whether it has.
    pub fn time(
        &mut self,
        cx: &mut Context<'_>,
        silence: Duration,
        now: Time,
    ) -> Result<bool, Lost> {
        if self.next_alarm(silence).is_none_or(|at| now < at) {
            return Ok(false);
        }
        if self.is_used() {
            self.ended(ConnectionError::Silent)?;
        } else {
            self.close(cx);
        }
        Ok(true)
    }

    /// Closes the connection, in order if that takes no time.
    pub fn close(&mut self, cx: &mut Context<'_>) {
        let _closed_or_not = self.poll_close(cx);
        self.stage = Stage::None;
    }

    /// Closes in order.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stage {
            Stage::Open(connection) => connection.poll_close(cx),
            _ => Poll::Ready(()),
        }
    }

    pub fn ack_soon(&mut self) {
        if let Stage::Open(connection) = &mut self.stage
            && !self.waiting.is_empty()
        {
            connection.ack_soon();
        }
    }
}

impl Waiting {
    fn send(&mut self, connection: &mut impl Connection) {
        self.sends += 1;
        connection.queue(&self.message);
    }
}
