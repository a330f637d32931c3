//! Clients over TCP: all connections of a worker, the memory that they take, and when each is closed.

mod backlog;
mod connection;
mod listener;

use super::core::Core;
use super::shared::{AtLimit, Shared};
use super::sources::{ClientKey, Kind, Polled, Sources};
use crate::config::{Config, Limits};
use crate::engine::Time;
use crate::runtime::Runtime;
use backlog::{BLOCK, BlockPool, Full};
use connection::ClientConnection;
use listener::ClientListener;
use log::debug;
use slotmap::SlotMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Connections accepted in one iteration, so that others get their turn.
const MAX_ACCEPTS: usize = 64;
/// Due entries that are not worth tidying up.
const MIN_DUE: usize = 64;
/// Connections for which memory is reserved from the start.
const MAX_RESERVED: usize = 1_024;
/// Octets that must be free for what comes next: a full list of responses.
const MARGIN: usize = 512 * 1024;

/// The TCP clients of one worker.
pub struct TcpClients<R: Runtime> {
    sources: Sources,
    shared: Arc<Shared>,
    limits: Limits,
    /// By their numbers, each with the address that is configured for it.
    listeners: Vec<Option<(SocketAddr, ClientListener<R::Listener>)>>,
    connections: SlotMap<ClientKey, ClientConnection<R::Stream>>,
    /// When to look at a connection again; one entry for each, never later than it is due.
    due: BinaryHeap<Reverse<(Time, ClientKey)>>,
    /// Those with responses to write.
    unflushed: Vec<ClientKey>,
    /// Those that were woken and wait for the next iteration.
    postponed: Vec<ClientKey>,
    /// Connections that were refused at a limit.
    pub refused: u64,
    /// Responses that clients have not read.
    blocks: BlockPool,
    /// Octets of memory for them and for what clients have sent.
    memory: usize,
    /// The most of it.
    max_memory: usize,
    /// Connections that were closed because all together took more.
    pub closed_unread: u64,
}

impl<R: Runtime> TcpClients<R> {
    pub fn new(
        listeners: Vec<(SocketAddr, R::Listener)>,
        shared: Arc<Shared>,
        sources: &Sources,
    ) -> Self {
        let limits = shared.config.limits().clone();
        let max_memory = shared.config.memory_for_clients();
        let reserved = limits.tcp_connections.min(MAX_RESERVED);
        let mut clients = Self {
            sources: sources.clone(),
            shared,
            limits,
            listeners: Vec::new(),
            connections: SlotMap::with_capacity_and_key(reserved),
            due: BinaryHeap::new(),
            unflushed: Vec::new(),
            postponed: Vec::new(),
            refused: 0,
            blocks: BlockPool::new(max_memory),
            memory: 0,
            max_memory,
            closed_unread: 0,
        };
        for listener in listeners {
            clients.listen(listener);
        }
        clients
    }

    /// Listens at one socket more.
    pub fn listen(&mut self, (addr, socket): (SocketAddr, R::Listener)) {
        let free = self.listeners.iter().position(Option::is_none);
        let number = free.unwrap_or(self.listeners.len());
        let source = self.sources.add(Kind::TcpListener(number));
        let listener = Some((addr, ClientListener::new(socket, source)));
        match self.listeners.get_mut(number) {
            Some(place) => *place = listener,
            None => self.listeners.push(listener),
        }
    }

    /// Accepts the clients that have connected to this address already, and none after them.
    pub fn retire(&mut self, addr: SocketAddr, now: Time) {
        for index in 0..self.listeners.len() {
            let is_it = |(of, _): &(SocketAddr, _)| *of == addr;
            if self.listeners[index].as_ref().is_some_and(is_it) {
                self.accept(index, now);
                self.listeners[index] = None;
            }
        }
    }

    /// Other limits hold from now on. Connections that are beyond them stay.
    pub fn reconfigure(&mut self, config: &Config) {
        self.limits = config.limits().clone();
        self.max_memory = config.memory_for_clients();
        self.blocks.set_most(self.max_memory);
    }

    /// Takes new connections.
    pub fn accept(&mut self, index: usize, now: Time) {
        for _ in 0..MAX_ACCEPTS {
            let listener = self.listeners.get_mut(index).and_then(Option::as_mut);
            match listener.map(|(_, it)| it.accept(now)) {
                None | Some(Poll::Pending) => return,
                Some(Poll::Ready(Some((stream, peer)))) => self.admit(stream, peer, now),
                Some(Poll::Ready(None)) => {}
            }
        }
        if let Some(Some((_, listener))) = self.listeners.get(index) {
            listener.source.mark();
        }
    }

    fn admit(&mut self, stream: R::Stream, peer: SocketAddr, now: Time) {
        let mut admitted = self.shared.admit(peer.ip(), &self.limits);
        if admitted == Err(AtLimit::All) && self.close_idlest() {
            admitted = self.shared.admit(peer.ip(), &self.limits);
        }
        if let Err(limit) = admitted {
            debug!("{peer}: its TCP connection is refused at the limit on connections ({limit:?})");
            self.refused += 1;
            return;
        }
        let key = self.connections.insert_with_key(|key| {
            let source = self.sources.add(Kind::TcpClient(key));
            ClientConnection::new(stream, peer, source, now)
        });
        let due = self.connections[key].due(&self.limits);
        self.due.push(Reverse((due.unwrap_or(now), key)));
    }

    /// Makes room by closing the connection that has been idle for longest. False if all are busy.
    fn close_idlest(&mut self) -> bool {
        let idle = self.connections.iter().filter(|(_, one)| one.is_idle());
        let idlest = idle.min_by_key(|(_, one)| one.due(&self.limits));
        let key = idlest.map(|(key, _)| key);
        key.inspect(|key| self.close(*key)).is_some()
    }

    /// Has a connection that was woken wait for the next iteration, where those that have waited come first.
    pub fn postpone(&mut self, key: ClientKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && !std::mem::replace(&mut connection.is_postponed, true)
        {
            self.postponed.push(key);
        }
    }

    /// Are there connections that wait for the next iteration?
    pub fn has_postponed(&self) -> bool {
        !self.postponed.is_empty()
    }

    /// The connections that have waited for this iteration, in their order.
    pub fn take_postponed(&mut self) -> Vec<ClientKey> {
        let postponed = std::mem::take(&mut self.postponed);
        for key in &postponed {
            if let Some(connection) = self.connections.get_mut(*key) {
                connection.is_postponed = false;
            }
        }
        postponed
    }

    /// A connection was woken.
    pub fn ready(&mut self, key: ClientKey, core: &mut Core) {
        self.write(key, core.now.mono);
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        match connection.receive(key, &self.limits, core) {
            Polled::Pending => {}
            Polled::More => connection.source.mark(),
            Polled::Ended => return self.close(key),
        }
        self.account(key);
        self.make_room(0);
    }

    /// Takes a response for a connection, if it is still there.
    pub fn reply(&mut self, number: u64, message: &[u8]) {
        let key = ClientKey::of(number);
        self.make_room(message.len());
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.reply(message, &mut self.blocks) == Err(Full) {
            return self.close(key);
        }
        self.account(key);
        if self.unflushed.last() != Some(&key) {
            self.unflushed.push(key);
        }
    }

    /// Writes the responses that were taken since the last flush.
    pub fn flush(&mut self, now: Time) {
        while let Some(key) = self.unflushed.pop() {
            let connection = self.connections.get(key);
            self.make_room(connection.map_or(0, ClientConnection::unsent));
            self.write(key, now);
            if let Some(connection) = self.connections.get(key)
                && connection.may_resume(&self.limits)
            {
                connection.source.mark();
            }
        }
    }

    /// Writes what a client is ready to read.
    fn write(&mut self, key: ClientKey, now: Time) {
        if let Some(connection) = self.connections.get_mut(key) {
            match connection.flush(now, &mut self.blocks) {
                Ok(Polled::Ended) | Err(Full) => self.close(key),
                Ok(Polled::Pending | Polled::More) => self.account(key),
            }
        }
    }

    /// Counts the memory that a connection takes now.
    fn account(&mut self, key: ClientKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            let octets = connection.memory();
            self.memory += octets;
            self.memory -= std::mem::replace(&mut connection.accounted, octets);
        }
    }

    /// Before so many octets more are taken. Where that is too much, connections of the clients that take most are closed.
    fn make_room(&mut self, octets: usize) {
        // The first and the last block of a connection's responses need not be full.
        if self.memory + octets + 2 * BLOCK > self.max_memory {
            self.close_heaviest();
        }
    }

    /// Closes connections of the clients that take most memory, until an eighth is free: looking at all of them must not be necessary
    /// for each response.
    fn close_heaviest(&mut self) {
        let enough = (self.max_memory - self.max_memory / 8).saturating_sub(MARGIN);
        let mut by_client: BTreeMap<u128, (usize, BinaryHeap<_>)> = BTreeMap::new();
        for (key, connection) in &self.connections {
            let account = connection.client(key).account();
            let (taken, connections) = by_client.entry(account).or_default();
            *taken += connection.accounted;
            connections.push((connection.accounted, key));
        }
        while self.memory > enough
            && let Some((taken, connections)) = by_client.values_mut().max_by_key(|it| it.0)
            && let Some((octets, key)) = connections.pop()
        {
            *taken -= octets;
            debug!(
                "{}: its connection takes {octets} octets of memory, and those of all clients together too many; it is closed",
                self.connections[key].peer
            );
            self.closed_unread += 1;
            self.close(key);
        }
    }

    /// Time went on: closes the connections that are due, and wakes the listeners whose pause is over.
    pub fn time(&mut self, now: Time) {
        while let Some(Reverse((at, key))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            if let Some(connection) = self.connections.get(key) {
                // While a response is due, it is looked at again when that must have come.
                let due = connection.due(&self.limits);
                match due.unwrap_or(now + self.limits.tcp_idle) {
                    due if due <= now => self.close(key),
                    due => self.due.push(Reverse((due, key))),
                }
            }
        }
        for (_, listener) in self.listeners.iter_mut().flatten() {
            listener.time(now);
        }
    }

    /// When [`TcpClients::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        let due = self.due.peek().map(|Reverse((at, _))| *at);
        let listeners = self.listeners.iter().flatten();
        let pauses = listeners.filter_map(|(_, listener)| listener.next_alarm());
        pauses.chain(due).min()
    }

    /// Accepts the clients that have connected already, and none after them.
    pub fn stop_accepting(&mut self, now: Time) {
        for index in 0..self.listeners.len() {
            self.accept(index, now);
        }
        self.listeners.clear();
    }

    /// Tells clients that this is the end, if they can be told before it.
    pub fn wind_down(&mut self) {
        for connection in self.connections.values_mut() {
            connection.wind_down();
        }
    }

    /// Accepts no more clients. Those that have connected meanwhile are for whoever else has the socket.
    pub fn leave(&mut self) {
        self.listeners.clear();
    }

    /// Closes the connections to which no response is due, and from which nothing has come for so long.
    pub fn close_idle(&mut self, quiet: Duration, now: Time) {
        let mut idle: Vec<ClientKey> = self.connections.keys().collect();
        idle.retain(|key| self.connections[*key].may_end(quiet, now));
        for key in idle {
            self.close(key);
        }
    }

    /// No connections?
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// How many there are, and how many queries the one with most of them has open.
    pub fn counts(&self) -> (usize, usize) {
        let pending = self.connections.values().map(ClientConnection::pending);
        (self.connections.len(), pending.max().unwrap_or_default())
    }

    fn close(&mut self, key: ClientKey) {
        let Some(connection) = self.connections.remove(key) else {
            return;
        };
        self.shared.dismiss(connection.peer.ip());
        self.memory -= connection.accounted;
        // The entry of a closed connection is removed when it is due, or here when they become too many.
        if self.due.len() > 2 * self.connections.len() + MIN_DUE {
            let is_open = |key| self.connections.contains_key(key);
            self.due.retain(|Reverse((_, key))| is_open(*key));
        }
        connection.close(&mut self.blocks);
    }
}

impl<R: Runtime> Drop for TcpClients<R> {
    fn drop(&mut self) {
        // An application may drop the loop at any time, and other workers count with it.
        for connection in self.connections.values() {
            self.shared.dismiss(connection.peer.ip());
        }
    }
}
