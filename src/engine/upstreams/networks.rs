//! What was learned of an upstream over each network: it holds there, and is there again when the network is.

use super::capacity::Capacity;
use super::edns_support::EdnsSupport;
use super::idle_timeout::IdleTimeout;
use super::keepalive::KeepaliveOption;
use super::round_trip::RoundTrip;
use crate::engine::network::Network;
use std::collections::VecDeque;
use std::time::Duration;

/// The most networks of which something is remembered, beside the one in use: at home, at work, on the way, and a tunnel. Of others the one
/// that was left first is forgotten.
const MAX_REMEMBERED: usize = 4;

/// What was observed of an upstream, as it is reached over one network.
#[derive(Clone, Copy)]
pub struct Observed {
    pub capacity: Capacity,
    pub edns: EdnsSupport,
    pub idle_timeout: IdleTimeout,
    pub keepalive: KeepaliveOption,
    pub round_trip: RoundTrip,
    pub connect_time: Option<Duration>,
}

/// The networks over which an upstream was reached.
#[derive(Default)]
pub struct Networks {
    /// The one over which it was reached last, if that is known.
    current: Option<Network>,
    others: VecDeque<(Network, Observed)>,
}

impl Networks {
    /// The upstream was reached over `from`, where `observed` was observed, and is reached over `to` from now on. Gives what is known of it
    /// there. `None`: it is the network that it was reached over last, so that what is known still holds.
    pub fn move_to(
        &mut self,
        from: Option<Network>,
        to: Network,
        observed: &Observed,
        nothing: &Observed,
    ) -> Option<Observed> {
        let from = from.or(self.current);
        self.current = Some(to);
        if from.is_none_or(|from| from == to) {
            return None;
        }
        if let Some(from) = from {
            self.others.retain(|(other, _)| *other != from);
            self.others.push_back((from, *observed));
        }
        let at = self.others.iter().position(|(other, _)| *other == to);
        let known = at.and_then(|at| self.others.remove(at));
        if self.others.len() > MAX_REMEMBERED {
            self.others.pop_front();
        }
        Some(known.map_or(*nothing, |(_, known)| known))
    }

    /// It is reached over no network now; this was the last one.
    pub fn left(&mut self, from: Option<Network>) {
        self.current = from.or(self.current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(interface: u32) -> Network {
        let gateway = Some([10, 0, 0, 1].into());
        Network { interface, gateway }
    }

    fn observed(timeout: u64) -> Observed {
        let mut idle_timeout = IdleTimeout::new();
        idle_timeout.said(Duration::from_secs(timeout));
        Observed {
            capacity: Capacity::default(),
            edns: EdnsSupport::default(),
            idle_timeout,
            keepalive: KeepaliveOption::default(),
            round_trip: RoundTrip::default(),
            connect_time: None,
        }
    }

    /// Which of them it is.
    fn limit(learned: Option<Observed>) -> Option<Duration> {
        learned.map(|learned| learned.idle_timeout.limit())
    }

    #[test]
    fn each_network_has_what_was_learned_there() {
        // fault 152
        let mut networks = Networks::default();
        let [home, work] = [network(1), network(2)];
        let nothing = observed(12);
        let new = limit(Some(nothing));
        let at_work = networks.move_to(Some(home), work, &observed(24), &nothing);
        assert_eq!(limit(at_work), new, "nothing is known there");
        let at_home = networks.move_to(Some(work), home, &observed(36), &nothing);
        assert_eq!(limit(at_home), limit(Some(observed(24))));
        let at_work = networks.move_to(Some(home), work, &observed(24), &nothing);
        assert_eq!(limit(at_work), limit(Some(observed(36))));
    }

    #[test]
    fn what_is_known_holds_when_the_link_was_only_down() {
        let mut networks = Networks::default();
        let [home, work] = [network(1), network(2)];
        networks.left(Some(home));
        let back = networks.move_to(None, home, &observed(24), &observed(12));
        assert_eq!(limit(back), None);
        networks.left(Some(home));
        let at_work = networks.move_to(None, work, &observed(24), &observed(12));
        assert_eq!(limit(at_work), limit(Some(observed(12))));
    }

    #[test]
    fn a_network_that_was_left_long_ago_is_forgotten() {
        let mut networks = Networks::default();
        for interface in 0..100 {
            let (from, to) = (network(interface), network(interface + 1));
            networks.move_to(Some(from), to, &observed(24), &observed(12));
            assert!(networks.others.len() <= MAX_REMEMBERED);
        }
        let back = networks.move_to(Some(network(100)), network(0), &observed(24), &observed(12));
        assert_eq!(limit(back), limit(Some(observed(12))));
        let back = networks.move_to(Some(network(0)), network(99), &observed(12), &observed(12));
        assert_eq!(limit(back), limit(Some(observed(24))));
    }
}
