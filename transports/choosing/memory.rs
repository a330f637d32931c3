//! What is remembered of the protocols of upstreams: over which one a response came, and which ones brought failures alone.

use crate::config::{Protocol, Upstream};
use crate::engine::{Network, Now};
use crate::locks::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// For how long something is remembered. What was in the way of an earlier protocol may be gone; looking costs one connection the delay.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The boot clock gains so much on the monotonic one only while the machine is suspended; it may wake up on another network.
const SUSPENDED: Duration = Duration::from_secs(1);
/// The most upstreams of which something is remembered, each at each address where its protocols differ. Of others the oldest is forgotten.
const MAX_REMEMBERED: usize = 256;

/// Protocols, and why each of them is not used.
pub type Failures = Vec<(Protocol, String)>;

/// What is remembered of all upstreams.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<VecDeque<Known>>>);

struct Known {
    upstream: Upstream,
    network: Option<Network>,
    /// A response came over it.
    works: Option<Protocol>,
    /// Connections by these brought failures alone. The latest one is the last.
    failing: Failures,
    since: Now,
}

impl Known {
    /// Whether it is of this upstream over this network.
    fn is_of(&self, upstream: &Upstream, network: Option<Network>) -> bool {
        self.network == network && self.upstream == *upstream
    }

    fn holds(&self, now: Now) -> bool {
        let gap = now.mono.since(self.since.mono);
        let asleep = now.boot.since(self.since.boot).saturating_sub(gap);
        gap < REMEMBERED && asleep <= SUSPENDED
    }

    /// The place of a protocol among those of its upstream: first what works, last what fails.
    fn rank(&self, protocol: &Protocol) -> usize {
        let failing = self.failing.iter().position(|(one, _)| one == protocol);
        match failing {
            Some(at) => 2 + at,
            None => usize::from(self.works.as_ref() != Some(protocol)),
        }
    }
}

impl Memory {
    /// The protocols of an upstream in the order in which they are tried now.
    pub fn order(&self, to: &Upstream, over: Option<Network>, now: Now) -> VecDeque<Protocol> {
        let mut order = to.protocols().to_vec();
        let mut all = lock(&self.0);
        all.retain(|one| one.holds(now));
        if let Some(known) = all.iter().find(|one| one.is_of(to, over)) {
            order.sort_by_key(|protocol| known.rank(protocol));
        }
        order.into()
    }

    /// A response came over this protocol. If it is another one than before, returns those that are known to fail.
    pub fn works(
        &self,
        to: &Upstream,
        over: Option<Network>,
        protocol: &Protocol,
        now: Now,
    ) -> Option<Failures> {
        let is_first = to.protocols().first() == Some(protocol);
        let mut all = lock(&self.0);
        let before = take(&mut all, to, over);
        match before {
            None if is_first => None,
            Some(before) if before.works.as_ref() == Some(protocol) => {
                all.push_back(before);
                None
            }
            before => {
                let mut failing = before.map_or_else(Vec::new, |before| before.failing);
                failing.retain(|(one, _)| one != protocol);
                if !is_first {
                    let works = Some(protocol.clone());
                    keep(&mut all, (to, over), works, failing.clone(), now);
                }
                Some(failing)
            }
        }
    }

    /// A connection by this protocol brought failures alone: it is tried behind the others. Whether one of these is not known to fail.
    pub fn fails(
        &self,
        to: &Upstream,
        over: Option<Network>,
        protocol: &Protocol,
        why: String,
        now: Now,
    ) -> bool {
        let mut all = lock(&self.0);
        let before = take(&mut all, to, over).filter(|before| before.holds(now));
        let (works, mut failing) =
            before.map_or((None, Vec::new()), |before| (before.works, before.failing));
        failing.retain(|(one, _)| one != protocol);
        failing.push((protocol.clone(), why));
        let is_another_better = failing.len() < to.protocols().len();
        let works = works.filter(|works| works != protocol);
        keep(&mut all, (to, over), works, failing, now);
        is_another_better
    }

    /// Nothing is remembered of this upstream.
    pub fn forget(&self, to: &Upstream, over: Option<Network>) {
        lock(&self.0).retain(|one| !one.is_of(to, over));
    }
}

fn take(all: &mut VecDeque<Known>, to: &Upstream, over: Option<Network>) -> Option<Known> {
    let at = all.iter().position(|one| one.is_of(to, over))?;
    all.remove(at)
}

fn keep(
    all: &mut VecDeque<Known>,
    (to, over): (&Upstream, Option<Network>),
    works: Option<Protocol>,
    failing: Failures,
    since: Now,
) {
    let upstream = to.clone();
    all.push_back(Known {
        upstream,
        network: over,
        works,
        failing,
        since,
    });
    if all.len() > MAX_REMEMBERED {
        all.pop_front();
    }
}
