//! Many datagrams in one system call, of a socket whose address says all about them.

use crate::runtime::{Datagram, Ring};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    recvmmsg, sendmsg,
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
pub fn send(socket: &UdpSocket, batch: &[Datagram<'_>]) -> io::Result<usize> {
    // What is prepared for the kernel is made for the batch: few answers cost less than many.
    match batch.len() {
        0..=2 => send_up_to::<2>(socket, batch),
        3..=8 => send_up_to::<8>(socket, batch),
        9..=16 => send_up_to::<16>(socket, batch),
        _ => send_up_to::<{ Ring::SLOTS }>(socket, batch),
    }
}

fn send_up_to<const N: usize>(socket: &UdpSocket, batch: &[Datagram<'_>]) -> io::Result<usize> {
    let Some(first) = batch.first() else {
        return Ok(0);
    };
    // Places beyond the batch are filled with its first answer and never used.
    let reply = |i: usize| batch.get(i).unwrap_or(first);
    let to: [SocketAddrAny; N] = std::array::from_fn(|i| reply(i).to.as_any());
    let contents: [[IoSlice<'_>; 1]; N] = std::array::from_fn(|i| [IoSlice::new(reply(i).message)]);
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

/// Sends answers to one client as one, to be cut at the first one's length.
pub fn send_run(socket: &UdpSocket, first: &Datagram<'_>, run: &[Datagram<'_>]) -> io::Result<()> {
    let mut contents = [IoSlice::new(&[]); Ring::SLOTS];
    for (slot, reply) in contents.iter_mut().zip(run) {
        *slot = IoSlice::new(reply.message);
    }
    let contents = contents.get(..run.len()).unwrap_or_default();
    let size = first.message.len() as u16;
    let controls = [ControlMessage::UdpGsoSegments(&size)];
    let (to, flags) = (SockaddrStorage::from(first.to), MsgFlags::MSG_DONTWAIT);
    sendmsg(socket.as_raw_fd(), contents, &controls, flags, Some(&to))?;
    Ok(())
}
