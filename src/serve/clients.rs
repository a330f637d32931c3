//! All TCP clients of a loop: accepting them, counting them, and closing those whose time is over.

use super::shared::{Crowded, Shared};
use super::sources::{Kind, SourceKey, Sources};
use super::streams::{Connection, ConnectionKey, Fate};
use super::unread::{BLOCK, Full, Unread};
use crate::config::Limits;
use crate::engine::{Client, Forwarder, Now, Output, Time, Via};
use crate::runtime::{Listener, Runtime};
use log::{debug, info, warn};
use slotmap::{Key, KeyData, SlotMap};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Connections accepted in one pass, so that others get their turn.
const MAX_ACCEPTS: usize = 64;
/// Entries that are not worth tidying up.
const MIN_DUE: usize = 64;
/// Connections that there is an address for from the start.
const MAX_RESERVED: usize = 1_024;
/// Octets that must be free for what comes next: a full list of answers.
const MARGIN: usize = 512 * 1024;
/// How long a listener rests when the system is out of descriptors or memory. They come back when connections end, not by trying.
const REST: Duration = Duration::from_millis(100);

/// A listening socket.
struct Listening<L> {
    socket: L,
    source: SourceKey,
    /// Not before this moment, after a shortage.
    rests_until: Option<Time>,
    /// Errors since it accepted last.
    errors: u64,
}

/// The TCP clients of one loop.
pub struct Clients<R: Runtime> {
    shared: Arc<Shared>,
    limits: Limits,
    listeners: Vec<Listening<R::Listener>>,
    connections: SlotMap<ConnectionKey, Connection<R::Stream>>,
    /// When to look at a connection again; one entry for each, never later than it is due.
    due: BinaryHeap<Reverse<(Time, ConnectionKey)>>,
    /// Those with answers to write.
    unflushed: Vec<ConnectionKey>,
    accepting: bool,
    /// Those who were not admitted.
    pub crowded_out: u64,
    /// Answers that clients have not read.
    unread: Unread,
    /// Octets of memory for them and for what clients have asked.
    memory: usize,
    /// The most of it.
    max_memory: usize,
    /// Those that were closed because all together held more.
    pub closed_unread: u64,
}

impl<R: Runtime> Clients<R> {
    pub fn new(listeners: Vec<R::Listener>, shared: Arc<Shared>, sources: &mut Sources) -> Self {
        let listening = |(index, socket)| Listening {
            socket,
            source: sources.add(Kind::Listener(index)),
            rests_until: None,
            errors: 0,
        };
        Self {
            limits: shared.config.limits().clone(),
            max_memory: shared.config.memory_for_clients(),
            unread: Unread::new(shared.config.memory_for_clients()),
            connections: SlotMap::with_capacity_and_key(
                shared.config.limits().tcp_connections.min(MAX_RESERVED),
            ),
            shared,
            listeners: listeners.into_iter().enumerate().map(listening).collect(),
            due: BinaryHeap::new(),
            unflushed: Vec::new(),
            accepting: true,
            crowded_out: 0,
            memory: 0,
            closed_unread: 0,
        }
    }

    /// Takes connections at one socket more.
    pub fn listen(&mut self, socket: R::Listener, sources: &mut Sources) {
        if self.accepting {
            let index = self.listeners.len();
            self.listeners.push(Listening {
                socket,
                source: sources.add(Kind::Listener(index)),
                rests_until: None,
                errors: 0,
            });
        }
    }

    /// Takes new connections.
    pub fn accept(&mut self, index: usize, sources: &mut Sources, now: Time) {
        for _ in 0..MAX_ACCEPTS {
            let Some(listener) = self.listeners.get_mut(index).filter(|_| self.accepting) else {
                return;
            };
            if listener.rests_until.is_some_and(|until| now < until) {
                return;
            }
            listener.rests_until = None;
            let waker = sources.waker(listener.source);
            match listener
                .socket
                .poll_accept(&mut Context::from_waker(&waker))
            {
                Poll::Pending => return,
                Poll::Ready(Ok((stream, peer))) => {
                    let errors = std::mem::take(&mut listener.errors);
                    if errors > 0 {
                        info!("accepting TCP clients works again, after {errors} errors");
                    }
                    self.admit(stream, peer, sources, now);
                }
                Poll::Ready(Err(error)) if is_passing(&error) => debug!("accepting: {error}"),
                Poll::Ready(Err(error)) => {
                    if listener.errors == 0 {
                        warn!("accepting TCP clients fails: {error}; trying again every {REST:?}");
                    }
                    listener.errors += 1;
                    listener.rests_until = Some(now + REST);
                    return;
                }
            }
        }
        if let Some(listener) = self.listeners.get(index) {
            sources.mark(listener.source);
        }
    }

    fn admit(&mut self, stream: R::Stream, peer: SocketAddr, sources: &mut Sources, now: Time) {
        let mut admitted = self.shared.admit(peer.ip(), &self.limits);
        if admitted == Err(Crowded::All) && self.close_idlest(sources) {
            admitted = self.shared.admit(peer.ip(), &self.limits);
        }
        if let Err(crowded) = admitted {
            debug!("{peer}: one connection too many: {crowded:?}");
            self.crowded_out += 1;
            return;
        }
        let due = now + self.limits.tcp_idle;
        let key = self.connections.insert_with_key(|key| {
            let source = sources.add(Kind::Connection(key));
            Connection::new(stream, peer, source, now)
        });
        self.due.push(Reverse((due, key)));
    }

    /// Makes room by closing the connection that has been idle for longest. False if all are busy.
    fn close_idlest(&mut self, sources: &mut Sources) -> bool {
        let idle = self.connections.iter().filter(|(_, one)| one.is_idle());
        let idlest = idle.min_by_key(|(_, one)| one.due(&self.limits));
        match idlest.map(|(key, _)| key) {
            Some(key) => {
                self.close(key, sources);
                true
            }
            None => false,
        }
    }

    /// A connection was woken.
    pub fn ready(
        &mut self,
        key: ConnectionKey,
        sources: &mut Sources,
        core: &mut Forwarder,
        now: Now,
        out: &mut Output,
    ) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let waker = sources.waker(connection.source);
        let wrote = connection.flush(&waker, now.mono, &mut self.unread);
        let name = key.data().as_ffi();
        let read = connection.receive(name, &waker, &self.limits, core, now, out);
        if matches!(wrote, Ok(Fate::Close) | Err(Full)) || read == Fate::Close {
            self.close(key, sources);
            return;
        }
        if read == Fate::Again {
            sources.mark(connection.source);
        }
        self.account(key);
        self.make_room(0, sources);
    }

    /// Takes an answer for a connection, if it is still there.
    pub fn reply(&mut self, name: u64, message: &[u8], sources: &mut Sources) {
        let key = ConnectionKey::from(KeyData::from_ffi(name));
        self.make_room(message.len(), sources);
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.reply(message, &mut self.unread) == Err(Full) {
            self.close(key, sources);
            return;
        }
        self.account(key);
        if self.unflushed.last() != Some(&key) {
            self.unflushed.push(key);
        }
    }

    /// Counts what a connection holds now.
    fn account(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            let holds = connection.memory();
            self.memory += holds;
            self.memory -= std::mem::replace(&mut connection.accounted, holds);
        }
    }

    /// There will be so many octets more. Where that is too much, those of the client that holds most are closed.
    fn make_room(&mut self, octets: usize, sources: &mut Sources) {
        // The blocks at both ends are not full.
        if self.memory + octets + 2 * BLOCK > self.max_memory {
            self.close_heaviest(sources);
        }
    }

    /// Closes connections of the clients that hold most, until an eighth is free: looking at all of them must not be necessary for
    /// each answer.
    fn close_heaviest(&mut self, sources: &mut Sources) {
        let enough = (self.max_memory - self.max_memory / 8).saturating_sub(MARGIN);
        let mut by_client: BTreeMap<u128, (usize, Vec<(usize, ConnectionKey)>)> = BTreeMap::new();
        for (key, connection) in &self.connections {
            let via = Via::Stream(key.data().as_ffi());
            let addr = connection.peer;
            let (held, connections) = by_client.entry(Client { addr, via }.account()).or_default();
            *held += connection.accounted;
            connections.push((connection.accounted, key));
        }
        while self.memory > enough {
            let heaviest = by_client.values_mut().max_by_key(|(held, _)| *held);
            let Some((held, connections)) = heaviest else {
                return;
            };
            let Some(at) = (0..connections.len()).max_by_key(|at| connections[*at].0) else {
                return;
            };
            let (octets, key) = connections.swap_remove(at);
            *held -= octets;
            if let Some(connection) = self.connections.get(key) {
                debug!(
                    "{}: holds {octets} octets of questions and unread answers, and all clients together too many: closed",
                    connection.peer
                );
            }
            self.closed_unread += 1;
            self.close(key, sources);
        }
    }

    /// Octets that questions not yet taken and answers not yet read take.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Writes the answers that were taken since the last time.
    pub fn flush(&mut self, sources: &mut Sources, now: Time) {
        while let Some(key) = self.unflushed.pop() {
            let unsent = self.connections.get(key).map_or(0, Connection::unsent);
            self.make_room(unsent, sources);
            let Some(connection) = self.connections.get_mut(key) else {
                continue;
            };
            let waker = sources.waker(connection.source);
            match connection.flush(&waker, now, &mut self.unread) {
                Ok(Fate::Close) | Err(Full) => {
                    self.close(key, sources);
                    continue;
                }
                Ok(Fate::Keep) if connection.may_resume(&self.limits) => {
                    sources.mark(connection.source);
                }
                Ok(Fate::Keep | Fate::Again) => {}
            }
            self.account(key);
        }
    }

    /// Time went on: closes the connections whose time is over, wakes listeners that have rested.
    pub fn time(&mut self, sources: &mut Sources, now: Time) {
        while let Some(Reverse((at, key))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            let Some(connection) = self.connections.get(key) else {
                continue;
            };
            // While answers are due from us, it is looked at again when they must have come.
            let due = connection.due(&self.limits);
            match due.unwrap_or(now + self.limits.tcp_idle) {
                due if due <= now => self.close(key, sources),
                due => self.due.push(Reverse((due, key))),
            }
        }
        for listener in &self.listeners {
            if listener.rests_until.is_some_and(|until| until <= now) {
                sources.mark(listener.source);
            }
        }
    }

    /// When [`Clients::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        let due = self.due.peek().map(|Reverse((at, _))| *at);
        let rests = self.listeners.iter().filter_map(|one| one.rests_until);
        rests.chain(due).min()
    }

    /// Takes those who have connected already, then nobody any more. Connections are closed as soon as they are idle.
    pub fn drain(&mut self, sources: &mut Sources, now: Time) {
        for index in 0..self.listeners.len() {
            self.accept(index, sources, now);
        }
        self.accepting = false;
        for listener in self.listeners.drain(..) {
            sources.remove(listener.source);
        }
    }

    /// Closes the connections that owe nothing, are owed nothing, and have been quiet for so long.
    pub fn close_idle(&mut self, quiet: Duration, sources: &mut Sources, now: Time) {
        let idle = |one: &Connection<R::Stream>| one.may_end(quiet, now);
        let idle = self.connections.iter().filter(|(_, one)| idle(one));
        let idle: Vec<ConnectionKey> = idle.map(|(key, _)| key).collect();
        for key in idle {
            self.close(key, sources);
        }
    }

    /// No connections?
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// How many there are, and how many queries the one with most of them has open.
    pub fn crowd(&self) -> (usize, usize) {
        let busiest = self.connections.values().map(Connection::pending).max();
        (self.connections.len(), busiest.unwrap_or_default())
    }

    fn close(&mut self, key: ConnectionKey, sources: &mut Sources) {
        let Some(connection) = self.connections.remove(key) else {
            return;
        };
        self.shared.dismiss(connection.peer.ip());
        self.memory -= connection.accounted;
        // Entries of those that are gone leave when they are due; not all of them wait for that.
        if self.due.len() > 2 * self.connections.len() + MIN_DUE {
            let connections = &self.connections;
            self.due
                .retain(|Reverse((_, key))| connections.contains_key(*key));
        }
        let waker = sources.waker(connection.source);
        sources.remove(connection.source);
        connection.close(&waker, &mut self.unread);
    }
}

/// Does the error concern one connection only, which was gone before it was accepted?
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | WouldBlock
    )
}

impl<R: Runtime> Drop for Clients<R> {
    fn drop(&mut self) {
        // Whoever embeds the loop may drop it at any time; others count on what it held.
        for connection in self.connections.values() {
            self.shared.dismiss(connection.peer.ip());
        }
    }
}
