//! Two ways: some names are asked of some of the upstreams, and the rest of others.

use super::dice::{Dice, hash};
use dotward::config::{Policy, Route, Target, Upstream};

/// Which upstreams are asked for which names. Some may be asked for all.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// Those before this one are the default ones.
    end: usize,
    /// Those from this one on are those of the route.
    start: usize,
}

impl Split {
    /// All upstreams are asked for all names.
    pub fn none(upstreams: usize) -> Self {
        Self {
            end: upstreams,
            start: 0,
        }
    }

    /// Half of the stories with several upstreams have two ways.
    pub fn draw(dice: &mut Dice, upstreams: usize) -> Option<Self> {
        if upstreams < 2 || dice.percent(50) {
            return None;
        }
        let end = 1 + dice.index(upstreams);
        let start = dice.index(end + 1).min(upstreams - 1);
        Some(Self { end, start })
    }

    /// May this upstream be asked for this name, which is in lower case?
    pub fn allows(self, upstream: usize, name: &str) -> bool {
        if is_on_route(name) {
            upstream >= self.start
        } else {
            upstream < self.end
        }
    }

    /// The default upstreams, and the route of those of these names that take it.
    pub fn routes(
        self,
        upstreams: &[Upstream],
        policy: Policy,
        names: impl Iterator<Item = String>,
    ) -> (Vec<Upstream>, Vec<Route>) {
        let mut names: Vec<String> = names.filter(|name| is_on_route(name)).collect();
        names.sort_unstable();
        names.dedup();
        let domains = names.iter().map(|name| name.parse().expect("a good name"));
        let target = Target::Upstreams {
            upstreams: upstreams[self.start..].to_vec(),
            policy,
        };
        let route = Route::new(domains.collect(), target);
        let routes = if names.is_empty() {
            vec![]
        } else {
            vec![route]
        };
        (upstreams[..self.end].to_vec(), routes)
    }
}

/// Does this name, which is in lower case, take the route?
pub fn is_on_route(name: &str) -> bool {
    hash(9, name.as_bytes()).is_multiple_of(2)
}
