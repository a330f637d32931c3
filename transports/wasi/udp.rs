//! UDP by `wasi:sockets/udp`, in batches. What depends on the socket stands before it: fields are dropped in this order, as the host
//! demands.

use super::addresses::{error, family, from_wasi, to_wasi};
use super::reactor::{Reactor, Watch};
use crate::runtime::{Datagram, Datagrams, Ring, Sent};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::udp::{
    ErrorCode, IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// Octets of buffer for a burst of queries while the loop is busy; the host may reduce it.
const RECEIVE_BUFFER: u64 = 1 << 20;

/// A UDP socket.
pub struct Udp {
    readable: Watch,
    writable: Watch,
    incoming: IncomingDatagramStream,
    outgoing: OutgoingDatagramStream,
    socket: UdpSocket,
    /// The last batch emptied the socket: wait before the next one.
    drained: bool,
}

impl Udp {
    /// Binds. Waits only for the host, which answers at once.
    pub fn new(reactor: &Reactor, at: SocketAddr) -> io::Result<Self> {
        let socket = create_udp_socket(family(at)).map_err(error)?;
        let bound = socket.subscribe();
        socket
            .start_bind(&instance_network(), to_wasi(at))
            .map_err(error)?;
        bound.block();
        drop(bound);
        socket.finish_bind().map_err(error)?;
        if let Err(code) = socket.set_receive_buffer_size(RECEIVE_BUFFER) {
            log::debug!("the size of the receive buffer could not be set: {code}");
        }
        let (incoming, outgoing) = socket.stream(None).map_err(error)?;
        Ok(Self {
            readable: reactor.watch(incoming.subscribe()),
            writable: reactor.watch(outgoing.subscribe()),
            incoming,
            outgoing,
            socket,
            drained: false,
        })
    }

    /// How many responses may be sent now, at least one.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match self.outgoing.check_send() {
                Ok(0) => ready!(self.writable.poll_ready(cx)),
                Ok(room) => return Poll::Ready(Ok(usize::try_from(room).unwrap_or(usize::MAX))),
                Err(code) => return Poll::Ready(Err(error(code))),
            }
        }
    }
}

impl Datagrams for Udp {
    fn poll_recv(&mut self, cx: &mut Context<'_>, ring: &mut Ring) -> Poll<io::Result<()>> {
        loop {
            if self.drained {
                ready!(self.readable.poll_ready(cx));
                self.drained = false;
            }
            let batch = self.incoming.receive(Ring::SLOTS as u64).map_err(error)?;
            if !batch.is_empty() {
                ring.clear();
                for (slot, datagram) in ring.free_slots().zip(&batch) {
                    // A datagram that is larger than its slot is cut off, and later rejected as malformed.
                    let _len = datagram.data.as_slice().read(slot)?;
                }
                for datagram in batch.iter().take(Ring::SLOTS) {
                    let from = from_wasi(datagram.remote_address);
                    ring.push(datagram.data.len(), from, None);
                }
                self.drained = batch.len() < Ring::SLOTS;
                return Poll::Ready(Ok(()));
            }
            self.drained = true;
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        batch: &[Datagram<'_>],
    ) -> Poll<io::Result<Sent>> {
        loop {
            let room = ready!(self.poll_room(cx))?;
            let datagrams: Vec<OutgoingDatagram> = batch
                .iter()
                .take(room)
                .map(|reply| OutgoingDatagram {
                    data: reply.message.to_vec(),
                    remote_address: Some(to_wasi(reply.to)),
                })
                .collect();
            match self.outgoing.send(&datagrams) {
                Ok(0) | Err(ErrorCode::WouldBlock) => ready!(self.writable.poll_ready(cx)),
                Ok(sent) => {
                    return Poll::Ready(Ok(Sent {
                        done: usize::try_from(sent).unwrap_or(datagrams.len()),
                        refused: 0,
                    }));
                }
                Err(code) => {
                    // It concerns the first response only: its client is gone, or the host forbids it.
                    if let Some(first) = batch.first() {
                        log::debug!("{}: response not sent: {code}; it is dropped", first.to);
                    }
                    return Poll::Ready(Ok(Sent {
                        done: 1,
                        refused: 1,
                    }));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_address().map(from_wasi).map_err(error)
    }
}
