//! What was seen, for people and for programs. Its JSON is described in `docs/prove.md`, and does not change without a new `format`.

use super::path::{Outcome, Path, Seen, told};
use super::told::Told;
use super::verdict::Verdict;
use super::{Real, Server};
use crate::engine::local_names::proof::Forwarding;
use crate::json::Json;
use crate::probe::report::{in_millis, millis, problem_json, session, session_json};
use crate::query::asking::{Answered, Asked};
use crate::query::count;
use crate::transports::is_own_address;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The number of the JSON document's format.
const FORMAT: i64 = 1;

/// What was seen.
#[derive(Debug)]
pub struct Report {
    pub(super) name: String,
    pub(super) way: Path,
    pub(super) lookups: Vec<Seen>,
    pub(super) servers: Vec<Server>,
    pub(super) elsewhere: Vec<Server>,
    pub(super) listener: Option<SocketAddr>,
    pub(super) real: Option<Real>,
    pub(super) told: Option<Result<Told, String>>,
    pub(super) observed: Option<Asked>,
    pub(super) file: Option<String>,
    pub(super) verdict: Verdict,
}

impl Report {
    /// The exit code.
    pub fn code(&self) -> u8 {
        self.verdict.kind as u8
    }

    /// One JSON document, without a line break within.
    pub fn json(&self) -> String {
        let (daemon, problem) = match &self.told {
            Some(Ok(told)) => (Some(told), None),
            Some(Err(why)) => (None, Some(why.as_str())),
            None => (None, None),
        };
        let way = match self.way {
            Path::System => "getaddrinfo",
            Path::Server(_) => "server",
        };
        let listed = |all: &[Server]| Json::List(all.iter().map(server_json).collect());
        let seen_by = self.seen_by().into_iter().map(|(who, what)| {
            Json::Object(vec![("who", Json::text(who)), ("what", Json::text(what))])
        });
        let document = Json::Object(vec![
            ("format", Json::Number(FORMAT)),
            ("verdict", Json::text(self.verdict.kind.word())),
            ("code", Json::Number(self.code().into())),
            ("reason", Json::text(&self.verdict.why)),
            ("name", Json::text(&self.name)),
            ("way", Json::text(way)),
            (
                "lookups",
                Json::List(
                    self.lookups
                        .iter()
                        .map(|it| Json::Object(seen_json(it)))
                        .collect(),
                ),
            ),
            ("name_servers", listed(&self.servers)),
            ("elsewhere", listed(&self.elsewhere)),
            (
                "listener",
                Json::maybe(self.listener, |it| Json::text(it.to_string())),
            ),
            ("query", Json::maybe(self.real.as_ref(), real_json)),
            ("daemon", Json::maybe(daemon, daemon_json)),
            ("daemon_problem", Json::maybe(problem, Json::text)),
            (
                "upstream",
                Json::maybe(self.observed.as_ref(), observed_json),
            ),
            ("seen_by", Json::List(seen_by.collect())),
        ]);
        format!("{document}\n")
    }

    /// Who has seen what of a query, as far as that is known.
    fn seen_by(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if self
            .real
            .as_ref()
            .is_none_or(|real| real.failure().is_some())
        {
            return rows;
        }
        let on_the_way = match self.listener {
            Some(addr) if is_here(addr.ip()) => "the name and the answer, in the clear: they do not leave it on their way to dotward".to_owned(),
            Some(addr) => format!(
                "the name and the answer, in the clear, and so does whoever can read what goes to {}: dotward is not on this host",
                addr.ip()
            ),
            None => "the name and the answer, in the clear, on their way to dotward".to_owned(),
        };
        rows.push(("this host", on_the_way));
        rows.push(("dotward", "the name, the answer, and who asks".to_owned()));
        let answered = self
            .observed
            .as_ref()
            .and_then(|it| it.outcome.as_ref().ok());
        let is_encrypted = !self
            .lookups
            .iter()
            .any(|seen| matches!(seen.outcome, Outcome::Ours(Forwarding::Unauthenticated)));
        if is_encrypted {
            let place = answered.map(|it| it.addr.to_string());
            let place = place.or_else(|| {
                let told = self.told.as_ref().and_then(|told| told.as_ref().ok());
                told.and_then(|told| told.addresses.first().cloned())
            });
            let place = place.unwrap_or_else(|| "a resolver".to_owned());
            rows.push((
                "the network",
                format!("that dotward talks to {place}, when, and the padded lengths; no names"),
            ));
        } else {
            rows.push((
                "the network",
                "perhaps the name and the answer, in the clear".to_owned(),
            ));
        }
        rows.push((
            "the upstream",
            "the name, and the address of dotward's host; not who asks".to_owned(),
        ));
        rows
    }

    fn write_path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.way {
            Path::System => "getaddrinfo, as programs of this machine ask".to_owned(),
            Path::Server(server) => format!("a query to {server}"),
        };
        for (index, seen) in self.lookups.iter().enumerate() {
            let heading = if index == 0 { "look-ups" } else { "" };
            row(
                f,
                heading,
                &format!(
                    "{}: {}, {}",
                    seen.name,
                    outcome(&seen.outcome),
                    millis(seen.time)
                ),
            )?;
        }
        row(f, "", &format!("by {how}; only dotward answers such names"))?;
        for (index, server) in self.servers.iter().enumerate() {
            let heading = if index == 0 { "servers" } else { "" };
            let text = format!(
                "{} of /etc/resolv.conf, asked directly: {}",
                server.addr,
                outcome(&server.seen.outcome)
            );
            row(f, heading, &text)?;
        }
        for server in &self.elsewhere {
            row(
                f,
                "elsewhere",
                &format!(
                    "dotward answers at {}, which this machine does not ask: dotward resolv-conf says how to change that",
                    server.addr
                ),
            )?;
        }
        Ok(())
    }

    fn write_way(&self, f: &mut fmt::Formatter<'_>, real: &Real) -> fmt::Result {
        row(
            f,
            "client",
            &format!("this process, {}", std::process::id()),
        )?;
        let listener = match self.listener {
            Some(addr) if is_here(addr.ip()) => format!("{addr}, on this host"),
            Some(addr) => format!("{addr}, on another host"),
            None => "not known: the resolver of the system asks it".to_owned(),
        };
        row(f, "listener", &listener)?;
        row(
            f,
            "real query",
            &format!(
                "{} A: {}, {}",
                real.name,
                real_outcome(real),
                millis(real.time)
            ),
        )?;
        match &self.told {
            Some(Ok(told)) => write_told(f, told)?,
            Some(Err(why)) => row(f, "daemon", &format!("tells nothing more: {why}"))?,
            None => {}
        }
        match &self.observed {
            Some(asked) => self.write_observed(f, asked),
            None => row(
                f,
                "upstream",
                "not looked at: --upstream or a configuration file says here which one dotward uses",
            ),
        }
    }

    fn write_observed(&self, f: &mut fmt::Formatter<'_>, asked: &Asked) -> fmt::Result {
        let by = self
            .file
            .as_ref()
            .map_or_else(String::new, |file| format!(", configured by {file}"));
        row(
            f,
            "upstream",
            &format!(
                "{}{by}, on a connection of this command's own:",
                asked.label
            ),
        )?;
        let it = match &asked.outcome {
            Ok(it) => it,
            Err(failed) => {
                let place = failed.place.map_or_else(String::new, |(addr, scheme)| {
                    format!("{addr} by {scheme}: ")
                });
                let advice = if failed.problem.advice.is_empty() {
                    ""
                } else {
                    "; "
                };
                let problem = &failed.problem;
                return row(
                    f,
                    "",
                    &format!("  {place}{}{advice}{}", problem.why, problem.advice),
                );
            }
        };
        row(
            f,
            "",
            &format!(
                "  {} by {}, {}",
                it.addr,
                it.scheme,
                it.authentication.told(it.certificate.as_ref())
            ),
        )?;
        if let Some(shown) = &it.certificate {
            row(f, "", &format!("  certificate {}", certificate(it, shown)))?;
        }
        if let Some(shaken) = &it.session {
            row(f, "", &format!("  TLS {}", session(shaken)))?;
        }
        row(f, "", &format!("  {}", sizes(it)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_path(f)?;
        if let Some(real) = &self.real {
            self.write_way(f, real)?;
            for (index, (who, what)) in self.seen_by().into_iter().enumerate() {
                let heading = if index == 0 { "who sees" } else { "" };
                row(f, heading, &format!("{who}: {what}"))?;
            }
        }
        writeln!(f, "{}", self.verdict)
    }
}

fn row(f: &mut fmt::Formatter<'_>, heading: &str, text: &str) -> fmt::Result {
    writeln!(f, "{heading:<11}{text}")
}

/// Whether an address is one of this host.
fn is_here(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback() || is_own_address(ip)
}

fn outcome(of: &Outcome) -> String {
    match of {
        Outcome::Ours(told) => format!("dotward, which says: {}", forwarding(*told)),
        Outcome::Others(found) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            format!("somebody else: {}", found.join(", "))
        }
        Outcome::Denied(why) => format!("somebody else: {why}"),
        Outcome::Failed(why) => format!("nobody: {why}"),
    }
}

fn forwarding(told: Forwarding) -> &'static str {
    match told {
        Forwarding::Authenticated => "all is forwarded encrypted and verified",
        Forwarding::AuthenticatedButRoutes => {
            "all but some routes is forwarded encrypted and verified"
        }
        Forwarding::Unauthenticated => "not all is forwarded encrypted and verified",
    }
}

fn real_outcome(real: &Real) -> String {
    match &real.outcome {
        Ok(Some(response)) => told(response),
        Ok(None) => "answered".to_owned(),
        Err(why) => why.clone(),
    }
}

fn write_told(f: &mut fmt::Formatter<'_>, told: &Told) -> fmt::Result {
    row(
        f,
        "daemon",
        &format!(
            "dotward {}, as it tells over {}:",
            told.version, told.socket
        ),
    )?;
    let label = told.upstream.as_deref().unwrap_or("no upstream");
    let protocols = told
        .protocols
        .as_ref()
        .map_or_else(String::new, |it| format!(" by {it}"));
    let addresses = if told.addresses.is_empty() {
        String::new()
    } else {
        format!(" at {}", told.addresses.join(", "))
    };
    row(f, "", &format!("  upstream {label}{protocols}{addresses}"))?;
    if let Some(connection) = &told.connection {
        row(f, "", &format!("  its last connection: {connection}"))?;
    }
    if let Some(source) = &told.source {
        let time = told
            .round_trip
            .map_or_else(String::new, |time| format!(", round trip {time:.1} ms"));
        row(
            f,
            "",
            &format!("  another real query was answered from: {source}{time}"),
        )?;
    }
    match &told.trouble {
        Some(why) => row(f, "", &format!("  it last failed: {why}")),
        None => Ok(()),
    }
}

fn certificate(it: &Answered, shown: &crate::transports::tls::inspect::Certificate) -> String {
    let name = it.authentication.matched(shown);
    let name = name
        .or_else(|| shown.names.first().cloned())
        .unwrap_or_else(|| "without a name".to_owned());
    let issuer = shown.issuer.as_deref().unwrap_or("nobody that has a name");
    format!("{name}, issued by {issuer}")
}

fn sizes(it: &Answered) -> String {
    let padded = it.padded_to.map_or_else(String::new, |block| {
        format!(" padded to a multiple of {block}")
    });
    format!(
        "query {} octets{padded}, response {}",
        it.sent, it.response.octets
    )
}

fn seen_json(seen: &Seen) -> Vec<(&'static str, Json)> {
    let (word, told, found, why) = match &seen.outcome {
        Outcome::Ours(told) => ("dotward", Some(*told), &[][..], None),
        Outcome::Others(found) => ("other", None, &found[..], None),
        Outcome::Denied(why) => ("other", None, &[][..], Some(why)),
        Outcome::Failed(why) => ("nobody", None, &[][..], Some(why)),
    };
    let forwards = told.map(|told| match told {
        Forwarding::Authenticated => "authenticated",
        Forwarding::AuthenticatedButRoutes => "authenticated_but_routes",
        Forwarding::Unauthenticated => "unauthenticated",
    });
    vec![
        ("asked", Json::text(&seen.name)),
        ("answered_by", Json::text(word)),
        ("forwards", Json::maybe(forwards, Json::text)),
        (
            "addresses",
            Json::List(found.iter().map(|ip| Json::text(ip.to_string())).collect()),
        ),
        ("why", Json::maybe(why, |why| Json::text(why.as_str()))),
        ("time_ms", in_millis(seen.time)),
    ]
}

fn server_json(server: &Server) -> Json {
    let mut members = vec![
        ("address", Json::text(server.addr.to_string())),
        ("here", Json::Bool(is_here(server.addr.ip()))),
    ];
    members.extend(seen_json(&server.seen));
    Json::Object(members)
}

fn real_json(real: &Real) -> Json {
    let response = real.outcome.as_ref().ok().and_then(Option::as_ref);
    Json::Object(vec![
        ("asked", Json::text(&real.name)),
        (
            "server",
            Json::maybe(real.server, |it| Json::text(it.to_string())),
        ),
        ("answered", Json::Bool(real.failure().is_none())),
        (
            "rcode",
            Json::maybe(response, |it| Json::text(it.rcode.to_string())),
        ),
        ("why", Json::maybe(real.failure(), Json::text)),
        ("time_ms", in_millis(real.time)),
    ])
}

fn daemon_json(told: &Told) -> Json {
    let text = |text: &Option<String>| Json::maybe(text.as_deref(), Json::text);
    let addresses = told.addresses.iter().map(|it| Json::text(it.as_str()));
    Json::Object(vec![
        ("socket", Json::text(&told.socket)),
        ("version", Json::text(&told.version)),
        ("source", text(&told.source)),
        ("upstream", text(&told.upstream)),
        ("protocols", text(&told.protocols)),
        ("addresses", Json::List(addresses.collect())),
        ("connection", text(&told.connection)),
        (
            "round_trip_ms",
            Json::maybe(told.round_trip, Json::Fraction),
        ),
        ("trouble", text(&told.trouble)),
    ])
}

fn observed_json(asked: &Asked) -> Json {
    let answered = asked.outcome.as_ref().ok();
    let failed = asked.outcome.as_ref().err();
    let place = answered.map(|it| (it.addr, it.scheme));
    let place = place.or(failed.and_then(|it| it.place));
    let shown = answered.and_then(|it| Some((it, it.certificate.as_ref()?)));
    let certificate = Json::maybe(shown, |(it, shown)| {
        Json::Object(vec![
            (
                "matched_name",
                Json::maybe(it.authentication.matched(shown), Json::text),
            ),
            (
                "names",
                Json::List(
                    shown
                        .names
                        .iter()
                        .map(|name| Json::text(name.as_str()))
                        .collect(),
                ),
            ),
            ("issuer", Json::maybe(shown.issuer.as_deref(), Json::text)),
        ])
    });
    let octets = Json::maybe(answered, |it| {
        Json::Object(vec![
            ("query", count(it.sent)),
            (
                "query_padded_to",
                Json::maybe(it.padded_to, |block| Json::Number(block.into())),
            ),
            ("response", count(it.response.octets)),
        ])
    });
    let authenticated = answered.and_then(|it| it.authentication.succeeded());
    let shaken = answered.and_then(|it| it.session.as_ref());
    Json::Object(vec![
        ("label", Json::text(&asked.label)),
        (
            "address",
            Json::maybe(place, |it| Json::text(it.0.to_string())),
        ),
        ("scheme", Json::maybe(place, |it| Json::text(it.1))),
        ("authenticated", Json::maybe(authenticated, Json::Bool)),
        ("certificate", certificate),
        ("tls", Json::maybe(shaken, session_json)),
        ("octets", octets),
        (
            "problem",
            Json::maybe(failed, |it| problem_json(&it.problem)),
        ),
    ])
}
