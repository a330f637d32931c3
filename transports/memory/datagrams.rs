//! Datagrams in memory. They arrive after the weather's latency, in another order, twice, or not at all.

use super::{Memory, Plan, World};
use crate::engine::Time;
use crate::runtime::{self, Datagram, Ring, Sent};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

/// What has been sent to one address.
#[derive(Default)]
pub struct Inbox {
    /// When each arrives, who sent it, its octets; in that order.
    queue: VecDeque<(Time, SocketAddr, Vec<u8>)>,
    waker: Option<Waker>,
    plan: Option<Plan>,
    /// What each attempt to receive ends with.
    fails: Option<io::ErrorKind>,
}

impl Inbox {
    /// Has every attempt to receive fail.
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
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom to.
    pub to: SocketAddr,
    /// Its octets.
    pub message: Vec<u8>,
    /// The network made this one itself, from one that was sent.
    pub copy: bool,
}

impl World {
    fn remember(&mut self, at: SocketAddr, plan: Option<Plan>) {
        if let Some(inbox) = self.inboxes.get_mut(&at) {
            inbox.plan = plan;
        }
    }

    /// One datagram goes its way, or is lost.
    fn pass(&mut self, from: SocketAddr, to: SocketAddr, message: &[u8], copy: bool) {
        let weather = self.weather(to);
        let at = self.now + self.dice.delay(&weather);
        let lost = self.dice.percent(weather.loss) || weather.swallows;
        let lost = lost || !self.inboxes.contains_key(&to);
        if let Some(journal) = &mut self.journal {
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
            let mut plan = inbox.plan;
            self.wake_at(&mut plan, at, &waker);
            self.remember(to, plan);
        }
    }
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
        let repeats = world.weather(to).repeats;
        world.pass(self.at, to, message, false);
        if world.dice.percent(repeats) {
            world.pass(self.at, to, message, true);
        }
    }

    /// The next datagram: who sent it, and its octets.
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
            let mut plan = inbox.plan;
            world.wake_at(&mut plan, at, cx.waker());
            world.remember(self.at, plan);
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
