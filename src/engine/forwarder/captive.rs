//! The captive mode of the forwarder: for which transactions the network's own resolver is asked, and what becomes of its answers.
//!
//! A transaction for one of the names waits for an upstream as any other does, and is sent to one as soon as there is one. It only is not given
//! up while the network's own resolver is asked beside that. What that says goes to the clients that wait, and never into the cache.

use super::Forwarder;
use crate::config::Config;
use crate::engine::answered::Origin;
use crate::engine::captive::{CaptiveMode, Check, CheckAnswer};
use crate::engine::gauges::CaptiveState;
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::network::NetworkChange;
use crate::engine::output::Output;
use crate::engine::time::{Now, Time};
use crate::engine::transactions::Transaction;
use crate::wire::{self, Ede, LocalRdata, LocalRecord, Rcode, Section};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Between two questions for the same name and type, if the first was not answered.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// What clients are told beside such an answer.
const TOLD: &str = "captive mode: no upstream can be reached; this is from the network's own resolver, in the clear";

/// The captive mode, if it is allowed.
pub struct Captive {
    /// For how long on each network; `None`: never.
    time: Option<Duration>,
    mode: Arc<CaptiveMode>,
    /// What is being asked, or was asked in vain a moment ago.
    asked: Vec<Asked>,
}

struct Asked {
    check: Check,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The driver has not been told yet.
    New,
    /// It asks.
    UnderWay,
    /// It was asked in vain, and is not asked again before this.
    Failed(Time),
}

impl Captive {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        Self {
            time: config.captive().map(|captive| captive.time),
            mode: Arc::default(),
            asked: Vec::new(),
        }
    }

    /// Whether it is allowed at all.
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.time.is_some()
    }

    fn asks(&self, check: Check) -> bool {
        let is_open = |state| matches!(state, State::New | State::UnderWay);
        let mut asked = self.asked.iter();
        asked.any(|asked| asked.check == check && is_open(asked.state))
    }
}

/// What a transaction asks for, if that may be asked of the network's own resolver: by a client that waits, unsigned, on the default route, and with no stale answer at
/// hand, which serves as well.
fn check_of(transaction: &Transaction) -> Option<Check> {
    let history = &transaction.history;
    let may = history.queued().is_some()
        && history.route().is_default()
        && transaction.stale_at.is_none()
        && !transaction.query.signed
        && transaction.clients().next().is_some();
    let question = &transaction.query.question;
    Check::of(&transaction.message, question).filter(|_| may)
}

impl Forwarder {
    /// The captive mode is that of other event loops, too.
    pub fn share_captive_mode(&mut self, mode: &Arc<CaptiveMode>) {
        self.captive.mode = mode.clone();
    }

    /// What is to be seen of the captive mode.
    pub fn captive(&self, now: Now) -> CaptiveState {
        let time = self.captive.time;
        time.map_or_else(CaptiveState::default, |time| {
            self.captive.mode.state(time, now)
        })
    }

    /// The next question that the driver is to ask of the network's own resolver, in the clear. It reports [`Forwarder::check_answered`].
    pub fn next_check(&mut self, now: Now) -> Option<Check> {
        let mut asked = self.captive.asked.iter();
        let place = asked.position(|asked| asked.state == State::New)?;
        if !self.may_ask_network(now) {
            // An upstream was reached since.
            self.captive.asked.retain(|asked| asked.state != State::New);
            return None;
        }
        let next = &mut self.captive.asked[place];
        next.state = State::UnderWay;
        self.ledger.stats.captive_asked += 1;
        Some(next.check)
    }

    /// Whether something may still be asked in the clear. A driver that would repeat a question looks here before.
    pub fn may_ask_network(&self, now: Now) -> bool {
        let Captive { time, mode, .. } = &self.captive;
        time.is_some_and(|time| mode.is_open(time, now))
    }

    /// The network's own resolver has answered a question, or none of them has: then it says why.
    pub fn check_answered(
        &mut self,
        check: Check,
        answer: Result<(CheckAnswer, SocketAddr), String>,
        now: Now,
        out: &mut Output,
    ) {
        self.notice_resume(now, out);
        self.captive.asked.retain(|asked| asked.check != check);
        match answer {
            Ok((answer, resolver)) => {
                if let Some(time) = self.captive.time {
                    self.captive.mode.answered(resolver, time, now);
                    self.answer_check(check, &answer, now, out);
                }
            }
            Err(why) => {
                if let Some(time) = self.captive.time {
                    self.captive.mode.failed(&why, time, now);
                }
                let state = State::Failed(now.mono + AGAIN_AFTER);
                self.captive.asked.push(Asked { check, state });
            }
        }
        self.settle(now, out);
    }

    /// Answers all that wait for this.
    fn answer_check(&mut self, check: Check, answer: &CheckAnswer, now: Now, out: &mut Output) {
        for key in self.transactions.keys() {
            if self.transactions.get(key).and_then(check_of) != Some(check) {
                continue;
            }
            self.trace(key, None, now);
            let fx = &mut self.ledger.at(now, out);
            let Some(over) = self.transactions.take(key, fx) else {
                continue;
            };
            let records = answer.addresses.iter().map(|ip| LocalRecord {
                section: Section::Answer,
                owner_at: 0,
                rtype: check.qtype(),
                ttl: answer.ttl,
                rdata: LocalRdata::Address(*ip),
            });
            let (cd, why) = (over.query.header.flags.cd(), Ede::OTHER.with_text(TOLD));
            for client in over.clients() {
                let reply = client.reply(over.question());
                fx.stats.captive_answered += 1;
                fx.reply(
                    client.client,
                    Origin::Captive(over.history.arrived),
                    |out| {
                        let (records, ede) = (records.clone(), Some(why));
                        wire::local_records(
                            &reply,
                            cd,
                            Rcode::NOERROR,
                            records,
                            ede,
                            self.udp_payload,
                            out,
                        );
                    },
                );
            }
        }
    }

    /// Another configuration holds from now on. What is being asked is waited for.
    pub(super) fn reconfigure_captive(&mut self, config: &Config) {
        self.captive.time = config.captive().map(|captive| captive.time);
    }

    /// Has the network's own resolver asked for transactions that wait, if no upstream can be reached. It costs one comparison where that is not
    /// allowed.
    #[inline]
    pub(super) fn ask_network(&mut self, now: Now) {
        if self.captive.is_allowed() {
            self.ask_network_if_unreachable(now);
        }
    }

    #[cold]
    fn ask_network_if_unreachable(&mut self, now: Now) {
        if !self
            .pool
            .is_unreachable(self.routes.default_upstreams(), now.mono)
        {
            return;
        }
        let is_recent = |asked: &Asked| match asked.state {
            State::Failed(again_at) => now.mono < again_at,
            State::New | State::UnderWay => true,
        };
        self.captive.asked.retain(is_recent);
        for key in self.transactions.keys() {
            let Some(check) = self.transactions.get(key).and_then(check_of) else {
                continue;
            };
            let is_known = self.captive.asked.iter().any(|asked| asked.check == check);
            let Captive { time, mode, .. } = &self.captive;
            if !is_known && time.is_some_and(|time| mode.may_ask(time, now)) {
                let state = State::New;
                self.captive.asked.push(Asked { check, state });
            }
        }
    }

    /// Whether the network's own resolver is being asked for this transaction, which is not given up then.
    #[inline]
    pub(super) fn awaits_network(&self, key: TransactionKey) -> bool {
        let captive = &self.captive;
        let check = || self.transactions.get(key).and_then(check_of);
        !captive.asked.is_empty() && check().is_some_and(|check| captive.asks(check))
    }

    /// A connection came up: if it is to one of the upstreams for these names, the mode is over.
    #[inline]
    pub(super) fn captive_reached(&self, connection: ConnectionKey, now: Now) {
        if let Some(time) = self.captive.time
            && let Some(upstream) = self.pool.upstream_of(connection)
            && self.routes.default_upstreams().contains(upstream)
        {
            let label = self.pool.configured(upstream).map_or("", |it| it.label());
            self.captive.mode.reached(label, time, now);
        }
    }

    /// Upstreams are reached over another network: the first of those for these names says which.
    pub(super) fn captive_moved(&self, change: &NetworkChange) {
        let ours = self.routes.default_upstreams();
        let mut moved = change.moved.iter();
        if let Some(first) = moved.find(|moved| ours.contains(moved.upstream)) {
            self.captive.mode.moved(first.from, first.to);
        }
    }

    /// Time went on.
    #[inline]
    pub(super) fn captive_time(&self, now: Now) {
        if self.captive.is_allowed() {
            self.end_captive(now);
        }
    }

    #[cold]
    fn end_captive(&self, now: Now) {
        if let Some(time) = self.captive.time {
            self.captive.mode.time(time, now);
        }
    }

    /// When the mode ends, or when upstreams that do not answer count as unreachable.
    #[cold]
    pub(super) fn captive_alarm(&self, seen: Now) -> Time {
        let Some(time) = self.captive.time else {
            return Time::NEVER;
        };
        let ends = self.captive.mode.alarm(time, seen);
        if !self.transactions.any_waiting() {
            return ends;
        }
        let at = self.pool.unreachable_at(self.routes.default_upstreams());
        // From then on, each event shows it.
        if at > seen.mono { ends.min(at) } else { ends }
    }
}
