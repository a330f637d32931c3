//! The core alone: no shell, no network, nothing but random events in any order, and a look at it after each of them.

mod events;
mod ledger;

use super::dice::Dice;
use super::drawing::{self, POPULAR};
use super::log::Log;
use super::split::Split;
use super::stage::Outcome;
use super::story::{House, upstream_addr};
use super::watch::{self, Watch};
use dotward::config::{Config, Host, Route, Upstream};
use dotward::engine::{Cache, ConnectionKey, Forwarder, Now, Output, Time, Times};
use dotward::transports::SCHEMES;
use events::{ABSENCES, EVENTS};
use ledger::Ledger;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Events of one run.
const EVENTS_OF_A_RUN: u64 = 1_000;
/// Octets of records: enough for all failures of a run.
const RECORDS: usize = 4 << 20;
/// Calls at one moment, after which the alarm must lie ahead.
const SPINS: usize = 50;
/// A shell gives up a connect after so long.
const CONNECT: Duration = Duration::from_millis(1_500);
/// Nobody asks for so long: connections end after a minute without a question at the latest.
const REST: u64 = 200;

/// A core, and the hand that drives it.
pub struct Driver {
    pub dice: Dice,
    pub core: Forwarder,
    /// The configuration that holds.
    pub config: Config,
    pub house: House,
    pub cache: Arc<Cache>,
    /// All upstreams that may be configured.
    pub upstreams: Vec<Upstream>,
    pub out: Output,
    pub ledger: Ledger,
    pub log: Log,
    /// Questions asked so far; each has a number.
    pub asked: u16,
    now: Rc<Cell<Now>>,
    watch: Watch,
    /// What happens by itself, if there is a healthy upstream.
    due: BTreeMap<(Time, u64), (ConnectionKey, Option<u16>)>,
}

/// Drives a core through the events of this seed.
pub fn drive(seed: u64, all: bool, traced: bool) -> Outcome {
    let mut driver = Driver::new(seed, all, traced);
    driver.run();
    let (faults, trace) = driver.log.take();
    Outcome {
        faults,
        trace,
        stats: *driver.core.stats(),
        records: driver.records(),
    }
}

impl Driver {
    fn new(seed: u64, all: bool, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let (mut upstreams, mut house) = (upstreams(&mut dice), house(&mut dice));
        let mut ledger = Ledger::default();
        // As with stories, every fourth run has a healthy upstream, and no want of room.
        if all && seed % 4 == 3 {
            let last = upstreams.len();
            ledger.healthy = Some(last);
            upstreams.push(upstream(last));
            house.make_room();
        }
        let split = match ledger.healthy {
            None => Split::draw(&mut dice, upstreams.len()),
            Some(_) => None,
        };
        let split = split.unwrap_or(Split::none(upstreams.len()));
        let config = configure(house, &upstreams, split);
        let start = Time::ZERO + Duration::from_secs(100);
        let now = Rc::new(Cell::new(Now {
            mono: start,
            boot: start,
        }));
        let clock = now.clone();
        let log = Log::new(move || clock.get().mono, traced);
        log.note(|| format!("{config:?}"));
        let cache = Cache::new(config.cache_bytes(), [7; 16], Times::default());
        let cache = Arc::new(cache);
        let mut core = Forwarder::new(&config, cache.clone(), [seed as u8; 32]);
        core.record_failures(RECORDS, (1, 1));
        ledger.allowed = allowed(&core, &config);
        Self {
            core,
            watch: Watch::new(&configure(house, &upstreams, split)),
            config,
            house,
            cache,
            upstreams,
            out: Output::new(),
            ledger,
            due: BTreeMap::new(),
            asked: 0,
            dice,
            now,
            log,
        }
    }

    /// So many events, and an end. What goes wrong ends it at once.
    fn run(&mut self) {
        // Each run has its own mixture: in some nothing is ever answered, in others nothing can be reached.
        let mut weights = EVENTS.map(|(weight, _)| weight * self.dice.pick(&[0, 1, 1, 4]));
        if self.ledger.healthy.is_some() {
            weights[ABSENCES].fill(0);
        }
        for _ in 0..EVENTS_OF_A_RUN {
            let mut at = self.dice.below(weights.iter().sum());
            let drawn = EVENTS.iter().zip(weights).find(|(_, weight)| {
                let hit = at < *weight;
                at = at.saturating_sub(*weight);
                hit
            });
            if let Some(((_, event), _)) = drawn {
                event(self);
                self.settle();
                self.serve_alarms();
            }
            if !self.log.is_clean() {
                return;
            }
        }
        if self.dice.percent(30) {
            self.close();
        } else {
            self.rest();
        }
        self.end();
    }

    /// Everybody waits, and time goes on.
    fn rest(&mut self) {
        self.log.note(|| "nobody asks any more".into());
        for _ in 0..REST {
            self.report();
            self.pass(Duration::from_secs(1));
        }
    }

    /// At any time: everybody gets an answer, and every connection is closed.
    fn close(&mut self) {
        self.log.note(|| "the end".into());
        self.ledger.healthy = None;
        let now = self.now();
        self.core.close(now, &mut self.out);
        self.settle();
        self.report();
    }

    /// Nothing is left, and the sums are right.
    fn end(&self) {
        let (connections, queries) = (self.ledger.lines.len(), self.ledger.open.len());
        if connections + queries > 0 {
            let what =
                format!("in the end {connections} connections and {queries} queries are left");
            self.log.wrong(what);
        }
        self.log.check(watch::at_rest(&self.core));
        let stats = self.core.stats();
        let tally = &self.ledger.tally;
        self.log.check(tally.check(stats.prefetches));
        self.log.check(watch::sums(stats, tally.all_unprocessed()));
    }

    /// The records of all failures, as files.
    fn records(&self) -> Vec<String> {
        let of = |id| Some(self.core.why(id, &self.config)?.lines());
        let ids = self.core.recorded_failures().into_iter();
        ids.filter_map(of).collect()
    }

    /// What the core waits to hear of dials and look-ups.
    fn report(&mut self) {
        while let Some(upstream) = self.ledger.lookups.pop_first() {
            events::look_up(self, upstream);
            self.settle();
        }
        let ledger = &self.ledger;
        let lines = ledger.lines.iter();
        let dials =
            lines.filter(|(connection, line)| !line.is_up && !ledger.is_healthy(**connection));
        let dials: Vec<_> = dials.map(|(connection, _)| *connection).collect();
        for connection in dials {
            events::end_dial(self, connection);
            self.settle();
        }
    }

    /// The clocks.
    pub fn now(&self) -> Now {
        self.now.get()
    }

    /// The clocks go on, and nobody looks.
    pub fn leap(&self, mono: Duration, asleep: Duration) {
        let now = self.now();
        self.now.set(Now {
            mono: now.mono + mono,
            boot: now.boot + mono + asleep,
        });
    }

    /// Time passes, and the core is called when it wants to be.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now().mono + span;
        loop {
            let due = self.due.first_key_value().map(|((at, _), _)| *at);
            let next = self.core.next_alarm().into_iter().chain(due).min();
            let Some(at) = next.filter(|at| *at <= end && self.log.is_clean()) else {
                break;
            };
            self.leap(at.since(self.now().mono), Duration::ZERO);
            while let Some(due) = self.due.first_entry().filter(|due| due.key().0 <= at) {
                let (connection, id) = due.remove();
                events::come_due(self, connection, id);
                self.settle();
            }
            self.serve_alarms();
        }
        self.leap(end.since(self.now().mono), Duration::ZERO);
    }

    /// Calls the core while it has something to do at this moment.
    fn serve_alarms(&mut self) {
        let now = self.now();
        for _ in 0..SPINS {
            if self.core.next_alarm().is_none_or(|at| at > now.mono) {
                return self.log.check(self.ledger.overdue(now.mono));
            }
            self.call();
        }
        let what = format!("it turns in circles with {:?}", self.core.gauges());
        self.log.wrong(what);
    }

    /// Calls the core, which has something to do or not.
    pub fn call(&mut self) {
        let now = self.now();
        self.core.time(now, &mut self.out);
        self.settle();
    }

    /// Does what the core wants, then looks at it.
    fn settle(&mut self) {
        for action in self.out.actions() {
            self.log.note(|| format!("{action:?}"));
        }
        let settled = self.ledger.settle(&self.out);
        self.out.clear();
        self.log.check(settled);
        for what in std::mem::take(&mut self.ledger.to_do) {
            let soon = self.dice.ms(1, 100);
            let wait = if self.ledger.is_healthy(what.0) {
                soon
            } else {
                CONNECT
            };
            let at = self.now().mono + wait;
            self.due.insert((at, self.dice.next()), what);
        }
        let looked = self.watch.look(&self.core, self.ledger.connects);
        self.log.check(looked);
        self.log.check(self.ledger.compare(&self.core));
    }
}

/// What the core is told.
pub fn configure(house: House, upstreams: &[Upstream], split: Split) -> Config {
    let (default, routes) = split.routes(upstreams, house.policy, names());
    let config = house.config(default).routes(routes);
    let config = config.driver_resolves_names();
    config.build().expect("a sound configuration")
}

/// The numbers of the upstreams that may be asked, for names on no route and for those on the one that there may be.
pub fn allowed(core: &Forwarder, config: &Config) -> [BTreeSet<usize>; 2] {
    let numbers = |upstreams: &[Upstream]| {
        let known = |number: usize| core.upstream(number).map(Upstream::label);
        let is_one = |number: &usize| {
            upstreams
                .iter()
                .any(|one| known(*number) == Some(one.label()))
        };
        (0..Config::MAX_UPSTREAMS).filter(is_one).collect()
    };
    let default = config.upstreams();
    let routed = config.routes().first().map_or(default, Route::upstreams);
    [numbers(default), numbers(routed)]
}

/// All names that may be asked for.
fn names() -> impl Iterator<Item = String> {
    let own = (1..=EVENTS_OF_A_RUN).map(|number| format!("n{number}.test"));
    let popular = (0..POPULAR).map(|number| format!("popular{number}.test"));
    own.chain(popular)
}

/// An upstream that is known by its address.
fn upstream(index: usize) -> Upstream {
    let text = format!("tcp://{}", upstream_addr(index));
    Upstream::parse(&text, SCHEMES).expect("a good address")
}

/// Some upstreams, known by address or by name.
fn upstreams(dice: &mut Dice) -> Vec<Upstream> {
    let count = 1 + dice.index(3);
    let drawn = |index| {
        let upstream = upstream(index);
        match dice.below(4) {
            0 => {
                let name = format!("dns{index}.test");
                upstream.with_host(Host::new(&name, 53).expect("a good name"))
            }
            1 => upstream.with_addresses(upstream_addr(index), &[upstream_addr(10 + index)]),
            _ => upstream,
        }
    };
    (0..count).map(drawn).collect()
}

fn house(dice: &mut Dice) -> House {
    let mut house = drawing::house(dice);
    house.in_flight = dice.pick(&[2_048, 10, 1]);
    house.link_in_flight = dice.pick(&[1_000, 4, 1]);
    // In the small ones there is room for a few answers only.
    house.cache_bytes = dice.pick(&[0, 3_000, 64 << 10]);
    house
}
