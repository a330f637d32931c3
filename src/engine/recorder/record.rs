//! All that belongs to one failure, to be handed on.

use super::entries::{Event, Failed};
use crate::config::{Config, Policy, Profile, Upstream};
use crate::engine::transactions::bounds;
use std::net::SocketAddr;
use std::time::Duration;

/// What led to a failure: the settings that matter, the upstreams and what happened to them, the query and its attempts, and its end. Neither
/// names that were asked for nor clients are in it. [`Record::lines`] is the file that `simulate --replay` reads, [`Record::story`] what people read.
#[derive(Clone)]
pub struct Record {
    pub(super) settings: Settings,
    pub(super) upstreams: Vec<Known>,
    pub(super) failed: Failed,
    pub(super) events: Vec<Event>,
    pub(super) is_whole: bool,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Record").field(&self.failed.id).finish()
    }
}

/// The settings that matter to what the core decides.
#[derive(Clone, Debug)]
pub struct Settings {
    pub timeout: Duration,
    pub policy: Policy,
    pub hedge: bool,
    pub in_flight: usize,
    pub in_flight_per_client: usize,
    pub link_in_flight: usize,
    pub udp_payload: u16,
    pub padding: Option<u16>,
}

impl Settings {
    pub fn of(config: &Config, policy: Policy) -> Self {
        let limits = config.limits();
        let (in_flight, in_flight_per_client) = bounds(config);
        Self {
            timeout: config.timeout(),
            policy,
            hedge: config.hedge(),
            in_flight,
            in_flight_per_client,
            link_in_flight: limits.link_in_flight,
            udp_payload: limits.udp_payload,
            padding: config.padding().map(std::num::NonZero::get),
        }
    }
}

/// An upstream, as it is configured.
#[derive(Clone, Debug)]
pub struct Known {
    pub number: usize,
    pub label: String,
    pub protocol: &'static str,
    /// It is configured by name.
    pub is_named: bool,
    pub is_opportunistic: bool,
    pub proxy: Option<SocketAddr>,
}

impl Known {
    pub fn of(number: usize, label: &str, configured: Option<&Upstream>) -> Self {
        Self {
            number,
            label: label.to_owned(),
            protocol: configured.map_or("tls", Upstream::scheme),
            is_named: configured.is_some_and(|it| it.host().is_some()),
            is_opportunistic: configured.is_some_and(|it| it.profile() == Profile::Opportunistic),
            proxy: configured.and_then(Upstream::socks5).map(|it| it.proxy),
        }
    }
}

impl Record {
    /// Of what the recorder has.
    pub(in crate::engine) fn new(
        settings: Settings,
        upstreams: Vec<Known>,
        failed: Failed,
        events: Vec<Event>,
        is_whole: bool,
    ) -> Self {
        Self {
            settings,
            upstreams,
            failed,
            events,
            is_whole,
        }
    }

    /// The name of the failure.
    pub fn id(&self) -> super::FailureId {
        self.failed.id
    }
}
