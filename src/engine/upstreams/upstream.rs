//! What is known of one upstream: its addresses, how it answers, and what it can do.

use super::backoff::Backoff;
use super::capacity::Capacity;
use super::edns_support::EdnsSupport;
use super::health::Health;
use super::idle_timeout::IdleTimeout;
use super::incidents::Incidents;
use super::keepalive::KeepaliveOption;
use super::networks::{Networks, Observed};
use super::padding::Padding;
use super::round_trip::RoundTrip;
use super::streams::Streams;
use crate::config::{Profile, Upstream as Configured};
use crate::engine::network::Network;
use crate::engine::stats::UpstreamStats;
use crate::engine::time::Time;
use rand_chacha::ChaCha8Rng;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An upstream that answered so long ago is in use.
const LATELY: Duration = Duration::from_secs(60);
/// An upstream that answered so long ago works.
const JUST_NOW: Duration = Duration::from_secs(1);
/// For how long, at most, a resolver is not asked again which one it designates after a certificate was not valid for it. RFC 9462 section 4.2
/// wants the TTL, unless that is excessive.
const REJECTED: Duration = Duration::from_secs(300);
/// How long it is remembered that an upstream answers in order.
const ORDER_HOLDS: Duration = Duration::from_secs(600);

/// One configured upstream.
pub struct Upstream {
    pub label: String,
    /// `None` if it is configured no more: it gets no more queries, and those that it has are waited for.
    pub configured: Option<Configured>,
    addresses: Vec<SocketAddr>,
    /// Whether it gets queries even if it cannot be authenticated.
    pub profile: Profile,
    /// Given by name, or designated by another resolver: addresses come from a look-up.
    looked_up: bool,
    pub resolving: bool,
    resolved_at: Time,
    resolve_again: Time,
    /// The address that is next.
    next: usize,
    pub backoff: Backoff,
    pub capacity: Capacity,
    pub edns: EdnsSupport,
    pub health: Health,
    pub idle_timeout: IdleTimeout,
    pub keepalive: KeepaliveOption,
    pub padding: Padding,
    pub round_trip: RoundTrip,
    networks: Networks,
    order: Order,
    /// Those of the connection that came up last.
    streams: Streams,
    /// When a query was last sent to it.
    pub used_at: Time,
    /// When it last answered one; nothing before its first response.
    pub answered_at: Option<Time>,
    /// Whether it was ever connected to.
    pub was_connected: bool,
    /// When the certificate ends that it showed last, on the clock that goes on while the machine is suspended.
    pub certificate_end: Option<Time>,
    /// How the last connection that came up was authenticated and encrypted, in words.
    pub connection: Option<Box<str>>,
    /// Why it last failed, in words; nothing once it answered since.
    pub trouble: Option<Box<str>>,
    pub incidents: Incidents,
    pub stats: UpstreamStats,
}

/// In which order an upstream answers the queries of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Unknown,
    /// A response overtook that of an older query.
    Any,
    /// As they came; believed until then.
    Kept(Time),
}

impl Upstream {
    /// The proxy that it is connected to through.
    pub fn proxy(&self) -> Option<SocketAddr> {
        let socks5 = self.configured.as_ref()?.socks5()?;
        Some(socks5.proxy)
    }

    /// As configured, nothing known.
    pub fn new(configured: &Configured) -> Self {
        let addresses = configured.addresses_to_use();
        Self {
            label: configured.label().to_owned(),
            configured: Some(configured.clone()),
            looked_up: addresses.is_empty(),
            addresses: alternate(&addresses),
            profile: configured.profile(),
            resolving: false,
            resolved_at: Time::ZERO,
            resolve_again: Time::ZERO,
            next: 0,
            backoff: Backoff::default(),
            capacity: Capacity::default(),
            edns: EdnsSupport::default(),
            health: Health::default(),
            idle_timeout: IdleTimeout::of(configured),
            keepalive: KeepaliveOption::default(),
            padding: Padding::new(configured),
            round_trip: RoundTrip::default(),
            networks: Networks::default(),
            order: Order::Unknown,
            streams: Streams::Shared,
            used_at: Time::ZERO,
            answered_at: None,
            was_connected: false,
            certificate_end: None,
            connection: None,
            trouble: None,
            incidents: Incidents::default(),
            stats: UpstreamStats::default(),
        }
    }

    /// It is configured again, perhaps by another label.
    pub fn keep(&mut self, configured: &Configured) {
        configured.label().clone_into(&mut self.label);
        self.configured = Some(configured.clone());
    }

    /// It is configured no more.
    pub fn remove(&mut self) {
        self.configured = None;
        self.resolving = false;
    }

    /// Whether it is configured no more.
    pub fn is_removed(&self) -> bool {
        self.configured.is_none()
    }

    /// Whether a look-up is under way, and until it is done there is nothing to connect to.
    pub fn has_no_address_yet(&self) -> bool {
        self.resolving && self.addresses.is_empty()
    }

    /// How many addresses it has, and so connects under way at once. At least one: a look-up counts, too.
    pub fn width(&self) -> usize {
        self.addresses.len().max(1)
    }

    /// A connect to it begins: to this address, and the next one to the next. `None` if its addresses have to be found first.
    pub fn connecting(&mut self, now: Time) -> Option<SocketAddr> {
        self.backoff.connecting(now);
        let addr = self.addresses.get(self.next % self.width()).copied()?;
        self.next = (self.next + 1) % self.width();
        Some(addr)
    }

    /// Whether this is an address of it.
    pub fn is_at(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let mut all = self.addresses.iter();
        all.any(|addr| addr.ip().to_canonical() == ip)
    }

    /// Whether its addresses are so old that they should be looked up again, beside a connect to those that are known.
    pub fn wants_resolving(&self, now: Time) -> bool {
        self.looked_up && !self.resolving && now >= self.resolve_again
    }

    /// It was looked up.
    pub fn resolved(&mut self, addresses: &[SocketAddr], holds: Duration, now: Time) {
        self.resolving = false;
        self.resolved_at = now;
        self.resolve_again = now + holds;
        if !addresses.is_empty() {
            self.addresses = alternate(addresses);
            self.next = 0;
        }
    }

    /// It was connected to at this address, after so long.
    pub fn connected(&mut self, addr: SocketAddr, took: Duration, now: Time) {
        self.health.connected(now);
        self.backoff.connected(took, now);
        // The address that worked is the first choice next time.
        if let Some(index) = self.addresses.iter().position(|a| *a == addr) {
            self.next = index;
        }
    }

    /// A connect failed; `silent`: nothing came back at all.
    pub fn failed(&mut self, silent: bool, now: Time, random: &mut ChaCha8Rng) {
        let width = self.width();
        if self.backoff.failed(width, silent, now, random) && self.looked_up {
            // The addresses did not help: perhaps they changed.
            self.resolve_again = Time::ZERO;
        }
    }

    /// A connect failed because the server is not who it should be.
    pub fn rejected(&mut self, now: Time, random: &mut ChaCha8Rng) {
        let known_until = self.resolve_again;
        self.failed(false, now, random);
        let designated = |configured: &Configured| configured.designated_by().is_some();
        if self.configured.as_ref().is_some_and(designated) {
            self.resolve_again = known_until.min(self.resolved_at + REJECTED);
        }
    }

    /// A connection ended without one response. Says whether that is as bad as a connect that fails.
    pub fn ended_fruitless(&mut self, now: Time, random: &mut ChaCha8Rng) -> bool {
        let counts = self.backoff.ended_fruitless();
        if counts {
            self.failed(false, now, random);
        }
        counts
    }

    /// It answered on a connection that came up after so many failures. Says whether it had failed since it last answered.
    pub fn answered(&mut self, failures_before: u32, now: Time) -> bool {
        self.answered_at = Some(now);
        self.backoff.answered(failures_before)
    }

    /// When it last answered a query.
    pub fn answered_at(&self) -> Option<Time> {
        self.answered_at
    }

    /// Whether it has answered a query within the last minute.
    pub fn is_active(&self, now: Time) -> bool {
        self.answered_at.is_some_and(|at| now.since(at) <= LATELY)
    }

    /// Whether it has answered a moment ago. If it then ends a connection on which a query was alone, that is the query's fault.
    pub fn has_just_answered(&self, now: Time) -> bool {
        self.answered_at.is_some_and(|at| now.since(at) <= JUST_NOW)
    }

    /// The machine was suspended or the process stopped: what failed then may work now, and where it is may have changed.
    pub fn start_afresh(&mut self) {
        self.backoff.start_afresh();
        self.resolve_again = Time::ZERO;
        self.health.forget();
        self.idle_timeout.forget_proof();
        self.keepalive.start_afresh();
    }

    /// It is reached over another network from now on, or over none: what failed before may work now, and what was learned holds where it was
    /// learned.
    pub fn moved(&mut self, from: Option<Network>, to: Option<Network>) {
        self.start_afresh();
        let Some(to) = to else {
            self.networks.left(from);
            return;
        };
        let observed = Observed {
            capacity: self.capacity,
            edns: self.edns,
            idle_timeout: self.idle_timeout,
            keepalive: self.keepalive,
            round_trip: self.round_trip,
            connect_time: self.backoff.connect_time(),
        };
        let nothing = Observed {
            capacity: Capacity::default(),
            edns: EdnsSupport::default(),
            idle_timeout: self.idle_timeout.unlearned(),
            keepalive: KeepaliveOption::default(),
            round_trip: RoundTrip::default(),
            connect_time: None,
        };
        if let Some(known) = self.networks.move_to(from, to, &observed, &nothing) {
            let connect_time;
            Observed {
                capacity: self.capacity,
                edns: self.edns,
                idle_timeout: self.idle_timeout,
                keepalive: self.keepalive,
                round_trip: self.round_trip,
                connect_time,
            } = known;
            self.backoff.expect_connect_time(connect_time);
            // No probe of that time is under way any more.
            self.capacity.set_probing(false);
            self.keepalive.start_afresh();
        }
    }

    /// Where it is connected to: its proxy, or its addresses.
    pub fn destinations(&self) -> Vec<SocketAddr> {
        match self.proxy() {
            Some(proxy) => vec![proxy],
            None => self.addresses.clone(),
        }
    }

    /// A connection comes up, with a stream for each query or not. By another protocol than before its order is another one.
    pub fn comes_up_with(&mut self, streams: Streams) {
        if streams == Streams::Own {
            self.order = Order::Any;
        } else if self.streams == Streams::Own {
            self.order = Order::Unknown;
        }
        self.streams = streams;
    }

    /// A response overtook that of an older query.
    pub fn reordered(&mut self) {
        self.order = Order::Any;
    }

    /// Whether a query may wait for a connection of its own behind the one that it was sent on.
    pub fn is_isolating(&self) -> bool {
        self.idle_timeout.is_fixed()
    }

    /// Whether it answers in any order.
    pub fn is_known_to_reorder(&self) -> bool {
        self.order == Order::Any
    }

    /// Queries were answered on another connection while the one before them on theirs was not: it answers in order.
    pub fn held_up(&mut self, now: Time) {
        if self.order != Order::Any {
            self.order = Order::Kept(now + ORDER_HOLDS);
        }
    }

    /// Whether it answers in order. It then gets several connections, so that a slow name holds up fewer others.
    pub fn answers_in_order(&self) -> bool {
        matches!(self.order, Order::Kept(until) if until > self.used_at)
    }
}

/// The addresses with the two families in turn, the first one's family first: where one family does not work at all, the second
/// connect is to the other (RFC 8305 section 4).
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (same, other): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|addr| addr.is_ipv4() == first.is_ipv4());
    let mut rest = other.into_iter();
    let mut mixed: Vec<_> = same
        .into_iter()
        .flat_map(|addr| [Some(addr), rest.next()])
        .flatten()
        .collect();
    mixed.extend(rest);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_worked_is_the_first_choice() {
        let [one, two] = ["127.0.0.1:853", "127.0.0.2:853"].map(|addr| addr.parse().unwrap());
        let name = Some("u.test".into());
        let configured = Configured::known("u", "tls", name, vec![one, two]);
        let mut upstream = Upstream::new(&configured);
        let now = Time::ZERO + Duration::from_secs(100);
        assert_eq!(upstream.connecting(now), Some(one));
        assert_eq!(upstream.connecting(now), Some(two));
        assert_eq!(upstream.connecting(now), Some(one));
        upstream.connected(one, Duration::from_millis(20), now);
        assert_eq!(upstream.connecting(now), Some(one));
    }

    #[test]
    fn address_families_take_turns() {
        // fault 54
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|text| text.parse().unwrap()).collect()
        };
        let given = parse(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1", "[::1]:1", "[::2]:1"]);
        let mixed = parse(&["1.1.1.1:1", "[::1]:1", "1.1.1.2:1", "[::2]:1", "1.1.1.3:1"]);
        assert_eq!(alternate(&given), mixed);
        assert_eq!(alternate(&given[3..]), given[3..]);
        assert_eq!(alternate(&[]), []);
    }
}
