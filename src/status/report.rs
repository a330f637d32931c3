//! `/api/status`: what the program does now, as JSON. `docs/metrics.md` describes it.

use super::about::About;
use super::health::{Health, readiness};
use super::totals::{Totals, Upstream};
use crate::json::Json;

/// The status.
pub fn json(totals: &Totals, about: &About) -> String {
    Json::Object(members(totals, about)).to_string()
}

/// The members of the status.
pub fn members(totals: &Totals, about: &About) -> Vec<(&'static str, Json)> {
    let (stats, cache, limits) = (&totals.stats, &totals.cache, &totals.limits);
    let health = readiness(totals);
    let is_ready = health == Health::Good;
    vec![
        ("version", Json::text(env!("CARGO_PKG_VERSION"))),
        ("runtime", Json::text(&*about.runtime)),
        ("workers", number(totals.workers)),
        (
            "uptime_seconds",
            Json::Fraction(about.since.elapsed().as_secs_f64()),
        ),
        ("ready", Json::Bool(is_ready)),
        (
            "not_ready_because",
            Json::maybe((!is_ready).then_some(health), |why| {
                Json::text(why.to_string())
            }),
        ),
        (
            "upstreams",
            Json::List(totals.upstreams.iter().map(upstream).collect()),
        ),
        (
            "cache",
            Json::Object(vec![
                ("entries", number(cache.entries)),
                ("bytes", number(cache.octets)),
                ("limit_bytes", number(cache.limit)),
                ("insertions", count(cache.counts.insertions)),
                ("evictions", count(cache.counts.evictions)),
            ]),
        ),
        (
            "clients",
            Json::Object(vec![
                ("queries", count(stats.queries)),
                ("queries_in_flight", number(totals.in_flight)),
                ("tcp_connections", number(totals.tcp_clients)),
                ("answered_from_cache", count(stats.hits)),
                ("answered_by_upstreams", count(stats.answered)),
                ("answered_here", count(stats.local)),
                ("answered_stale", count(stats.stale)),
                ("failed", count(stats.failed)),
                ("denied", count(stats.denied)),
            ]),
        ),
        (
            "bounds",
            Json::Object(vec![
                ("in_flight", number(limits.in_flight * totals.workers)),
                ("in_flight_per_client", number(limits.in_flight_per_client)),
                ("tcp_connections", number(limits.tcp_connections)),
                ("tcp_per_client", number(limits.tcp_per_client)),
                ("query_memory_bytes", number(limits.queue_bytes)),
                ("shed", count(stats.shed + stats.shed_per_client)),
                ("yielded", count(stats.yielded)),
                ("tcp_refused", count(stats.rejected_clients)),
                ("tcp_closed_unread", count(stats.unread)),
                ("udp_unsent", count(stats.unsent)),
            ]),
        ),
    ]
}

fn upstream(of: &Upstream) -> Json {
    let milliseconds = |time: std::time::Duration| Json::Fraction(time.as_secs_f64() * 1e3);
    Json::Object(vec![
        ("label", Json::text(&*of.label)),
        ("state", Json::text(of.state())),
        ("was_connected", Json::Bool(of.was_connected)),
        ("connections", number(of.connected)),
        ("connecting", number(of.connecting)),
        ("in_flight", number(of.in_flight)),
        ("sent", count(of.stats.sent)),
        ("answered", count(of.stats.answered)),
        ("useless", count(of.stats.useless)),
        ("handshakes_verified", count(of.stats.verified)),
        ("handshakes_unverified", count(of.stats.unverified)),
        ("handshakes_resumed", count(of.stats.resumed)),
        ("failed_connects", count(of.stats.failed_connects)),
        ("lost_connections", count(of.stats.lost_connections)),
        ("round_trip_ms", Json::maybe(of.round_trip, milliseconds)),
        (
            "certificate_seconds_left",
            Json::maybe(of.certificate_left, |left| count(left.as_secs())),
        ),
    ])
}

fn number(value: usize) -> Json {
    count(value as u64)
}

fn count(value: u64) -> Json {
    Json::Number(i64::try_from(value).unwrap_or(i64::MAX))
}
