//! Datagrams in memory. Under the conditions of their receiver they arrive late, in another order, twice, or not at all. For a socket
//! that counts as a connection, they are those of its peer in both directions.

use super::conditions::{Conditions, Way};
use super::{Memory, WakeUp, World};
use dotward::engine::Time;
use dotward::runtime::{self, Datagram, Ring, Sent};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

/// Datagrams in transit to one address.
#[derive(Default)]
pub struct Inbox {
    /// The arrival, the sender and the octets of each, by arrival.
    queue: VecDeque<(Time, SocketAddr, Vec<u8>)>,
    waker: Option<Waker>,
    wake_up: Option<WakeUp>,
    /// The error that each receive ends with.
    fails: Option<io::ErrorKind>,
    /// The only one that this socket exchanges datagrams with, if it counts as a connection.
    pub(super) peer: Option<SocketAddr>,
    /// A middlebox has lost its state: nothing comes or leaves any more.
    pub(super) forgotten: bool,
    /// When the news arrive that nobody is there.
    refusals: VecDeque<Time>,
}

impl Inbox {
    /// That of a socket that counts as a connection.
    pub(super) fn to(peer: SocketAddr) -> Self {
        Self {
            peer: Some(peer),
            ..Self::default()
        }
    }

    /// Lets each receive fail.
    pub fn fail(&mut self, error: io::ErrorKind) {
        self.fails = Some(error);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What became of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// When it was sent.
    pub sent: Time,
    /// When it arrives; `None` if it is lost.
    pub arrives: Option<Time>,
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// Its octets.
    pub message: Vec<u8>,
    /// The network has duplicated a datagram.
    pub copy: bool,
}

impl World {
    fn remember(&mut self, at: SocketAddr, wake_up: Option<WakeUp>) {
        if let Some(inbox) = self.inboxes.get_mut(&at) {
            inbox.wake_up = wake_up;
        }
    }

    /// The conditions between two sockets, and the direction.
    fn path(&self, from: SocketAddr, to: SocketAddr) -> Path {
        let inbox = |at| self.inboxes.get(&at);
        let peer = |at| inbox(at).and_then(|inbox| inbox.peer);
        let way = if peer(to).is_some() {
            Way::Down
        } else {
            Way::Up
        };
        let forgets = |at| inbox(at).is_some_and(|inbox| inbox.forgotten);
        Path {
            conditions: self.conditions(peer(to).unwrap_or(to)),
            way,
            is_connection: peer(from).or(peer(to)).is_some(),
            is_forgotten: forgets(from) || forgets(to),
        }
    }

    /// Nobody is there, and the sender is told so, if it can be.
    fn refuse(&mut self, from: SocketAddr, conditions: &Conditions) {
        let at = self.now + 2 * self.random.delay(conditions);
        let Some(inbox) = self.inboxes.get_mut(&from) else {
            return;
        };
        if inbox.peer.is_some() {
            inbox.refusals.push_back(at);
            if let Some(waker) = inbox.waker.clone() {
                self.wake_at(&mut None, at, &waker);
            }
        }
    }

    /// Transports one datagram, or loses it.
    fn pass(&mut self, from: SocketAddr, to: SocketAddr, message: &[u8], copy: bool) {
        let path = self.path(from, to);
        let conditions = path.conditions;
        if conditions.refuses && path.is_connection && path.way == Way::Up {
            self.refuse(from, &conditions);
            return;
        }
        let at = self.now + self.random.delay(&conditions);
        let loses = conditions.swallows || path.is_connection && conditions.loses(path.way);
        let lost = self.random.percent(conditions.loss) || loses;
        let lost = lost || path.is_forgotten || !self.inboxes.contains_key(&to);
        if !path.is_connection
            && let Some(journal) = &mut self.journal
        {
            journal.push(Passed {
                sent: self.now,
                arrives: (!lost).then_some(at),
                from,
                to,
                message: message.to_vec(),
                copy,
            });
        }
        let Some(inbox) = self.inboxes.get_mut(&to).filter(|_| !lost) else {
            return;
        };
        let place = inbox.queue.partition_point(|(other, ..)| *other <= at);
        inbox.queue.insert(place, (at, from, message.to_vec()));
        if place == 0
            && let Some(waker) = inbox.waker.clone()
        {
            let mut wake_up = inbox.wake_up;
            self.wake_at(&mut wake_up, at, &waker);
            self.remember(to, wake_up);
        }
    }
}

/// The way of a datagram.
struct Path {
    conditions: Conditions,
    way: Way,
    is_connection: bool,
    is_forgotten: bool,
}

/// A socket, bound until it is dropped.
pub struct Datagrams {
    world: Memory,
    at: SocketAddr,
}

impl Datagrams {
    pub(super) fn new(world: Memory, at: SocketAddr) -> Self {
        Self { world, at }
    }

    /// Sends one datagram.
    pub fn send(&self, to: SocketAddr, message: &[u8]) {
        let mut world = self.world.world();
        let repeats = world.path(self.at, to).conditions.repeats;
        world.pass(self.at, to, message, false);
        if world.random.percent(repeats) {
            world.pass(self.at, to, message, true);
        }
    }

    /// The sender and the octets of the next datagram.
    pub async fn recv(&mut self) -> (SocketAddr, Vec<u8>) {
        std::future::poll_fn(|cx| self.poll_one(cx)).await
    }

    fn poll_one(&mut self, cx: &mut Context<'_>) -> Poll<(SocketAddr, Vec<u8>)> {
        let mut world = self.world.world();
        let now = world.now;
        let Some(inbox) = world.inboxes.get_mut(&self.at) else {
            return Poll::Pending;
        };
        let next = inbox.queue.front().map(|(at, ..)| *at);
        if next.is_some_and(|at| at <= now)
            && let Some((_, from, message)) = inbox.queue.pop_front()
        {
            return Poll::Ready((from, message));
        }
        inbox.waker = Some(cx.waker().clone());
        if let Some(at) = next {
            let mut wake_up = inbox.wake_up;
            world.wake_at(&mut wake_up, at, cx.waker());
            world.remember(self.at, wake_up);
        }
        Poll::Pending
    }
}

impl runtime::Datagrams for Datagrams {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        let mut world = self.world.world();
        if let Some(error) = world.inboxes.get(&self.at).and_then(|inbox| inbox.fails) {
            world.receive_failures += 1;
            return Poll::Ready(Err(error.into()));
        }
        let now = world.now;
        let inbox = world.inboxes.get_mut(&self.at);
        if let Some(inbox) = inbox.filter(|it| it.refusals.front().is_some_and(|at| *at <= now)) {
            inbox.refusals.pop_front();
            return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        drop(world);
        let mut received = Vec::new();
        ring.clear();
        for slot in ring.free_slots() {
            let Poll::Ready((from, message)) = self.poll_one(cx) else {
                break;
            };
            let len = message.len().min(slot.len());
            slot[..len].copy_from_slice(&message[..len]);
            received.push((len, from));
        }
        if received.is_empty() {
            return Poll::Pending;
        }
        for (len, from) in received {
            ring.push(len, from, None);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(
        &mut self,
        _cx: &mut Context<'_>,
        batch: &[Datagram<'_>],
    ) -> Poll<io::Result<Sent>> {
        for reply in batch {
            self.send(reply.to, reply.message);
        }
        Poll::Ready(Ok(Sent {
            done: batch.len(),
            refused: 0,
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.world.world().inboxes.remove(&self.at);
    }
}
