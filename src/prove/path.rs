//! The way by which names are looked up: that of all programs of this machine, or one server. Is it dotward that answers?

use super::direct;
use crate::cli::Question;
use crate::engine::local_names::proof::{self, Forwarding};
use crate::query::response::{Edns, Response};
use crate::wire::Rcode;
use domain::base::Name;
use domain::base::iana::Rtype;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The domain of the names that only dotward answers, with the final dot, so that no search list is tried.
const DOMAIN: &str = "dotward.arpa.";
/// How dotward may say that it forwards.
const WAYS: [Forwarding; 3] = [
    Forwarding::Authenticated,
    Forwarding::AuthenticatedButRoutes,
    Forwarding::Unauthenticated,
];

/// Where names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// By `getaddrinfo`, as every program of this machine looks names up that has no resolver of its own.
    System,
    /// By a query to this server.
    Server(SocketAddr),
}

/// A look-up of a name that only dotward answers.
#[derive(Clone, Debug)]
pub struct Seen {
    /// With the final dot.
    pub name: String,
    pub outcome: Outcome,
    pub time: Duration,
}

/// Who has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Dotward, which tells how it forwards.
    Ours(Forwarding),
    /// Somebody else, with these addresses of a name that does not exist.
    Others(Vec<IpAddr>),
    /// Somebody else, who knows of no such name, or gives no address.
    Denied(String),
    /// Nobody.
    Failed(String),
}

impl Path {
    /// Looks up the name with this label, which nobody else has asked for.
    pub fn prove(self, label: &str, ids: [u16; 2], limit: Duration) -> Seen {
        let name = format!("{label}.{DOMAIN}");
        let start = Instant::now();
        let found = match self {
            Self::System => look_up(&name, limit),
            Self::Server(server) => both_types(server, &name, ids, limit),
        };
        let outcome = match found {
            Ok(found) => outcome(label, found),
            Err(why) => why,
        };
        Seen {
            name,
            outcome,
            time: start.elapsed(),
        }
    }
}

/// What these addresses of the name with this label say.
fn outcome(label: &str, found: Vec<IpAddr>) -> Outcome {
    let told = WAYS.into_iter().find(|told| {
        let (v6, v4) = proof::addresses(label.as_bytes(), *told);
        let has = |ip: IpAddr| found.contains(&ip);
        has(v6.into()) || v4.into_iter().all(|ip| has(ip.into()))
    });
    match told {
        Some(told) => Outcome::Ours(told),
        None if found.is_empty() => Outcome::Denied("it has no address".to_owned()),
        None => Outcome::Others(found),
    }
}

/// The addresses of a name by `getaddrinfo`, which has no time limit of its own: it goes on in its thread until the end of the process.
pub fn look_up(name: &str, limit: Duration) -> Result<Vec<IpAddr>, Outcome> {
    let (sender, receiver) = channel();
    let name = name.to_owned();
    let work = move || {
        let found = (name.as_str(), 0).to_socket_addrs();
        let found = found.map(|all| {
            let mut found: Vec<IpAddr> = all.map(|addr| addr.ip()).collect();
            found.dedup();
            found
        });
        // Nobody waits for what comes too late.
        let _late_or_not = sender.send(found);
    };
    let spawned = thread::Builder::new()
        .name("dotward-prove".into())
        .spawn(work);
    spawned.map_err(|error| Outcome::Failed(format!("no thread can be started: {error}")))?;
    match receiver.recv_timeout(limit) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(refused(&error.to_string())),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(Outcome::Failed(format!(
                "the resolver of this system does not answer within {} s",
                limit.as_secs_f64()
            )))
        }
    }
}

/// What an error of `getaddrinfo` means, of which there is only the text. "Try again", by glibc and by musl, is what it says where no server has answered, or
/// one with SERVFAIL; anything else means that there is no such name.
fn refused(error: &str) -> Outcome {
    let text = error.rsplit(": ").next().unwrap_or(error);
    let is_temporary = ["Temporary failure", "Try again"];
    if is_temporary.iter().any(|it| text.starts_with(it)) {
        let why = format!("{text} (no server answers, or one with SERVFAIL)");
        return Outcome::Failed(why);
    }
    Outcome::Denied(text.to_owned())
}

/// The addresses of both families from one server.
fn both_types(
    server: SocketAddr,
    name: &str,
    ids: [u16; 2],
    limit: Duration,
) -> Result<Vec<IpAddr>, Outcome> {
    let name = Name::<Vec<u8>>::from_str(name).map(Name::into_octets);
    let name = name.map_err(|error| Outcome::Failed(error.to_string()))?;
    let mut found = Vec::new();
    for (rtype, id) in [Rtype::A, Rtype::AAAA].into_iter().zip(ids) {
        let question = Question {
            name: name.clone(),
            rtype: rtype.to_int(),
        };
        let asked = direct::ask(server, &question, id, limit);
        let (response, _) = asked.map_err(Outcome::Failed)?;
        match response.rcode {
            Rcode::NOERROR => found.extend(addresses(&response)),
            // Dotward does not fail at such a name, whatever its upstreams do.
            _ => return Err(Outcome::Denied(told(&response))),
        }
    }
    Ok(found)
}

/// The addresses in an answer.
pub fn addresses(response: &Response) -> impl Iterator<Item = IpAddr> {
    let [answer, ..] = &response.sections;
    answer.iter().filter_map(|record| record.data.parse().ok())
}

/// The code of a response, and why.
pub fn told(response: &Response) -> String {
    let errors = response.edns.iter().flat_map(Edns::errors);
    let errors: Vec<String> = errors.collect();
    if errors.is_empty() {
        return response.rcode.to_string();
    }
    format!("{}, {}", response.rcode, errors.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "0123456789abcdef";

    // req 131
    #[test]
    fn the_addresses_of_either_family_are_enough() {
        for told in WAYS {
            let (v6, v4) = proof::addresses(LABEL.as_bytes(), told);
            let mut found: Vec<IpAddr> = v4.map(Into::into).into();
            found.reverse();
            assert_eq!(outcome(LABEL, found.clone()), Outcome::Ours(told));
            found.push(v6.into());
            assert_eq!(outcome(LABEL, found), Outcome::Ours(told));
            assert_eq!(outcome(LABEL, vec![v6.into()]), Outcome::Ours(told));
        }
    }

    // fault 156
    #[test]
    fn nobody_else_has_them() {
        let (v6, v4) = proof::addresses(b"other", Forwarding::Authenticated);
        let (_, [first, second, third, _]) =
            proof::addresses(LABEL.as_bytes(), Forwarding::Authenticated);
        for found in [
            vec!["192.0.2.1".parse().unwrap()],
            vec![v6.into()],
            v4.map(Into::into).into(),
            vec![first.into(), second.into(), third.into()],
        ] {
            assert_eq!(outcome(LABEL, found.clone()), Outcome::Others(found));
        }
        assert!(matches!(outcome(LABEL, vec![]), Outcome::Denied(_)));
    }

    // fault 157
    #[test]
    fn an_error_of_the_system_says_whether_anybody_has_answered() {
        let lookup = "failed to lookup address information: ";
        for (text, answers) in [
            ("Name or service not known", true),
            ("Name does not resolve", true),
            ("No address associated with hostname", true),
            ("Temporary failure in name resolution", false),
            ("Try again", false),
        ] {
            let read = refused(&format!("{lookup}{text}"));
            assert_eq!(matches!(read, Outcome::Denied(_)), answers, "{text}");
        }
    }
}
