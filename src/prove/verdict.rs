//! What follows from what was seen. Pure.

use super::path::{Outcome, Seen};
use super::{Real, Server};
use crate::engine::local_names::proof::Forwarding;
use std::fmt;

/// The one thing that the user wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub kind: Kind,
    /// Why, as a sentence.
    pub why: String,
}

/// The exit code, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Queries go through dotward, which forwards them encrypted to a server that it verifies, and does so now.
    Encrypted = 0,
    /// Queries do not go through dotward, or not all of them.
    NotOurs = 1,
    /// They go through dotward, which does not forward them, or not in that way.
    Failing = 2,
}

impl Kind {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::NotOurs => "not_ours",
            Self::Failing => "failing",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Encrypted => "encrypted and verified",
            Kind::NotOurs => "NOT through dotward",
            Kind::Failing => "through dotward, but FAILING",
        };
        write!(f, "{what}: {}", self.why)
    }
}

/// The verdict. Each of the look-ups and of the servers was asked for a name that only dotward answers; the real question was asked if one of them was.
pub fn verdict(lookups: &[Seen], servers: &[Server], real: Option<&Real>) -> Verdict {
    let not_ours = |why: String| Verdict {
        kind: Kind::NotOurs,
        why,
    };
    let failing = |why: String| Verdict {
        kind: Kind::Failing,
        why,
    };
    let told = |seen: &Seen| match seen.outcome {
        Outcome::Ours(told) => Some(told),
        _ => None,
    };
    let ours = lookups.iter().filter_map(told).count();
    if let Some(other) = lookups.iter().find(|seen| told(seen).is_none()) {
        let why = elsewhere(&other.outcome);
        return not_ours(if ours == 0 {
            why
        } else {
            let all = lookups.len();
            format!(
                "only {ours} of {all} look-ups came to it, so that others leave as they are; {why}"
            )
        });
    }
    let answers_otherwise =
        |server: &&Server| matches!(server.seen.outcome, Outcome::Others(_) | Outcome::Denied(_));
    if let Some(other) = servers.iter().find(answers_otherwise) {
        let addr = other.addr;
        return not_ours(format!(
            "{addr} is also a name server of this machine, and is not dotward: queries are sent there, too, and leave as they are; name dotward alone"
        ));
    }
    // Who tells the worst decides, where there is more than one dotward.
    let direct = servers.iter().map(|server| &server.seen);
    let all = lookups.iter().chain(direct).filter_map(told);
    let forwarding = all.max_by_key(|told| *told as u8);
    if forwarding.is_none_or(|told| told == Forwarding::Unauthenticated) {
        return failing("it is configured to forward without encryption, or to a server that it does not authenticate".to_owned());
    }
    match real.map(|real| (&real.name, real.failure())) {
        Some((name, Some(why))) => failing(format!("a real question, {name}, got no answer: {why}")),
        _ if forwarding == Some(Forwarding::AuthenticatedButRoutes) => Verdict {
            kind: Kind::Encrypted,
            why: "this machine's queries go through dotward, which forwards them encrypted to servers that it verifies, but for the domains of some routes".to_owned(),
        },
        _ => Verdict {
            kind: Kind::Encrypted,
            why: "this machine's queries go through dotward, which forwards them encrypted to servers that it verifies, and to no others".to_owned(),
        },
    }
}

/// Why somebody else has answered, or nobody.
fn elsewhere(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ours(_) => String::new(),
        Outcome::Others(found) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            format!(
                "another resolver has answered, which gives names that do not exist an address ({})",
                found.join(", ")
            )
        }
        Outcome::Denied(why) => {
            format!(
                "another resolver has answered, which does not know the name that only dotward answers ({why})"
            )
        }
        Outcome::Failed(why) => format!("nobody has answered: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::time::Duration;

    const OURS: Outcome = Outcome::Ours(Forwarding::Authenticated);

    fn seen(outcome: Outcome) -> Seen {
        Seen {
            name: "a.dotward.arpa.".to_owned(),
            outcome,
            time: Duration::ZERO,
        }
    }

    fn judged(lookups: &[Outcome], servers: &[Outcome], failure: Option<&str>) -> Verdict {
        let lookups: Vec<Seen> = lookups.iter().cloned().map(seen).collect();
        let addr: SocketAddr = "192.0.2.1:53".parse().unwrap();
        let server = |outcome: &Outcome| Server {
            addr,
            seen: seen(outcome.clone()),
        };
        let servers: Vec<Server> = servers.iter().map(server).collect();
        let real = Real {
            name: "x.example.com.".to_owned(),
            server: Some(addr),
            outcome: Err(failure.unwrap_or_default().to_owned()),
            time: Duration::ZERO,
        };
        verdict(&lookups, &servers, failure.map(|_| &real))
    }

    // req 133
    #[test]
    fn each_verdict_has_its_reason() {
        let denied = || Outcome::Denied("NXDOMAIN".to_owned());
        let failed = || Outcome::Failed("no response".to_owned());
        let wild = || Outcome::Others(vec!["192.0.2.9".parse().unwrap()]);
        let told = Outcome::Ours;
        for (lookups, servers, failure, kind, part) in [
            (
                vec![OURS, OURS],
                vec![OURS],
                None,
                Kind::Encrypted,
                "and to no others",
            ),
            (vec![OURS], vec![failed()], None, Kind::Encrypted, ""),
            (vec![denied()], vec![], None, Kind::NotOurs, "(NXDOMAIN)"),
            (vec![wild()], vec![], None, Kind::NotOurs, "192.0.2.9"),
            (
                vec![failed()],
                vec![],
                None,
                Kind::NotOurs,
                "nobody has answered",
            ),
            (
                vec![OURS, denied()],
                vec![],
                None,
                Kind::NotOurs,
                "only 1 of 2",
            ),
            (
                vec![OURS],
                vec![OURS, denied()],
                None,
                Kind::NotOurs,
                "192.0.2.1:53",
            ),
            (
                vec![OURS],
                vec![OURS],
                Some("SERVFAIL"),
                Kind::Failing,
                "SERVFAIL",
            ),
            (
                vec![told(Forwarding::Unauthenticated)],
                vec![],
                None,
                Kind::Failing,
                "without encryption",
            ),
            (
                vec![OURS, told(Forwarding::Unauthenticated)],
                vec![],
                None,
                Kind::Failing,
                "without encryption",
            ),
            (
                vec![told(Forwarding::AuthenticatedButRoutes)],
                vec![],
                None,
                Kind::Encrypted,
                "some routes",
            ),
        ] {
            let verdict = judged(&lookups, &servers, failure);
            assert_eq!(verdict.kind, kind, "{verdict}");
            assert!(verdict.why.contains(part), "{verdict}");
        }
    }
}
