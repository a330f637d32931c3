//! A forwarder at work: the core, its upstreams, and the streams of its connections.
#![forbid(unsafe_code)]

use crate::action::{Action, Kind};
use crate::forwarding::{self, freshness, verified_by_the_host};
use dotward::config::{Config, Scheme, Upstream};
use dotward::engine::{self, Cache, Client, ConnectionKey, Forwarder, Now, Output, Times};
use dotward::wire::{Frames, append_frame};
use slotmap::{Key, SecondaryMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What the host makes of a connection: TLS, and nothing less.
const SCHEMES: &[Scheme] = &[Scheme {
    name: "tls",
    port: 853,
    encrypted: true,
}];

/// A core that was told what to do.
pub struct Running {
    pub core: Forwarder,
    pub upstreams: Vec<Upstream>,
    /// What the core wants.
    pub out: Output,
    /// How many actions of `out` the host has taken.
    taken: usize,
    /// What came on each connection that the host was told to dial, and is not yet a whole message.
    pub connections: SecondaryMap<ConnectionKey, Frames>,
    /// The octets of the last action, where the core has not laid them out as the host needs them.
    shown: Vec<u8>,
}

impl Running {
    /// Reads 32 octets for the core's seed, 16 for the cache's, and the list of upstreams. An error says what is wrong.
    pub fn new(input: &[u8], timeout: Duration, cache_octets: usize) -> Result<Self, String> {
        let randomness = "48 octets of randomness are needed";
        let (seed, rest) = input.split_first_chunk::<32>().ok_or(randomness)?;
        let (cache_seed, text) = rest.split_first_chunk::<16>().ok_or(randomness)?;
        let text = str::from_utf8(text).map_err(|error| error.to_string())?;
        let upstreams = forwarding::upstreams(text, SCHEMES)?;
        upstreams.iter().try_for_each(verified_by_the_host)?;
        let config = Config::builder()
            .upstreams(upstreams.clone())
            .timeout(timeout)
            .driver_resolves_names()
            .build()
            .map_err(|error| error.to_string())?;
        let cache = Arc::new(Cache::new(cache_octets, *cache_seed, Times::default()));
        Ok(Self {
            core: Forwarder::new(&config, cache, *seed),
            upstreams,
            out: Output::new(),
            taken: 0,
            connections: SecondaryMap::new(),
            shown: Vec::new(),
        })
    }

    /// Octets came on a connection. Whatever a message is, it concerns the core alone: it closes the connection by an action.
    pub fn received(&mut self, connection: ConnectionKey, mut octets: &[u8], now: Now) {
        let Some(frames) = self.connections.get_mut(connection) else {
            // Closed meanwhile.
            return;
        };
        while !octets.is_empty() {
            let space = frames.space();
            let (first, rest) = octets.split_at(octets.len().min(space.len()));
            for (to, from) in space.iter_mut().zip(first) {
                *to = *from;
            }
            frames.filled(first.len());
            octets = rest;
            while let Some(message) = frames.next() {
                self.core.answer(connection, message, now, &mut self.out);
            }
        }
    }

    /// What to do next.
    pub fn next(&mut self) -> Option<Action> {
        let Some(wanted) = self.out.actions().get(self.taken).cloned() else {
            self.out.clear();
            self.taken = 0;
            return None;
        };
        self.taken += 1;
        Some(match wanted {
            engine::Action::Reply { client, message } => {
                let message = self.out.message(&message);
                Action::new(Kind::Reply, number(&client))
                    .fresh_for(freshness(message))
                    .showing(message)
            }
            engine::Action::Send {
                connection,
                id,
                message,
            } => {
                self.shown.clear();
                append_frame(self.out.message(&message), &mut self.shown);
                Action::new(Kind::Send, id.into())
                    .on(connection.data())
                    .showing(&self.shown)
            }
            engine::Action::Connect {
                connection,
                upstream,
                addr,
            } => {
                // Empty until something comes.
                self.connections.insert(connection, Frames::new());
                let place = self.place(upstream, addr);
                self.show(Kind::Dial, upstream, &place)
                    .on(connection.data())
            }
            engine::Action::Resolve { upstream } => {
                let host = self.upstreams.get(upstream).and_then(Upstream::host);
                let name = host.map(|host| host.name().to_owned()).unwrap_or_default();
                self.show(Kind::Resolve, upstream, &name)
            }
            engine::Action::Close { connection } => {
                self.connections.remove(connection);
                Action::new(Kind::Close, 0).on(connection.data())
            }
        })
    }

    /// Where to dial, and who has to be there.
    fn place(&self, upstream: usize, addr: SocketAddr) -> String {
        let known = self.upstreams.get(upstream);
        let name = known.and_then(|upstream| upstream.server_name());
        format!("{addr} {}", name.unwrap_or_default())
    }

    /// An action about an upstream, with a text.
    fn show(&mut self, kind: Kind, upstream: usize, text: &str) -> Action {
        self.shown.clear();
        self.shown.extend_from_slice(text.as_bytes());
        let index = u32::try_from(upstream).unwrap_or(u32::MAX);
        Action::new(kind, index).showing(&self.shown)
    }
}

/// The host's own name of a client, out of the address that it got.
fn number(client: &Client) -> u32 {
    let IpAddr::V6(ip) = client.addr.ip() else {
        return 0;
    };
    let [.., a, b, c, d] = ip.octets();
    u32::from_be_bytes([a, b, c, d])
}
