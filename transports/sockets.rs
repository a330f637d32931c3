//! Real sockets for any runtime that has file descriptors: how they are made and tuned, and UDP in batches.
//!
//! A runtime adds only the waiting. Everything here returns at once.

use crate::engine::{Now, Time};
use crate::runtime::{Reply, Ring, Sent};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Clients that the kernel keeps for us between two accepts; it cuts this to its own bound (`somaxconn`).
const BACKLOG: i32 = 1024;
/// Room for a burst of questions while the loop is busy; the kernel cuts it to `rmem_max`.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Descriptors that clients' connections may not take.
const RESERVED: usize = 32;
/// How long the other end may fail to acknowledge what we sent. A path that died is found in seconds, not in the kernel's 15 minutes.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// Keepalive probes begin after so long, so that a path that died while idle is found before the next question.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// The time between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Lost probes until the connection is given up.
const KEEPALIVE_PROBES: u32 = 3;

/// Both clocks since `origin`. Where there is no clock that goes on during suspend, the monotonic one stands in.
pub fn now(origin: Instant) -> Now {
    let since = |from: Duration| Time::ZERO + from;
    let mono = since(origin.elapsed());
    #[cfg(target_os = "linux")]
    let boot = {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        since(Duration::new(
            u64::try_from(boot.tv_sec).unwrap_or_default(),
            u32::try_from(boot.tv_nsec).unwrap_or_default(),
        ))
    };
    #[cfg(not(target_os = "linux"))]
    let boot = mono;
    Now { mono, boot }
}

fn socket(at: SocketAddr, kind: Type, protocol: Protocol, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    if at.is_ipv6() {
        // `::` stands for IPv6 alone, so that `0.0.0.0` can be listened on beside it.
        socket.set_only_v6(true)?;
    }
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A listening socket.
pub fn listen(at: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket = socket(at, Type::STREAM, Protocol::TCP, share)?;
    // Connections of a former run that linger in TIME_WAIT must not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket for datagrams.
pub fn bind(at: SocketAddr, share: bool) -> io::Result<(UdpSocket, Batches)> {
    let socket = socket(at, Type::DGRAM, Protocol::UDP, share)?;
    // A smaller buffer than wished for is no reason not to serve.
    drop(socket.set_recv_buffer_size(RECEIVE_BUFFER));
    socket.bind(&at.into())?;
    let socket = UdpSocket::from(socket);
    let batches = Batches::new(&socket, at.ip().is_unspecified())?;
    Ok((socket, batches))
}

/// As many clients' connections as the process has descriptors for, with some left for upstreams, sockets and the log: an
/// upstream that cannot be connected to for want of one would be an outage for everybody.
pub fn affordable(connections: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return connections;
    };
    let most = limit.saturating_sub(RESERVED).max(1);
    if most < connections {
        log::info!("at most {most} TCP clients, because {limit} files may be open (ulimit -n)");
    }
    connections.min(most)
}

/// Does this error mean that the machine lacks the address, or its whole family?
pub fn is_missing(error: &io::Error) -> bool {
    let no_family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(no_family)
}

/// Lets an answer larger than the path's MTU be fragmented: nobody would find a smaller size for it, as QUIC does.
#[cfg(target_os = "linux")]
fn allow_fragments(socket: &UdpSocket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::Ipv6DontFrag};
    if socket.local_addr()?.is_ipv4() {
        sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::DONT)?;
    } else {
        sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::DONT)?;
        setsockopt(socket, Ipv6DontFrag, &false)?;
    }
    Ok(())
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

/// Options for a connection to an upstream. They make failures show sooner; none is needed to work.
pub fn tune_link(stream: &impl AsFd) {
    let tuned = [
        sockopt::set_tcp_nodelay(stream, true),
        sockopt::set_socket_keepalive(stream, true),
        sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE),
        sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL),
        sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES),
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_user_timeout(stream, USER_TIMEOUT.as_millis() as u32),
    ];
    for error in tuned.into_iter().filter_map(Result::err) {
        log::debug!("a socket option was refused: {error}");
    }
}

/// Options for a client's connection: answers are written whole, so there is nothing to wait for.
pub fn tune_client(stream: &impl AsFd) {
    if let Err(error) = sockopt::set_tcp_nodelay(stream, true) {
        log::debug!("TCP_NODELAY was refused: {error}");
    }
}

/// Asks the kernel to acknowledge at once what arrives next.
pub fn ack_soon(stream: &impl AsFd) {
    #[cfg(target_os = "linux")]
    if let Err(error) = sockopt::set_tcp_quickack(stream, true) {
        log::debug!("TCP_QUICKACK was refused: {error}");
    }
}

/// Moves datagrams of one socket in batches.
pub struct Batches {
    /// Bound to an unspecified address, so that each datagram has to tell which address was asked, and each reply to leave from it.
    wildcard: Option<UdpSocketState>,
    v6: bool,
    /// The last batch was small, and the next one likely is.
    few: bool,
}

/// Where batches are small, so many slots are offered first: preparing each costs something.
const FEW: usize = 4;

impl Batches {
    fn new(socket: &UdpSocket, wildcard: bool) -> io::Result<Self> {
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
            wildcard,
            v6: socket.local_addr()?.is_ipv6(),
            few: true,
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
    pub fn send(&self, socket: &UdpSocket, batch: &[Reply<'_>]) -> io::Result<Sent> {
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
    fn send_some(&self, socket: &UdpSocket, batch: &[Reply<'_>]) -> io::Result<usize> {
        match (batch, &self.wildcard) {
            ([], _) => Ok(0),
            ([reply, ..], Some(state)) if reply.from.is_some() => send_from(state, socket, reply),
            #[cfg(target_os = "linux")]
            ([_, _, ..], None) => many::send(socket, batch),
            ([reply, ..], _) => socket.send_to(reply.message, reply.to).map(|_| 1),
        }
    }
}

/// Sends one answer from the address that was asked.
fn send_from(state: &UdpSocketState, socket: &UdpSocket, reply: &Reply<'_>) -> io::Result<usize> {
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

#[cfg(target_os = "linux")]
mod many {
    //! Many datagrams in one system call, of a socket whose address says all about them.

    use crate::runtime::{Reply, Ring};
    use nix::sys::socket::{
        MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg,
    };
    use rustix::net::addr::SocketAddrArg;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
    use std::cell::RefCell;
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd;

    thread_local! {
        // What the kernel fills in. It holds addresses of itself, so it stays where it is: once for each thread. And once for
        // each family: the kernel leaves the length of the last address in it, which bounds that of the next.
        static V4: RefCell<MultiHeaders<SockaddrIn>> =
            RefCell::new(MultiHeaders::preallocate(Ring::SLOTS, None));
        static V6: RefCell<MultiHeaders<SockaddrIn6>> =
            RefCell::new(MultiHeaders::preallocate(Ring::SLOTS, None));
    }

    /// Fills the ring up to `limit` datagrams.
    pub fn recv(socket: &UdpSocket, v6: bool, ring: &mut Ring, limit: usize) -> io::Result<()> {
        if v6 {
            let address = |from: SockaddrIn6| SocketAddr::V6(from.into());
            V6.with_borrow_mut(|headers| recv_by(headers, address, socket, ring, limit))
        } else {
            let address = |from: SockaddrIn| SocketAddr::V4(from.into());
            V4.with_borrow_mut(|headers| recv_by(headers, address, socket, ring, limit))
        }
    }

    fn recv_by<S: SockaddrLike + Copy>(
        headers: &mut MultiHeaders<S>,
        address: impl Fn(S) -> SocketAddr,
        socket: &UdpSocket,
        ring: &mut Ring,
        limit: usize,
    ) -> io::Result<()> {
        let room = limit.saturating_sub(ring.len());
        let mut received = [None::<(usize, SocketAddr)>; Ring::SLOTS];
        {
            let mut slots = ring.free_slots();
            let mut buffers: [[IoSliceMut<'_>; 1]; Ring::SLOTS] =
                std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
            let buffers = buffers.iter_mut().take(room);
            let flags = MsgFlags::MSG_DONTWAIT;
            let batch = recvmmsg(socket.as_raw_fd(), headers, buffers, flags, None)?;
            for (message, slot) in batch.zip(&mut received) {
                // Every datagram has a sender, and its address the length of its family's.
                *slot = message.address.map(|from| (message.bytes, address(from)));
            }
        }
        for (len, from) in received.into_iter().map_while(|slot| slot) {
            ring.push(len, from, None);
        }
        Ok(())
    }

    /// Sends at most a ring's worth of answers from the front; says how many the kernel took.
    pub fn send(socket: &UdpSocket, batch: &[Reply<'_>]) -> io::Result<usize> {
        // What is prepared for the kernel is made for the batch: few answers cost less than many.
        match batch.len() {
            0..=2 => send_up_to::<2>(socket, batch),
            3..=8 => send_up_to::<8>(socket, batch),
            9..=16 => send_up_to::<16>(socket, batch),
            _ => send_up_to::<{ Ring::SLOTS }>(socket, batch),
        }
    }

    fn send_up_to<const N: usize>(socket: &UdpSocket, batch: &[Reply<'_>]) -> io::Result<usize> {
        let Some(first) = batch.first() else {
            return Ok(0);
        };
        // Places beyond the batch are filled with its first answer and never used.
        let reply = |i: usize| batch.get(i).unwrap_or(first);
        let to: [SocketAddrAny; N] = std::array::from_fn(|i| reply(i).to.as_any());
        let contents: [[IoSlice<'_>; 1]; N] =
            std::array::from_fn(|i| [IoSlice::new(reply(i).message)]);
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; N] =
            std::array::from_fn(|_| SendAncillaryBuffer::default());
        let mut controls = controls.iter_mut();
        let mut headers = Vec::with_capacity(N);
        for ((to, contents), _) in to.iter().zip(&contents).zip(batch) {
            if let Some(control) = controls.next() {
                headers.push(MMsgHdr::new_with_addr(to, contents, control));
            }
        }
        Ok(sendmmsg(socket, &mut headers, SendFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
