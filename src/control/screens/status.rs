//! What `dotward status` shows: one screen.

use super::{Rows, append, is, list, milliseconds, number, octets, seconds, text};
use crate::engine::words::{Lasting, counted};
use serde_json::Value;
use std::time::Duration;

/// The status, for people.
pub fn screen(status: &Value) -> String {
    let mut rows = Rows::default();
    let workers = counted(number(&status["workers"]), "worker", "workers");
    let program = format!(
        "{} on {}, {workers}, up for {}",
        text(&status["version"]),
        text(&status["runtime"]),
        seconds(&status["uptime_seconds"])
    );
    rows.add("dotward", &program);
    let why = text(&status["not_ready_because"]);
    let state = if is(&status["ready"]) {
        "ready: queries are answered".to_owned()
    } else {
        format!("not ready: {why}")
    };
    rows.add("state", &state);
    let upstreams = list(&status["upstreams"]).iter().flat_map(upstream);
    rows.list("upstreams", upstreams, "none");
    let (clients, cache, bounds) = (&status["clients"], &status["cache"], &status["bounds"]);
    rows.list("clients", of_clients(clients), "");
    rows.list("cache", of_cache(cache, clients), "");
    rows.list("captive", of_captive(&status["captive"]), "");
    rows.list("bounds", of_bounds(bounds), "none was hit");
    rows.add("log", &log(status));
    rows.0
}

fn upstream(of: &Value) -> Vec<String> {
    let state = text(&of["state"]);
    let mut first = format!("{}: {state}", text(&of["label"]));
    match number(&of["connections"]) {
        0 => {}
        count => append(
            &mut first,
            format_args!(", {}", counted(count, "connection", "connections")),
        ),
    }
    match number(&of["in_flight"]) {
        0 => {}
        count => append(&mut first, format_args!(", {count} in flight")),
    }
    if !of["round_trip_ms"].is_null() {
        append(
            &mut first,
            format_args!(", answers in {}", milliseconds(&of["round_trip_ms"])),
        );
    }
    if let Some(left) = of["certificate_seconds_left"].as_u64() {
        let left = Lasting(Duration::from_secs(left));
        append(&mut first, format_args!(", certificate valid for {left}"));
    }
    let counts = [
        ("sent", "sent"),
        ("answered", "answered"),
        ("useless", "of those useless"),
        ("failed_connects", "connects failed"),
        ("lost_connections", "connections lost"),
        ("handshakes_verified", "handshakes verified"),
        ("handshakes_unverified", "handshakes not verified"),
        ("handshakes_resumed", "resumed"),
    ];
    let counts = counts.into_iter().filter_map(|(name, told)| {
        let count = number(&of[name]);
        (count > 0).then(|| format!("{told} {count}"))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return vec![first];
    }
    vec![first, format!("  {}", counts.join(", "))]
}

fn of_clients(of: &Value) -> Vec<String> {
    let counted = |name: &str, one, many| counted(number(&of[name]), one, many);
    let all = format!(
        "{}, {} in flight, {} over TCP",
        counted("queries", "query", "queries"),
        number(&of["queries_in_flight"]),
        counted("tcp_connections", "connection", "connections")
    );
    let answered = [
        ("answered_from_cache", "from the cache"),
        ("answered_by_upstreams", "by upstreams"),
        ("answered_here", "here"),
        ("answered_stale", "stale"),
        ("failed", "failed"),
        ("denied", "denied"),
    ];
    let answered = answered.into_iter().filter_map(|(name, told)| {
        let count = number(&of[name]);
        (count > 0).then(|| format!("{told} {count}"))
    });
    let answered: Vec<String> = answered.collect();
    let answered = if answered.is_empty() {
        String::new()
    } else {
        format!("answered: {}", answered.join(", "))
    };
    vec![all, answered]
}

fn of_cache(of: &Value, clients: &Value) -> Vec<String> {
    if number(&of["limit_bytes"]) == 0 {
        return vec!["off".to_owned()];
    }
    let queries = number(&clients["queries"]);
    let share = number(&clients["answered_from_cache"]) * 100;
    let share = share.checked_div(queries).unwrap_or_default();
    vec![format!(
        "{}, {} of {}, {share} % of the queries, {} gone for want of room",
        counted(number(&of["entries"]), "response", "responses"),
        octets(&of["bytes"]),
        octets(&of["limit_bytes"]),
        number(&of["evictions"])
    )]
}

/// The captive mode, where it is allowed.
fn of_captive(of: &Value) -> Vec<String> {
    let left = Lasting(Duration::from_secs(number(&of["seconds_left"])));
    let state = match &*text(&of["state"]) {
        "armed" => format!("not needed on this network; plain text is allowed for {left}"),
        "asking" => format!(
            "ON for {left} more: portal checks are asked in the clear, so far without an answer"
        ),
        "on" => {
            format!("ON for {left} more: portal checks are answered in the clear, nothing else")
        }
        "over" => "over on this network: nothing is asked in the clear".to_owned(),
        _ => return Vec::new(),
    };
    let counts = format!(
        "asked in the clear {}, answered {}",
        number(&of["asked_in_the_clear"]),
        number(&of["answered"])
    );
    vec![state, counts]
}

/// The bounds that were hit.
fn of_bounds(of: &Value) -> Vec<String> {
    let hit = [
        ("shed", "queries refused, since too many were in flight"),
        ("yielded", "queries given up for those of other clients"),
        ("tcp_refused", "TCP connections refused"),
        (
            "tcp_closed_unread",
            "TCP connections closed whose clients did not read",
        ),
        (
            "udp_unsent",
            "responses over UDP that the system did not send",
        ),
    ];
    let hit = hit.into_iter().filter_map(|(name, told)| {
        let count = number(&of[name]);
        (count > 0).then(|| format!("{told}: {count}"))
    });
    hit.collect()
}

fn log(of: &Value) -> String {
    let level = text(&of["log_level"]);
    match of["trace_seconds_left"].as_u64() {
        None if is(&of["log_names_queries"]) => format!("{level}; what clients ask for is named"),
        None => level,
        Some(left) => {
            let left = Lasting(Duration::from_secs(left));
            format!("{level}; what clients ask for is named for {left} more")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_status_is_one_screen() {
        let upstream = json!({
            "label": "quad9", "state": "connected", "connections": 2, "in_flight": 1, "sent": 7, "answered": 6,
            "useless": 0, "failed_connects": 1, "lost_connections": 0, "round_trip_ms": 12.34,
            "certificate_seconds_left": 86_400 * 30, "handshakes_verified": 2, "handshakes_resumed": 1,
        });
        let status = json!({
            "version": "0.1.0", "runtime": "async-std", "workers": 1, "uptime_seconds": 125.0, "ready": true,
            "not_ready_because": null, "upstreams": [upstream, {"label": "b", "state": "idle"}],
            "cache": {"entries": 3, "bytes": 2048, "limit_bytes": 4_194_304, "evictions": 0},
            "clients": {"queries": 12, "queries_in_flight": 1, "tcp_connections": 0, "answered_from_cache": 6, "failed": 1},
            "bounds": {"shed": 4}, "log_level": "info", "trace_seconds_left": null,
        });
        let expected = "\
dotward    0.1.0 on async-std, 1 worker, up for 2m 5s
state      ready: queries are answered
upstreams  quad9: connected, 2 connections, 1 in flight, answers in 12.3ms, certificate valid for 30d
             sent 7, answered 6, connects failed 1, handshakes verified 2, resumed 1
           b: idle
clients    12 queries, 1 in flight, 0 connections over TCP
           answered: from the cache 6, failed 1
cache      3 responses, 2 KiB of 4.0 MiB, 50 % of the queries, 0 gone for want of room
bounds     queries refused, since too many were in flight: 4
log        info
";
        assert_eq!(screen(&status), expected);
    }

    #[test]
    fn what_is_missing_or_odd_is_survived() {
        let odd = json!({"upstreams": [{"label": "a\u{1b}[2J"}], "cache": 7, "clients": null, "trace_seconds_left": 61});
        let shown = screen(&odd);
        assert!(shown.contains("a\u{fffd}[2J: "), "{shown}");
        assert!(shown.contains("named for 1m 1s more"), "{shown}");
        assert!(screen(&Value::Null).contains("not ready"));
    }
}
