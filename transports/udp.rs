//! UDP in batches, for any runtime that has file descriptors. Nothing here waits.

use crate::runtime::{Datagram, Ring, Sent};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, sendmsg, setsockopt,
    sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams asked for first while batches are small: each slot that is offered to the kernel has a cost.
const SMALL_BATCH: usize = 4;
/// A response of at most this length fits the minimum IPv6 MTU (RFC 8200 section 5: 1,280 octets), so that the kernel may cut
/// several of them from one buffer.
const MAX_SEGMENT: usize = 1232;

/// Sends and receives the datagrams of one socket in batches.
pub struct Batches {
    kind: Kind,
    /// The last batch was small, so the next one probably is.
    small: bool,
    /// The kernel cuts one buffer into datagrams (`UDP_SEGMENT`). False after it refused.
    segments: bool,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bound to one address.
    Address,
    /// Bound to an unspecified address: each datagram says which address it was sent to, and its reply leaves from there.
    Wildcard,
    /// Connected to one peer, whose address some systems refuse to be told again.
    Peer,
}

/// One datagram that the kernel put into a slot: its length, its sender, the address it was sent to.
type Received = (usize, SocketAddr, Option<IpAddr>);

impl Batches {
    /// Sets the options of this socket that batches need.
    pub fn new(socket: &UdpSocket) -> io::Result<Self> {
        let at = socket.local_addr()?;
        // Bound to a wildcard, the kernel has to tell the destination of each datagram.
        let wildcard = at.ip().is_unspecified();
        if wildcard && at.is_ipv4() {
            setsockopt(socket, ipv4::DESTINATION, &true)?;
        } else if wildcard {
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        #[cfg(target_os = "linux")]
        allow_fragments(socket, at.is_ipv4())?;
        Ok(Self {
            kind: match socket.peer_addr() {
                Ok(_) => Kind::Peer,
                Err(_) if wildcard => Kind::Wildcard,
                Err(_) => Kind::Address,
            },
            small: true,
            segments: has_segmentation(socket),
        })
    }

    /// Receives at least one datagram, or returns an error such as `WouldBlock`. Fewer than [`Ring::SLOTS`]: the socket is empty.
    pub fn recv(&mut self, socket: &UdpSocket, ring: &mut Ring) -> io::Result<()> {
        ring.clear();
        let first = if self.small { SMALL_BATCH } else { Ring::SLOTS };
        self.recv_some(socket, ring, first)?;
        if ring.len() == first
            && first < Ring::SLOTS
            && let Err(error) = self.recv_some(socket, ring, Ring::SLOTS - first)
            && error.kind() != io::ErrorKind::WouldBlock
        {
            // It concerns none of the datagrams that were received.
            log::debug!(
                "receiving more over UDP failed: {error}; what has been received is served"
            );
        }
        self.small = ring.len() < SMALL_BATCH;
        Ok(())
    }

    /// Adds up to `count` datagrams to the ring.
    fn recv_some(&self, socket: &UdpSocket, ring: &mut Ring, count: usize) -> io::Result<()> {
        for (len, from, to) in self.recv_into(socket, ring, count)? {
            ring.push(len, from, to);
        }
        Ok(())
    }

    /// Fills up to `count` free slots with one system call.
    #[cfg(target_os = "linux")]
    fn recv_into(
        &self,
        socket: &UdpSocket,
        ring: &mut Ring,
        count: usize,
    ) -> io::Result<Vec<Received>> {
        use nix::sys::socket::{MultiHeaders, recvmmsg};
        // Made anew for each batch: the kernel leaves the lengths that it used in the headers, and they would bound the next batch.
        let control = (self.kind == Kind::Wildcard).then(|| cmsg_space!(in6_pktinfo));
        let mut headers = MultiHeaders::preallocate(count, control);
        let slots = ring.free_slots().take(count);
        let mut slots: Vec<_> = slots.map(|slot| [IoSliceMut::new(slot)]).collect();
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let batch = recvmmsg(fd, &mut headers, &mut slots, flags, None)?;
        Ok(batch.filter_map(|message| received(&message)).collect())
    }

    /// Fills up to `count` free slots, with one system call for each.
    #[cfg(not(target_os = "linux"))]
    fn recv_into(
        &self,
        socket: &UdpSocket,
        ring: &mut Ring,
        count: usize,
    ) -> io::Result<Vec<Received>> {
        let mut batch = Vec::new();
        for slot in ring.free_slots().take(count) {
            let mut control =
                (self.kind == Kind::Wildcard).then(|| vec![0; cmsg_space!(in6_pktinfo).capacity()]);
            let (mut slot, control) = ([IoSliceMut::new(slot)], control.as_deref_mut());
            let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            match nix::sys::socket::recvmsg(fd, &mut slot, control, flags) {
                Ok(message) => batch.extend(received(&message)),
                Err(error) if batch.is_empty() => return Err(error.into()),
                Err(_) => break,
            }
        }
        Ok(batch)
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
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock || self.kind == Kind::Peer =>
                {
                    return Err(error);
                }
                Err(error) => {
                    // It concerns the first response only: its client is gone, or a filter forbids it.
                    log::debug!("{}: response not sent: {error}; it is dropped", first.to);
                    sent.done += 1;
                    sent.refused += 1;
                }
            }
        }
        Ok(sent)
    }

    /// Sends at least the first.
    fn send_some(&mut self, socket: &UdpSocket, batch: &[Datagram<'_>]) -> io::Result<usize> {
        if self.kind == Kind::Peer
            && let Some(first) = batch.first()
        {
            return socket.send(first.message).map(|_| 1);
        }
        if self.segments
            && let Some(run) = batch.get(..run(batch))
            && run.len() > 1
        {
            match send_as_one(socket, run) {
                Ok(()) => return Ok(run.len()),
                Err(error) if is_passing(&error) => return Err(error),
                // Sending each by itself shows which of them it concerns.
                Err(error) => self.note_refusal(&error),
            }
        }
        match batch {
            [] => Ok(0),
            [reply, ..] if reply.from.is_some() => {
                send_as_one(socket, std::slice::from_ref(reply)).map(|()| 1)
            }
            #[cfg(target_os = "linux")]
            [_, _, ..] if self.kind == Kind::Address => {
                let count = if self.segments {
                    singles(batch)
                } else {
                    batch.len()
                };
                send_each(socket, batch.get(..count).unwrap_or(batch))
            }
            [reply, ..] => socket.send_to(reply.message, reply.to).map(|_| 1),
        }
    }

    /// Notes why a run was refused. A device that cannot cut buffers is not asked again; other reasons concern one client.
    fn note_refusal(&mut self, error: &io::Error) {
        if error.raw_os_error() == Some(Errno::EIO as i32) {
            log::debug!("UDP_SEGMENT: {error}; responses leave one by one from now on");
            self.segments = false;
        }
    }
}

/// What the kernel says of a datagram. Each has a sender.
fn received(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Received> {
    let from = message.address.as_ref()?;
    let v4 = from
        .as_sockaddr_in()
        .map(|from| SocketAddr::V4((*from).into()));
    let v6 = from
        .as_sockaddr_in6()
        .map(|from| SocketAddr::V6((*from).into()));
    let to = match message.cmsgs() {
        Ok(mut controls) => controls.find_map(|control| destination(&control)),
        Err(_) => None,
    };
    Some((message.bytes, v4.or(v6)?, to))
}

/// The address that a datagram was sent to.
fn destination(control: &ControlMessageOwned) -> Option<IpAddr> {
    match control {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(info.ipi6_addr.s6_addr.into()),
        control => ipv4::destination(control),
    }
}

/// How a kernel tells the destination of an IPv4 datagram, and takes the source of one: as Linux and macOS do.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod ipv4 {
    use super::{ControlMessage, ControlMessageOwned, IpAddr, Ipv4Addr};
    use nix::libc::{in_addr, in_pktinfo};

    pub const DESTINATION: nix::sys::socket::sockopt::Ipv4PacketInfo =
        nix::sys::socket::sockopt::Ipv4PacketInfo;

    pub fn destination(control: &ControlMessageOwned) -> Option<IpAddr> {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(info.ipi_addr.s_addr.to_ne_bytes().into())
            }
            _ => None,
        }
    }

    pub fn source(from: Ipv4Addr) -> in_pktinfo {
        let addr = |ip: Ipv4Addr| in_addr {
            s_addr: u32::from_ne_bytes(ip.octets()),
        };
        in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: addr(from),
            ipi_addr: addr(Ipv4Addr::UNSPECIFIED),
        }
    }

    pub fn control(source: &in_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv4PacketInfo(source)
    }
}

/// As above, as the BSDs do.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod ipv4 {
    use super::{ControlMessage, ControlMessageOwned, IpAddr, Ipv4Addr};
    use nix::libc::in_addr;

    pub const DESTINATION: nix::sys::socket::sockopt::Ipv4RecvDstAddr =
        nix::sys::socket::sockopt::Ipv4RecvDstAddr;

    pub fn destination(control: &ControlMessageOwned) -> Option<IpAddr> {
        match control {
            ControlMessageOwned::Ipv4RecvDstAddr(addr) => Some(addr.s_addr.to_ne_bytes().into()),
            _ => None,
        }
    }

    pub fn source(from: Ipv4Addr) -> in_addr {
        in_addr {
            s_addr: u32::from_ne_bytes(from.octets()),
        }
    }

    pub fn control(source: &in_addr) -> ControlMessage<'_> {
        ControlMessage::Ipv4SendSrcAddr(source)
    }
}

/// Sends responses to one client with one system call, from the address that the client asked. Several are cut from one buffer: all have
/// the first one's length, except for the last, which may be shorter.
fn send_as_one(socket: &UdpSocket, run: &[Datagram<'_>]) -> io::Result<()> {
    let Some(first) = run.first() else {
        return Ok(());
    };
    let contents: Vec<_> = (run.iter())
        .map(|reply| IoSlice::new(reply.message))
        .collect();
    let (v4, v6) = match first.from {
        Some(IpAddr::V4(from)) => (Some(ipv4::source(from)), None),
        Some(IpAddr::V6(from)) => (None, Some(from.octets())),
        None => (None, None),
    };
    let v6 = v6.map(|s6_addr| in6_pktinfo {
        ipi6_addr: in6_addr { s6_addr },
        ipi6_ifindex: 0,
    });
    let v4 = v4.as_ref().map(ipv4::control);
    let v6 = v6.as_ref().map(ControlMessage::Ipv6PacketInfo);
    #[cfg(target_os = "linux")]
    let length = first.message.len() as u16;
    #[cfg(target_os = "linux")]
    let segments = (run.len() > 1).then_some(ControlMessage::UdpGsoSegments(&length));
    #[cfg(not(target_os = "linux"))]
    let segments = None;
    let controls: Vec<_> = [v4, v6, segments].into_iter().flatten().collect();
    let (to, flags) = (SockaddrStorage::from(first.to), MsgFlags::MSG_DONTWAIT);
    sendmsg(socket.as_raw_fd(), &contents, &controls, flags, Some(&to))?;
    Ok(())
}

/// Sends at most as many responses from the front as a ring has slots, with one system call; says how many the kernel took.
#[cfg(target_os = "linux")]
fn send_each(socket: &UdpSocket, batch: &[Datagram<'_>]) -> io::Result<usize> {
    use rustix::net::addr::SocketAddrArg;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
    let batch = batch.get(..Ring::SLOTS).unwrap_or(batch);
    let mut parts: Vec<_> = (batch.iter())
        .map(|reply| {
            let contents = [IoSlice::new(reply.message)];
            (reply.to.as_any(), contents, SendAncillaryBuffer::default())
        })
        .collect();
    let headers = parts.iter_mut();
    let mut headers: Vec<_> = headers
        .map(|(to, contents, control)| MMsgHdr::new_with_addr(to, contents, control))
        .collect();
    Ok(sendmmsg(socket, &mut headers, SendFlags::empty())?)
}

/// Worth the same try again.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

/// How many responses from the front can leave as one: to one client, of one length, except for a last one that may be shorter.
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
        // The kernel would not send an empty one.
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

/// How many responses from the front, at least one, come before the next run.
#[cfg(target_os = "linux")]
fn singles(batch: &[Datagram<'_>]) -> usize {
    let begins_run = |at: &usize| batch.get(*at..).is_some_and(|rest| run(rest) > 1);
    (1..batch.len()).find(begins_run).unwrap_or(batch.len())
}

/// Lets a response larger than the path MTU be fragmented: its size does not adapt to the path, as that of a QUIC packet does.
#[cfg(target_os = "linux")]
fn allow_fragments(socket: &UdpSocket, v4: bool) -> io::Result<()> {
    use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
    if v4 {
        sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT)?;
    } else {
        sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT)?;
    }
    Ok(())
}

/// Does the kernel know `UDP_SEGMENT` (Linux 4.18)?
#[cfg(target_os = "linux")]
fn has_segmentation(socket: &UdpSocket) -> bool {
    // A size of 0 changes nothing: buffers are cut only where a message asks for it.
    setsockopt(socket, sockopt::UdpGsoSegment, &0).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_segmentation(_socket: &UdpSocket) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::super::sockets;
    use super::*;

    fn bind(at: SocketAddr, share: bool) -> io::Result<(UdpSocket, Batches)> {
        let socket = sockets::bind(at, share)?;
        let batches = Batches::new(&socket)?;
        Ok((socket, batches))
    }
    use std::net::SocketAddr;

    #[test]
    fn each_datagram_has_its_sender_and_on_a_wildcard_socket_its_destination() {
        // More than a small batch, so that both ways to ask the kernel are taken.
        const COUNT: u8 = 7;
        let sockets = [
            ("127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.9"),
            ("[::1]:0", "::1"),
            ("[::]:0", "::1"),
        ];
        for (at, destination) in sockets {
            let (at, ip): (SocketAddr, IpAddr) =
                (at.parse().unwrap(), destination.parse().unwrap());
            let (socket, mut batches) = match bind(at, false) {
                // This host is without IPv6.
                Err(_) if UdpSocket::bind("[::1]:0").is_err() && at.is_ipv6() => continue,
                bound => bound.unwrap(),
            };
            let to = SocketAddr::new(ip, socket.local_addr().unwrap().port());
            let reported = at.ip().is_unspecified().then_some(ip);
            let mut ring = Ring::new();
            // Twice: what a batch leaves in the kernel's headers must not bound the next one.
            for _ in 0..2 {
                let clients: Vec<_> = (0..COUNT)
                    .map(|number| {
                        let client = UdpSocket::bind(SocketAddr::new(at.ip(), 0)).unwrap();
                        client.connect(to).unwrap();
                        client.send(&[number]).unwrap();
                        client
                    })
                    .collect();
                batches.recv(&socket, &mut ring).unwrap();
                let expected = (0..COUNT).zip(&clients);
                let expected = expected.map(|(number, client)| {
                    let from = client.local_addr().unwrap();
                    (vec![number], from, reported)
                });
                let got = ring
                    .iter()
                    .map(|(octets, from, to)| (octets.to_vec(), from, to));
                assert!(got.eq(expected), "{at}");
            }
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
    fn lengths_received(bound: &str, to: &str, lengths: &[usize], segments: bool) -> Vec<usize> {
        let client = UdpSocket::bind(to).unwrap();
        let (socket, mut batches) = bind(bound.parse().unwrap(), false).unwrap();
        assert!(batches.segments, "the kernel has UDP_SEGMENT");
        batches.segments = segments;
        let content = [7; 2000];
        let from = (batches.kind == Kind::Wildcard).then(|| [127, 0, 0, 9].into());
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
        assert_eq!(batches.segments, segments, "nothing was refused");
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
            for segments in [true, false] {
                let received = lengths_received(bound, "127.0.0.1:0", &lengths, segments);
                assert_eq!(received, lengths, "{bound} {segments}");
            }
        }
    }

    #[test]
    fn a_device_that_cannot_cut_is_not_asked_again() {
        let (_, mut batches) = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        batches.segments = true;
        batches.note_refusal(&Errno::EPERM.into());
        assert!(batches.segments, "that concerned a client");
        batches.note_refusal(&Errno::EIO.into());
        assert!(!batches.segments);
    }
}
