//! Clients over UDP: questions in, answers out, both in batches.

use super::sources::SourceKey;
use crate::engine::{Action, Client, Forwarder, Now, Output, Time, Via};
use crate::runtime::{Datagrams, Reply, Ring, Sent};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Batches from one socket in one pass, so that links and other sockets get their turn.
const ROUNDS: usize = 4;
/// Answers kept for a socket whose buffer is full. Its clients ask again; more would only be late.
const MAX_BACKLOG: usize = 1024;
/// Errors in a row until it is the socket that is to blame, and not a datagram (an ICMP message that came back for an answer).
const MAX_ERRORS: u32 = 4;
/// How long a socket rests that fails, as a listener does.
const REST: Duration = Duration::from_millis(100);
/// Errors so far apart are not in a row.
const APART: Duration = Duration::from_secs(1);
/// Rests in a row until the socket is given up and another one is bound in its place.
const MAX_RESTS: u32 = 10;
/// And in octets, so that they are bounded where answers are large, too.
const MAX_BACKLOG_OCTETS: usize = 512 * 1024;

/// One UDP socket.
pub struct Socket<D> {
    pub source: SourceKey,
    /// `None` once it was given up, until another is bound.
    inner: Option<D>,
    at: Option<SocketAddr>,
    trouble: Trouble,
    /// Answers that the socket had no room for.
    backlog: VecDeque<(SocketAddr, Option<IpAddr>, Vec<u8>)>,
    /// Octets of them.
    octets: usize,
    /// Where the answers of a batch belong, and which actions they are. Kept for its memory.
    order: Vec<(u64, usize)>,
}

/// The errors of a socket that fails to receive.
#[derive(Default)]
struct Trouble {
    /// Errors in a row, and when the last one was.
    errors: u32,
    last: Time,
    rests: u32,
    rests_until: Option<Time>,
    /// The log knows.
    said: bool,
}

impl<D: Datagrams> Socket<D> {
    pub fn new(socket: D, source: SourceKey) -> Self {
        Self {
            source,
            at: socket.local_addr().ok(),
            inner: Some(socket),
            trouble: Trouble::default(),
            backlog: VecDeque::new(),
            octets: 0,
            order: Vec::new(),
        }
    }

    /// Takes what has arrived to the core. Says how many datagrams there were and whether there may be more.
    pub fn receive(
        &mut self,
        index: u16,
        ring: &mut Ring,
        waker: &Waker,
        core: &mut Forwarder,
        now: Now,
        out: &mut Output,
    ) -> (usize, bool) {
        let mut cx = Context::from_waker(waker);
        let mut received = 0;
        if self.trouble.rests(now.mono) {
            return (0, false);
        }
        for _ in 0..ROUNDS {
            if out.is_full() {
                return (received, true);
            }
            let Some(socket) = &mut self.inner else {
                return (received, false);
            };
            match socket.poll_recv(&mut cx, ring) {
                Poll::Pending => return (received, false),
                Poll::Ready(Err(error)) => {
                    if self.failed(&error, now.mono) {
                        return (received, false);
                    }
                }
                Poll::Ready(Ok(())) => {
                    self.recovered();
                    for (message, addr, local) in ring.iter() {
                        let via = Via::Datagram {
                            socket: index,
                            local,
                        };
                        // Whether an answer follows does not matter here: nothing is kept for this client.
                        let _will_answer = core.query(message, Client { addr, via }, now, out);
                    }
                    received += ring.len();
                    // More will follow when these are answered. After fewer, the next round begins to wait.
                    if (Ring::BUSY..Ring::SLOTS).contains(&ring.len()) {
                        return (received, true);
                    }
                }
            }
        }
        (received, true)
    }

    /// Receiving failed. True if it is not tried again at once.
    fn failed(&mut self, error: &io::Error, now: Time) -> bool {
        let trouble = &mut self.trouble;
        if now.since(trouble.last) > APART {
            (trouble.errors, trouble.rests) = (0, 0);
        }
        trouble.last = now;
        trouble.errors = trouble.errors.saturating_add(1);
        let at = Shown(self.at);
        if trouble.errors < MAX_ERRORS {
            log::debug!("{at}: receiving: {error}");
            return false;
        }
        if !std::mem::replace(&mut trouble.said, true) {
            log::warn!("{at}: receiving over UDP fails: {error}; trying again every {REST:?}");
        }
        trouble.rests += 1;
        if trouble.rests > MAX_RESTS {
            self.inner = None;
            self.trouble.rests = 0;
            self.trouble.rests_until = None;
        } else {
            trouble.rests_until = Some(now + REST);
        }
        true
    }

    /// Something was received.
    fn recovered(&mut self) {
        if self.trouble.errors > 0 {
            if self.trouble.said {
                let errors = self.trouble.errors;
                let at = Shown(self.at);
                log::info!("{at}: receiving over UDP works again, after {errors} errors");
            }
            self.trouble = Trouble::default();
        }
    }

    /// Where another socket has to be bound in place of one that was given up.
    pub fn given_up(&self) -> Option<SocketAddr> {
        self.at.filter(|_| self.inner.is_none())
    }

    /// Goes on with another socket.
    pub fn replace(&mut self, socket: D) {
        self.inner = Some(socket);
    }

    /// When a socket that rests is tried again.
    pub fn next_alarm(&self) -> Option<Time> {
        self.trouble.rests_until
    }

    /// Sends the answers that are for this socket: those to one client together and the longest first, since the system may take
    /// them as one.
    pub fn reply(&mut self, index: u16, out: &Output, waker: &Waker, lost: &mut u64) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        for (at, action) in out.actions().iter().enumerate() {
            if let Some(reply) = reply_of(action, index, out) {
                order.push((place(&reply), at));
            }
        }
        let reply_at = |&(_, at): &(u64, usize)| reply_of(out.actions().get(at)?, index, out);
        if let [one] = order.as_slice() {
            // What is prepared below is made for many.
            if let Some(reply) = reply_at(one) {
                self.send(&[reply], waker, lost);
            }
        } else {
            order.sort_unstable();
            for places in order.chunks(Ring::SLOTS) {
                let mut batch = [EMPTY; Ring::SLOTS];
                let mut filled = 0;
                for (slot, reply) in batch.iter_mut().zip(places.iter().filter_map(reply_at)) {
                    *slot = reply;
                    filled += 1;
                }
                self.send(batch.get(..filled).unwrap_or_default(), waker, lost);
            }
        }
        self.order = order;
    }

    fn send(&mut self, batch: &[Reply<'_>], waker: &Waker, lost: &mut u64) {
        let mut rest = batch;
        // Answers leave in order: behind a backlog they wait, too.
        while self.backlog.is_empty() && !rest.is_empty() {
            match self.try_send(rest, waker) {
                Poll::Ready(sent) => {
                    *lost += sent.refused as u64;
                    rest = rest.get(sent.done.max(1)..).unwrap_or_default();
                }
                Poll::Pending => break,
            }
        }
        for reply in rest {
            let octets = self.octets + reply.message.len();
            if self.backlog.len() < MAX_BACKLOG && octets <= MAX_BACKLOG_OCTETS {
                self.octets = octets;
                self.backlog
                    .push_back((reply.to, reply.from, reply.message.to_vec()));
            } else {
                *lost += 1;
            }
        }
    }

    /// Sends what the socket had no room for before.
    pub fn retry(&mut self, waker: &Waker, lost: &mut u64) {
        while let Some((to, from, message)) = self.backlog.pop_front() {
            let reply = Reply {
                to,
                from,
                message: &message,
            };
            match self.try_send(&[reply], waker) {
                Poll::Ready(sent) => {
                    *lost += sent.refused as u64;
                    self.octets -= message.len();
                }
                Poll::Pending => {
                    self.backlog.push_front((to, from, message));
                    return;
                }
            }
        }
        // What was kept in a burst is no measure for the next one.
        self.backlog.shrink_to(Ring::SLOTS);
    }

    fn try_send(&mut self, batch: &[Reply<'_>], waker: &Waker) -> Poll<Sent> {
        let refused = Sent {
            done: 1,
            refused: 1,
        };
        let Some(socket) = &mut self.inner else {
            return Poll::Ready(refused);
        };
        let mut cx = Context::from_waker(waker);
        socket.poll_send(&mut cx, batch).map(|sent| {
            sent.unwrap_or_else(|error| {
                log::debug!("sending: {error}");
                refused
            })
        })
    }

    /// Has every answer left?
    pub fn is_flushed(&self) -> bool {
        self.backlog.is_empty()
    }
}

impl Trouble {
    /// Is it still resting? A rest that is over ends.
    fn rests(&mut self, now: Time) -> bool {
        let resting = self.rests_until.is_some_and(|until| now < until);
        if !resting {
            self.rests_until = None;
        }
        resting
    }
}

/// An address in the log, where the system tells it.
struct Shown(Option<SocketAddr>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(addr) => addr.fmt(f),
            None => f.write_str("a UDP socket"),
        }
    }
}

/// The answer that an action wants sent by this socket.
fn reply_of<'a>(action: &Action, index: u16, out: &'a Output) -> Option<Reply<'a>> {
    let Action::Reply { client, message } = action else {
        return None;
    };
    let Via::Datagram { socket, local } = client.via else {
        return None;
    };
    (socket == index).then(|| Reply {
        to: client.addr,
        from: local,
        message: out.message(message),
    })
}

/// Where an answer belongs among others: equal clients have equal places, but for the length. Others may have the same, which
/// costs nothing but a chance.
fn place(reply: &Reply<'_>) -> u64 {
    let ip = match reply.to.ip() {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            (bits ^ (bits >> 32) ^ (bits >> 64) ^ (bits >> 96)) as u32
        }
    };
    let longest_first = !(reply.message.len() as u16);
    (u64::from(ip) << 32) | (u64::from(reply.to.port()) << 16) | u64::from(longest_first)
}

/// A place in a batch that is not filled.
const EMPTY: Reply<'static> = Reply {
    to: SocketAddr::V4(std::net::SocketAddrV4::new(
        std::net::Ipv4Addr::UNSPECIFIED,
        0,
    )),
    from: None,
    message: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker;

    #[test]
    fn answers_to_one_client_stand_together_the_longest_first() {
        let clients = [
            "192.0.2.1:1",
            "192.0.2.1:2",
            "192.0.2.2:1",
            "[2001:db8::1]:1",
        ];
        let mut replies = Vec::new();
        for message in [&b"12"[..], b"123", b"1", b"123"] {
            for to in clients {
                let to = to.parse().unwrap();
                let from = None;
                replies.push(Reply { to, from, message });
            }
        }
        replies.sort_unstable_by_key(place);
        for together in replies.chunks(4) {
            assert!(together.iter().all(|reply| reply.to == together[0].to));
            let lengths: Vec<usize> = together.iter().map(|reply| reply.message.len()).collect();
            assert_eq!(lengths, [3, 3, 2, 1]);
        }
    }

    /// A socket with room for so many answers, and what it has sent.
    struct Narrow(usize, Vec<Vec<u8>>);

    impl Datagrams for Narrow {
        fn poll_recv(&mut self, _cx: &mut Context<'_>, _ring: &mut Ring) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_send(
            &mut self,
            _cx: &mut Context<'_>,
            batch: &[Reply<'_>],
        ) -> Poll<io::Result<Sent>> {
            let done = batch.len().min(self.0);
            self.0 -= done;
            self.1
                .extend(batch[..done].iter().map(|reply| reply.message.to_vec()));
            match done {
                0 => Poll::Pending,
                _ => Poll::Ready(Ok(Sent { done, refused: 0 })),
            }
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(EMPTY.to)
        }
    }

    // fault 66: what there is no room for waits and leaves in order; what is beyond the bound is lost and counted.
    #[test]
    fn a_full_socket_keeps_so_many_answers_and_no_more() {
        let (waker, mut lost) = (noop_waker(), 0);
        let mut socket = Socket::new(Narrow(5, Vec::new()), SourceKey::default());
        let messages: Vec<_> = (0..2_000_u16).map(u16::to_be_bytes).collect();
        let reply = |message| Reply { message, ..EMPTY };
        let replies: Vec<_> = messages.iter().map(|octets| reply(octets)).collect();
        for batch in replies.chunks(Ring::SLOTS) {
            socket.send(batch, &waker, &mut lost);
        }
        let kept = 5 + MAX_BACKLOG;
        assert_eq!(lost, (messages.len() - kept) as u64);
        for room in [7, 0, usize::MAX] {
            socket.inner.as_mut().unwrap().0 = room;
            socket.retry(&waker, &mut lost);
        }
        assert!(socket.is_flushed());
        assert!(socket.inner.unwrap().1.iter().eq(&messages[..kept]));
    }
}
