//! What the upstreams and the connections to them are at a moment.

use super::UpstreamPool;
use crate::engine::gauges::{Gauges, UpstreamGauges, UpstreamWords};
use crate::engine::keys::ConnectionKey;
use crate::engine::time::Now;
use crate::transport::Authentication;
use std::time::Duration;

impl UpstreamPool {
    /// What is known of each upstream now, by number: its label, and the gauges.
    pub fn gauges(&self, now: Now) -> impl Iterator<Item = (&str, UpstreamGauges)> {
        let upstreams = self.upstreams.iter().enumerate();
        let upstreams = upstreams.filter(|(_, it)| !it.is_removed());
        upstreams.map(move |(number, upstream)| {
            let end = upstream.certificate_end;
            let its = || {
                self.connections
                    .values()
                    .filter(move |c| c.upstream == number)
            };
            let connected = its().filter(|connection| connection.is_up()).count();
            let gauges = UpstreamGauges {
                certificate_left: end.map(|end| end.since(now.boot)),
                connecting: its().count() - connected,
                connected,
                in_flight: its().map(|connection| connection.pipeline.live()).sum(),
                was_connected: upstream.was_connected,
                is_healthy: self.is_healthy(number, true, now.mono),
                round_trip: upstream.round_trip.smoothed(),
            };
            (upstream.label.as_str(), gauges)
        })
    }

    /// What is known of each upstream in words, by number.
    pub fn words(&self) -> impl Iterator<Item = UpstreamWords> {
        let text = |words: &Option<Box<str>>| words.as_deref().map(str::to_owned);
        self.upstreams.iter().filter_map(move |upstream| {
            Some(UpstreamWords {
                protocols: upstream.configured.as_ref()?.schemes_text(),
                connection: text(&upstream.connection),
                trouble: text(&upstream.trouble),
            })
        })
    }

    /// How the other end of a connection that came up was authenticated.
    pub fn authenticated(&mut self, connection: ConnectionKey, how: Authentication) {
        if let Some(upstream) = self.upstream_of(connection) {
            let stats = &mut self.upstreams[upstream].stats;
            stats.verified += u64::from(how.verified);
            stats.unverified += u64::from(!how.verified);
            stats.resumed += u64::from(how.resumed);
        }
    }

    /// The upstream of a connection showed a certificate that is valid for so long from now on.
    pub fn certificate_left(&mut self, connection: ConnectionKey, left: Duration, now: Now) {
        if let Some(upstream) = self.upstream_of(connection) {
            self.upstreams[upstream].certificate_end = Some(now.boot + left);
        }
    }

    /// Adds what it holds.
    pub fn measure(&self, gauges: &mut Gauges) {
        let connections = || self.connections.values();
        gauges.connected = connections().filter(|c| c.is_up()).count();
        gauges.connecting = self.connections.len() - gauges.connected;
        let in_flight = connections().map(|connection| connection.pipeline.live());
        gauges.on_one_connection = in_flight.max().unwrap_or_default();
        gauges.resolving = self.upstreams.iter().filter(|u| u.resolving).count();
    }
}
