//! Routes as they were written in a file, as those of a configuration.

use super::UsageError;
use super::file::RouteTexts;
use super::given::Given;
use super::origin::Place;
use super::units::switch;
use super::upstreams::{Plaintext, read_upstream};
use super::values::Values;
use crate::config::{ConfigError, Domain, Policy, Route, Target, hint};
use std::net::IpAddr;

/// What is done with the queries of a route that has no upstreams.
const TARGETS: [(&str, Target); 3] = [
    ("refuse", Target::Refuse),
    ("nxdomain", Target::NxDomain),
    ("local", Target::Local),
];

/// All routes of a file.
pub(super) fn read_routes(given: &Given, plaintext: &Plaintext) -> Result<Vec<Route>, UsageError> {
    let routes = given.routes.iter();
    routes.map(|texts| route(texts, plaintext)).collect()
}

fn route(texts: &RouteTexts, plaintext: &Plaintext) -> Result<Route, UsageError> {
    let error = |what: &str| UsageError(format!("{}: this route {what}", texts.place));
    let field = |name: &str| texts.fields.get(name);
    let not_empty = |values: &&Values| !values.texts.is_empty();
    let domains = field("domain")
        .filter(not_empty)
        .ok_or_else(|| error("has no domain"))?;
    let domains = domains.all("domain", |text| read_domain(&text.text))?;
    let target = match (field("upstreams"), field("to")) {
        (Some(upstreams), None) if not_empty(&upstreams) => {
            let allowed = field("allow_plaintext").map(|one| one.last("allow_plaintext", switch));
            let own = allowed.transpose()?.flatten().map(Plaintext::from);
            let plaintext = own.as_ref().unwrap_or(plaintext);
            let policy = field("policy").map(|one| one.last("policy", str::parse::<Policy>));
            Target::Upstreams {
                upstreams: upstreams.all("upstreams", |text| {
                    no_target(&text.text)?;
                    read_upstream(text, plaintext)
                })?,
                policy: policy.transpose()?.flatten().unwrap_or_default(),
            }
        }
        (Some(_), None) => return Err(error("has an empty list of upstreams")),
        (None, Some(to)) => {
            for beside in ["policy", "allow_plaintext"] {
                if let Some(values) = field(beside) {
                    return Err(beside_to(values, beside, to, "concerns upstreams"));
                }
            }
            let target = to.last("to", target)?;
            target.ok_or_else(|| error("has an empty to"))?
        }
        (Some(upstreams), Some(to)) => {
            return Err(beside_to(
                upstreams,
                "upstreams",
                to,
                "would forward the queries",
            ));
        }
        (None, None) => return Err(error("has neither upstreams nor to")),
    };
    Ok(Route::new(domains, target))
}

/// What is done instead of forwarding is no upstream.
fn no_target(text: &str) -> Result<(), ConfigError> {
    let mut targets = TARGETS.iter();
    match targets.find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        Some((name, _)) => {
            let reason = format!("is no upstream: write to = {name:?} in the place of upstreams");
            Err(ConfigError::new("upstreams", text, reason))
        }
        None => Ok(()),
    }
}

fn read_domain(text: &str) -> Result<Domain, ConfigError> {
    let (mistake, rest) = match text.strip_prefix("*.") {
        Some(rest) => ("has a wildcard", rest),
        None if text == "*" => ("has a wildcard", ""),
        None => ("begins with a dot", text.strip_prefix('.').unwrap_or(text)),
    };
    let domain = if rest.is_empty() { "." } else { rest };
    if domain != text && domain.parse::<Domain>().is_ok() {
        let reason =
            format!("{mistake}, and a route takes all names below its domain: write {domain:?}");
        return Err(ConfigError::new("domain", text, reason));
    }
    let bare = text.split_once('/').map_or(text, |(address, _)| address);
    if bare.parse::<IpAddr>().is_ok() {
        let reason = "is an address, and a route is for names: write the reverse zone, as 10.in-addr.arpa for 10.0.0.0/8";
        return Err(ConfigError::new("domain", text, reason));
    }
    text.parse()
}

/// A key that contradicts the `to` of its route.
fn beside_to(values: &Values, name: &str, to: &Values, does: &str) -> UsageError {
    let to_line = to.origin.place().map_or(0, |place: &Place| place.line);
    UsageError(format!(
        "{}: {does}, and to in line {to_line} says that they are not forwarded; leave one of them out",
        values.origin.name(name)
    ))
}

fn target(text: &str) -> Result<Target, String> {
    let found = TARGETS.iter().find(|(name, _)| *name == text);
    found.map(|(_, target)| target.clone()).ok_or_else(|| {
        let names = TARGETS.map(|(name, _)| name);
        let hint = hint(text, names.into_iter());
        format!("is none of {}{hint}", names.join(", "))
    })
}
