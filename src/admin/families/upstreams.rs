//! Metrics of each upstream, by its label as the log has it: a provider's name, or an address and a name.

use super::{Family, Sample, Value, counter, gauge};
use crate::admin::totals::{Totals, Upstream};
use crate::status::reasons::connect_failures;

/// The label that says which upstream.
const UPSTREAM: &str = "upstream";

pub(super) const FAMILIES: &[Family] = &[
    counter(
        "dotward_upstream_queries",
        "Queries sent to the upstream, repetitions included",
        |t, _| each(t, |u| Some(u.stats.sent)),
    ),
    counter(
        "dotward_upstream_answers",
        "Answers from the upstream that belong to a query",
        |t, _| each(t, |u| Some(u.stats.answered)),
    ),
    counter(
        "dotward_upstream_useless_answers",
        "Of those, SERVFAIL, REFUSED and truncated ones",
        |t, _| each(t, |u| Some(u.stats.useless)),
    ),
    counter(
        "dotward_upstream_connects",
        "Connects to the upstream that were begun",
        |t, _| each(t, |u| Some(u.stats.connects)),
    ),
    counter(
        "dotward_upstream_connect_failures",
        "Connects to the upstream that failed, by reason",
        |t, _| each_by(t, "reason", |u| connect_failures(&u.stats).to_vec()),
    ),
    counter(
        "dotward_upstream_established",
        "Connections to the upstream that came up, with their handshake where there is one",
        |t, _| each(t, |u| Some(u.stats.connected)),
    ),
    counter(
        "dotward_upstream_handshakes",
        "TLS handshakes with the upstream that succeeded, by whether it was authenticated",
        |t, _| {
            each_by(t, "authentication", |u| {
                vec![
                    ("verified", u.stats.verified),
                    ("opportunistic", u.stats.unverified),
                ]
            })
        },
    ),
    counter(
        "dotward_upstream_resumed_handshakes",
        "Of those, handshakes that resumed a session",
        |t, _| each(t, |u| Some(u.stats.resumed)),
    ),
    counter(
        "dotward_upstream_lost_connections",
        "Connections to the upstream that ended with queries in flight",
        |t, _| each(t, |u| Some(u.stats.lost_connections)),
    ),
    counter(
        "dotward_upstream_passed_over",
        "How often the upstream began to be passed over",
        |t, _| each(t, |u| Some(u.stats.passed_over)),
    ),
    gauge(
        "dotward_upstream_connections",
        "Connections to the upstream, by state",
        |t, _| {
            each_by(t, "state", |u| {
                vec![("up", u.connected), ("connecting", u.connecting)]
            })
        },
    ),
    gauge(
        "dotward_upstream_in_flight",
        "Queries in flight to the upstream",
        |t, _| each(t, |u| Some(u.in_flight)),
    ),
    gauge(
        "dotward_upstream_healthy",
        "1 while the upstream can be expected to answer, 0 while it is passed over or connects to it fail",
        |t, _| each(t, |u| Some(u.is_healthy)),
    ),
    gauge(
        "dotward_upstream_round_trip_seconds",
        "Seconds from a query to its response, smoothed (RFC 6298)",
        |t, _| each(t, |u| u.round_trip.map(|time| time.as_secs_f64())),
    ),
    gauge(
        "dotward_upstream_certificate_expiry_timestamp_seconds",
        "When the certificate ends that the upstream showed last, in seconds of the Unix epoch",
        |t, now| {
            let samples = |u: &Upstream| u.certificate_left.map(|left| left.as_secs_f64());
            let mut samples = each(t, samples);
            for sample in &mut samples {
                if let Value::Number(left) = &mut sample.value {
                    // The clocks are read apart, and the end is that of a second.
                    *left = (*left + now).round();
                }
            }
            samples
        },
    ),
];

/// The value of each upstream that has one.
fn each<V: Into<Value>>(totals: &Totals, value: fn(&Upstream) -> Option<V>) -> Vec<Sample> {
    let sample = |upstream: &Upstream| {
        Some(Sample {
            labels: vec![(UPSTREAM, upstream.label.clone())],
            value: value(upstream)?.into(),
        })
    };
    totals.upstreams.iter().filter_map(sample).collect()
}

/// The values of each upstream by one label more.
fn each_by<V: Into<Value>>(
    totals: &Totals,
    label: &'static str,
    values: fn(&Upstream) -> Vec<(&'static str, V)>,
) -> Vec<Sample> {
    let samples = |upstream: &Upstream| -> Vec<Sample> {
        let sample = |(name, value): (&str, V)| Sample {
            labels: vec![(UPSTREAM, upstream.label.clone()), (label, name.to_owned())],
            value: value.into(),
        };
        values(upstream).into_iter().map(sample).collect()
    };
    totals.upstreams.iter().flat_map(samples).collect()
}
