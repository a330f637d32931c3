//! The messages between a client and a SOCKS5 proxy, before the stream is the client's (RFC 1928, RFC 1929).

use super::Destination;
use crate::transport::system_message;
use futures::io::{AsyncRead, AsyncWrite};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

const VERSION: u8 = 5;
/// The version of the messages of RFC 1929.
const PASSWORD_VERSION: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USERNAME_PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const DOMAIN_NAME: u8 = 3;
const IPV6: u8 = 4;
/// The username alone tells connections apart. An empty password is not allowed (RFC 1929 section 2).
const PASSWORD: &[u8] = b"dotward";
/// Octets at the start of a reply that say whether it is one, and of which kind.
const REPLY_START: usize = 2;
/// Octets of a reply from which on its length is known: the first one of the address is a length if it is a name.
const REPLY_HEAD: usize = 5;
/// Octets of the longest reply: one with a name of 255 octets.
const MAX_REPLY: usize = REPLY_HEAD + 255 + 2;

/// What the proxy says next.
#[derive(Clone, Copy)]
enum Awaited {
    Method,
    PasswordStatus,
    Reply,
}

/// The exchange up to the proxy's reply.
pub struct Exchange {
    awaited: Awaited,
    /// The method that was offered.
    method: u8,
    /// What is sent with the username, if there is one.
    password_request: Vec<u8>,
    request: Vec<u8>,
    outgoing: Vec<u8>,
    /// How much of `outgoing` has left.
    sent: usize,
    incoming: [u8; MAX_REPLY],
    received: usize,
    /// How many octets are read before they are looked at. What comes behind them is not ours.
    wanted: usize,
}

impl Exchange {
    /// Asks for a connection to this destination.
    pub fn new(destination: &Destination, username: Option<&str>) -> Self {
        let method = username.map_or(NO_AUTHENTICATION, |_| USERNAME_PASSWORD);
        Self {
            awaited: Awaited::Method,
            method,
            password_request: username.map(password_request).unwrap_or_default(),
            request: request(destination),
            outgoing: vec![VERSION, 1, method],
            sent: 0,
            incoming: [0; MAX_REPLY],
            received: 0,
            wanted: 2,
        }
    }

    /// Goes on. An error says what is wrong, for a sentence whose subject is the proxy. Cancel-safe.
    pub fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), String>> {
        loop {
            ready!(self.poll_send(stream, cx)).map_err(|error| broken(&error))?;
            ready!(self.poll_receive(stream, cx)).map_err(|error| broken(&error))?;
            if self.take()? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.outgoing.get(self.sent..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut *stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_receive<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(space) = self.incoming.get_mut(self.received..self.wanted)
            && !space.is_empty()
        {
            match ready!(Pin::new(&mut *stream).poll_read(cx, space))? {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                n => self.received += n,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Looks at what has come. Says whether the connection is there.
    fn take(&mut self) -> Result<bool, String> {
        let [first, second, _, kind, len, ..] = self.incoming;
        match self.awaited {
            Awaited::Method => {
                is_version(first, VERSION)?;
                match second {
                    NOTHING_ACCEPTABLE if self.method == USERNAME_PASSWORD => {
                        return Err("takes no username, which isolate needs".to_owned());
                    }
                    NOTHING_ACCEPTABLE => {
                        return Err("wants a username and a password".to_owned());
                    }
                    method if method != self.method => {
                        return Err(format!(
                            "chose authentication method {method}, which was not offered"
                        ));
                    }
                    USERNAME_PASSWORD => {
                        let message = std::mem::take(&mut self.password_request);
                        self.say(message, Awaited::PasswordStatus);
                    }
                    _ => self.ask(),
                }
            }
            Awaited::PasswordStatus => {
                is_version(first, PASSWORD_VERSION)?;
                if second != 0 {
                    return Err(format!("refuses the username (status {second})"));
                }
                self.ask();
            }
            Awaited::Reply if self.wanted == REPLY_START => {
                is_version(first, VERSION)?;
                if second != 0 {
                    return Err(refusal(second));
                }
                self.wanted = REPLY_HEAD;
            }
            Awaited::Reply => {
                // The address that it connected from is of no use here.
                let rest = match kind {
                    IPV4 => 4 + 1,
                    IPV6 => 16 + 1,
                    DOMAIN_NAME => usize::from(len) + 2,
                    other => return Err(format!("sent a reply with address type {other}")),
                };
                self.wanted = REPLY_HEAD + rest;
                return Ok(self.received == self.wanted);
            }
        }
        Ok(false)
    }

    fn ask(&mut self) {
        let message = std::mem::take(&mut self.request);
        self.say(message, Awaited::Reply);
    }

    /// Sends a message, and waits for two octets.
    fn say(&mut self, message: Vec<u8>, awaited: Awaited) {
        (self.outgoing, self.sent) = (message, 0);
        (self.received, self.wanted) = (0, REPLY_START);
        self.awaited = awaited;
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => {
            "closed the connection before its reply".to_owned()
        }
        _ => format!("ended the connection: {}", system_message(error)),
    }
}

fn is_version(found: u8, expected: u8) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "does not speak SOCKS5: it sent {found} in the place of version {expected}"
    ))
}

/// RFC 1929 section 2.
fn password_request(username: &str) -> Vec<u8> {
    let mut message = vec![PASSWORD_VERSION];
    for text in [username.as_bytes(), PASSWORD] {
        append_short(text, &mut message);
    }
    message
}

/// RFC 1928 section 4.
fn request(destination: &Destination) -> Vec<u8> {
    let mut message = vec![VERSION, CONNECT, 0];
    let port = match destination {
        Destination::Address(addr) => {
            match addr.ip() {
                IpAddr::V4(ip) => {
                    message.push(IPV4);
                    message.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    message.push(IPV6);
                    message.extend_from_slice(&ip.octets());
                }
            }
            addr.port()
        }
        Destination::Name(name, port) => {
            message.push(DOMAIN_NAME);
            append_short(name.as_bytes(), &mut message);
            *port
        }
    };
    message.extend_from_slice(&port.to_be_bytes());
    message
}

/// Appends a text behind its length in one octet. Host names have at most 253 octets, and usernames fewer.
fn append_short(text: &[u8], message: &mut Vec<u8>) {
    let text = text.get(..usize::from(u8::MAX)).unwrap_or(text);
    message.push(text.len() as u8);
    message.extend_from_slice(text);
}

/// What a reply code says (RFC 1928 section 6); from 0xf0 on those of Tor, about onion services.
fn refusal(code: u8) -> String {
    let what = match code {
        0x01 => "general failure",
        0x02 => "its rules do not allow this connection",
        0x03 => "network unreachable",
        0x04 => "host unreachable, or its name not found",
        0x05 => "connection refused by the destination",
        0x06 => "TTL expired on the way to the destination",
        0x07 => "it does not know the command CONNECT",
        0x08 => "it does not know this type of address",
        0xf0 => "onion service not found",
        0xf1 => "the descriptor of the onion service is invalid",
        0xf2 => "introduction to the onion service failed",
        0xf3 => "rendezvous with the onion service failed",
        0xf4 => "the onion service requires client authorization",
        0xf5 => "the client authorization for the onion service is wrong",
        0xf6 => "the onion address is invalid",
        0xf7 => "introduction to the onion service timed out",
        _ => return format!("cannot connect: reply code {code}"),
    };
    format!("cannot connect: {what}")
}
