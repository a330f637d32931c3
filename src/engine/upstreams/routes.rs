//! The routes as the upstreams see them: which of them stand in for each other, and in which order.

use super::Upstream;
use super::connection::Connection;
use super::selection::{Known, Selection};
use super::split::Split;
use crate::config::Policy;
use crate::engine::history::{History, Preference};
use crate::engine::routes::{ForwardingRoute, RouteUpstreams};
use crate::engine::upstream_set::UpstreamSet;
use log::info;
use rand_chacha::ChaCha8Rng;

/// The routes that forward, by number.
pub struct Routes {
    by_number: Vec<Route>,
    /// The sets of upstreams that they have, each once.
    sets: Vec<UpstreamSet>,
    /// For each upstream those that it shares a route with, itself included.
    peers: Vec<UpstreamSet>,
    split: Split,
    /// Whether the policy of a route splits domains.
    splits: bool,
}

struct Route {
    /// For the log; empty for the default route.
    domains: String,
    selection: Selection,
    /// The most preferred upstream that was connected when a connection last came up.
    in_use: Option<usize>,
}

impl Routes {
    /// Those of so many upstreams.
    pub fn new(upstreams: usize, routes: Vec<RouteUpstreams>, split: Split) -> Self {
        let mut sets: Vec<UpstreamSet> = Vec::new();
        for route in &routes {
            let set = route.order.iter().copied().collect();
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        let peers = |upstream: usize| {
            let its = sets.iter().filter(|set| set.contains(upstream));
            its.fold(UpstreamSet::EMPTY, |all, set| all | *set)
        };
        Self {
            peers: (0..upstreams).map(peers).collect(),
            splits: routes.iter().any(|route| route.policy == Policy::Split),
            split,
            by_number: routes.into_iter().map(Route::new).collect(),
            sets,
        }
    }

    /// Goes on where these were before. `fresh`: the numbers that stand for other upstreams now.
    pub fn go_on(&mut self, before: &Self, fresh: UpstreamSet) {
        for route in &mut self.by_number {
            let same = |other: &&Route| other.domains == route.domains;
            let known = before.by_number.iter().find(same);
            let in_use = known.and_then(|known| known.in_use);
            route.in_use = in_use.filter(|number| !fresh.contains(*number));
        }
    }

    /// The upstream that a new query for this name on this route should be sent to.
    #[inline]
    pub fn preferred(
        &mut self,
        (route, name): (u16, &[u8]),
        upstreams: &[Upstream],
        random: &mut ChaCha8Rng,
    ) -> Preference {
        let selection = &mut self.by_number[usize::from(route)].selection;
        let split = &self.split;
        selection.preferred(name, Known { upstreams, split }, random)
    }

    /// Whether the policy of a route splits domains.
    #[inline]
    pub fn splits(&self) -> bool {
        self.splits
    }

    /// Those of the route's upstreams that a query may be sent to, as far as the policy decides that. `is_healthy` is asked of one
    /// after the other, and told whether it is one that the query is kept to, or stands in.
    pub fn within(
        &self,
        route: ForwardingRoute,
        preferred: Preference,
        is_healthy: impl Fn(usize, bool) -> bool,
    ) -> UpstreamSet {
        let selection = &self.by_number[usize::from(route.number)].selection;
        if selection.policy() != Policy::Split {
            return route.upstreams;
        }
        let order = || selection.order();
        self.split.within(preferred.domain, order, is_healthy)
    }

    /// An upstream's place in the order of this query; 0 is the best.
    #[inline]
    pub fn rank(&self, upstreams: &[Upstream], history: &History, upstream: usize) -> u64 {
        let selection = &self.by_number[usize::from(history.route().number)].selection;
        let split = &self.split;
        selection.rank(Known { upstreams, split }, history.preferred, upstream)
    }

    /// The policy of a route.
    pub fn policy(&self, route: u16) -> Policy {
        self.by_number[usize::from(route)].selection.policy()
    }

    /// The upstreams of a route, in their order.
    pub fn order(&self, route: u16) -> impl Iterator<Item = usize> {
        self.by_number[usize::from(route)].selection.order()
    }

    /// Those that an upstream shares a route with, itself included.
    pub fn peers(&self, upstream: usize) -> UpstreamSet {
        self.peers.get(upstream).copied().unwrap_or_default()
    }

    /// Whether there is a route with this upstream that has none of `up`.
    pub fn depends_on(&self, upstream: usize, up: UpstreamSet) -> bool {
        let mut sets = self.sets.iter();
        sets.any(|set| set.contains(upstream) && (*set & up).is_empty())
    }

    /// A connection to this upstream came up: says in the log where another upstream than before is the one that is asked first.
    pub fn note_in_use<'c>(
        &mut self,
        fresh: usize,
        upstreams: &[Upstream],
        connections: impl Iterator<Item = &'c Connection>,
    ) {
        let up: UpstreamSet = connections
            .filter(|c| c.is_up())
            .map(|c| c.upstream)
            .collect();
        for route in &mut self.by_number {
            if route.has_order(fresh)
                && let Some(label) = route.first_of(up, upstreams)
            {
                match route.domains.as_str() {
                    "" => info!("{label}: queries are sent to it from now on"),
                    domains => info!("{label}: queries for {domains} are sent to it from now on"),
                }
            }
        }
    }
}

impl Route {
    fn new(of: RouteUpstreams) -> Self {
        Self {
            domains: of.domains,
            selection: Selection::new(of.policy, of.order),
            in_use: None,
        }
    }

    /// Whether this upstream is one of several that are asked in a fixed order.
    fn has_order(&self, upstream: usize) -> bool {
        let selection = &self.selection;
        selection.policy().follows_the_list()
            && selection.order().any(|one| one == upstream)
            && selection.order().nth(1).is_some()
    }

    /// The label of the upstream that is asked first, where that has changed.
    fn first_of<'u>(&mut self, up: UpstreamSet, upstreams: &'u [Upstream]) -> Option<&'u str> {
        let first = self.selection.order().find(|one| up.contains(*one))?;
        let is_new = self.in_use.replace(first) != Some(first);
        let upstream = upstreams.get(first).filter(|_| is_new)?;
        Some(&upstream.label)
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::tests::split;
    use super::*;

    fn route(order: &[usize]) -> RouteUpstreams {
        RouteUpstreams {
            domains: String::new(),
            order: order.to_vec(),
            policy: Policy::Failover,
        }
    }

    #[test]
    fn upstreams_of_one_route_stand_in_for_each_other_and_for_no_others() {
        let routes = vec![route(&[0, 1]), route(&[2, 0]), route(&[3])];
        let routes = Routes::new(4, routes, split(&[1, 2, 3, 4], 1, "secret"));
        let set = |upstreams: &[usize]| upstreams.iter().copied().collect::<UpstreamSet>();
        assert_eq!(routes.peers(0), set(&[0, 1, 2]));
        assert_eq!(routes.peers(1), set(&[0, 1]));
        assert_eq!(routes.peers(3), set(&[3]));
        assert_eq!(routes.order(1).collect::<Vec<_>>(), [2, 0]);
        assert!(routes.depends_on(0, set(&[1, 3])), "on the second route");
        assert!(!routes.depends_on(0, set(&[1, 2])));
        assert!(!routes.depends_on(1, set(&[0])));
        assert!(routes.depends_on(3, set(&[0, 1, 2])));
    }
}
