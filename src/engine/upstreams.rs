//! What is known of each upstream: its addresses, how it answered, and when it may be dialled again.

use super::edns_support::EdnsSupport;
use super::flight::{Flight, FlightKey};
use super::health::Health;
use super::idling::Idling;
use super::incidents::Incidents;
use super::keepalive::Asking;
use super::stats::UpstreamStats as Counts;
use super::time::Time;
use crate::config::Upstream as Configured;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use slotmap::SlotMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The first wait after all addresses failed; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest wait: an upstream that is back is found within so long, and a connect's time, although others answer meanwhile.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// While no upstream is up, each is tried so often, counted from one try to the next, as long as somebody asks.
pub const PROBE: Duration = Duration::from_secs(1);
/// The same, where connects are not refused but meet silence: a path that works again does not tell.
const PROBE_SILENT: Duration = Duration::from_millis(500);
/// A connect is raced by another one to the same address after twice the time that it usually takes, but no sooner than this (RFC 8305
/// section 8).
const RACE_MIN: Duration = Duration::from_millis(250);
/// The same, while it is not known how long a connect takes: the system repeats a lost SYN after a second (RFC 6298).
const RACE_UNKNOWN: Duration = Duration::from_secs(1);
/// After so long without success connects are raced half as often.
const RACE_HARD: Duration = Duration::from_secs(3);
/// A connect so long after the one before begins a new series.
const SERIES_ENDS: Duration = Duration::from_secs(5);
/// Upstreams that answer sooner are near: a lost packet is repeated by TCP about as soon as a late question could be.
const FAR: Duration = Duration::from_millis(10);
/// A question is not late before it took so much longer than usual.
const LATE_MIN: Duration = Duration::from_millis(10);
/// Where answers take so long and vary so much, a copy would come too late to help.
const LATE_MAX: Duration = Duration::from_secs(1);
/// What was seen so long ago says little about now.
const LATELY: Duration = Duration::from_secs(60);
/// An upstream that answered so long ago works.
const JUST_NOW: Duration = Duration::from_secs(1);
/// Connections in a row that end without one answer, until that counts as a failure to connect. A single one may meet a restart, or a
/// question that the upstream cannot take.
const MAX_FRUITLESS: u32 = 2;
/// How long a learned bound holds, before more is dared again.
const BOUNDS_HOLD: Duration = Duration::from_secs(10);
/// Connections in a row that end after the same number of answers, until that is a bound. One that ends after another number is
/// evidence against it: the upstream then closes for another reason.
const EVIDENCE: u32 = 3;
/// How long it is remembered that an upstream answers in order.
const ORDER_HOLDS: Duration = Duration::from_secs(600);
/// How long a bound holds that the upstream told us.
const SAID_HOLDS: Duration = Duration::from_secs(3600);
/// A smoothed time that is older counts no more than the next answer does: one that is seldom asked may have changed.
const SRTT_FRESH: Duration = Duration::from_secs(10);
/// Only a link that ended after so few answers tells something about how the upstream counts.
const LEARNABLE: u64 = 64;

/// One configured upstream.
pub struct Upstream {
    pub label: String,
    addresses: Vec<SocketAddr>,
    /// Given by name: addresses come from `resolved`.
    by_name: bool,
    pub resolving: bool,
    resolve_again: Time,
    next: usize,
    failures: u32,
    retry_at: Time,
    dialed_at: Time,
    /// How long after a connect the next one is tried while no upstream is up.
    probe: Duration,
    /// How long a connect took, with its handshake; smoothed.
    connect_time: Option<Duration>,
    /// When the first of the connects began that have had no success so far.
    series_since: Time,
    /// Connections in a row that ended without an answer.
    fruitless: u32,
    /// Failures so far; a connection notes how many there were when it came up.
    pub failed_times: u32,
    /// When a question was last sent to it.
    pub used_at: Time,
    /// When it last answered one.
    answered_at: Time,
    order: Order,
    /// How many answers the last connection had that it closed with questions in flight, and how many of those in a row.
    closes: Option<(u64, u32)>,
    pub edns: EdnsSupport,
    learned: Option<Learned>,
    /// Smoothed time to an answer (SRTT of RFC 6298, with its weight of 1/8).
    pub srtt: Option<Duration>,
    /// How much that time varies (RTTVAR of RFC 6298).
    rttvar: Duration,
    /// Questions in the order in which they were sent to it first, each with the time when it counts as late. Those that are gone are
    /// left until their turn comes.
    pub late: VecDeque<(Time, FlightKey)>,
    timed_at: Time,
    pub health: Health,
    pub incidents: Incidents,
    pub counts: Counts,
    pub idling: Idling,
    /// Why it last failed, in words; nothing once it answered since.
    pub trouble: Option<Box<str>>,
    /// When it was last connected to.
    pub connected_at: Option<Time>,
    pub keepalive: Asking,
}

/// In which order an upstream answers the questions of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Unknown,
    /// An answer overtook that of an older question.
    Any,
    /// As they came; believed until then.
    Kept(Time),
}

/// What to do to reach an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connect to this address.
    Dial(SocketAddr),
    /// Find its addresses first.
    Resolve,
}

impl Upstream {
    /// As configured, nothing known.
    pub fn new(configured: &Configured) -> Self {
        Self {
            label: configured.label().to_owned(),
            addresses: alternate(configured.addresses()),
            by_name: configured.host().is_some(),
            resolving: false,
            resolve_again: Time::ZERO,
            next: 0,
            failures: 0,
            retry_at: Time::ZERO,
            dialed_at: Time::ZERO,
            probe: PROBE,
            connect_time: None,
            series_since: Time::ZERO,
            fruitless: 0,
            failed_times: 0,
            used_at: Time::ZERO,
            answered_at: Time::ZERO,
            order: Order::Unknown,
            closes: None,
            edns: EdnsSupport::default(),
            learned: None,
            srtt: None,
            rttvar: Duration::ZERO,
            late: VecDeque::new(),
            timed_at: Time::ZERO,
            health: Health::default(),
            incidents: Incidents::default(),
            counts: Counts::default(),
            idling: Idling::new(),
            trouble: None,
            connected_at: None,
            keepalive: Asking::default(),
        }
    }

    /// A look-up is under way, and until it is done there is nothing to dial.
    pub fn is_unknown(&self) -> bool {
        self.resolving && self.addresses.is_empty()
    }

    /// Was it tried since then, and did that fail?
    pub fn has_failed_since(&self, then: Time) -> bool {
        self.failures > 0 && self.dialed_at >= then
    }

    /// How many connects may be under way at once.
    pub fn width(&self) -> usize {
        self.addresses.len().max(1)
    }

    /// When it may be dialled (again); sooner if nothing else is up.
    pub fn dial_at(&self, nothing_up: bool) -> Time {
        if nothing_up && self.failures > 0 {
            self.retry_at.min(self.dialed_at + self.probe)
        } else {
            self.retry_at
        }
    }

    /// When a connect may race the one to the same address that was begun last.
    pub fn race_at(&self) -> Time {
        let usual = |time: Duration| (2 * time).max(RACE_MIN);
        let wait = self.connect_time.map_or(RACE_UNKNOWN, usual);
        let hard = self.dialed_at.since(self.series_since) >= RACE_HARD;
        self.dialed_at + if hard { 2 * wait } else { wait }
    }

    /// The way to reach it now. The next call gives the next address.
    pub fn step(&mut self, now: Time) -> Step {
        if now.since(self.dialed_at) >= SERIES_ENDS {
            self.series_since = now;
        }
        self.dialed_at = now;
        let Some(addr) = self.addresses.get(self.next % self.width()).copied() else {
            return Step::Resolve;
        };
        self.next = (self.next + 1) % self.width();
        Step::Dial(addr)
    }

    /// Are its addresses so old that they should be looked up again, beside a dial of what is known?
    pub fn wants_resolving(&self, now: Time) -> bool {
        self.by_name && !self.resolving && now >= self.resolve_again
    }

    /// Its name was looked up.
    pub fn resolved(&mut self, addresses: &[SocketAddr], holds: Duration, now: Time) {
        self.resolving = false;
        self.resolve_again = now + holds;
        if !addresses.is_empty() {
            self.addresses = alternate(addresses);
            self.next = 0;
        }
    }

    /// It was reached at this address, after so long. Whether it is of use shows when it answers.
    pub fn reached(&mut self, addr: SocketAddr, took: Duration, now: Time) {
        self.health.reached(now);
        self.series_since = now;
        self.connect_time = Some(match self.connect_time {
            None => took,
            Some(usual) => (usual * 3 + took) / 4,
        });
        // The address that worked is the first choice next time.
        if let Some(index) = self.addresses.iter().position(|a| *a == addr) {
            self.next = index;
        }
    }

    /// Did its last connect fail, a short while ago?
    pub fn has_failed_lately(&self, now: Time) -> bool {
        self.failures > 0 && now.since(self.dialed_at) < LATELY
    }

    /// Has it answered a question a short while ago?
    pub fn is_active(&self, now: Time) -> bool {
        self.answered_at > Time::ZERO && now.since(self.answered_at) <= LATELY
    }

    /// Has it answered a moment ago? If it then ends a connection on which a question was alone, that is the question's fault.
    pub fn has_just_answered(&self, now: Time) -> bool {
        self.answered_at > Time::ZERO && now.since(self.answered_at) <= JUST_NOW
    }

    /// It answered on a connection that came up when it had failed so many times: whatever failed before that is forgotten. Says
    /// whether something had.
    pub fn answered(&mut self, failed_times: u32, now: Time) -> bool {
        self.answered_at = now;
        self.fruitless = 0;
        if self.failures == 0 || failed_times < self.failed_times {
            return false;
        }
        self.failures = 0;
        self.retry_at = Time::ZERO;
        true
    }

    /// A connection ended without one answer. Several in a row are as bad as connects that fail, and more expensive. Says whether
    /// they are that many.
    pub fn fruitless(&mut self, now: Time, random: &mut ChaCha8Rng) -> bool {
        self.fruitless = self.fruitless.saturating_add(1);
        let too_many = self.fruitless > MAX_FRUITLESS;
        if too_many {
            self.failed(false, now, random);
        }
        too_many
    }

    /// Time has passed over us: what failed then may work now, and where it is may have changed.
    pub fn start_afresh(&mut self) {
        self.failures = 0;
        self.fruitless = 0;
        self.retry_at = Time::ZERO;
        self.resolve_again = Time::ZERO;
        self.health.forget();
        self.idling.forget_proof();
        self.keepalive.start_afresh();
    }

    /// What looked like a bound was none: more was answered, or the upstream is gone altogether.
    pub fn forget_bounds(&mut self) {
        self.learned = None;
        self.closes = None;
    }

    /// A connection has had so many answers: more than the number after which others ended speaks against a bound.
    pub fn has_answered(&mut self, answers: u64) {
        if self.closes.is_some_and(|(after, _)| answers > after) {
            self.closes = None;
        }
    }

    /// An answer overtook that of an older question.
    pub fn reordered(&mut self) {
        self.order = Order::Any;
    }

    /// Does it answer in any order?
    pub fn is_known_to_reorder(&self) -> bool {
        self.order == Order::Any
    }

    /// Questions were answered on another connection while the one before them on theirs was not: it answers in order.
    pub fn blocked(&mut self, now: Time) {
        if self.order != Order::Any {
            self.order = Order::Kept(now + ORDER_HOLDS);
        }
    }

    /// Does it answer in order? It then gets several connections, so that a slow name holds up fewer others.
    pub fn answers_in_order(&self) -> bool {
        matches!(self.order, Order::Kept(until) if until > self.used_at)
    }

    /// A connect failed. Each address gets its turn at once; after the last, the back-off begins, and each later try takes one address.
    /// `silent`: nothing came back at all.
    pub fn failed(&mut self, silent: bool, now: Time, random: &mut ChaCha8Rng) {
        self.probe = if silent { PROBE_SILENT } else { PROBE };
        self.failed_times = self.failed_times.wrapping_add(1);
        self.failures = self.failures.saturating_add(1);
        let rounds = (self.failures as usize).saturating_sub(self.width());
        if (self.failures as usize) < self.width() {
            return;
        }
        if self.by_name {
            // The addresses did not help: perhaps they changed.
            self.resolve_again = Time::ZERO;
        }
        let doubled = BACKOFF_MIN.saturating_mul(1 << rounds.min(16));
        // Up to a quarter less, so that many forwarders do not come back at the same moment.
        let jitter = 0.75 + 0.25 * f64::from(random.next_u32()) / f64::from(u32::MAX);
        self.retry_at = now + doubled.min(BACKOFF_MAX).mul_f64(jitter);
    }

    /// An answer took so long.
    pub fn timed(&mut self, took: Duration, now: Time) {
        let is_old = now.since(self.timed_at) > SRTT_FRESH;
        self.timed_at = now;
        let Some(srtt) = self.srtt else {
            self.srtt = Some(took);
            self.rttvar = took / 2;
            return;
        };
        self.rttvar = (self.rttvar * 3 + srtt.abs_diff(took)) / 4;
        self.srtt = Some(if is_old {
            (srtt + took) / 2
        } else {
            (srtt * 7 + took) / 8
        });
    }

    /// Questions are gone: those at the front of the late ones need no timer any more.
    #[inline]
    pub fn forget_late(&mut self, flights: &SlotMap<FlightKey, Flight>) {
        while let Some((_, key)) = self.late.front()
            && !flights.contains_key(*key)
        {
            self.late.pop_front();
        }
    }

    /// After how long a question counts as late, as TCP's retransmission timer has it (RFC 6298 section 2). `None` where that is not
    /// known, or where the upstream is so near that TCP itself is as quick.
    pub fn late_after(&self) -> Option<Duration> {
        let srtt = self.srtt.filter(|srtt| *srtt >= FAR)?;
        Some(srtt + (4 * self.rttvar).max(LATE_MIN)).filter(|late| *late <= LATE_MAX)
    }

    /// What it takes on one link.
    pub fn bounds(&self, now: Time) -> Bounds {
        match self.learned {
            Some(learned) if now < learned.until => learned.bounds,
            _ => Bounds::default(),
        }
    }

    /// May a question go beyond the bounds, to see whether they are any? One at a time, until one was lost over it.
    pub fn may_probe(&self) -> bool {
        self.learned.is_some_and(|l| !l.tried && !l.probing)
    }

    /// A question went beyond the bounds.
    pub fn probes(&mut self) {
        if let Some(learned) = &mut self.learned {
            learned.probing = true;
        }
    }

    /// What went beyond the bounds came to nothing: the next question may try.
    pub fn probed(&mut self) {
        if let Some(learned) = &mut self.learned {
            learned.probing = false;
        }
    }

    /// Have the bounds been tried and found true?
    pub fn is_sure_of_bounds(&self) -> bool {
        self.learned.is_some_and(|learned| learned.tried)
    }

    /// It closed a link with questions in flight that had been busy: after few answers, that may have been a bound of its own, on
    /// the questions of a connection or on those in flight. Or a question that it choked on; so that has to happen several times in
    /// a row in the same way, and the bound is tried.
    pub fn closed_busy(&mut self, answered: u64, live: usize, now: Time) {
        if live == 0 {
            return;
        }
        let before = self.closes.filter(|(after, _)| *after == answered);
        let alike = before.map_or(1, |(_, times)| times.saturating_add(1));
        self.closes = Some((answered, alike));
        if alike < EVIDENCE {
            return;
        }
        let bounds = match (answered, live) {
            (0, 2..) => Bounds {
                at_once: 1,
                in_all: u64::MAX,
            },
            (1..=LEARNABLE, 1..) => Bounds {
                at_once: answered as usize,
                in_all: answered,
            },
            _ => return,
        };
        let known = self.learned.filter(|learned| now < learned.until);
        self.learned = Some(Learned {
            bounds,
            until: now + BOUNDS_HOLD,
            tried: known.is_some_and(|learned| learned.tried || learned.probing),
            probing: false,
        });
    }

    /// It said how many questions it takes at once.
    pub fn said_at_once(&mut self, at_once: usize, now: Time) {
        self.learned = Some(Learned {
            bounds: Bounds {
                at_once: at_once.max(1),
                ..Bounds::default()
            },
            until: now + SAID_HOLDS,
            tried: true,
            probing: false,
        });
    }
}

/// How many questions an upstream takes on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In flight.
    pub at_once: usize,
    /// Over the link's whole life.
    pub in_all: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            at_once: usize::MAX,
            in_all: u64::MAX,
        }
    }
}

/// Bounds that were learned, and how sure they are.
#[derive(Clone, Copy)]
struct Learned {
    bounds: Bounds,
    until: Time,
    /// A question beyond them was lost with its link.
    tried: bool,
    /// A question beyond them is in flight.
    probing: bool,
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
    use rand_chacha::rand_core::SeedableRng;

    fn two_addresses() -> Upstream {
        let addresses = ["127.0.0.1:853", "127.0.0.2:853"].map(|text| text.parse().unwrap());
        let name = Some("u.test".into());
        Upstream::new(&Configured::known("u", "tls", name, addresses.to_vec()))
    }

    #[test]
    fn every_address_has_its_turn_before_the_back_off() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut upstream = two_addresses();
        let now = Time::ZERO + Duration::from_secs(100);
        let first = upstream.step(now);
        upstream.failed(false, now, &mut random);
        assert!(upstream.dial_at(false) <= now);
        assert_ne!(upstream.step(now), first);
        upstream.failed(false, now, &mut random);
        let wait = upstream.dial_at(false).since(now);
        assert!(wait >= BACKOFF_MIN.mul_f64(0.75) && wait <= BACKOFF_MIN);
    }

    #[test]
    fn the_back_off_is_bounded_jittered_and_reset_by_success() {
        // fault 48
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut upstream = two_addresses();
        let now = Time::ZERO + Duration::from_secs(100);
        for _ in 0..100 {
            upstream.failed(false, now, &mut random);
        }
        assert!(upstream.dial_at(false).since(now) >= BACKOFF_MAX.mul_f64(0.75));
        assert!(upstream.dial_at(false).since(now) <= BACKOFF_MAX);
        assert!(upstream.dial_at(true).since(now) <= PROBE);
        let took = Duration::from_millis(20);
        upstream.reached("127.0.0.2:853".parse().unwrap(), took, now);
        assert!(
            upstream.dial_at(false) > now,
            "a connection that never answered is no success"
        );
        assert!(!upstream.answered(0, now), "on an older connection");
        assert!(upstream.answered(100, now));
        assert_eq!(upstream.dial_at(false), Time::ZERO);
        assert_eq!(
            upstream.step(now),
            Step::Dial("127.0.0.2:853".parse().unwrap())
        );
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

    #[test]
    fn bounds_are_learned_and_forgotten() {
        // fault 1, 34
        let mut upstream = two_addresses();
        let now = Time::ZERO + Duration::from_secs(100);
        let closes = |upstream: &mut Upstream, answered, live| {
            for _ in 0..EVIDENCE {
                upstream.closed_busy(answered, live, now);
            }
        };
        closes(&mut upstream, 1_000_000, 5);
        assert_eq!(upstream.bounds(now), Bounds::default(), "a restart");
        closes(&mut upstream, 0, 1);
        assert_eq!(upstream.bounds(now), Bounds::default(), "nothing to learn");
        closes(&mut upstream, 0, 2);
        assert_eq!(upstream.bounds(now).at_once, 1);
        assert_eq!(upstream.bounds(now + BOUNDS_HOLD), Bounds::default());
        assert!(upstream.may_probe() && !upstream.is_sure_of_bounds());
        upstream.probes();
        assert!(!upstream.may_probe(), "one at a time");
        upstream.closed_busy(0, 2, now);
        assert!(!upstream.may_probe() && upstream.is_sure_of_bounds());
        closes(&mut upstream, 3, 1);
        let three = Bounds {
            at_once: 3,
            in_all: 3,
        };
        assert_eq!(upstream.bounds(now), three);
    }

    #[test]
    fn a_bound_takes_repeated_and_consistent_evidence() {
        // fault 96
        let mut upstream = two_addresses();
        let now = Time::ZERO + Duration::from_secs(100);
        for answered in [3, 3, 2, 3, 3, 0, 0, 3] {
            upstream.closed_busy(answered, 5, now);
            assert_eq!(upstream.bounds(now), Bounds::default(), "mixed");
        }
        upstream.closed_busy(3, 5, now);
        upstream.has_answered(4);
        upstream.closed_busy(3, 5, now);
        assert_eq!(
            upstream.bounds(now),
            Bounds::default(),
            "another connection was given more answers"
        );
        upstream.closed_busy(3, 5, now);
        upstream.closed_busy(3, 5, now);
        assert_eq!(upstream.bounds(now).in_all, 3);
    }
}
