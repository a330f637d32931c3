//! What `dotward explain` shows: a question from its route to its answer.

use super::{Rows, append, extended_error, is, joined, list, milliseconds, number, seconds, text};
use crate::engine::words::counted;
use serde_json::Value;

/// What is known about a question, for people.
pub fn screen(of: &Value) -> String {
    let mut rows = Rows::default();
    let question = &of["question"];
    let asked = [&question["name"], &question["type"], &question["class"]].map(text);
    rows.add("question", &asked.join(" "));
    rows.list("route", route(&of["route"]), "not known");
    let cache = list(&of["cache"]).iter().map(remembered);
    rows.list("cache", cache, "nothing for this question");
    let in_flight = list(&of["in_flight"]).iter().flat_map(transaction);
    rows.list("in flight", in_flight, "not asked for at the moment");
    let failures = list(&of["recent_failures"]).iter().flat_map(failure);
    rows.list("failures", failures, "none of this name lately");
    rows.list("asked now", answer(&of["asked"]), "");
    rows.0
}

fn route(of: &Value) -> Vec<String> {
    let domain = match text(&of["domain"]) {
        none if none.is_empty() => "default route".to_owned(),
        domain => format!("route of {domain}"),
    };
    let upstreams = list(&of["upstreams"]);
    let action = match text(&of["action"]).as_str() {
        "forward" => match upstreams.len() {
            0 | 1 => "forwarded to this upstream".to_owned(),
            count => format!(
                "forwarded to one of {count} upstreams, policy {}",
                text(&of["policy"])
            ),
        },
        "refuse" => "answered here with REFUSED".to_owned(),
        "nxdomain" => "answered here with NXDOMAIN".to_owned(),
        "local" => "answered here, never forwarded".to_owned(),
        other => other.to_owned(),
    };
    let mut rows = vec![format!("{domain}: {action}")];
    for upstream in upstreams {
        let health = if is(&upstream["healthy"]) {
            "healthy"
        } else {
            "not healthy"
        };
        let mut row = format!("  {}: {health}", text(&upstream["label"]));
        let trouble = text(&upstream["trouble"]);
        if !trouble.is_empty() {
            append(&mut row, format_args!(", last failure: {trouble}"));
        }
        let connections = list(&upstream["connections"]);
        if connections.is_empty() {
            row += ", not connected";
        }
        rows.push(row);
        rows.extend(remedy(upstream, "    "));
        rows.extend(connections.iter().map(connection));
    }
    rows
}

fn connection(of: &Value) -> String {
    format!(
        "    connection to {} {} for {}, {} in flight",
        text(&of["address"]),
        text(&of["state"]),
        seconds(&of["age_seconds"]),
        number(&of["in_flight"])
    )
}

fn remembered(of: &Value) -> String {
    let what = if is(&of["failure"]) { "failure " } else { "" };
    let holds = match text(&of["state"]).as_str() {
        "fresh" => format!("fresh for {} more", seconds(&of["remaining_seconds"])),
        "standing" => "expired, served at once since upstreams failed just now".to_owned(),
        "stale" => {
            "expired, served if upstreams fail, and at once while none can be reached".to_owned()
        }
        other => other.to_owned(),
    };
    format!(
        "{what}{}, {}, {} old, {holds}; asked with {}",
        text(&of["rcode"]),
        counted(number(&of["answers"]), "answer", "answers"),
        seconds(&of["age_seconds"]),
        joined(&of["asked_with"])
    )
}

fn transaction(of: &Value) -> Vec<String> {
    let first = format!(
        "since {} for {}, sent {}, waits for a {}, fails in {}",
        milliseconds(&of["age_ms"]),
        counted(number(&of["clients"]), "client", "clients"),
        counted(number(&of["sent"]), "time", "times"),
        text(&of["waits_for"]),
        milliseconds(&of["time_left_ms"])
    );
    let attempts = list(&of["attempts"]).iter().map(|attempt| {
        format!(
            "  at {} {} since {}",
            text(&attempt["upstream"]),
            text(&attempt["address"]),
            milliseconds(&attempt["sent_ms_ago"])
        )
    });
    std::iter::once(first).chain(attempts).collect()
}

/// What to do, where that is known.
fn remedy(of: &Value, indentation: &str) -> Option<String> {
    let remedy = text(&of["what_to_do"]);
    (!remedy.is_empty()).then(|| format!("{indentation}what to do: {remedy}"))
}

fn failure(of: &Value) -> Vec<String> {
    let mut row = format!(
        "{} ago: {} {} after {}, sent {}",
        seconds(&of["seconds_ago"]),
        text(&of["type"]),
        text(&of["rcode"]),
        milliseconds(&of["after_ms"]),
        counted(number(&of["sent"]), "time", "times")
    );
    let to = joined(&of["asked_upstreams"]);
    if !to.is_empty() {
        append(&mut row, format_args!(" to {to}"));
    }
    if is(&of["served_stale"]) {
        append(&mut row, format_args!(", clients got the expired answer"));
    }
    if !of["extended_error"].is_null() {
        append(
            &mut row,
            format_args!("; {}", extended_error(&of["extended_error"])),
        );
    }
    // That of a failure here stands in its text.
    let id = text(&of["id"]);
    if !id.is_empty() && !row.contains(&format!("(id {id})")) {
        append(&mut row, format_args!(" (id {id})"));
    }
    std::iter::once(row).chain(remedy(of, "  ")).collect()
}

fn answer(of: &Value) -> Vec<String> {
    if of.is_null() {
        return vec!["it could not be asked: the program ends, or is too busy".to_owned()];
    }
    let by = text(&of["answered_by"]);
    let source = match text(&of["source"]).as_str() {
        "cache" => "from the cache".to_owned(),
        "stale" => "stale, from the cache".to_owned(),
        "local" => "answered here".to_owned(),
        "refused" => "refused at once".to_owned(),
        _ if by.is_empty() => "no upstream has answered".to_owned(),
        _ => format!("by {by}"),
    };
    let first = format!(
        "{}, {}, {source}, in {}",
        text(&of["rcode"]),
        counted(number(&of["answers"]), "answer", "answers"),
        milliseconds(&of["time_ms"])
    );
    let mut way = Vec::new();
    if is(&of["joined"]) {
        way.push("joined a query of another client".to_owned());
    }
    if number(&of["sent"]) > 0 {
        let count = counted(number(&of["sent"]), "time", "times");
        way.push(format!("sent {count}"));
    }
    match number(&of["connects"]) {
        0 => {}
        count => way.push(counted(count, "connect begun", "connects begun")),
    }
    if !of["sent_after_ms"].is_null() {
        way.push(format!("sent after {}", milliseconds(&of["sent_after_ms"])));
        way.push(format!(
            "answered {} later",
            milliseconds(&of["round_trip_ms"])
        ));
    }
    let mut rows = vec![first];
    if !way.is_empty() {
        rows.push(format!("  {}", way.join(", ")));
    }
    let errors = list(&of["extended_errors"]).iter();
    rows.extend(errors.map(|error| format!("  extended error {}", extended_error(error))));
    rows.extend(remedy(of, "  "));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_question_is_shown_from_its_route_to_its_answer() {
        let connection = json!({"worker": 1, "address": "9.9.9.9:853", "state": "up", "age_seconds": 5.0, "in_flight": 1});
        let explained = json!({
            "question": {"name": "a.test.", "type": "A", "class": "IN"},
            "route": {"action": "forward", "domain": "test.", "policy": "failover", "upstreams": [
                {"label": "quad9", "healthy": true, "trouble": null, "connections": [connection]},
                {"label": "b", "healthy": false, "trouble": "connection refused", "what_to_do": "start it",
                    "connections": []},
            ]},
            "cache": [{"state": "fresh", "failure": false, "rcode": "NOERROR", "answers": 1, "age_seconds": 2.0,
                "remaining_seconds": 58.0, "hits": 3, "asked_with": ["rd"]}],
            "in_flight": [{"worker": 1, "age_ms": 12.0, "time_left_ms": 3988.0, "clients": 2, "waits_for": "response", "sent": 1,
                "connects": 0, "attempts": [{"upstream": "quad9", "address": "9.9.9.9:853", "sent_ms_ago": 11.0}]}],
            "recent_failures": [{"seconds_ago": 61.0, "type": "A", "rcode": "SERVFAIL", "served_stale": true, "after_ms": 4000.0, "sent": 2,
                "asked_upstreams": ["b"], "what_to_do": "wait", "extended_error": {"code": 23, "name": "Network Error", "text": "b: no answer in time"}}],
            "asked": {"rcode": "NOERROR", "answers": 1, "source": "upstream", "time_ms": 15.0, "extended_errors": [],
                "answered_by": "quad9 9.9.9.9:853", "sent_after_ms": 0.0, "round_trip_ms": 15.0, "sent": 1, "connects": 0, "joined": false},
        });
        let expected = "\
question   a.test. A IN
route      route of test.: forwarded to one of 2 upstreams, policy failover
             quad9: healthy
               connection to 9.9.9.9:853 up for 5.0s, 1 in flight
             b: not healthy, last failure: connection refused, not connected
               what to do: start it
cache      NOERROR, 1 answer, 2.0s old, fresh for 58.0s more; asked with rd
in flight  since 12.0ms for 2 clients, sent 1 time, waits for a response, fails in 4.0s
             at quad9 9.9.9.9:853 since 11.0ms
failures   1m 1s ago: A SERVFAIL after 4.0s, sent 2 times to b, clients got the expired answer; 23 Network Error: b: no answer in time
             what to do: wait
asked now  NOERROR, 1 answer, by quad9 9.9.9.9:853, in 15.0ms
             sent 1 time, sent after 0ms, answered 15.0ms later
";
        assert_eq!(screen(&explained), expected);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let shown = screen(&json!({"question": {"name": "a.test.", "type": "A", "class": "IN"}}));
        for part in [
            "nothing for this question",
            "not asked for at the moment",
            "none of this name lately",
            "it could not be asked",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}
