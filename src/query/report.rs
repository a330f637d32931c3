//! What was answered, for people and for programs. Its JSON is described in `docs/query.md`, and does not change without a new `format`.

use super::asking::{Answered, Asked, Failed};
use super::compare::Comparison;
use super::records::type_name;
use crate::json::Json;
use crate::probe::report::{in_millis, millis, problem_json, session, session_json};
use std::fmt;

/// The number of the JSON document's format.
const FORMAT: i64 = 1;

/// What was answered by whom.
#[derive(Debug)]
pub struct Report {
    pub(super) name: String,
    pub(super) rtype: u16,
    /// All servers were to answer.
    pub(super) all: bool,
    pub(super) asked: Vec<Asked>,
}

impl Report {
    /// An answer came: from the last server that was asked, or from each, if all were.
    pub fn is_answered(&self) -> bool {
        if self.all {
            self.asked.iter().all(Asked::is_answered)
        } else {
            self.asked.last().is_some_and(Asked::is_answered)
        }
    }

    /// One JSON document, without a line break within.
    pub fn json(&self) -> String {
        let same = Comparison::of(&self.asked).same;
        let document = Json::Object(vec![
            ("format", Json::Number(FORMAT)),
            ("name", Json::text(&self.name)),
            ("type", Json::text(type_name(self.rtype))),
            ("answered", Json::Bool(self.is_answered())),
            ("same", Json::maybe(same, Json::Bool)),
            (
                "servers",
                Json::List(self.asked.iter().map(server_json).collect()),
            ),
        ]);
        format!("{document}\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, ";; {}\tIN\t{}", self.name, type_name(self.rtype))?;
        if self.all {
            return self.write_all(f);
        }
        for asked in &self.asked {
            write_failures(f, &asked.label, asked)?;
            if let Ok(answered) = &asked.outcome {
                write_answered(f, &asked.label, answered)?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// A line or two for each server, and how their answers compare.
    fn write_all(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (asked, number) in self.asked.iter().zip(1..) {
            let label = format!("{number} {}", asked.label);
            write_failures(f, &label, asked)?;
            if let Ok(it) = &asked.outcome {
                let response = &it.response;
                let flags = response.flags.join(" ");
                let (place, times) = (place(it), times(it));
                writeln!(
                    f,
                    ";; {label}: {}; {flags}; {place}; {times}; {}",
                    response.rcode,
                    sizes(it)
                )?;
                write_errors(f, it)?;
            }
        }
        let compared = Comparison::of(&self.asked);
        match compared.same {
            Some(true) => writeln!(f, ";; the answers are the same")?,
            Some(false) => writeln!(f, ";; the answers DIFFER")?,
            None => {}
        }
        write!(f, "{compared}")
    }
}

fn write_failures(f: &mut fmt::Formatter<'_>, label: &str, asked: &Asked) -> fmt::Result {
    for Failed { place, problem } in asked.before.iter().chain(asked.outcome.as_ref().err()) {
        let place = place.map_or_else(String::new, |(addr, scheme)| {
            format!(" from {addr} by {scheme}")
        });
        let advice = if problem.advice.is_empty() { "" } else { "; " };
        writeln!(
            f,
            ";; {label}: no response{place}: {}{advice}{}",
            problem.why, problem.advice
        )?;
    }
    Ok(())
}

fn write_answered(f: &mut fmt::Formatter<'_>, label: &str, it: &Answered) -> fmt::Result {
    write!(f, "{}", it.response)?;
    write_errors(f, it)?;
    match &it.response.edns {
        Some(edns) => writeln!(f, ";; EDNS: {}", edns.told())?,
        None => writeln!(f, ";; no EDNS")?,
    }
    let who = it.authentication.told(it.certificate.as_ref());
    writeln!(f, ";; {}, {label}, {who}", place(it))?;
    if let Some(shaken) = &it.session {
        writeln!(f, ";; TLS {}", session(shaken))?;
    }
    writeln!(f, ";; time: {}", times(it))?;
    writeln!(f, ";; size: {}", sizes(it))
}

fn write_errors(f: &mut fmt::Formatter<'_>, it: &Answered) -> fmt::Result {
    let edns = it.response.edns.iter();
    let mut errors = edns.flat_map(super::response::Edns::errors);
    errors.try_for_each(|error| writeln!(f, ";; {error}"))
}

/// A number of things.
pub(crate) fn count(of: usize) -> Json {
    Json::Number(i64::try_from(of).unwrap_or(i64::MAX))
}

fn place(it: &Answered) -> String {
    format!("from {} by {}", it.addr, it.scheme)
}

fn times(it: &Answered) -> String {
    let mut parts = Vec::new();
    parts.extend(it.tcp.map(|time| format!("TCP {}", millis(time))));
    parts.extend(
        it.handshake
            .map(|time| format!("handshake {}", millis(time))),
    );
    parts.push(format!("answer {}", millis(it.time)));
    match (it.resumes, it.second_handshake) {
        (Some(true), Some(time)) => parts.push(format!("resumed handshake {}", millis(time))),
        (Some(false), _) => parts.push("sessions are not resumed".to_owned()),
        _ => {}
    }
    parts.join(", ")
}

fn sizes(it: &Answered) -> String {
    let to = it.padded_to;
    let query = to.map_or_else(String::new, |block| {
        format!(" padded to a multiple of {block}")
    });
    let padding = it.response.edns.as_ref().and_then(|edns| edns.padding);
    let response = padding.map_or_else(String::new, |octets| format!(", {octets} of them padding"));
    let (sent, received) = (it.sent, it.response.octets);
    format!("query {sent} octets{query}, response {received}{response}")
}

fn server_json(asked: &Asked) -> Json {
    let answered = asked.outcome.as_ref().ok();
    let failed = asked.outcome.as_ref().err();
    let place = answered.map(|it| (it.addr, it.scheme));
    let place = place.or(failed.and_then(|it| it.place));
    let shaken = answered.and_then(|it| it.session.as_ref());
    let authenticated = answered.and_then(|it| it.authentication.succeeded());
    let resumed = answered.filter(|it| it.resumes == Some(true));
    let times = [
        ("tcp", answered.and_then(|it| it.tcp)),
        ("handshake", answered.and_then(|it| it.handshake)),
        (
            "resumed_handshake",
            resumed.and_then(|it| it.second_handshake),
        ),
        ("answer", answered.map(|it| it.time)),
    ];
    let times = times.map(|(name, time)| (name, Json::maybe(time, in_millis)));
    let size = Json::Object(vec![
        ("query", Json::maybe(answered, |it| count(it.sent))),
        (
            "response",
            Json::maybe(answered, |it| count(it.response.octets)),
        ),
        (
            "query_padded_to",
            Json::maybe(answered.and_then(|it| it.padded_to), |block| {
                Json::Number(block.into())
            }),
        ),
    ]);
    let before = asked.before.iter().map(|failed| {
        let (addr, scheme) = (failed.place.map(|it| it.0), failed.place.map(|it| it.1));
        Json::Object(vec![
            (
                "address",
                Json::maybe(addr, |addr| Json::text(addr.to_string())),
            ),
            ("scheme", Json::maybe(scheme, Json::text)),
            ("problem", problem_json(&failed.problem)),
        ])
    });
    Json::Object(vec![
        ("server", Json::text(&asked.label)),
        ("answered", Json::Bool(asked.is_answered())),
        (
            "address",
            Json::maybe(place, |(addr, _)| Json::text(addr.to_string())),
        ),
        (
            "scheme",
            Json::maybe(place, |(_, scheme)| Json::text(scheme)),
        ),
        ("authenticated", Json::maybe(authenticated, Json::Bool)),
        ("tls", Json::maybe(shaken, session_json)),
        (
            "resumes",
            Json::maybe(answered.and_then(|it| it.resumes), Json::Bool),
        ),
        ("times_ms", Json::Object(times.into())),
        ("octets", size),
        (
            "response",
            Json::maybe(asked.response(), super::response::Response::json),
        ),
        (
            "problem",
            Json::maybe(failed, |it| problem_json(&it.problem)),
        ),
        ("before", Json::List(before.collect())),
    ])
}
