//! What happens behind the interface: events come in as numbers and octets.
#![forbid(unsafe_code)]

use crate::action::{Action, Kind};
use crate::running::Running;
use dotward::config::{Host, TLS_PORT};
use dotward::engine::{Client, ConnectionKey, Now, Time, Via};
use dotward::transport::{ConnectError, ConnectionError};
use slotmap::KeyData;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The largest message is 65,535 octets; what comes on a link can be handed in in pieces.
const MAX_ROOM: usize = 1 << 16;
/// The core sees clients by address. Of the unique local ones (RFC 4193), which may ask, each client has one.
const CLIENTS: u128 = 0xFD00 << 112;
/// Any port but 0, from which nobody asks.
const CLIENT_PORT: u16 = 53;
/// Addresses are looked up again after their time, but not all the time.
const HOLDS_MIN: u32 = 60;

/// All there is.
#[derive(Default)]
pub struct Instance {
    /// Octets on their way in.
    room: Vec<u8>,
    now: Now,
    running: Option<Running>,
    /// The last action, where the host reads it.
    action: Option<Action>,
    /// Why the start failed.
    wrong: String,
}

impl Instance {
    /// Room for `len` octets.
    pub fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        if len > MAX_ROOM {
            return None;
        }
        self.room.clear();
        self.room.resize(len, 0);
        Some(&mut self.room)
    }

    /// Starts as the room says. What comes back says what is wrong.
    pub fn start(&mut self, len: usize, timeout_ms: u32, cache_octets: usize) -> Option<&Action> {
        let timeout = Duration::from_millis(timeout_ms.into());
        match Running::new(written(&self.room, len), timeout, cache_octets) {
            Ok(running) => {
                self.running = Some(running);
                None
            }
            Err(why) => {
                self.running = None;
                self.wrong = why;
                let wrong = Action::new(Kind::Wrong, 0).showing(self.wrong.as_bytes());
                Some(self.action.insert(wrong))
            }
        }
    }

    /// Time went on.
    pub fn time(&mut self, monotonic: f64, wall: f64) {
        self.now.mono = self.now.mono.max(moment(monotonic));
        self.now.boot = self.now.boot.max(moment(wall));
        if let Some(running) = &mut self.running {
            running.core.time(self.now, &mut running.out);
        }
    }

    /// When something is due, in milliseconds.
    pub fn alarm(&self) -> f64 {
        let running = self.running.as_ref();
        let alarm = running.and_then(|running| running.core.next_alarm());
        // A microsecond later: a timer that goes off too early, by as much as rounding takes away, finds nothing to do.
        alarm.map_or(f64::INFINITY, |at| {
            at.since(Time::ZERO).as_secs_f64().mul_add(1e3, 1e-3)
        })
    }

    /// A client asks. Will there be a reply?
    pub fn query(&mut self, len: usize, client: u32, datagram: bool) -> bool {
        let via = if datagram {
            let (socket, local) = (0, None);
            Via::Datagram { socket, local }
        } else {
            Via::Stream(client.into())
        };
        let ip = Ipv6Addr::from_bits(CLIENTS | u128::from(client));
        let addr = SocketAddr::from((ip, CLIENT_PORT));
        let Some(running) = &mut self.running else {
            return false;
        };
        let (message, client) = (written(&self.room, len), Client { addr, via });
        (running.core).query(message, client, self.now, &mut running.out)
    }

    /// A link came up.
    pub fn connected(&mut self, link: u64) {
        if let Some(running) = &mut self.running {
            (running.core).connected(key(link), "TLS", self.now, &mut running.out);
        }
    }

    /// A link could not be made.
    pub fn connect_failed(&mut self, link: u64, why: u32) {
        let why = match why {
            0 => ConnectError::Unreachable("unreachable".into()),
            1 => ConnectError::TimedOut,
            2 => ConnectError::Unauthenticated {
                why: "not who it should be".into(),
                remedy: String::new(),
            },
            _ => ConnectError::Handshake("failed".into()),
        };
        if let Some(running) = &mut self.running {
            running.connections.remove(key(link));
            (running.core).connect_failed(key(link), &why, self.now, &mut running.out);
        }
    }

    /// Octets came on a link.
    pub fn received(&mut self, link: u64, len: usize) {
        if let Some(running) = &mut self.running {
            running.received(key(link), written(&self.room, len), self.now);
        }
    }

    /// A link ended by itself.
    pub fn connection_lost(&mut self, link: u64, broken: bool) {
        if let Some(running) = &mut self.running {
            let why = match running.connections.remove(key(link)) {
                _ if broken => ConnectionError::Io("broken".into()),
                Some(rest) if !rest.is_empty() => ConnectionError::Truncated,
                _ => ConnectionError::Closed,
            };
            (running.core).connection_lost(key(link), &why, self.now, &mut running.out);
        }
    }

    /// The name of an upstream was looked up.
    pub fn resolved(&mut self, upstream: u32, len: usize, seconds: u32) {
        let text = String::from_utf8_lossy(written(&self.room, len));
        let Some(running) = &mut self.running else {
            return;
        };
        let upstream = upstream as usize;
        let known = running.upstreams.get(upstream);
        let host = known.and_then(|upstream| upstream.host());
        let port = host.map_or(TLS_PORT, Host::port);
        let addresses = text.lines().filter_map(|line| line.parse::<IpAddr>().ok());
        let addresses: Vec<_> = addresses.map(|ip| SocketAddr::new(ip, port)).collect();
        let holds = Duration::from_secs(seconds.max(HOLDS_MIN).into());
        let found = if addresses.is_empty() {
            Err(ConnectError::Unresolved("not found".into()))
        } else {
            Ok((addresses, holds))
        };
        (running.core).resolved(upstream, found, self.now, &mut running.out);
    }

    /// What to do next.
    pub fn next(&mut self) -> Option<&Action> {
        self.action = self.running.as_mut().and_then(Running::next);
        self.action.as_ref()
    }

    /// The end.
    pub fn close(&mut self) {
        if let Some(running) = &mut self.running {
            running.core.close(self.now, &mut running.out);
        }
    }
}

/// What the host wrote, at most what it had room for.
fn written(room: &[u8], len: usize) -> &[u8] {
    room.get(..len).unwrap_or(room)
}

fn key(link: u64) -> ConnectionKey {
    KeyData::from_ffi(link).into()
}

/// Milliseconds as the core counts them. What is no number is the origin.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "fractions of a nanosecond go; what is out of range becomes the nearest end of it"
)]
fn moment(milliseconds: f64) -> Time {
    Time::from_nanos((milliseconds * 1e6) as u64)
}
