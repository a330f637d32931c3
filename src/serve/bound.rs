//! Sockets that are bound already: by a service manager, or by an earlier process of this program that left them to it.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// Sockets that are bound already. They are taken instead of bound ([`Sockets::bind_beside`](super::Sockets::bind_beside)), each by at
/// least one worker, because what the system gives to a socket waits there until it is read.
///
/// With several workers the first socket of an address goes to the first worker, and so on; a worker for which there is none gets a
/// duplicate. Workers that have duplicates of one socket share its queue: all of them wake for each datagram, and one of them gets it.
/// Sockets of their own (`SO_REUSEPORT`) spare them that.
#[derive(Debug, Default)]
pub struct BoundSockets {
    datagrams: Vec<(SocketAddr, UdpSocket)>,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

impl BoundSockets {
    /// No sockets yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a UDP socket.
    pub fn add_datagrams(&mut self, socket: UdpSocket) -> io::Result<()> {
        self.datagrams.push((socket.local_addr()?, socket));
        Ok(())
    }

    /// Adds a TCP socket that listens.
    pub fn add_listener(&mut self, socket: TcpListener) -> io::Result<()> {
        self.listeners.push((socket.local_addr()?, socket));
        Ok(())
    }

    /// The UDP sockets, with their addresses.
    pub fn datagrams(&self) -> &[(SocketAddr, UdpSocket)] {
        &self.datagrams
    }

    /// The TCP sockets, with their addresses.
    pub fn listeners(&self) -> &[(SocketAddr, TcpListener)] {
        &self.listeners
    }

    /// Duplicates of the UDP sockets of this address that are this worker's.
    pub(super) fn datagrams_for(
        &self,
        addr: SocketAddr,
        share: Share,
    ) -> io::Result<Vec<UdpSocket>> {
        let own = share.of(&self.datagrams, addr).into_iter();
        own.map(UdpSocket::try_clone).collect()
    }

    /// Duplicates of the TCP sockets of this address that are this worker's.
    pub(super) fn listeners_for(
        &self,
        addr: SocketAddr,
        share: Share,
    ) -> io::Result<Vec<TcpListener>> {
        let own = share.of(&self.listeners, addr).into_iter();
        own.map(TcpListener::try_clone).collect()
    }
}

/// Which worker of how many takes its part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// From 0 on.
    pub worker: usize,
    pub workers: usize,
}

impl Share {
    /// This worker's part of the sockets of an address.
    fn of<S>(self, sockets: &[(SocketAddr, S)], addr: SocketAddr) -> Vec<&S> {
        let all = sockets.iter().filter(|(at, _)| *at == addr);
        let all: Vec<&S> = all.map(|(_, socket)| socket).collect();
        let own = all.iter().skip(self.worker).step_by(self.workers.max(1));
        let own: Vec<&S> = own.copied().collect();
        match all.len() {
            count if own.is_empty() && count > 0 => all
                .get(self.worker % count)
                .map_or(own, |shared| vec![*shared]),
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// What each worker gets of the sockets of port 1.
    fn parts(sockets: &[(SocketAddr, char)], workers: usize) -> Vec<String> {
        let shares = (0..workers).map(|worker| Share { worker, workers });
        let part = |share: Share| share.of(sockets, addr(1)).into_iter().collect();
        shares.map(part).collect()
    }

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        let one = [(addr(1), 'a'), (addr(2), 'x')];
        let three = [
            (addr(1), 'a'),
            (addr(2), 'x'),
            (addr(1), 'b'),
            (addr(1), 'c'),
        ];
        assert_eq!(parts(&one, 1), ["a"]);
        assert_eq!(parts(&one, 3), ["a", "a", "a"]);
        assert_eq!(parts(&three, 1), ["abc"]);
        assert_eq!(parts(&three, 2), ["ac", "b"]);
        assert_eq!(parts(&three, 3), ["a", "b", "c"]);
        assert_eq!(parts(&three, 5), ["a", "b", "c", "a", "b"]);
        assert_eq!(parts(&[], 2), ["", ""]);
    }
}
