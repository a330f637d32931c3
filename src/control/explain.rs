//! What is known about a question, of all event loops together, and the same question asked now; as JSON.

use super::names::{extended_error, type_name};
use crate::engine::remedies;
use crate::engine::{
    ConnectionExplained, Explained, FailedQuery, Holds, Remembered, RouteExplained, Source,
    TransactionExplained, UpstreamExplained, Way,
};
use crate::json::Json;
use crate::serve::Asked;
use crate::wire::{self, display};
use std::time::Duration;

/// The most failures that are told.
const MOST_FAILURES: usize = 16;
/// RD: the query is one for a resolver.
const RD: u16 = 0x0100;
const AD: u16 = 0x0020;
const CD: u16 = 0x0010;
/// DO among the flags of EDNS (RFC 3225).
const DNSSEC_OK: u16 = 0x8000;
/// The UDP size that most clients offer. Over a stream, as here, it means nothing.
const UDP_SIZE: u16 = 1_232;

/// The flags of a query that the cache and joining tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedWith {
    /// RD, AD and CD, as in a header.
    flags: u16,
    dnssec_ok: bool,
}

impl Default for AskedWith {
    /// As most stub resolvers ask.
    fn default() -> Self {
        Self {
            flags: RD,
            dnssec_ok: false,
        }
    }
}

impl AskedWith {
    /// As clients have asked the question: for what is fresh in the cache, else for what is in flight, else for what is there. So what they get is
    /// asked for, and not the same name once more.
    pub fn clients(loops: &[(usize, Explained)]) -> Self {
        // They share the cache.
        let cached = loops.first().map_or(&[][..], |(_, one)| &one.cached);
        let fresh = cached.iter().filter(|one| one.holds == Holds::Fresh);
        let fresh = fresh.max_by_key(|one| (!one.is_failure, one.hits));
        let in_flight = loops.iter().flat_map(|(_, one)| &one.in_flight);
        let in_flight = in_flight.max_by_key(|one| one.clients).map(|one| Self {
            flags: one.flags,
            dnssec_ok: one.dnssec_ok,
        });
        let any = cached.iter().max_by_key(|one| one.hits);
        fresh
            .map(Self::of)
            .or(in_flight)
            .or(any.map(Self::of))
            .unwrap_or_default()
    }

    fn of(remembered: &Remembered) -> Self {
        let flags = [
            (remembered.rd, RD),
            (remembered.ad, AD),
            (remembered.cd, CD),
        ];
        let set = flags.into_iter().filter(|(is_set, _)| *is_set);
        Self {
            flags: set.map(|(_, flag)| flag).sum(),
            dnssec_ok: remembered.dnssec_ok,
        }
    }
}

/// The query that a client would send for this name and type: with these flags, and with EDNS, so that it learns why something failed.
pub fn query(name: &[u8], qtype: u16, with: AskedWith) -> Vec<u8> {
    let edns_flags = if with.dnssec_ok { DNSSEC_OK } else { 0 };
    let header = [0, with.flags, 1, 0, 0, 1];
    let mut query: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
    query.extend_from_slice(name);
    query.extend_from_slice(&qtype.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    // The root, OPT, the size, the flags, and no options.
    query.extend_from_slice(&[0, 0, 41]);
    query.extend_from_slice(&UDP_SIZE.to_be_bytes());
    query.extend_from_slice(&[0; 2]);
    query.extend_from_slice(&edns_flags.to_be_bytes());
    query.extend_from_slice(&[0; 2]);
    query
}

/// All that is known about a question, and what came of asking it; nothing if it could not be asked.
pub fn json(
    (name, qtype): (&[u8], u16),
    loops: &[(usize, Explained)],
    asked: Option<&Asked>,
) -> Json {
    let first = loops.first().map(|(_, explained)| explained);
    let cached = first.map_or(&[][..], |explained| &explained.cached);
    let in_flight = loops.iter().flat_map(|(worker, explained)| {
        let all = explained.in_flight.iter();
        all.map(|one| transaction(*worker, one))
    });
    let mut failures: Vec<&FailedQuery> = loops
        .iter()
        .flat_map(|(_, explained)| &explained.failures)
        .collect();
    failures.sort_by_key(|failure| failure.ago);
    let failures = failures.into_iter().take(MOST_FAILURES);
    Json::Object(vec![
        (
            "question",
            Json::Object(vec![
                ("name", Json::text(display(name).to_string())),
                ("type", Json::text(type_name(qtype))),
                ("class", Json::text("IN")),
            ]),
        ),
        ("route", Json::maybe(first, |it| route(&it.route, loops))),
        ("cache", Json::List(cached.iter().map(remembered).collect())),
        ("in_flight", Json::List(in_flight.collect())),
        (
            "recent_failures",
            Json::List(failures.map(failure).collect()),
        ),
        ("asked", Json::maybe(asked, answer)),
    ])
}

fn route(of: &RouteExplained, loops: &[(usize, Explained)]) -> Json {
    let way = match of.way {
        Way::Forward => "forward",
        Way::Refuse => "refuse",
        Way::NxDomain => "nxdomain",
        Way::Local => "local",
    };
    let upstreams = of.upstreams.iter().map(|upstream| {
        // Each loop has connections of its own.
        let all = loops.iter().flat_map(|(worker, explained)| {
            let upstreams = explained.route.upstreams.iter();
            let same = upstreams.filter(|other| other.label == upstream.label);
            let connections = same.flat_map(|other| &other.connections);
            connections.map(|one| connection(*worker, one))
        });
        self::upstream(upstream, all.collect())
    });
    Json::Object(vec![
        ("action", Json::text(way)),
        (
            "domain",
            Json::maybe(of.domain.as_deref(), |domain| {
                Json::text(display(domain).to_string())
            }),
        ),
        (
            "policy",
            Json::maybe(of.policy, |policy| Json::text(policy.to_string())),
        ),
        ("upstreams", Json::List(upstreams.collect())),
    ])
}

fn upstream(of: &UpstreamExplained, connections: Vec<Json>) -> Json {
    Json::Object(vec![
        ("label", Json::text(&*of.label)),
        ("healthy", Json::Bool(of.is_healthy)),
        ("trouble", Json::maybe(of.trouble.as_deref(), Json::text)),
        ("what_to_do", Json::maybe(of.remedy, Json::text)),
        ("connections", Json::List(connections)),
    ])
}

fn connection(worker: usize, of: &ConnectionExplained) -> Json {
    Json::Object(vec![
        ("worker", number(worker)),
        ("address", Json::text(of.addr.to_string())),
        ("state", Json::text(of.state.name())),
        ("age_seconds", seconds(of.age)),
        ("in_flight", number(of.in_flight)),
    ])
}

fn remembered(of: &Remembered) -> Json {
    let flags = [
        (of.rd, "rd"),
        (of.ad, "ad"),
        (of.cd, "cd"),
        (of.dnssec_ok, "do"),
    ];
    let flags = flags.into_iter().filter(|(set, _)| *set);
    Json::Object(vec![
        ("state", Json::text(of.holds.name())),
        ("failure", Json::Bool(of.is_failure)),
        ("rcode", Json::text(of.rcode.to_string())),
        ("answers", number(of.answers.into())),
        ("age_seconds", seconds(of.age)),
        ("remaining_seconds", seconds(of.left)),
        ("hits", number(of.hits.into())),
        (
            "asked_with",
            Json::List(flags.map(|(_, name)| Json::text(name)).collect()),
        ),
    ])
}

fn transaction(worker: usize, of: &TransactionExplained) -> Json {
    let attempts = of.attempts.iter().map(|attempt| {
        Json::Object(vec![
            ("upstream", Json::text(&*attempt.upstream)),
            (
                "address",
                Json::maybe(attempt.addr, |addr| Json::text(addr.to_string())),
            ),
            ("sent_ms_ago", milliseconds(attempt.age)),
        ])
    });
    let waits = if of.waits_for_connection {
        "connection"
    } else {
        "response"
    };
    Json::Object(vec![
        ("worker", number(worker)),
        ("age_ms", milliseconds(of.age)),
        ("time_left_ms", milliseconds(of.left)),
        ("clients", number(of.clients)),
        ("waits_for", Json::text(waits)),
        ("sent", number(of.sends.into())),
        ("connects", number(of.connects.into())),
        ("asked_upstreams", labels(&of.tried)),
        ("attempts", Json::List(attempts.collect())),
    ])
}

fn failure(of: &FailedQuery) -> Json {
    Json::Object(vec![
        ("seconds_ago", seconds(of.ago)),
        ("type", Json::text(type_name(of.qtype))),
        ("rcode", Json::text(of.rcode.to_string())),
        ("served_stale", Json::Bool(of.served_stale)),
        (
            "extended_error",
            Json::maybe(of.code, |code| extended(code, &of.text)),
        ),
        ("what_to_do", Json::maybe(of.remedy, Json::text)),
        ("after_ms", milliseconds(of.took)),
        ("sent", number(of.sends.into())),
        ("asked_upstreams", labels(&of.tried)),
        ("id", Json::maybe(of.id, |id| Json::text(id.to_string()))),
    ])
}

fn answer(of: &Asked) -> Json {
    let source = match of.source {
        Source::Cache => "cache",
        Source::Stale => "stale",
        Source::Local => "local",
        Source::Refused => "refused",
        Source::Upstream { .. } => "upstream",
    };
    let joined = matches!(of.source, Source::Upstream { joined: true });
    let trace = of.trace.as_ref();
    let by = trace.and_then(|trace| trace.answered_by.as_deref());
    let read = wire::parse_response(&of.response).ok();
    let errors = read.iter().flat_map(|read| {
        let errors = wire::extended_errors(&of.response, read.opt.as_ref());
        errors.map(|error| extended(error.code, error.text))
    });
    let rcode = read.map(|read| read.rcode());
    let first = read.and_then(|read| {
        let mut errors = wire::extended_errors(&of.response, read.opt.as_ref());
        errors.next()
    });
    let (code, text) = first.map_or((None, ""), |error| (Some(error.code), error.text));
    let remedy = rcode.and_then(|rcode| remedies::what_to_do(rcode, code, text));
    Json::Object(vec![
        (
            "rcode",
            Json::maybe(rcode, |rcode| Json::text(rcode.to_string())),
        ),
        (
            "answers",
            Json::maybe(read, |it| number(it.header.answers.into())),
        ),
        ("octets", number(of.response.len())),
        ("source", Json::text(source)),
        ("time_ms", milliseconds(of.took)),
        ("extended_errors", Json::List(errors.collect())),
        ("what_to_do", Json::maybe(remedy, Json::text)),
        ("answered_by", Json::maybe(by, Json::text)),
        (
            "sent_after_ms",
            Json::maybe(trace.and_then(|it| it.sent_after), milliseconds),
        ),
        (
            "round_trip_ms",
            Json::maybe(trace.and_then(|it| it.round_trip), milliseconds),
        ),
        ("sent", number(trace.map_or(0, |trace| trace.sends).into())),
        (
            "connects",
            number(trace.map_or(0, |trace| trace.connects).into()),
        ),
        ("joined", Json::Bool(joined)),
    ])
}

fn extended(code: u16, text: &str) -> Json {
    Json::Object(vec![
        ("code", number(code.into())),
        ("name", Json::text(extended_error(code))),
        ("text", Json::text(text)),
    ])
}

fn labels(of: &[String]) -> Json {
    Json::List(of.iter().map(|label| Json::text(&**label)).collect())
}

fn number(value: usize) -> Json {
    Json::Number(i64::try_from(value).unwrap_or(i64::MAX))
}

fn seconds(time: Duration) -> Json {
    Json::Fraction(time.as_secs_f64())
}

fn milliseconds(time: Duration) -> Json {
    Json::Fraction(time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_one_that_a_stub_resolver_sends() {
        let query = query(b"\x01a\x04test\0", 28, AskedWith::default());
        let read = wire::parse_query(&query).unwrap();
        assert_eq!((read.question.qtype, read.question.qclass), (28, 1));
        assert_eq!(read.question.name(&query), b"\x01a\x04test\0");
        assert!(read.header.flags.rd() && !read.header.flags.cd());
        assert_eq!(read.opt.map(|opt| opt.flags), Some(0));
        let with = AskedWith {
            flags: AD | CD,
            dnssec_ok: true,
        };
        let query = super::query(b"\x01a\x04test\0", 28, with);
        let read = wire::parse_query(&query).unwrap();
        let flags = read.header.flags;
        assert!(!flags.rd() && flags.ad() && flags.cd());
        assert!(read.opt.is_some_and(|opt| opt.dnssec_ok));
    }
}
