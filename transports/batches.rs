//! UDP in batches, for any runtime that has file descriptors. Nothing here waits.

#[cfg(target_os = "linux")]
use super::many;
use crate::runtime::{Datagram, Ring, Sent};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::UdpSocket;

/// Where batches are small, so many slots are offered first: preparing each costs something.
const FEW: usize = 4;
/// An answer of at most so many octets fits the smallest path that IPv6 allows (RFC 8200 section 5: 1,280 octets), so that the
/// kernel can cut at it.
const MAX_SEGMENT: usize = 1232;

/// Moves datagrams of one socket in batches.
pub struct Batches {
    /// Bound to an unspecified address, so that each datagram has to tell which address was asked, and each reply to leave from it.
    wildcard: Option<UdpSocketState>,
    v6: bool,
    /// The last batch was small, and the next one likely is.
    few: bool,
    /// The kernel cuts what is handed over as one into datagrams (`UDP_SEGMENT`), until it refuses.
    cuts: bool,
    /// Answers in one piece, for a kernel that takes them so.
    piece: Vec<u8>,
}

impl Batches {
    /// For this socket, which is prepared for it.
    pub fn new(socket: &UdpSocket, wildcard: bool) -> io::Result<Self> {
        // Without `recvmmsg` of our own, quinn-udp receives everything.
        let wildcard = if wildcard || cfg!(not(target_os = "linux")) {
            Some(UdpSocketState::new(UdpSockRef::from(socket))?)
        } else {
            None
        };
        #[cfg(target_os = "linux")]
        {
            undo_gluing(socket);
            allow_fragments(socket)?;
        }
        Ok(Self {
            v6: socket.local_addr()?.is_ipv6(),
            few: true,
            cuts: cuts(socket),
            wildcard,
            piece: Vec::new(),
        })
    }

    /// Receives what is there, at least one datagram or an error such as `WouldBlock`. Fewer than [`Ring::SLOTS`]: that was all.
    pub fn recv(&mut self, socket: &UdpSocket, ring: &mut Ring) -> io::Result<()> {
        ring.clear();
        let first = if self.few { FEW } else { Ring::SLOTS };
        self.recv_some(socket, ring, first)?;
        if ring.len() == first
            && first < Ring::SLOTS
            && let Err(error) = self.recv_some(socket, ring, Ring::SLOTS)
            && error.kind() != io::ErrorKind::WouldBlock
        {
            // Of a datagram that is none of those received.
            log::debug!("receiving: {error}");
        }
        self.few = ring.len() < FEW;
        Ok(())
    }

    /// Fills the ring up to `limit` datagrams.
    fn recv_some(&self, socket: &UdpSocket, ring: &mut Ring, limit: usize) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        let Some(state) = &self.wildcard else {
            return many::recv(socket, self.v6, ring, limit);
        };
        #[cfg(not(target_os = "linux"))]
        let Some(state) = &self.wildcard else {
            return Ok(());
        };
        let have = ring.len();
        let mut meta = [RecvMeta::default(); Ring::SLOTS];
        let received = {
            let mut slots = ring.free_slots();
            let mut buffers: [IoSliceMut<'_>; Ring::SLOTS] =
                std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
            let room = limit.saturating_sub(have);
            let (Some(buffers), Some(meta)) = (buffers.get_mut(..room), meta.get_mut(..room))
            else {
                return Ok(());
            };
            state.recv(UdpSockRef::from(socket), buffers, meta)?
        };
        for meta in meta.iter().take(received) {
            ring.push(meta.len, meta.addr, meta.dst_ip);
        }
        Ok(())
    }

    /// Sends from the front of the batch until the socket's buffer is full; `WouldBlock` if it was full from the start.
    pub fn send(&mut self, socket: &UdpSocket, batch: &[Datagram<'_>]) -> io::Result<Sent> {
        let mut sent = Sent::default();
        while let Some(rest) = batch.get(sent.done..)
            && let Some(first) = rest.first()
        {
            match self.send_some(socket, rest) {
                Ok(n) => sent.done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && sent.done > 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => {
                    // It concerns the first answer alone: its client is gone, or a filter forbids it.
                    log::debug!("{}: answer not sent: {error}", first.to);
                    sent.done += 1;
                    sent.refused += 1;
                }
            }
        }
        Ok(sent)
    }

    /// Sends at least the first.
    fn send_some(&mut self, socket: &UdpSocket, batch: &[Datagram<'_>]) -> io::Result<usize> {
        if self.cuts
            && let Some(run) = batch.get(..run(batch))
            && run.len() > 1
        {
            match self.send_run(socket, run) {
                Ok(()) => return Ok(run.len()),
                Err(error) if is_passing(&error) => return Err(error),
                // Which of them it concerns shows when each is sent for itself.
                Err(error) => self.note_refusal(&error),
            }
        }
        match (batch, &self.wildcard) {
            ([], _) => Ok(0),
            ([reply, ..], Some(state)) if reply.from.is_some() => send_from(state, socket, reply),
            #[cfg(target_os = "linux")]
            ([_, _, ..], None) if self.cuts => {
                let singles = batch.get(..singles(batch)).unwrap_or(batch);
                many::send(socket, singles)
            }
            #[cfg(target_os = "linux")]
            ([_, _, ..], None) => many::send(socket, batch),
            ([reply, ..], _) => socket.send_to(reply.message, reply.to).map(|_| 1),
        }
    }

    /// Sends answers to one client, all of the first one's length but for the last: the network sees each for itself, and the way
    /// through the kernel is gone once.
    fn send_run(&mut self, socket: &UdpSocket, run: &[Datagram<'_>]) -> io::Result<()> {
        let Some(first) = run.first() else {
            return Ok(());
        };
        match &self.wildcard {
            #[cfg(target_os = "linux")]
            None => many::send_run(socket, first, run),
            #[cfg(not(target_os = "linux"))]
            None => Ok(()),
            Some(state) => {
                self.piece.clear();
                for reply in run {
                    self.piece.extend_from_slice(reply.message);
                }
                let transmit = Transmit {
                    destination: first.to,
                    ecn: None,
                    contents: &self.piece,
                    segment_size: Some(first.message.len()),
                    src_ip: first.from,
                };
                state.try_send(UdpSockRef::from(socket), &transmit)
            }
        }
    }

    /// A run was refused. A device that cannot cut is not asked again; other reasons concern a client.
    fn note_refusal(&mut self, error: &io::Error) {
        if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
            log::debug!("UDP_SEGMENT: {error}; answers leave one by one from now on");
            self.cuts = false;
        }
    }
}

/// Worth the same try again.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

/// How many answers from the front can leave as one: to one client, of one length, but for a last one that may be shorter.
fn run(batch: &[Datagram<'_>]) -> usize {
    let Some((first, rest)) = batch.split_first() else {
        return 0;
    };
    let length = first.message.len();
    if length > MAX_SEGMENT {
        return 1;
    }
    let same_way = |reply: &&Datagram<'_>| reply.to == first.to && reply.from == first.from;
    let mut count = 1;
    for reply in rest.iter().take(Ring::SLOTS - 1).take_while(same_way) {
        // An empty datagram would not be there at all.
        if !(1..=length).contains(&reply.message.len()) {
            break;
        }
        count += 1;
        if reply.message.len() < length {
            break;
        }
    }
    count
}

/// How many answers from the front, at least one, come before the next run.
fn singles(batch: &[Datagram<'_>]) -> usize {
    let begins_run = |at: &usize| batch.get(*at..).is_some_and(|rest| run(rest) > 1);
    (1..batch.len()).find(begins_run).unwrap_or(batch.len())
}

/// Sends one answer from the address that was asked.
fn send_from(
    state: &UdpSocketState,
    socket: &UdpSocket,
    reply: &Datagram<'_>,
) -> io::Result<usize> {
    let transmit = Transmit {
        destination: reply.to,
        ecn: None,
        contents: reply.message,
        segment_size: None,
        src_ip: reply.from,
    };
    state
        .try_send(UdpSockRef::from(socket), &transmit)
        .map(|()| 1)
}

/// Lets an answer larger than the path's MTU be fragmented: nobody would find a smaller size for it, as QUIC does.
#[cfg(target_os = "linux")]
fn allow_fragments(socket: &UdpSocket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag};
    use rustix::net::sockopt;
    if socket.local_addr()?.is_ipv4() {
        sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::DONT)?;
    } else {
        sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::DONT)?;
        setsockopt(socket, Ipv6DontFrag, &false)?;
    }
    Ok(())
}

/// Does the kernel know how to cut (Linux 4.18)?
#[cfg(target_os = "linux")]
fn cuts(socket: &UdpSocket) -> bool {
    use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
    // Nothing is cut unless a message asks for it.
    setsockopt(socket, UdpGsoSegment, &0).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn cuts(_socket: &UdpSocket) -> bool {
    false
}

/// Takes back what quinn-udp sets for QUIC: datagrams that the kernel glues together want buffers of 64 KiB.
#[cfg(target_os = "linux")]
fn undo_gluing(socket: &UdpSocket) {
    use nix::sys::socket::{setsockopt, sockopt::UdpGroSegment};
    if let Err(error) = setsockopt(socket, UdpGroSegment, &false) {
        // A kernel that cannot switch it off has none.
        log::debug!("UDP_GRO: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::sockets::{bind, is_missing};
    use super::*;
    use std::net::SocketAddr;

    /// Asks with one datagram; gives the sender as the batches see it.
    fn sender(at: &str, into: &mut (UdpSocket, Batches)) -> (SocketAddr, SocketAddr) {
        let client = UdpSocket::bind(at).unwrap();
        let (socket, batches) = into;
        client.send_to(b"?", socket.local_addr().unwrap()).unwrap();
        let mut ring = Ring::new();
        batches.recv(socket, &mut ring).unwrap();
        let (message, from, _) = ring.iter().next().unwrap();
        assert_eq!(message, b"?");
        (from, client.local_addr().unwrap())
    }

    #[test]
    fn both_families_on_one_thread_keep_their_senders() {
        let bound = |at: &str| bind(at.parse().unwrap(), false);
        let mut v4 = bound("127.0.0.1:0").unwrap();
        let mut v6 = match bound("[::1]:0") {
            Err(error) if is_missing(&error) => return,
            bound => bound.unwrap(),
        };
        for _ in 0..3 {
            let (seen, is) = sender("127.0.0.1:0", &mut v4);
            assert_eq!(seen, is);
            let (seen, is) = sender("[::1]:0", &mut v6);
            assert_eq!(seen, is);
        }
    }

    fn reply(to: &str, message: &'static [u8]) -> Datagram<'static> {
        Datagram {
            to: to.parse().unwrap(),
            from: None,
            message,
        }
    }

    #[test]
    fn a_run_is_for_one_client_and_of_one_length_but_for_the_last() {
        let (a, b) = ("192.0.2.1:1", "192.0.2.1:2");
        let runs = |batch: &[Datagram<'_>]| run(batch);
        assert_eq!(runs(&[]), 0);
        assert_eq!(runs(&[reply(a, b"123")]), 1);
        let same = [reply(a, b"123"), reply(a, b"456"), reply(b, b"789")];
        assert_eq!(runs(&same), 2);
        let tail = [reply(a, b"123"), reply(a, b"45"), reply(a, b"67")];
        assert_eq!(runs(&tail), 2, "a shorter one is the last");
        assert_eq!(
            runs(&[reply(a, b"12"), reply(a, b"345")]),
            1,
            "no longer one"
        );
        assert_eq!(runs(&[reply(a, b"12"), reply(a, b"")]), 1, "no empty one");
        assert_eq!(runs(&[reply(a, b""), reply(a, b"")]), 1);
        let long: &[u8] = &[7; MAX_SEGMENT + 1];
        assert_eq!(runs(&[reply(a, long), reply(a, long)]), 1);
        assert_eq!(runs(&[reply(a, &long[1..]), reply(a, b"1")]), 2);
        assert_eq!(runs(&[reply(a, b"1"); 100]), Ring::SLOTS);
        let from = Datagram {
            from: Some([127, 0, 0, 9].into()),
            ..reply(a, b"123")
        };
        assert_eq!(runs(&[reply(a, b"123"), from]), 1, "another way back");

        let mixed = [
            reply(a, b"1"),
            reply(b, b"1"),
            reply(a, b"12"),
            reply(a, b"3"),
        ];
        assert_eq!(singles(&mixed), 2);
        assert_eq!(singles(&mixed[..2]), 2);
        assert_eq!(singles(&mixed[..1]), 1);
    }

    /// What a client gets from a batch of these lengths.
    fn lengths_received(bound: &str, to: &str, lengths: &[usize], cuts: bool) -> Vec<usize> {
        let client = UdpSocket::bind(to).unwrap();
        let (socket, mut batches) = bind(bound.parse().unwrap(), false).unwrap();
        assert!(batches.cuts, "the kernel cuts");
        batches.cuts = cuts;
        let content = [7; 2000];
        let from = batches.wildcard.is_some().then(|| [127, 0, 0, 9].into());
        let to = client.local_addr().unwrap();
        let batch: Vec<Datagram<'_>> = (lengths.iter())
            .map(|&length| Datagram {
                to,
                from,
                message: &content[..length],
            })
            .collect();
        let sent = batches.send(&socket, &batch).unwrap();
        assert_eq!((sent.done, sent.refused), (lengths.len(), 0));
        assert_eq!(batches.cuts, cuts, "nothing was refused");
        let mut into = [0; 4096];
        let receive = |_: &usize| {
            let (length, sender) = client.recv_from(&mut into).unwrap();
            assert_eq!(sender.ip(), from.unwrap_or([127, 0, 0, 1].into()));
            length
        };
        lengths.iter().map(receive).collect()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_leaves_as_one_arrives_as_many() {
        let lengths = [1300, 1300, 1232, 1232, 60, 50, 50, 50, 12, 12, 0, 0, 40];
        for bound in ["127.0.0.1:0", "0.0.0.0:0"] {
            for cuts in [true, false] {
                let received = lengths_received(bound, "127.0.0.1:0", &lengths, cuts);
                assert_eq!(received, lengths, "{bound} {cuts}");
            }
        }
    }

    #[test]
    fn a_kernel_that_cannot_cut_is_not_asked_again() {
        let (_, mut batches) = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let refusal = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        batches.cuts = true;
        batches.note_refusal(&refusal(rustix::io::Errno::PERM));
        assert!(batches.cuts, "that concerned a client");
        batches.note_refusal(&refusal(rustix::io::Errno::IO));
        assert!(!batches.cuts);
    }
}
