//! The shell's side of the connections to upstreams: connecting, sending, reading, closing.

use super::core::Core;
use super::shutdown::CLOSE_TIMEOUT;
use super::sources::{Kind, Polled, Source, Sources};
use crate::engine::{ConnectionKey, Time};
use crate::runtime::NetworkPath;
use crate::transport::{Connection, Event, Transport};
use slotmap::SecondaryMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Responses taken from a connection in one iteration, so that clients and other connections get their turn.
const MAX_RESPONSES: usize = 256;
/// Octets that an upstream has not read, from which on its connection takes no more: thousands of usual queries, several of the
/// largest.
const MAX_BACKLOG: usize = 256 * 1024;
/// With more queries in flight than this, responses come so fast that acknowledging each would cost more than it gains.
const ACK_SOON_BELOW: usize = 8;

/// The connections to upstreams of one worker, by the names that the core gave them.
pub struct UpstreamConnections<T: Transport> {
    sources: Sources,
    entries: SecondaryMap<ConnectionKey, Entry<T>>,
    /// Woken in this iteration and not written to since.
    only_read: Vec<ConnectionKey>,
}

struct Entry<T: Transport> {
    source: Source,
    stage: Stage<T>,
    /// Where it is connected to, and the path there: that on which the connect began, or to which it has moved.
    path: (SocketAddr, NetworkPath),
    /// Has queries that leave at the next flush.
    queued: bool,
}

enum Stage<T: Transport> {
    Connecting(Pin<Box<T::Connect>>),
    /// Or in its handshake, with early data.
    Established(T::Connection),
    /// And when closing has taken too long.
    Closing(T::Connection, Time),
}

impl<T: Transport> UpstreamConnections<T> {
    pub fn new(sources: &Sources) -> Self {
        Self {
            sources: sources.clone(),
            entries: SecondaryMap::new(),
            only_read: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a connection in the making, over this path.
    pub fn connect(
        &mut self,
        key: ConnectionKey,
        connect: T::Connect,
        path: (SocketAddr, NetworkPath),
    ) {
        let entry = Entry {
            source: self.sources.add(Kind::Upstream(key)),
            stage: Stage::Connecting(Box::pin(connect)),
            path,
            queued: false,
        };
        self.entries.insert(key, entry);
    }

    /// Where each connection is connected to that is not being closed, and the path there: that on which its connect began, or to which
    /// it has moved.
    pub fn paths(&self) -> impl Iterator<Item = (ConnectionKey, SocketAddr, NetworkPath)> {
        let open = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.closes_at().is_none());
        open.map(|(key, entry)| (key, entry.path.0, entry.path.1))
    }

    /// The path of a connection has changed: whether it goes on over this one.
    pub fn change_path(&mut self, key: ConnectionKey, path: NetworkPath) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        let follows = match &mut entry.stage {
            Stage::Established(connection) => !connection.is_early() && connection.change_path(),
            Stage::Connecting(_) | Stage::Closing(..) => false,
        };
        if follows {
            entry.path.1 = path;
            entry.queued = true;
        }
        follows
    }

    /// A connection was woken: tells the core what happened.
    pub fn ready(&mut self, key: ConnectionKey, core: &mut Core) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let is_new = matches!(entry.stage, Stage::Connecting(_));
        let polled = entry.stage.ready(key, &mut entry.source.context(), core);
        // What waits for the connection leaves with the first flight of its handshake, which begins at the next flush.
        entry.queued |= is_new && entry.stage.is_early();
        match polled {
            Polled::Pending => self.only_read.push(key),
            Polled::More => entry.source.mark(),
            Polled::Ended => drop(self.entries.remove(key)),
        }
    }

    /// Queues a query, which leaves at the next flush. It fails if the upstream does not read.
    pub fn send(&mut self, key: ConnectionKey, id: u16, message: &[u8], core: &mut Core) {
        if let Some(entry) = self.entries.get_mut(key)
            && let Stage::Established(connection) = &mut entry.stage
        {
            if connection.backlog() < MAX_BACKLOG {
                connection.queue(message);
                entry.queued = true;
            } else {
                core.forwarder
                    .query_failed(key, id, core.now, &mut core.out);
            }
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self, core: &mut Core) {
        self.entries.retain(|key, entry| {
            if !std::mem::take(&mut entry.queued) {
                return true;
            }
            self.only_read.retain(|other| *other != key);
            let flushed = entry.stage.flush(key, &mut entry.source.context(), core);
            if flushed == Polled::More {
                entry.source.mark();
            }
            flushed != Polled::Ended
        });
    }

    /// At the end of an iteration. Many servers send the next response only when the last one is acknowledged. Where nothing was
    /// written that carries the acknowledgement, the kernel would wait up to 40 ms with it.
    pub fn acknowledge(&mut self, core: &Core) {
        for key in self.only_read.drain(..) {
            if let Some(entry) = self.entries.get_mut(key)
                && let Stage::Established(connection) = &mut entry.stage
                && (1..=ACK_SOON_BELOW).contains(&core.forwarder.in_flight_on(key))
            {
                connection.ack_soon();
            }
        }
    }

    /// Closes a connection in order, or gives up connecting.
    pub fn close(&mut self, key: ConnectionKey, now: Time) {
        if let Some(mut entry) = self.entries.remove(key)
            && let Stage::Established(mut connection) = entry.stage
            && !connection.is_early()
            && connection
                .poll_close(&mut entry.source.context())
                .is_pending()
        {
            entry.stage = Stage::Closing(connection, now + CLOSE_TIMEOUT);
            self.entries.insert(key, entry);
        }
    }

    /// Time went on: drops the connections whose closing has taken too long.
    pub fn time(&mut self, now: Time) {
        self.entries
            .retain(|_, entry| entry.closes_at().is_none_or(|at| now < at));
    }

    /// When [`UpstreamConnections::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        self.entries.values().filter_map(Entry::closes_at).min()
    }
}

impl<T: Transport> Entry<T> {
    fn closes_at(&self) -> Option<Time> {
        match self.stage {
            Stage::Closing(_, until) => Some(until),
            _ => None,
        }
    }
}

impl<T: Transport> Stage<T> {
    fn ready(&mut self, key: ConnectionKey, cx: &mut Context<'_>, core: &mut Core) -> Polled {
        let (now, out) = (core.now, &mut core.out);
        if let Self::Connecting(connect) = self {
            match connect.as_mut().poll(cx) {
                Poll::Pending => return Polled::Pending,
                Poll::Ready(Err(why)) => {
                    core.forwarder.connect_failed(key, &why, now, out);
                    return Polled::Ended;
                }
                Poll::Ready(Ok(connection)) => {
                    if connection.has_streams() {
                        core.forwarder.has_streams(key);
                    }
                    if connection.is_early() {
                        core.forwarder.early(key, now, out);
                        *self = Self::Established(connection);
                        return Polled::Pending;
                    }
                    connected(&connection, key, core);
                    *self = Self::Established(connection);
                }
            }
        }
        if let Self::Closing(connection, _) = self
            && connection.poll_close(cx).is_ready()
        {
            return Polled::Ended;
        }
        // It may have been woken because there is room to write again.
        match self.flush(key, cx, core) {
            Polled::Ended => Polled::Ended,
            _ => self.read(key, cx, core),
        }
    }

    fn is_early(&self) -> bool {
        matches!(self, Self::Established(connection) if connection.is_early())
    }

    /// Sends what is queued. `More`: a handshake ended, and responses may have come with it.
    fn flush(&mut self, key: ConnectionKey, cx: &mut Context<'_>, core: &mut Core) -> Polled {
        let mut done = Polled::Pending;
        if let Self::Established(connection) = self
            && connection.is_early()
        {
            // How it fails is for the handshake to say.
            let _sent_or_not = connection.poll_flush(cx);
            match connection.poll_handshake(cx) {
                Poll::Pending => return Polled::Pending,
                Poll::Ready(Err(why)) => {
                    core.forwarder
                        .connect_failed(key, &why, core.now, &mut core.out);
                    return Polled::Ended;
                }
                Poll::Ready(Ok(())) => connected(connection, key, core),
            }
            done = Polled::More;
        }
        if let Self::Established(connection) = self
            && let Poll::Ready(Err(why)) = connection.poll_flush(cx)
        {
            core.forwarder
                .connection_lost(key, &why, core.now, &mut core.out);
            return Polled::Ended;
        }
        done
    }

    /// Takes what has arrived to the core.
    fn read(&mut self, key: ConnectionKey, cx: &mut Context<'_>, core: &mut Core) -> Polled {
        let Self::Established(connection) = self else {
            return Polled::Pending;
        };
        if connection.is_early() {
            // The core has to hear first how the handshake ended.
            return Polled::Pending;
        }
        let (now, out) = (core.now, &mut core.out);
        for _ in 0..MAX_RESPONSES {
            if out.is_full() {
                break;
            }
            match connection.poll_next(cx) {
                Poll::Pending => return Polled::Pending,
                Poll::Ready(Event::Message(message)) => {
                    core.forwarder.answer(key, message, now, out);
                }
                Poll::Ready(Event::Failed { id, why }) => {
                    core.forwarder.query_lost(key, id, &why, now, out);
                }
                Poll::Ready(Event::Limits(limits)) => {
                    core.forwarder.limited(key, limits, now, out);
                }
                Poll::Ready(Event::Closed(why)) => {
                    core.forwarder.connection_lost(key, &why, now, out);
                    return Polled::Ended;
                }
            }
        }
        Polled::More
    }
}

/// Tells the core that a connection came up.
fn connected(connection: &impl Connection, key: ConnectionKey, core: &mut Core) {
    let (now, out) = (core.now, &mut core.out);
    // Before those that wait are sent on it.
    core.forwarder.limited(key, connection.limits(), now, out);
    if let Some(addr) = connection.addr() {
        core.forwarder.goes_to(key, addr);
    }
    if let Some(left) = connection.certificate_left() {
        core.forwarder.certificate_left(key, left, now);
    }
    if let Some(how) = connection.authentication() {
        core.forwarder.authenticated(key, how);
    }
    core.forwarder
        .connected(key, &connection.describe(), now, out);
}
