//! The messages between a client and a SOCKS5 proxy, before the stream is the client's (RFC 1928, RFC 1929).

use super::messages::{
    DOMAIN_NAME, IPV4, IPV6, PASSWORD_VERSION, VERSION, password_request, refusal, request,
};
use super::{Destination, LOGIN};
use crate::transport::system_message;
use futures::io::{AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

const NO_AUTHENTICATION: u8 = 0;
const USERNAME_PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
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

    /// Whether the proxy has answered at all.
    pub fn is_begun(&self) -> bool {
        !matches!(self.awaited, Awaited::Method)
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
                        return Err(LOGIN.to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker;
    use proptest::prelude::*;
    use std::net::SocketAddr;

    /// What comes from the proxy, in pieces, and what was sent to it.
    struct Scripted {
        incoming: Vec<u8>,
        read: usize,
        piece: usize,
        /// Before each piece it is not ready once.
        ready: bool,
        outgoing: Vec<u8>,
    }

    impl Scripted {
        fn new(incoming: &[u8], piece: usize) -> Self {
            Self {
                incoming: incoming.to_vec(),
                read: 0,
                piece,
                ready: false,
                outgoing: Vec::new(),
            }
        }

        fn left(&self) -> &[u8] {
            &self.incoming[self.read..]
        }
    }

    impl AsyncRead for Scripted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.ready = !self.ready;
            if self.ready {
                return Poll::Pending;
            }
            let n = into.len().min(self.piece).min(self.left().len());
            into[..n].copy_from_slice(&self.left()[..n]);
            self.read += n;
            Poll::Ready(Ok(n))
        }
    }

    impl AsyncWrite for Scripted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            from: &[u8],
        ) -> Poll<io::Result<usize>> {
            let n = from.len().min(self.piece);
            self.outgoing.extend_from_slice(&from[..n]);
            Poll::Ready(Ok(n))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn address(text: &str) -> Destination {
        Destination::Address(text.parse::<SocketAddr>().unwrap())
    }

    fn run(
        destination: &Destination,
        username: Option<&str>,
        stream: &mut Scripted,
    ) -> Result<(), String> {
        let mut exchange = Exchange::new(destination, username);
        let waker = noop_waker();
        loop {
            let polled = exchange.poll(stream, &mut Context::from_waker(&waker));
            if let Poll::Ready(result) = polled {
                return result;
            }
        }
    }

    fn error(username: Option<&str>, incoming: &[u8]) -> String {
        let mut stream = Scripted::new(incoming, usize::MAX);
        run(&address("192.0.2.1:853"), username, &mut stream).unwrap_err()
    }

    #[test]
    fn every_kind_of_destination_and_reply_works_wherever_the_octets_are_split() {
        let name = Destination::Name("dns.test".into(), 853);
        let (v4, v6) = (address("192.0.2.1:853"), address("[2001:db8::1]:8853"));
        let v6_octets = "20010db8000000000000000000000001";
        let replies = [
            "05000001c0000201ffff".to_owned(),
            format!("05000004{v6_octets}ffff"),
            "0500000300ffff".to_owned(),
            format!("05000003ff{}ffff", "61".repeat(255)),
        ];
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        for (destination, request) in [
            (v4, "05010001c00002010355".to_owned()),
            (v6, format!("05010004{v6_octets}2295")),
            (name, "0501000308646e732e746573740355".to_owned()),
        ] {
            for reply in &replies {
                for piece in 1..=usize::from(u8::MAX) + 10 {
                    let after = b"of the upstream";
                    let incoming = [&hex("0500"), &hex(reply), &after[..]].concat();
                    let mut stream = Scripted::new(&incoming, piece);
                    assert_eq!(run(&destination, None, &mut stream), Ok(()));
                    assert_eq!(stream.outgoing, hex(&format!("050100{request}")));
                    assert_eq!(stream.left(), after, "not one octet too many");

                    let incoming = [&hex("05020100"), &hex(reply), &after[..]].concat();
                    let mut stream = Scripted::new(&incoming, piece);
                    assert_eq!(run(&destination, Some("ab"), &mut stream), Ok(()));
                    let sent = format!("0501020102616207646f7477617264{request}");
                    assert_eq!(stream.outgoing, hex(&sent));
                    assert_eq!(stream.left(), after, "not one octet too many");
                }
            }
        }
    }

    #[test]
    fn refusals_are_told_in_words() {
        let told = |code: u8| error(None, &[5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
        let known = (0x01..=0x08).chain(0xf0..=0xf7).map(told);
        let known: std::collections::BTreeSet<String> = known.collect();
        assert_eq!(known.len(), 16);
        assert!(known.iter().all(|why| why.starts_with("reports: ")));
        assert!(!known.iter().any(|why| why.contains("reply code")));
        assert!(told(5).ends_with("connection refused by the destination"));
        assert_eq!(told(9), "reports: reply code 9");
        // Some proxies close at once.
        assert!(error(None, &[5, 0, 5, 4]).contains("not found"));
    }

    #[test]
    fn what_is_no_socks5_is_an_error() {
        for (username, incoming, why) in [
            (
                None,
                &b"HTTP/1.1 400"[..],
                "does not speak SOCKS5: it sent 72",
            ),
            (None, &[4, 0], "does not speak SOCKS5"),
            (None, &[], "closed the connection before its reply"),
            (None, &[5], "closed the connection before its reply"),
            (None, &[5, 0xff], "wants a username and a password"),
            (None, &[5, 2], "chose authentication method 2"),
            (None, &[5, 0, 4, 0], "in the place of version 5"),
            (None, &[5, 0, 5, 0, 0, 1, 1], "closed the connection"),
            (None, &[5, 0, 5, 0, 0, 2, 1], "a reply with address type 2"),
            (
                Some("a"),
                &[5, 0xff],
                "takes no username, which isolate needs",
            ),
            (Some("a"), &[5, 0], "chose authentication method 0"),
            (Some("a"), &[5, 2, 1, 1], "refuses the username (status 1)"),
            (Some("a"), &[5, 2, 5, 0], "in the place of version 1"),
        ] {
            let error = error(username, incoming);
            assert!(error.contains(why), "{incoming:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_proxy_sends_the_exchange_ends(
            start in prop_oneof![Just(vec![]), Just(vec![5, 0]), Just(vec![5, 2, 1, 0]), Just(vec![5, 0, 5, 0, 0])],
            rest in prop::collection::vec(any::<u8>(), 0..300),
            piece in 1_usize..300,
            username in prop::option::of("[a-z]{1,300}"),
        ) {
            let incoming = [start, rest].concat();
            let mut stream = Scripted::new(&incoming, piece);
            let result = run(&address("192.0.2.1:853"), username.as_deref(), &mut stream);
            prop_assert!(stream.read <= 4 + MAX_REPLY);
            if let Err(why) = result {
                prop_assert!(!why.is_empty());
            }
        }
    }
}
