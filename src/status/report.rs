//! `/api/status`: what the program does now, as JSON. `docs/metrics.md` describes it.

use super::about::About;
use super::health::{Health, readiness};
use super::reasons::{self, Counted};
use super::totals::{Totals, Upstream};
use crate::engine::{AnswerTimes, RecentFailure};
use crate::json::Json;
use std::time::Duration;

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
                ("queries_over_tcp", count(stats.stream_queries)),
                ("joined", count(stats.joined)),
                ("query_memory_bytes", number(totals.octets)),
            ]),
        ),
        ("failures", counts(&reasons::failures(stats))),
        ("refusals", counts(&reasons::refusals(stats))),
        (
            "latest_failures",
            Json::List(totals.failures.iter().map(failure).collect()),
        ),
        ("answer_times", times(&totals.times)),
        (
            "captive",
            Json::Object(vec![
                ("state", Json::text(totals.captive.phase.word())),
                ("seconds_left", count(totals.captive.left.as_secs())),
                ("asked_in_the_clear", count(stats.captive_asked)),
                ("answered", count(stats.captive_answered)),
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
        ("passed_over", count(of.stats.passed_over)),
        ("connects", count(of.stats.connects)),
        (
            "connect_failures",
            counts(&reasons::connect_failures(&of.stats)),
        ),
        ("established", count(of.stats.connected)),
        ("protocols", Json::text(&*of.words.protocols)),
        (
            "last_connection",
            Json::maybe(of.words.connection.as_deref(), Json::text),
        ),
        (
            "last_error",
            Json::maybe(of.words.trouble.as_deref(), Json::text),
        ),
        ("round_trip_ms", Json::maybe(of.round_trip, milliseconds)),
        (
            "certificate_seconds_left",
            Json::maybe(of.certificate_left, |left| count(left.as_secs())),
        ),
    ])
}

/// How long forwarded queries took: how many up to each bound and beyond the one before, and one count more for those beyond the last.
fn times(of: &AnswerTimes) -> Json {
    let bounds = of.buckets().filter_map(|(bound, _)| bound);
    Json::Object(vec![
        ("count", count(of.count())),
        ("sum_ms", milliseconds(of.sum())),
        ("bounds_ms", Json::List(bounds.map(milliseconds).collect())),
        (
            "counts",
            Json::List(of.buckets().map(|(_, it)| count(it)).collect()),
        ),
    ])
}

fn failure(of: &RecentFailure) -> Json {
    Json::Object(vec![
        ("reason", Json::text(of.reason)),
        ("text", Json::text(&*of.text)),
        ("what_to_do", Json::maybe(of.remedy, Json::text)),
        ("count", count(of.count)),
        ("seconds_ago", Json::Fraction(of.ago.as_secs_f64())),
        ("id", Json::maybe(of.id, |id| Json::text(id.to_string()))),
    ])
}

fn counts(of: &[Counted]) -> Json {
    Json::Object(
        of.iter()
            .map(|(name, value)| (*name, count(*value)))
            .collect(),
    )
}

fn milliseconds(time: Duration) -> Json {
    Json::Fraction(time.as_secs_f64() * 1e3)
}

fn number(value: usize) -> Json {
    count(value as u64)
}

fn count(value: u64) -> Json {
    Json::Number(i64::try_from(value).unwrap_or(i64::MAX))
}
