//! Whether questions may be asked in the clear now: for a bounded time on each network, and until an upstream is reached.
//!
//! All event loops of a program share it, so that the time is that of all of them together. It is looked at only while no upstream can be
//! reached, and never for a query that an upstream or the cache answers.

use crate::engine::gauges::{CaptivePhase, CaptiveState};
use crate::engine::network::Network;
use crate::engine::time::{Now, Time};
use crate::engine::words::Lasting;
use crate::locks::lock;
use log::{info, warn};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// So long after its time began on a network, it may begin there again: many portals ask anew each day, and a network that cannot be told
/// from the one before may be another one.
const RENEWED_AFTER: Duration = Duration::from_secs(86_400);
/// The most networks that are remembered. Of others the one whose time began first is forgotten, and then has its time anew.
const MAX_NETWORKS: usize = 64;

/// A length of time in whole seconds, as people say it; a part of one counts as one.
struct Whole(Duration);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0);
        match seconds {
            0..60 => write!(f, "{seconds}s"),
            _ => Lasting(Duration::from_secs(seconds)).fmt(f),
        }
    }
}

/// The captive mode of one program.
#[derive(Debug, Default)]
pub struct CaptiveMode(Mutex<Networks>);

#[derive(Debug, Default)]
struct Networks {
    /// The one in use; `None` if the system did not tell.
    current: Option<Network>,
    /// Those where something was asked in the clear, the one whose time began first first.
    used: VecDeque<Used>,
}

/// A network where something was asked in the clear.
#[derive(Debug)]
struct Used {
    network: Option<Network>,
    /// When that began, on the clock that goes on while the machine is suspended.
    began: Time,
    /// Whether its resolver has answered.
    answered: bool,
    /// Whether it was told why it does not.
    told: bool,
    over: bool,
}

impl Networks {
    fn current(&mut self) -> Option<&mut Used> {
        let current = self.current;
        self.used.iter_mut().find(|used| used.network == current)
    }

    /// The time on this network, if it has begun and is not over. One that has just ended is told of.
    fn open(&mut self, time: Duration, now: Now) -> Option<&mut Used> {
        let used = self.current()?;
        if !used.over && now.boot >= used.began + time {
            used.end(format_args!("its time of {} is over", Whole(time)));
        }
        (!used.over).then_some(used)
    }
}

impl Used {
    fn end(&mut self, why: fmt::Arguments<'_>) {
        self.over = true;
        info!("captive mode ends: {why}; nothing is asked in the clear any more (captive)");
    }
}

impl CaptiveMode {
    /// Whether something may be asked in the clear now. Nothing begins with this.
    pub(crate) fn is_open(&self, time: Duration, now: Now) -> bool {
        lock(&self.0).open(time, now).is_some()
    }

    /// Something is to be asked in the clear, where `time` is allowed on each network. If that has not begun yet, it begins now. Says whether it may be asked.
    pub(crate) fn may_ask(&self, time: Duration, now: Now) -> bool {
        let networks = &mut *lock(&self.0);
        let is_old = |used: &Used| now.boot >= used.began + RENEWED_AFTER.max(time);
        networks.used.retain(|used| !is_old(used));
        if networks.current().is_some() {
            return networks.open(time, now).is_some();
        }
        if networks.used.len() >= MAX_NETWORKS {
            networks.used.pop_front();
        }
        networks.used.push_back(Used {
            network: networks.current,
            began: now.boot,
            answered: false,
            told: false,
            over: false,
        });
        warn!(
            "captive mode begins: no upstream can be reached; the names by which systems look for portals, and no others, are asked in the clear \
             of the network's own resolver, for {} at most (captive)",
            Whole(time)
        );
        true
    }

    /// The network's own resolver has answered.
    pub(crate) fn answered(&self, resolver: SocketAddr, time: Duration, now: Now) {
        let networks = &mut *lock(&self.0);
        if let Some(used) = networks.open(time, now)
            && !used.answered
        {
            used.answered = true;
            let left = (used.began + time).since(now.boot);
            info!(
                "captive mode: the network's own resolver {resolver} answers; there may be a portal to log in at, for which {} are left",
                Whole(left)
            );
        }
    }

    /// The network's own resolver does not help, for this reason, which is told once.
    pub(crate) fn failed(&self, why: &str, time: Duration, now: Now) {
        let networks = &mut *lock(&self.0);
        if let Some(used) = networks.open(time, now)
            && !used.answered
            && !std::mem::replace(&mut used.told, true)
        {
            info!("captive mode: the network's own resolver does not help: {why}");
        }
    }

    /// An upstream was reached, in the way that its configuration demands.
    pub(crate) fn reached(&self, upstream: &str, time: Duration, now: Now) {
        let networks = &mut *lock(&self.0);
        if let Some(used) = networks.open(time, now) {
            let after = Whole(now.boot.since(used.began));
            used.end(format_args!("{upstream} is connected, after {after}"));
        }
    }

    /// Upstreams are reached over another network from now on, or over none.
    pub(crate) fn moved(&self, from: Option<Network>, to: Option<Network>) {
        let networks = &mut *lock(&self.0);
        if networks.current.is_none() {
            // It was not known until now which network that was.
            if let Some(used) = networks.current() {
                used.network = from;
            }
        }
        // Over none nothing can be asked, and the one that follows may be the same.
        networks.current = to.or(networks.current).or(from);
    }

    /// What is over is told of.
    pub(crate) fn time(&self, time: Duration, now: Now) {
        lock(&self.0).open(time, now);
    }

    /// When that is to be looked at.
    pub(crate) fn alarm(&self, time: Duration, seen: Now) -> Time {
        let networks = &mut *lock(&self.0);
        match networks.current() {
            Some(used) if !used.over => seen.mono + (used.began + time).since(seen.boot),
            _ => Time::NEVER,
        }
    }

    /// What there is to be seen of it.
    pub(crate) fn state(&self, time: Duration, now: Now) -> CaptiveState {
        let networks = &mut *lock(&self.0);
        let Some(used) = networks.current() else {
            return CaptiveState {
                phase: CaptivePhase::Armed,
                left: time,
            };
        };
        let left = (used.began + time).since(now.boot);
        if used.over || left.is_zero() {
            return CaptiveState {
                phase: CaptivePhase::Over,
                left: Duration::ZERO,
            };
        }
        let phase = if used.answered {
            CaptivePhase::On
        } else {
            CaptivePhase::Asking
        };
        CaptiveState { phase, left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(60);
    const RESOLVER: SocketAddr = SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        53,
    );

    /// So many seconds after the start, of which the machine was suspended for none.
    fn at(seconds: u64) -> Now {
        let moment = Time::ZERO + Duration::from_secs(seconds);
        Now {
            mono: moment,
            boot: moment,
        }
    }

    fn network(interface: u32) -> Network {
        let gateway = Some([10, 0, 0, 1].into());
        Network { interface, gateway }
    }

    fn phase(mode: &CaptiveMode, seconds: u64) -> CaptivePhase {
        mode.state(TIME, at(seconds)).phase
    }

    // req 136, fault 162
    #[test]
    fn its_time_begins_with_the_first_question_and_ends_on_the_second() {
        let mode = CaptiveMode::default();
        assert_eq!(phase(&mode, 5), CaptivePhase::Armed);
        assert_eq!(mode.alarm(TIME, at(5)), Time::NEVER);
        assert!(mode.may_ask(TIME, at(10)));
        assert_eq!(phase(&mode, 10), CaptivePhase::Asking);
        mode.answered(RESOLVER, TIME, at(11));
        assert_eq!(phase(&mode, 20), CaptivePhase::On);
        assert_eq!(mode.state(TIME, at(20)).left, Duration::from_secs(50));
        assert_eq!(mode.alarm(TIME, at(20)), at(70).mono);
        assert!(mode.may_ask(TIME, at(69)));
        mode.time(TIME, at(70));
        assert_eq!(mode.alarm(TIME, at(70)), Time::NEVER);
        for seconds in [70, 71, 3_600, 86_409] {
            assert!(!mode.may_ask(TIME, at(seconds)), "{seconds}");
            assert_eq!(phase(&mode, seconds), CaptivePhase::Over);
        }
        assert!(mode.may_ask(TIME, at(86_410)), "a day after it began");
    }

    #[test]
    fn while_the_machine_is_suspended_its_time_goes_on() {
        let mode = CaptiveMode::default();
        assert!(mode.may_ask(TIME, at(0)));
        let woken = Now {
            mono: at(1).mono,
            boot: at(100).boot,
        };
        assert!(!mode.may_ask(TIME, woken));
    }

    // req 136
    #[test]
    fn it_ends_when_an_upstream_is_reached_and_does_not_come_back() {
        let mode = CaptiveMode::default();
        mode.reached("quad9", TIME, at(0));
        assert!(mode.may_ask(TIME, at(1)), "nothing was over");
        mode.reached("quad9", TIME, at(2));
        assert!(!mode.may_ask(TIME, at(3)));
        mode.answered(RESOLVER, TIME, at(3));
        assert_eq!(phase(&mode, 3), CaptivePhase::Over);
    }

    // req 136, fault 162
    #[test]
    fn each_network_has_its_time_once() {
        let mode = CaptiveMode::default();
        assert!(mode.may_ask(TIME, at(0)));
        mode.moved(Some(network(1)), Some(network(2)));
        assert_eq!(phase(&mode, 10), CaptivePhase::Armed);
        assert!(mode.may_ask(TIME, at(10)));
        mode.reached("quad9", TIME, at(11));
        // Over none, and back.
        mode.moved(Some(network(2)), None);
        assert!(!mode.may_ask(TIME, at(12)));
        mode.moved(None, Some(network(2)));
        assert!(!mode.may_ask(TIME, at(13)));
        mode.moved(Some(network(2)), Some(network(1)));
        assert_eq!(mode.state(TIME, at(20)).left, Duration::from_secs(40));
        assert!(
            !mode.may_ask(TIME, at(61)),
            "the first one, whose time went on"
        );
    }

    #[test]
    fn no_more_networks_are_remembered_than_that() {
        let mode = CaptiveMode::default();
        for interface in 0..1_000 {
            mode.moved(Some(network(interface)), Some(network(interface + 1)));
            assert!(mode.may_ask(TIME, at(1)));
            assert!(lock(&mode.0).used.len() <= MAX_NETWORKS);
        }
    }
}
