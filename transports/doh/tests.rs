//! What requests look like.

use super::*;
use crate::config::SCHEMES;
use crate::locks::lock;
use crate::runtime::ByteStream;
#[cfg(feature = "async-std")]
use crate::transports::async_std::AsyncStd;
use crate::transports::http2::{Bridge, DataFrames, Link, MAX_READ, PREFACE};
use futures::FutureExt;
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::{ArcWake, waker};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A server that sends the same frames over and over.
struct Endless {
    frames: Vec<u8>,
    sent: usize,
    /// It reads what it is sent.
    reads: bool,
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        assert!(self.sent < 16 << 20, "one poll reads without end");
        for octet in into.iter_mut() {
            *octet = self.frames[self.sent % self.frames.len()];
            self.sent += 1;
        }
        Poll::Ready(Ok(into.len()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.reads {
            return Poll::Ready(Ok(from.len()));
        }
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for Endless {}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl ArcWake for Wakes {
    fn wake_by_ref(wakes: &Arc<Self>) {
        wakes.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A frame of this type without flags, of the connection.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0, 0, payload.len() as u8, kind, 0, 0, 0, 0, 0];
    [&head[..], payload].concat()
}

/// The client's end of HTTP/2 with that server. It lives as long as there may be requests.
type Client = (
    Arc<Mutex<Link<Endless>>>,
    h2::client::SendRequest<bytes::Bytes>,
    h2::client::Connection<Bridge<Endless>, bytes::Bytes>,
);

/// HTTP/2 with that server.
fn http2(frames: Vec<u8>, reads: bool) -> Client {
    let endless = Endless {
        frames,
        sent: 0,
        reads,
    };
    let link = Link::new(endless, DataFrames::new(PREFACE));
    let link = Arc::new(Mutex::new(link));
    let handshake = h2::client::Builder::new().handshake(Bridge(link.clone()));
    let (requests, driver) = handshake.now_or_never().unwrap().unwrap();
    lock(&link).set_reads(true);
    (link, requests, driver)
}

// fault 126
#[test]
fn a_poll_ends_although_the_server_never_does() {
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const UNKNOWN: u8 = 0x77;
    for frames in [
        frame(SETTINGS, &[]),
        frame(PING, &[7; 8]),
        frame(UNKNOWN, &[]),
    ] {
        let (link, _requests, mut driver) = http2(frames, true);
        let wakes = Arc::new(Wakes::default());
        for poll in 1..=3 {
            {
                let mut link = lock(&link);
                link.set_waker(&waker(wakes.clone()));
                link.allow(MAX_READ);
            }
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(Pin::new(&mut driver).poll(&mut cx).is_pending());
            assert_eq!(lock(&link).take_received(), MAX_READ);
            assert_eq!(wakes.0.load(Ordering::Relaxed), poll, "there is more");
        }
    }
}

// fault 126
#[test]
fn a_server_that_does_not_read_the_replies_it_causes_is_given_up() {
    let (link, _requests, mut driver) = http2(frame(6, &[7; 8]), false);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let ended = (0..10).any(|_| {
        lock(&link).allow(MAX_READ);
        Pin::new(&mut driver).poll(&mut cx).is_ready()
    });
    let link = lock(&link);
    assert!(ended && link.backlog() < 32 << 10, "{}", link.backlog());
    let why = link.violation.unwrap();
    assert!(why.contains("does not read the replies"), "{why}");
}

// req 90, 96
#[test]
fn the_uri_of_requests_names_the_server_by_what_its_certificate_is_for() {
    for (spec, uri) in [
        ("https://dns.test", "https://dns.test/dns-query"),
        ("https://dns.test:443/q", "https://dns.test/q"),
        ("https://dns.test:8443/q", "https://dns.test:8443/q"),
        ("https://192.0.2.1/a%20b#dns.test", "https://dns.test/a%20b"),
        (
            "https://192.0.2.1:8443#dns.test",
            "https://dns.test:8443/dns-query",
        ),
        ("https://192.0.2.1", "https://192.0.2.1/dns-query"),
        (
            "https://[2001:db8::1]:8443",
            "https://[2001:db8::1]:8443/dns-query",
        ),
    ] {
        let request = target(&Upstream::parse(spec, SCHEMES).unwrap()).unwrap();
        assert_eq!(request.uri().to_string(), uri, "{spec}");
        assert_eq!(request.method(), Method::POST);
        let names: Vec<&str> = request
            .headers()
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        assert_eq!(names, ["accept", "content-type"]);
    }
}

#[cfg(feature = "async-std")]
fn config(upstreams: &[&str]) -> Config {
    let upstreams = upstreams.iter();
    let upstreams: Vec<Upstream> = upstreams
        .map(|spec| Upstream::parse(spec, SCHEMES).unwrap())
        .collect();
    Config::builder().upstreams(upstreams).build().unwrap()
}

#[cfg(feature = "async-std")]
#[test]
fn certificates_are_read_only_where_an_upstream_needs_them() {
    // fault 86
    let unread = "192.0.2.1#dns.test?client-certificate=/a.pem";
    assert!(check(&config(&[unread])).is_ok(), "TLS says what is wrong");
    let error = check(&config(&[&format!("https://{unread}")])).unwrap_err();
    assert!(error.reason.contains("/a.pem was not read"), "{error}");
    let (without, with) = (
        config(&["192.0.2.1#dns.test"]),
        config(&["192.0.2.1#dns.test", "https://192.0.2.1#dns.test"]),
    );
    let mut doh = Doh::new(AsyncStd::default(), &without).unwrap();
    assert!(doh.tls.is_none());
    doh.reconfigure(&without, &with).unwrap();
    assert!(doh.tls.is_some());
    doh.reconfigure(&with, &without).unwrap();
    assert!(Doh::new(AsyncStd::default(), &with).unwrap().tls.is_some());
}
