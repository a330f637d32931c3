//! Plain DNS clients over UDP and TCP, with a deadline on every wait.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::journal::DEADLINE;
use super::messages::{frame, word};

/// A UDP client with one socket, connected to the server: it takes answers from the address that it asked alone.
pub struct UdpClient(UdpSocket);

impl UdpClient {
    /// A fresh socket on a port of its own.
    pub fn new(server: SocketAddr) -> Self {
        let any: SocketAddr = if server.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any).expect("a UDP socket");
        socket.connect(server).expect("a server's address");
        // Room for whole bursts of answers: what is lost here would look as if the program had lost it.
        set_socket_recv_buffer_size(&socket, 1 << 20).expect("SO_RCVBUF");
        Self(socket)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.local_addr().expect("a socket has an address").port()
    }

    /// Sends one datagram.
    pub fn send(&self, message: &[u8]) {
        self.0.send(message).expect("a datagram is sent");
    }

    /// The next datagram, within `limit`.
    pub fn receive_within(&self, limit: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(limit)).expect("a time limit");
        let mut buffer = vec![0; 65536];
        match uninterrupted(|| self.0.recv(&mut buffer)) {
            Ok(size) => Some(buffer[..size].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("receiving a datagram: {error}"),
        }
    }

    /// The next datagram, which must come.
    pub fn receive(&self) -> Vec<u8> {
        self.receive_within(DEADLINE).expect("an answer over UDP")
    }

    /// Asks and returns the next datagram, which must come.
    pub fn ask(&self, message: &[u8]) -> Vec<u8> {
        self.send(message);
        self.receive()
    }
}

/// Takes a call up again that was interrupted: the system does not do so for calls with a time limit (signal(7)).
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// A TCP client.
pub struct TcpClient(TcpStream);

impl TcpClient {
    /// Connects.
    pub fn new(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server)
            .unwrap_or_else(|error| panic!("connecting to {server}: {error}"));
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a time limit");
        stream
            .set_write_timeout(Some(DEADLINE))
            .expect("a time limit");
        Self(stream)
    }

    /// Sends octets of the stream as they are.
    pub fn send_raw(&self, octets: &[u8]) {
        (&self.0)
            .write_all(octets)
            .expect("the stream takes octets");
    }

    /// Sends one message with its length.
    pub fn send(&self, message: &[u8]) {
        self.send_raw(&frame(message));
    }

    /// The next message; `None` when the server has closed the connection.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        match (&self.0).read_exact(&mut length) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            Err(error) => panic!("receiving over TCP: {error}"),
        }
        let mut message = vec![0; usize::from(word(&length, 0))];
        (&self.0).read_exact(&mut message).expect("a whole message");
        Some(message)
    }

    /// Asks and returns the next message, which must come.
    pub fn ask(&self, message: &[u8]) -> Vec<u8> {
        self.send(message);
        self.receive().expect("an answer over TCP")
    }

    /// Sends all messages in one write and returns the answers by id.
    pub fn pipeline(&self, messages: &[Vec<u8>]) -> HashMap<u16, Vec<u8>> {
        let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        let mut answers = HashMap::new();
        // Written beside the reading: a server that pauses reading until it is read from must not be a deadlock.
        std::thread::scope(|scope| {
            scope.spawn(|| self.send_raw(&stream));
            for _ in messages {
                let answer = self.receive().expect("an answer to each pipelined query");
                answers.insert(word(&answer, 0), answer);
            }
        });
        answers
    }

    /// Says that no more queries will come.
    pub fn half_close(&self) {
        self.0
            .shutdown(Shutdown::Write)
            .expect("half of the connection closes");
    }

    /// The stream itself.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }
}
