//! Metrics and health over HTTP, through a real socket.

mod counters;
mod deployed;
mod health;
mod page;
mod requests;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::support::journal::DEADLINE;
use crate::support::proxy::Proxy;
use crate::support::setup::Trust;
use crate::support::upstream::{Builder, DotServer};

/// The program with its metrics, in front of upstreams. The program ends first.
struct Stand {
    proxy: Proxy,
    admin: SocketAddr,
    upstreams: Vec<DotServer>,
    _trust: Trust,
}

/// A response of the admin socket.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Stand {
    /// One upstream of your own making, and more arguments.
    fn new(upstream: impl FnOnce(Builder) -> Builder, more: &[&str]) -> Self {
        let trust = Trust::new();
        let upstream = upstream(DotServer::with(trust.authority.good())).start();
        Self::with(trust, vec![upstream], "", more)
    }

    /// These upstreams, each with these parameters, and more arguments.
    fn with(trust: Trust, upstreams: Vec<DotServer>, parameters: &str, more: &[&str]) -> Self {
        let specs = upstreams.iter().map(|one| one.spec() + parameters);
        let specs: Vec<String> = specs.collect();
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let proxy = trust.proxy(&specs, &[&["--admin", "127.0.0.1:0"], more].concat());
        Self {
            admin: admin_of(&proxy),
            proxy,
            upstreams,
            _trust: trust,
        }
    }

    fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// The response to GET.
    fn get(&self, path: &str) -> Reply {
        get(self.admin, path)
    }

    /// All values, by their names and labels as they are written.
    fn metrics(&self) -> BTreeMap<String, f64> {
        values(&self.page("/metrics"))
    }

    /// A page that the event loops have a part in. Where the machine is busy, they may be late.
    fn page(&self, path: &str) -> String {
        let since = Instant::now();
        loop {
            let reply = self.get(path);
            if reply.status == 200 {
                return reply.body;
            }
            assert!(since.elapsed() < DEADLINE, "{path}: {reply:?}");
        }
    }

    /// The value of a series. `UPSTREAM` in it stands for the label of the first upstream.
    fn value(&self, series: &str) -> Option<f64> {
        let label = format!("upstream=\"{}\"", self.label());
        self.metrics().remove(&series.replace("UPSTREAM", &label))
    }

    /// The label of the first upstream.
    fn label(&self) -> String {
        let status = self.page("/api/status");
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["upstreams"][0]["label"]
            .as_str()
            .expect("a label")
            .to_owned()
    }

    /// Waits until a series is at least `value`.
    fn wait(&self, series: &str, value: f64) {
        let since = Instant::now();
        loop {
            let now = self.value(series).unwrap_or_default();
            if now >= value {
                return;
            }
            assert!(since.elapsed() < DEADLINE, "{series} is {now}, not {value}");
            std::thread::yield_now();
        }
    }
}

/// Where the program says that it serves metrics.
fn admin_of(proxy: &Proxy) -> SocketAddr {
    let line = proxy.wait_log("metrics and health are served on http://");
    let (_, address) = line.split_once("http://").expect("an address");
    address.trim().parse().expect("an address")
}

/// What comes back for these octets, to the end of the connection.
fn exchange(admin: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(admin).expect("a connection");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a time limit");
    stream.write_all(request).expect("a request is sent");
    let mut reply = Vec::new();
    // What was not read at the other end makes a reset of the close; what came before it counts.
    let _ended_or_reset = stream.read_to_end(&mut reply);
    String::from_utf8(reply).expect("text")
}

fn request(admin: SocketAddr, text: &str) -> Reply {
    let text = text.replace("ADDRESS", &admin.to_string());
    let reply = exchange(admin, text.as_bytes());
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Reply {
        status: status.unwrap_or_else(|| panic!("no response to {text:?}: {reply:?}")),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn get(admin: SocketAddr, path: &str) -> Reply {
    request(
        admin,
        &format!("GET {path} HTTP/1.1\r\nHost: ADDRESS\r\n\r\n"),
    )
}

/// The samples of a text in `OpenMetrics`.
fn values(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        (series.to_owned(), value.parse().expect("a number"))
    };
    samples.map(sample).collect()
}
