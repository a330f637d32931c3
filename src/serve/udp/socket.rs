//! One UDP socket: queries in, responses out.

use crate::engine::{Client, Time, Via};
use crate::runtime::{Datagram, Datagrams, Ring, Runtime, Sent};
use crate::serve::core::Core;
use crate::serve::pause::Pause;
use crate::serve::sources::{Polled, Source};
use log::debug;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

/// Batches from one socket in one iteration, so that connections and other sockets get their turn.
const MAX_BATCHES: usize = 4;
/// Responses kept for a socket whose buffer is full. Its clients ask again; more would only be late.
const MAX_BACKLOG: usize = 1024;
/// And in octets, so that they are bounded where responses are large, too.
const MAX_BACKLOG_OCTETS: usize = 512 * 1024;
/// Errors in a row that may be about datagrams (an ICMP message that came back for a response) and not about the socket.
const TOLERATED_ERRORS: u32 = 3;
/// Pauses in a row until the socket is given up and another one is bound in its place.
const MAX_PAUSES: u32 = 10;

/// A UDP socket.
pub struct Socket<D> {
    pub source: Source,
    /// `None` once it was given up, until another is bound.
    inner: Option<D>,
    /// Where another is bound in its place. Without, it is not given up.
    rebind: Option<SocketAddr>,
    pause: Pause,
    /// Responses that the socket had no room for.
    backlog: VecDeque<(SocketAddr, Option<IpAddr>, Vec<u8>)>,
    /// Octets of them.
    octets: usize,
}

impl<D: Datagrams> Socket<D> {
    pub fn new(socket: D, rebind: Option<SocketAddr>, source: Source) -> Self {
        let addr = socket.local_addr().ok();
        Self {
            source,
            inner: Some(socket),
            rebind,
            pause: Pause::new(addr, "receiving over UDP", TOLERATED_ERRORS),
            backlog: VecDeque::new(),
            octets: 0,
        }
    }

    /// Takes what has arrived to the core. Says whether that was anything.
    pub fn receive(&mut self, index: u16, ring: &mut Ring, core: &mut Core) -> (bool, Polled) {
        let mut cx = self.source.context();
        let mut received = false;
        if self.pause.is_on(core.now.mono) {
            return (false, Polled::Pending);
        }
        for _ in 0..MAX_BATCHES {
            if core.out.is_full() {
                break;
            }
            let Some(socket) = &mut self.inner else {
                return (received, Polled::Pending);
            };
            match socket.poll_recv(&mut cx, ring) {
                Poll::Pending => return (received, Polled::Pending),
                Poll::Ready(Err(error)) => {
                    if self.pause.failed(&error, core.now.mono) {
                        if self.pause.pauses > MAX_PAUSES && self.rebind.is_some() {
                            self.inner = None;
                            self.pause.pauses = 0;
                        }
                        return (received, Polled::Pending);
                    }
                }
                Poll::Ready(Ok(())) => {
                    self.pause.succeeded();
                    for (message, addr, local) in ring.iter() {
                        let via = Via::Datagram {
                            socket: index,
                            local,
                        };
                        let (client, now) = (Client { addr, via }, core.now);
                        // Whether a response follows does not matter here: nothing is kept for this client.
                        let _will_respond =
                            core.forwarder.query(message, client, now, &mut core.out);
                    }
                    received |= !ring.is_empty();
                    // More will follow when these are answered. After fewer, the next round begins to wait.
                    if (Ring::BUSY..Ring::SLOTS).contains(&ring.len()) {
                        break;
                    }
                }
            }
        }
        (received, Polled::More)
    }

    /// Time went on: it is polled again after a pause. If it was given up, another socket is bound.
    pub fn time<R>(&mut self, runtime: &R, share: bool, now: Time)
    where
        R: Runtime<Datagrams = D>,
    {
        if !self.pause.ends(now) {
            return;
        }
        if let (None, Some(addr)) = (&self.inner, self.rebind) {
            match runtime.bind(addr, share) {
                Ok(socket) => self.inner = Some(socket),
                Err(error) => {
                    self.pause.failed(&error, now);
                }
            }
        }
        self.source.mark();
    }

    /// When [`Socket::time`] has something to do.
    pub fn next_alarm(&self) -> Option<Time> {
        self.pause.until()
    }

    /// Sends responses, or keeps them until there is room. Counts those that are `lost`.
    pub fn send(&mut self, batch: &[Datagram<'_>], lost: &mut u64) {
        let mut rest = batch;
        // Responses leave in order: behind a backlog they wait, too.
        while self.backlog.is_empty() && !rest.is_empty() {
            match self.try_send(rest) {
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
    pub fn retry(&mut self, lost: &mut u64) {
        while let Some((to, from, message)) = self.backlog.pop_front() {
            let reply = Datagram {
                to,
                from,
                message: &message,
            };
            let Poll::Ready(sent) = self.try_send(&[reply]) else {
                self.backlog.push_front((to, from, message));
                return;
            };
            *lost += sent.refused as u64;
            self.octets -= message.len();
        }
        // What was kept in a burst is no measure for the next one.
        self.backlog.shrink_to(Ring::SLOTS);
    }

    fn try_send(&mut self, batch: &[Datagram<'_>]) -> Poll<Sent> {
        let refused = Sent {
            done: 1,
            refused: 1,
        };
        let Some(socket) = &mut self.inner else {
            return Poll::Ready(refused);
        };
        let mut cx = self.source.context();
        socket.poll_send(&mut cx, batch).map(|sent| {
            sent.unwrap_or_else(|error| {
                debug!("sending over UDP failed: {error}; the response is dropped");
                refused
            })
        })
    }

    /// Has every response left?
    pub fn is_flushed(&self) -> bool {
        self.backlog.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::EMPTY;
    use super::*;
    use crate::serve::sources::{Kind, Sources};
    use std::io;
    use std::task::Context;

    /// A socket with room for so many responses, and what it has sent.
    struct Narrow(usize, Vec<Vec<u8>>);

    impl Datagrams for Narrow {
        fn poll_recv(&mut self, _cx: &mut Context<'_>, _ring: &mut Ring) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_send(
            &mut self,
            _cx: &mut Context<'_>,
            batch: &[Datagram<'_>],
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

    // fault 66: responses without room wait and leave in order; those beyond the bound are lost and counted.
    #[test]
    fn a_full_socket_keeps_so_many_responses_and_no_more() {
        let mut lost = 0;
        let source = Sources::default().add(Kind::Udp(0));
        let mut socket = Socket::new(Narrow(5, Vec::new()), None, source);
        let messages: Vec<_> = (0..2_000_u16).map(u16::to_be_bytes).collect();
        let reply = |message| Datagram { message, ..EMPTY };
        let replies: Vec<_> = messages.iter().map(|octets| reply(octets)).collect();
        for batch in replies.chunks(Ring::SLOTS) {
            socket.send(batch, &mut lost);
        }
        let kept = 5 + MAX_BACKLOG;
        assert_eq!(lost, (messages.len() - kept) as u64);
        for room in [7, 0, usize::MAX] {
            socket.inner.as_mut().unwrap().0 = room;
            socket.retry(&mut lost);
        }
        assert!(socket.is_flushed());
        assert!(socket.inner.unwrap().1.iter().eq(&messages[..kept]));
    }
}
