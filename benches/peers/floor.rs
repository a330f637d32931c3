//! The floor under every forwarder: receive a batch of datagrams, turn the questions into empty answers, send them.
//!
//! Two system calls per batch, and no other work. What a forwarder takes beyond this is its own.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: std::net::SocketAddr = std::env::args()
        .nth(1)
        .ok_or("usage: floor ADDRESS:PORT")?
        .parse()?;
    echo::serve(&std::net::UdpSocket::bind(address)?)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("floor: recvmmsg and sendmmsg are Linux's");
}

#[cfg(target_os = "linux")]
mod echo {
    use nix::sys::socket::{
        MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt::RcvBuf,
    };
    use rustix::net::addr::SocketAddrArg;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
    use std::os::fd::AsRawFd;

    /// Datagrams per system call, as in dotward.
    const SLOTS: usize = 32;
    /// More than a question takes.
    const SLOT_LEN: usize = 512;
    /// As in dotward: room for a burst.
    const RECEIVE_BUFFER: usize = 1 << 20;

    /// Answers for ever.
    pub fn serve(socket: &UdpSocket) -> io::Result<()> {
        setsockopt(socket, RcvBuf, &RECEIVE_BUFFER)?;
        let mut ring = vec![[0; SLOT_LEN]; SLOTS];
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(SLOTS, None);
        loop {
            let received = receive(socket, &mut ring, &mut headers)?;
            for (slot, (len, _)) in ring.iter_mut().zip(&received) {
                if let Some([_, _, flags, ra, ..]) = slot.get_mut(..*len) {
                    // QR and RA: an answer, without records.
                    *flags |= 0x80;
                    *ra = 0x80;
                }
            }
            send(socket, &ring, &received)?;
        }
    }

    /// Waits for one datagram and takes what else is there.
    fn receive(
        socket: &UdpSocket,
        ring: &mut [[u8; SLOT_LEN]],
        headers: &mut MultiHeaders<SockaddrIn>,
    ) -> io::Result<Vec<(usize, SocketAddr)>> {
        let mut slots: Vec<[IoSliceMut<'_>; 1]> = ring
            .iter_mut()
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let batch = recvmmsg(socket.as_raw_fd(), headers, slots.iter_mut(), flags, None)?;
        Ok(batch
            .filter_map(|message| {
                Some((
                    message.bytes,
                    SocketAddr::V4(SocketAddrV4::from(message.address?)),
                ))
            })
            .collect())
    }

    fn send(
        socket: &UdpSocket,
        ring: &[[u8; SLOT_LEN]],
        batch: &[(usize, SocketAddr)],
    ) -> io::Result<()> {
        let to: Vec<_> = batch.iter().map(|(_, from)| from.as_any()).collect();
        let contents: Vec<[IoSlice<'_>; 1]> = ring
            .iter()
            .zip(batch)
            .map(|(slot, (len, _))| [IoSlice::new(slot.get(..*len).unwrap_or_default())])
            .collect();
        let mut controls: Vec<_> = batch
            .iter()
            .map(|_| SendAncillaryBuffer::default())
            .collect();
        let mut headers: Vec<MMsgHdr<'_>> = to
            .iter()
            .zip(&contents)
            .zip(&mut controls)
            .map(|((to, contents), control)| MMsgHdr::new_with_addr(to, contents, control))
            .collect();
        sendmmsg(socket, &mut headers, SendFlags::empty())?;
        Ok(())
    }
}
