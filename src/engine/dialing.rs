//! Reaching upstreams: whom to dial, when, and what a failure means.

use super::flight::bit;
use super::forwarder::Forwarder;
use super::links::{Link, State};
use super::output::{Action, Output};
use super::time::{Now, Time};
use super::upstreams::{Step, Upstream};
use crate::transport::DialError;
use log::{info, warn};
use std::net::SocketAddr;
use std::time::Duration;

/// A connect that takes longer gets company: another upstream or another address is tried beside it (RFC 8305 section 8
/// recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);
/// Connects under way at once, in all.
const MAX_DIALS: usize = 4;
/// Links to one upstream, when it takes few questions on each.
const MAX_LINKS: usize = 4;

impl Forwarder {
    /// A more preferred upstream that has no link and may be dialled now.
    pub(super) fn missing_before(&self, upstream: usize, exclude: u64, now: Now) -> Option<usize> {
        (0..upstream).find(|&better| {
            exclude & bit(better) == 0
                && now.mono >= self.upstreams[better].dial_at(false)
                && !self.upstreams[better].resolving
                && !self.links.values().any(|link| link.upstream == better)
        })
    }

    /// Starts a connect to an upstream that is not excluded, unless one is under way that is not late yet.
    pub(super) fn dial_one(&mut self, exclude: u64, now: Now, out: &mut Output) {
        if let Some((at, upstream)) = self.next_dial(exclude, now)
            && now.mono >= at
        {
            self.dial_upstream(upstream, now, out);
        }
    }

    /// Which upstream to dial next, and when: the one with the fewest connects under way, then the most preferred, among
    /// those that may be dialled first.
    pub(super) fn next_dial(&self, exclude: u64, now: Now) -> Option<(Time, usize)> {
        let usable = |upstream: usize| exclude & bit(upstream) == 0;
        let soonest = match self.pending(usable) {
            0 => Time::ZERO,
            MAX_DIALS.. => return None,
            _ => self.last_dial + STAGGER,
        };
        let nothing_up = self.nothing_up();
        (0..self.upstreams.len())
            .filter(|&upstream| usable(upstream) && self.links_of(upstream) < MAX_LINKS)
            .map(|upstream| (self.pending(|u| u == upstream), upstream))
            .filter(|&(pending, upstream)| pending < self.upstreams[upstream].width())
            .map(|(pending, upstream)| {
                let at = self.upstreams[upstream].dial_at(nothing_up).max(soonest);
                // What may be dialled since long is not better than what may be dialled now.
                (at.max(now.mono), pending, upstream)
            })
            .min()
            .map(|(at, _, upstream)| (at, upstream))
    }

    /// Starts a connect to this upstream.
    pub(super) fn dial_upstream(&mut self, upstream: usize, now: Now, out: &mut Output) {
        self.last_dial = now.mono;
        let state = &mut self.upstreams[upstream];
        if state.wants_resolving(now.mono) {
            state.resolving = true;
            out.push(Action::Resolve { upstream });
        }
        if let Step::Dial(addr) = state.step() {
            self.stats.dials += 1;
            let link = self.links.insert(Link::dialing(upstream, addr, now.mono));
            out.push(Action::Dial {
                link,
                upstream,
                addr,
            });
        }
    }

    /// Connects and look-ups under way for the upstreams that `of` names.
    pub(super) fn pending(&self, of: impl Fn(usize) -> bool) -> usize {
        let dialing = |link: &&Link| link.state == State::Dialing && of(link.upstream);
        let resolving =
            |(index, upstream): &(usize, &Upstream)| upstream.is_unknown() && of(*index);
        self.links.values().filter(dialing).count()
            + self.upstreams.iter().enumerate().filter(resolving).count()
    }

    pub(super) fn links_of(&self, upstream: usize) -> usize {
        let of = |link: &&Link| link.upstream == upstream;
        self.links.values().filter(of).count()
    }

    pub(super) fn nothing_up(&self) -> bool {
        !self.links.values().any(Link::is_up)
    }

    /// When an upstream that is not excluded may be dialled.
    pub(super) fn dial_at(&self, exclude: u64) -> Option<Time> {
        let nothing_up = self.nothing_up();
        let usable = |(index, _): &(usize, _)| exclude & bit(*index) == 0;
        let upstreams = self.upstreams.iter().enumerate().filter(usable);
        upstreams.map(|(_, u)| u.dial_at(nothing_up)).min()
    }

    /// When those who wait need a decision: a connect is late, or a back-off is over.
    pub(super) fn dial_alarm(&self) -> Option<Time> {
        let long_ago = Now::default();
        let queues = self.waiting.iter().filter(|(_, queue)| !queue.is_empty());
        queues
            .filter_map(|(exclude, _)| self.next_dial(*exclude, long_ago))
            .map(|(at, _)| at)
            .min()
    }

    /// A link in doubt gets company, so that there is something to go to if it is dead.
    pub(super) fn replace(&mut self, upstream: usize, now: Now, out: &mut Output) {
        let ready = now.mono >= self.upstreams[upstream].dial_at(false);
        let alone = !self.links.values().any(|link| {
            link.upstream == upstream && (link.state == State::Dialing || !link.suspect)
        });
        if ready && alone && self.links_of(upstream) < MAX_LINKS {
            self.dial_upstream(upstream, now, out);
        }
    }

    /// Notes that an upstream could not be reached, and says so in the log.
    pub(super) fn note_failure(
        &mut self,
        upstream: usize,
        addr: Option<SocketAddr>,
        why: &DialError,
        now: Now,
    ) {
        self.stats.dial_failures += 1;
        let gone = !self.links.values().any(|link| link.upstream == upstream);
        let state = &mut self.upstreams[upstream];
        state.failed(now.mono, &mut self.random);
        if gone {
            state.forget_bounds();
        }
        let wait = state.dial_at(false).since(now.mono).as_secs_f32();
        let label = &state.label;
        match addr {
            Some(addr) => warn!("{label} {addr}: {why}; next try in {wait:.2} s or more"),
            None => warn!("{label}: {why}; next try in {wait:.2} s or more"),
        }
        if matches!(why, DialError::Unauthenticated(_)) {
            info!("{label}: no question was sent to it");
        }
    }
}
