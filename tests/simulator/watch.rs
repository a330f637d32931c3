//! Looks into a forwarder after each of its steps: nothing may be beyond its bound, lost, or left behind.

use dotward::config::{Config, Limits};
use dotward::engine::{Forwarder, Gauges, Stats, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// How often a question may be sent in all, as the design says.
pub const MAX_SENDS: u8 = 5;
/// How many of those that its upstream did not process do not count, so that it may be sent so often beside that.
pub const MAX_UNPROCESSED: u8 = 3;
/// How many connects a question may cost, beside the first one to each upstream.
/// Octets that one question may hold: its own, and those of an answer that is better than none.
const OCTETS: usize = 2 * 2_048;
/// How many connects a question may cost.
const MAX_CONNECTS: u64 = 3;
/// Links to one upstream: four that are shared, six that are isolated.
pub const MAX_LINKS: usize = 10;
/// Connects under way at once, on one route.
pub const MAX_DIALS: usize = 8;
/// A timer's rounding in the core, and a little.
pub const TICK: Duration = Duration::from_millis(17);

/// Connections to one upstream that end without an answer to one question, within a minute: ten at once, then one a second, and a
/// little.
const MAX_FRUITLESS: usize = 75;
/// The same with connects that meet silence, which are tried twice a second while nothing else is connected.
const MAX_WITH_SILENT: usize = 135;
const MINUTE: Duration = Duration::from_secs(60);

/// When connections to one upstream ended that had carried no answer, in the last minute, and which of them met silence.
#[derive(Default)]
pub struct Fruitless(VecDeque<(Time, bool)>);

impl Fruitless {
    /// One more has ended; `silent`: it was never made, because nothing came back.
    pub fn ended(&mut self, now: Time, silent: bool) -> Result<(), String> {
        self.0.push_back((now, silent));
        while self
            .0
            .front()
            .is_some_and(|(at, _)| now.since(*at) > MINUTE)
        {
            self.0.pop_front();
        }
        let all = self.0.len();
        let silent = self.0.iter().filter(|(_, silent)| *silent).count();
        if all - silent <= MAX_FRUITLESS && all <= MAX_WITH_SILENT {
            return Ok(());
        }
        Err(format!(
            "{all} connections in a minute that carried no answer, of which {silent} were never made"
        ))
    }
}

/// What one forwarder may hold, and what it has cost so far.
pub struct Watch {
    limits: Limits,
    cache_bytes: usize,
    upstreams: usize,
    routes: usize,
    /// When no question was in flight last: connects and questions begun until then.
    spent: (u64, u64),
}

impl Watch {
    pub fn new(config: &Config) -> Self {
        Self {
            limits: config.limits().clone(),
            cache_bytes: config.cache_bytes(),
            upstreams: config.all_upstreams().len(),
            routes: 1 + config.routes().len(),
            spent: (0, 0),
        }
    }

    /// After a step. So many connects were begun so far, as the other side of the forwarder counts them.
    pub fn look(&mut self, core: &Forwarder, connects: u64) -> Result<(), String> {
        let held = core.gauges();
        let bounds = [
            ("queries in flight", held.queries, self.limits.in_flight),
            (
                "questions in flight",
                held.transactions,
                self.limits.in_flight,
            ),
            (
                "octets of questions",
                held.octets,
                self.limits.in_flight * OCTETS,
            ),
            (
                "on one link",
                held.on_one_connection,
                self.limits.link_in_flight,
            ),
            ("octets in the cache", held.cached, self.cache_bytes),
            ("sends", held.sends.into(), MAX_SENDS.into()),
            ("connects", held.connects.into(), self.connects() as usize),
            ("links", held.connected, self.upstreams * MAX_LINKS),
            (
                "connects under way",
                held.connecting,
                MAX_DIALS * self.routes,
            ),
            ("look-ups", held.resolving, self.upstreams),
            ("stranded", held.stranded, 0),
            ("joinable", held.joinable, held.transactions),
            ("waiting for a link", held.waiting, held.queued),
        ];
        for (what, is, bound) in bounds {
            if is > bound {
                return Err(format!("{what}: {is}, and the bound is {bound}"));
            }
        }
        if (held.timers, held.queries) != (held.transactions, core.in_flight()) {
            return Err(format!("counts that disagree: {held:?}"));
        }
        self.spend(&held, core.stats(), connects)
    }

    /// The TCP clients of a shell, and the queries of the one that waits for most answers.
    pub fn crowd(&self, (clients, open): (usize, usize)) -> Result<(), String> {
        // They all come from one address.
        let most = self.limits.tcp_connections.min(self.limits.tcp_per_client);
        if clients > most || open > self.limits.tcp_in_flight {
            return Err(format!("{clients} TCP clients, one with {open} queries"));
        }
        Ok(())
    }

    /// How many connects a question may cost.
    fn connects(&self) -> u64 {
        MAX_CONNECTS + self.upstreams.saturating_sub(1) as u64
    }

    /// The connects since no question was in flight are at the expense of the questions since then. With one question at a time that
    /// is exact; with several, one of them might cost more if others cost less.
    fn spend(&mut self, held: &Gauges, stats: &Stats, connects: u64) -> Result<(), String> {
        let begun = (connects - stats.renewed, begun(stats));
        let (connects, questions) = (begun.0 - self.spent.0, begun.1 - self.spent.1);
        if connects > self.connects() * questions {
            return Err(format!("{connects} connects for {questions} questions"));
        }
        if held.transactions == 0 {
            self.spent = begun;
        }
        Ok(())
    }
}

/// Every query has exactly one end, and no question is sent too often. So many questions were not processed by their upstreams.
pub fn sums(stats: &Stats, unprocessed: u64) -> Result<(), String> {
    let ends = at_once(stats) + stats.yielded + stats.stale + stats.answered + stats.failed;
    let begun = begun(stats);
    let sends = u64::from(MAX_SENDS) * begun + unprocessed.min(u64::from(MAX_UNPROCESSED) * begun);
    let unasked = stats.sent == 0 && stats.answered > 0;
    if ends != stats.queries || stats.unsent > 0 || stats.sent > sends || unasked {
        return Err(format!("the sums are wrong: {stats:?}"));
    }
    Ok(())
}

/// Queries that met their end when they came.
fn at_once(stats: &Stats) -> u64 {
    let shed = stats.shed + stats.shed_per_client;
    let errors = stats.malformed + stats.unsupported;
    stats.repeats + stats.denied + stats.local + errors + shed + stats.hits
}

/// Questions that were asked of upstreams, or would have been: all but those that met an end at once or joined another.
fn begun(stats: &Stats) -> u64 {
    stats.queries - at_once(stats) - stats.joined + stats.prefetches
}

/// When nobody has asked for long, nothing is held but what the cache remembers.
pub fn at_rest(core: &Forwarder) -> Result<(), String> {
    let mut held = core.gauges();
    held.cached = 0;
    let alarm = core.next_alarm();
    if held != Gauges::default() || alarm.is_some() {
        return Err(format!("at rest it holds {held:?}, alarm {alarm:?}"));
    }
    Ok(())
}
