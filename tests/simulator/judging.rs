//! The verdict: what must be true of a whole run.

use super::messages::{self, NOERROR, NXDOMAIN};
use super::stage::{RECOVERY, Stage, may_fail};
use super::story::{PROXY, is_spoiled, upstream_addr};
use super::watch::{self, TICK};
use crate::support::memory::Passed;
use dotward::config::Config;
use dotward::engine::{Stats, Time};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// When nobody has asked for long, nothing is left: no link, no timer, nothing in the forwarder.
pub fn at_rest(stage: &Stage) {
    if let Some(what) = stage.unrest.borrow_mut().take() {
        stage.log.wrong(what);
    }
    for index in 0..stage.story.upstreams.len() {
        let held = stage.world.held(upstream_addr(index));
        if held > 0 {
            stage.log.wrong(format!(
                "at rest, {held} connections to upstream {index} are left"
            ));
        }
    }
    let held = stage.world.held(PROXY);
    let planned = stage.world.planned();
    if planned > 0 || held > 0 {
        stage.log.wrong(format!(
            "at rest, {planned} timers and {held} clients are left"
        ));
    }
}

/// At the end: by what passed the network, and by what the forwarder counted.
pub fn judge(stage: &Stage, stats: &Stats) {
    let passed = stage.world.journal();
    let mut asked: BTreeMap<(SocketAddr, u16), Vec<Datagram>> = BTreeMap::new();
    // The datagrams of upstreams are not the forwarder's clients'.
    let of_clients = |one: &&Passed| one.to == PROXY || one.from == PROXY;
    for one in passed.iter().filter(of_clients) {
        let key = if one.to == PROXY { one.from } else { one.to };
        let key = (key, messages::id(&one.message));
        let datagrams = asked.entry(key).or_default();
        datagrams.extend(Datagram::of(one));
    }
    for ((client, id), mut datagrams) in asked {
        datagrams.sort_by_key(|one| one.at);
        let who = format!("client {client} id {id}");
        if let Err(what) = exactly_once(stage, &datagrams) {
            stage.log.wrong(format!("{who}: {what}"));
        }
    }
    stage.log.check(sends(stage, stats, &passed));
    // What had not left is not known here.
    let unprocessed = if stage.story.has_streams() {
        u64::MAX
    } else {
        0
    };
    stage.log.check(watch::sums(stats, unprocessed));
}

/// A datagram at the forwarder's socket.
struct Datagram<'a> {
    at: Time,
    is_query: bool,
    message: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// None, if it is a query that was lost, or the network's own copy of an answer.
    fn of(passed: &'a Passed) -> Option<Self> {
        let is_query = passed.to == PROXY;
        let at = match is_query {
            true => passed.arrives?,
            false if passed.copy => return None,
            false => passed.sent,
        };
        Some(Self {
            at,
            is_query,
            message: &passed.message,
        })
    }
}

/// Every query is answered once, in time and rightly. One that is repeated while it waits gets one answer; if another configuration came in
/// between, it may be one more question by that.
fn exactly_once(stage: &Stage, datagrams: &[Datagram<'_>]) -> Result<(), String> {
    let mut open: Option<&Datagram<'_>> = None;
    let mut repeated: Option<&Datagram<'_>> = None;
    // Came at the very moment of an answer: perhaps just before it, perhaps just behind it.
    let mut perhaps: Option<&Datagram<'_>> = None;
    let mut renewed: Option<&Datagram<'_>> = None;
    let reloads = stage.reloads.borrow();
    for one in datagrams {
        if one.is_query {
            match open {
                Some(first) => {
                    repeated = Some(one);
                    if reloads.iter().any(|at| (first.at..=one.at).contains(at)) {
                        renewed = Some(one);
                    }
                }
                None => open = Some(one),
            }
            continue;
        }
        let query = open.take().or(perhaps).or_else(|| renewed.take());
        let query = query.ok_or("an answer too many")?;
        perhaps = repeated.take().filter(|repeated| repeated.at == one.at);
        let took = one.at.since(query.at);
        if took > Config::TIMEOUT + TICK {
            return Err(format!("an answer after {took:?}"));
        }
        let rcode = messages::check(query.message, one.message, true)?;
        let name = messages::name(query.message);
        let good = [NOERROR, NXDOMAIN].contains(&rcode);
        if !good && !may_fail(stage, &name) {
            return Err(format!(
                "the question for {name}, asked at {:?}, fails: RCODE {rcode}",
                query.at.since(Time::ZERO)
            ));
        }
        if good && is_spoiled(&name) && stage.story.promise.verdict_stands {
            return Err(format!(
                "an answer to the question for {name}, which is bogus"
            ));
        }
        let recovered = query.at >= Time::ZERO + stage.story.calm_at + RECOVERY;
        if recovered && !good {
            return Err(format!("no recovery: RCODE {rcode} at {:?}", one.at));
        }
    }
    match open {
        Some(query) => Err(format!(
            "no answer to the question for {} that came at {:?}",
            messages::name(query.message),
            query.at.since(Time::ZERO)
        )),
        None => Ok(()),
    }
}

/// No question is sent more often than the design allows.
fn sends(stage: &Stage, stats: &Stats, passed: &[Passed]) -> Result<(), String> {
    let mut tally = stage.tally.take();
    let arrived = |one: &&Passed| one.to == PROXY && one.arrives.is_some();
    for query in passed.iter().filter(arrived) {
        tally.asked(&query.message);
    }
    tally.check(stats.prefetches)
}
