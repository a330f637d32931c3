//! One client: a UDP socket or a TCP connection, and what was asked on it.

use crate::answers;
use crate::ledger::{End, Ledger};
use crate::support::codes::A;
use crate::support::messages;
use dotward::wire::HEADER_LEN;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Instant;

/// In flight on one TCP connection: dotward reads no further at 100.
const PIPELINED: usize = 90;
/// Octets of the largest message (RFC 1035 section 4.2.2).
const LARGEST: usize = 1 << 16;
/// The flags of a header, second and first octet.
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;
const RCODE: u8 = 0x0f;

/// A question on its way.
struct Asked {
    question: Vec<u8>,
    is_new: bool,
    when: Instant,
}

/// One client.
pub struct Client {
    to: SocketAddr,
    socket: Socket,
    /// By id: each is used again only after all others.
    asked: Vec<Option<Asked>>,
    waiting: usize,
    next: u16,
    space: Vec<u8>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(Stream),
}

/// A connection, with what is half written and half read.
struct Stream {
    tcp: TcpStream,
    unwritten: Vec<u8>,
    unread: Vec<u8>,
}

impl Client {
    /// Asks over UDP.
    pub fn udp(to: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        Ok(Self::new(to, Socket::Udp(socket)))
    }

    /// Asks over TCP, and connects anew whenever the connection ends.
    pub fn tcp(to: SocketAddr) -> io::Result<Self> {
        Ok(Self::new(to, Socket::Tcp(Stream::connect(to)?)))
    }

    fn new(to: SocketAddr, socket: Socket) -> Self {
        Self {
            to,
            socket,
            asked: (0..=u16::MAX).map(|_| None).collect(),
            waiting: 0,
            next: 0,
            space: vec![0; LARGEST],
        }
    }

    /// Asks for the address of a name of one label under `soak.test`.
    pub fn ask(&mut self, label: &str, is_new: bool, now: Instant, ledger: &mut Ledger) {
        let is_full = matches!(self.socket, Socket::Tcp(_)) && self.waiting >= PIPELINED;
        let id = self.next.wrapping_add(1);
        let query = messages::query(&format!("{label}.soak.test"), A);
        let mut message = query.id(id).build();
        let sent = !is_full
            && match &mut self.socket {
                Socket::Udp(socket) => socket.send(&message).is_ok(),
                Socket::Tcp(stream) => stream.send(&message).is_ok(),
            };
        if !sent {
            return ledger.held(now);
        }
        self.next = id;
        self.forget(id, ledger);
        ledger.asked(now);
        self.waiting += 1;
        if let Some(slot) = self.asked.get_mut(usize::from(id)) {
            *slot = Some(Asked {
                question: message.split_off(HEADER_LEN),
                is_new,
                when: now,
            });
        }
    }

    /// Takes all answers that are there; gives their number.
    pub fn listen(&mut self, now: Instant, ledger: &mut Ledger) -> usize {
        let mut space = std::mem::take(&mut self.space);
        let mut heard = 0;
        if let Socket::Udp(socket) = &self.socket {
            let mut messages = Vec::new();
            // An error is nothing to read, or says that nobody listens: questions are then lost, and counted.
            while let Ok(length) = socket.recv(&mut space) {
                messages.push(space.get(..length).unwrap_or_default().to_vec());
            }
            for message in messages {
                heard += 1;
                self.hear(&message, now, ledger);
            }
        } else if let Socket::Tcp(stream) = &mut self.socket {
            let (messages, lives) = stream.receive(&mut space);
            for message in messages {
                heard += 1;
                self.hear(&message, now, ledger);
            }
            if !lives {
                self.forget_all(ledger);
                // If nobody listens now, the next pass tries again.
                if let Ok(stream) = Stream::connect(self.to) {
                    self.socket = Socket::Tcp(stream);
                }
            }
        }
        self.space = space;
        heard
    }

    fn hear(&mut self, message: &[u8], now: Instant, ledger: &mut Ledger) {
        let id = message
            .first_chunk()
            .map(|id| usize::from(u16::from_be_bytes(*id)));
        let slot = id.and_then(|id| self.asked.get_mut(id));
        let Some(asked) = slot.and_then(Option::take) else {
            return ledger.stray(message, now);
        };
        self.waiting -= 1;
        let end = judge(&asked.question, message);
        if end == End::Wrong {
            ledger.show("to another question", message);
        }
        ledger.ended(asked.when, end, asked.is_new, now);
    }

    /// Nothing will come any more for this id.
    fn forget(&mut self, id: u16, ledger: &mut Ledger) {
        let slot = self.asked.get_mut(usize::from(id));
        if let Some(asked) = slot.and_then(Option::take) {
            self.waiting -= 1;
            ledger.ended(asked.when, End::Lost, asked.is_new, Instant::now());
        }
    }

    /// Nothing will come any more.
    pub fn forget_all(&mut self, ledger: &mut Ledger) {
        for id in 0..=u16::MAX {
            self.forget(id, ledger);
        }
    }
}

/// What this message is to that question.
fn judge(question: &[u8], message: &[u8]) -> End {
    let end = HEADER_LEN + question.len();
    let flags = message.get(2..4).unwrap_or_default();
    let (&[first, second], true) = (
        flags.first_chunk().unwrap_or(&[0, 0]),
        message.get(HEADER_LEN..end) == Some(question),
    ) else {
        return End::Wrong;
    };
    let data = message.get(end + 12..end + 16);
    if first & RESPONSE == 0 {
        End::Wrong
    } else if second & RCODE != 0 {
        End::Failed
    } else if first & TRUNCATED != 0 && question.get(1) == Some(&answers::LARGE)
        || data == Some(&answers::address_for(question).octets()[..])
    {
        End::Right
    } else {
        End::Wrong
    }
}

impl Stream {
    fn connect(to: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect(to)?;
        tcp.set_nodelay(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Self {
            tcp,
            unwritten: Vec::new(),
            unread: Vec::new(),
        })
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.unwritten.extend((message.len() as u16).to_be_bytes());
        self.unwritten.extend(message);
        self.flush()
    }

    /// Writes what the connection takes.
    fn flush(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            match self.tcp.write(&self.unwritten) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All whole messages that are there, and whether more can come.
    fn receive(&mut self, space: &mut [u8]) -> (Vec<Vec<u8>>, bool) {
        let mut lives = self.flush().is_ok();
        loop {
            match self.tcp.read(space) {
                Ok(0) => lives = false,
                Ok(length) => {
                    self.unread.extend(space.get(..length).unwrap_or_default());
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => lives = false,
            }
            break;
        }
        let mut messages = Vec::new();
        let mut rest = self.unread.as_slice();
        while let Some((length, after)) = rest.split_first_chunk() {
            let Some((message, after)) =
                after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
            else {
                break;
            };
            messages.push(message.to_vec());
            rest = after;
        }
        self.unread = rest.to_vec();
        (messages, lives)
    }
}
