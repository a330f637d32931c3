//! Metrics of the program as a whole: clients' queries, what they got, the cache, and the bounds.

use super::{Family, Sample, by, counter, gauge, one};
use crate::admin::totals::Totals;
use crate::status::reasons;

/// The names of RCODEs (RFC 6895 section 2.3) in the four bits of the header; those that are not assigned have their numbers.
const RCODES: [&str; 16] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
    "12",
    "13",
    "14",
    "15",
];
/// All that need an OPT record: BADVERS, and what upstreams say beyond that.
const EXTENDED: &str = "EXTENDED";
/// Those that are there from the start, so that a rate can be told of the first one.
const COMMON: usize = 6;

pub(super) const FAMILIES: &[Family] = &[
    gauge("dotward_workers", "Event loops", |t, _| one(t.workers)),
    counter(
        "dotward_queries",
        "Queries from clients, whatever became of them",
        |t, _| {
            let s = &t.stats;
            let udp = s.queries - s.stream_queries.min(s.queries);
            by("protocol", [("udp", udp), ("tcp", s.stream_queries)])
        },
    ),
    counter(
        "dotward_dropped_messages",
        "Messages from clients that are no query and got no response",
        |t, _| one(t.stats.dropped),
    ),
    counter(
        "dotward_repeated_queries",
        "Queries whose client waits for the very same already",
        |t, _| one(t.stats.repeats),
    ),
    counter(
        "dotward_answers",
        "Queries answered, by where the answer comes from",
        |t, _| {
            let s = &t.stats;
            let sources = [
                ("cache", s.hits),
                ("stale", s.stale),
                ("upstream", s.answered),
                ("local", s.local),
                ("captive", s.captive_answered),
            ];
            by("source", sources)
        },
    ),
    counter(
        "dotward_responses",
        "Responses to clients, by protocol and response code",
        |t, _| responses(t),
    ),
    counter(
        "dotward_failures",
        "Queries answered with SERVFAIL for want of an answer, by reason",
        |t, _| by("reason", reasons::failures(&t.stats)),
    ),
    counter(
        "dotward_refusals",
        "Queries answered with an error at once, by reason",
        |t, _| by("reason", reasons::refusals(&t.stats)),
    ),
    counter(
        "dotward_limit_hits",
        "What was refused, given up or closed at a bound, by bound",
        |t, _| {
            let s = &t.stats;
            let bounds = [
                ("in_flight", s.shed),
                ("in_flight_per_client", s.shed_per_client),
                ("yielded", s.yielded),
                ("tcp_connections", s.rejected_clients),
                ("client_memory", s.unread),
                ("udp_send", s.unsent),
            ];
            by("bound", bounds)
        },
    ),
    counter(
        "dotward_query_log_lost",
        "Responses that the query log had no room for",
        |t, _| one(t.stats.unlogged),
    ),
    counter(
        "dotward_captive_questions",
        "Questions for portal checks that were asked in the clear",
        |t, _| one(t.stats.captive_asked),
    ),
    gauge(
        "dotward_captive_mode",
        "1 while portal checks may be asked in the clear on this network",
        |t, _| one(u64::from(t.captive.phase.is_on())),
    ),
    counter(
        "dotward_joined_queries",
        "Queries that joined an identical query in flight",
        |t, _| one(t.stats.joined),
    ),
    counter(
        "dotward_opaque_queries",
        "Queries forwarded although their question has a type or class that is not known here",
        |t, _| one(t.stats.opaque),
    ),
    counter(
        "dotward_extra_queries",
        "Queries to upstreams beyond the first for a client's query, by purpose",
        |t, _| {
            let s = &t.stats;
            let purposes = [
                ("prefetch", s.prefetches),
                ("repetition", s.resent),
                ("hedge", s.hedges),
                ("probe", s.probes),
            ];
            by("purpose", purposes)
        },
    ),
    counter(
        "dotward_bad_answers",
        "Messages from upstreams that were not used, by reason",
        |t, _| {
            let s = &t.stats;
            let reasons = [("unmatched", s.strays), ("malformed", s.malformed_answers)];
            by("reason", reasons)
        },
    ),
    counter(
        "dotward_renewed_connects",
        "Connects begun for no query, to have a connection ready",
        |t, _| one(t.stats.renewed),
    ),
    counter(
        "dotward_retired_connections",
        "Connections given up because the machine was suspended or the process stopped",
        |t, _| one(t.stats.retired),
    ),
    counter(
        "dotward_rerouted_connections",
        "Connections given up, or used no more, because the network path to their upstream changed",
        |t, _| one(t.stats.rerouted),
    ),
    gauge(
        "dotward_queries_in_flight",
        "Clients' queries that wait for a response",
        |t, _| one(t.in_flight),
    ),
    gauge(
        "dotward_transactions_waiting",
        "Queries that wait for a connection to an upstream",
        |t, _| one(t.waiting),
    ),
    gauge(
        "dotward_query_memory_bytes",
        "Octets of memory for the messages of queries in flight",
        |t, _| one(t.octets),
    ),
    gauge(
        "dotward_tcp_clients",
        "Clients connected over TCP",
        |t, _| one(t.tcp_clients),
    ),
    gauge(
        "dotward_limit",
        "The bounds as they are configured, of the whole program",
        |t, _| {
            let bounds = [
                ("in_flight", t.limits.in_flight * t.workers),
                ("tcp_connections", t.limits.tcp_connections),
                ("query_memory_bytes", t.limits.queue_bytes),
            ];
            by("bound", bounds)
        },
    ),
    gauge(
        "dotward_cache_entries",
        "Responses and failures in the cache",
        |t, _| one(t.cache.entries),
    ),
    gauge(
        "dotward_cache_bytes",
        "Octets of memory that the cache takes",
        |t, _| one(t.cache.octets),
    ),
    gauge(
        "dotward_cache_limit_bytes",
        "The most octets of memory that the cache takes",
        |t, _| one(t.cache.limit),
    ),
    counter(
        "dotward_cache_insertions",
        "Responses and failures put into the cache",
        |t, _| one(t.cache.counts.insertions),
    ),
    counter(
        "dotward_cache_evictions",
        "Responses and failures that left the cache for want of room",
        |t, _| one(t.cache.counts.evictions),
    ),
];

fn responses(totals: &Totals) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (protocol, datagrams) in [("udp", true), ("tcp", false)] {
        for (rcode, count) in totals.replies.by_rcode(datagrams) {
            let name = rcode.map(usize::from);
            if count == 0 && name.is_none_or(|rcode| rcode >= COMMON) {
                continue;
            }
            let name = name.and_then(|rcode| RCODES.get(rcode));
            let name = name.unwrap_or(&EXTENDED);
            samples.push(Sample {
                labels: vec![
                    ("protocol", protocol.to_owned()),
                    ("rcode", (*name).to_owned()),
                ],
                value: count.into(),
            });
        }
    }
    samples
}
