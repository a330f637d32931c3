//! What a failure means, in one place: the RCODE and the extended error that clients get (RFC 8914), and the line in the log.
//! What to do about it is in `remedies`.

use crate::engine::recorder::FailureId;
use crate::engine::remedies;
use crate::engine::response::{Final, Meaning};
use crate::engine::words::Lasting;
use crate::transport::ConnectError;
use crate::wire::{self, Ede, Rcode, Response};
use log::Level;
use std::borrow::Cow;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// Octets of EXTRA-TEXT at most. With the longest name, and in the 512 octets that every client with EDNS takes, 218 are left.
const MAX_TEXT: usize = 216;
/// Octets of the longest mark that others are left out.
const MAX_MARK: usize = "; and 65535 more".len();
/// Octets that are remembered of the reason why an upstream failed.
const MAX_REASON: usize = 128;

/// The address of a client is not on the access list.
pub const NOT_ALLOWED: &str = "this address is not allowed to query this server";
/// Why an upstream has not answered that sends answers all the same.
pub const STRAYS: &str = "it sends answers to other questions";
/// Why another has not answered.
pub const LOOPS: &str = "no answer in time, and the same question came from there: a loop";
/// It answers with SERVFAIL.
pub const CANNOT: &str = "cannot resolve this name";
/// It answers with REFUSED.
pub const REFUSES_QUERY: &str = "refuses this query";
/// It answers that DNSSEC validation has failed.
pub const INVALID: &str = "DNSSEC validation fails";
/// It answers that a policy stands before the name.
pub const BLOCKS: &str = "blocks this name";
/// It answers with FORMERR or NOTIMP.
pub const UNKNOWN: &str = "does not understand this query";

/// Why a client gets no answer from an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The query was sent to nobody: no upstream could be connected to.
    NotConnected,
    /// It was sent, and no answer came in time.
    NotAnswered,
    /// It was sent, and every connection that it was sent on was lost.
    ConnectionLost,
    /// An answer came that cannot be read, or of which the connection says that it failed, and a repetition did not help.
    Malformed,
    /// The answer that came was truncated, although the client asks over a stream and cannot ask for more.
    Truncated,
    /// There are too many queries in flight.
    TooMany,
    /// The client has too many queries in flight.
    TooManyOfClient,
    /// The client is not on the access list.
    NotAllowed,
    /// The program ends.
    Ending,
    /// No answer came in time, and upstreams that it was sent to asked the same here.
    Loop,
    /// An upstream answers with SERVFAIL.
    Servfail,
    /// An upstream answers with REFUSED.
    Refused,
    /// An upstream answers with FORMERR or NOTIMP.
    NotUnderstood,
    /// An upstream answers that the data of the name did not pass validation.
    NotValidated,
    /// An upstream answers that the name is filtered.
    Blocked,
}

/// What a client and the log are told.
pub struct Explanation {
    pub failure: Failure,
    pub rcode: Rcode,
    code: Ede<'static>,
    text: Cow<'static, str>,
    /// The upstream's response has an extended error of its own, which clients get instead.
    is_told: bool,
    /// The name of its record, which stands at the end of the text.
    id: Option<FailureId>,
    /// Octets of the text in front of that.
    bare: usize,
}

impl Explanation {
    /// The extended error.
    pub fn ede(&self) -> Ede<'_> {
        self.code.with_text(&self.text)
    }

    /// The text without the name of a record.
    pub fn bare_text(&self) -> &str {
        self.text.get(..self.bare).unwrap_or(&self.text)
    }

    /// The name of its record, if there is one.
    pub fn id(&self) -> Option<FailureId> {
        self.id
    }

    /// The same with the name of its record, by which `dotward why` tells what led to it.
    pub fn with_id(mut self, id: FailureId) -> Self {
        let mark = format!(" (id {id})");
        let mut text = self.text.into_owned();
        cut(&mut text, MAX_TEXT - mark.len());
        self.bare = text.len();
        self.text = (text + &mark).into();
        self.id = Some(id);
        self
    }

    /// That of an upstream's response that has none.
    pub fn added(&self) -> Option<Ede<'_>> {
        (!self.is_told).then(|| self.ede())
    }

    /// The line of the log: what happened, and what to do. An upstream's own words are not in it, since they may name what was asked for.
    /// `None` for what is told elsewhere.
    pub fn line(&self) -> Option<(Level, String)> {
        let level = match self.failure {
            // Of a client there is a line with its address, and of the end one for all.
            Failure::NotAllowed | Failure::Ending => return None,
            // It may be the name's fault alone.
            Failure::Servfail
            | Failure::Refused
            | Failure::NotUnderstood
            | Failure::NotValidated
            | Failure::Blocked => Level::Info,
            _ => Level::Warn,
        };
        let advice = advice(remedies::of_reason(self.bare_text()));
        Some((
            level,
            format!("a query failed with {}: {}{advice}", self.rcode, self.text),
        ))
    }
}

/// Behind a reason in the log.
fn advice(remedy: Option<&str>) -> String {
    remedy.map_or_else(String::new, |remedy| format!("; {remedy}"))
}

/// What an upstream's response means that is of no use, if it is that.
#[cold]
pub fn of_response(
    label: &str,
    meaning: Meaning,
    message: &[u8],
    answer: &Response,
) -> Option<Explanation> {
    let rcode = answer.rcode();
    let (failure, what) = match meaning {
        Meaning::Useful | Meaning::Truncated => return None,
        Meaning::Final(Final::Validation) => (Failure::NotValidated, INVALID),
        Meaning::Final(Final::Policy) => (Failure::Blocked, BLOCKS),
        Meaning::Final(Final::Prohibited) => (Failure::Refused, REFUSES_QUERY),
        Meaning::NotUnderstood { .. } => (Failure::NotUnderstood, UNKNOWN),
        Meaning::Failure if rcode == Rcode::REFUSED => (Failure::Refused, REFUSES_QUERY),
        Meaning::Failure => (Failure::Servfail, CANNOT),
    };
    let told = wire::extended_errors(message, answer.opt.as_ref()).next();
    let code = told.map_or_else(String::new, |ede| format!(", extended error {}", ede.code));
    let mut text = format!("{label}: {what} ({rcode}{code})");
    cut(&mut text, MAX_TEXT);
    Some(Explanation {
        failure,
        rcode,
        code: Ede::OTHER,
        bare: text.len(),
        text: text.into(),
        id: None,
        is_told: told.is_some(),
    })
}

/// What is wrong with an upstream, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Trouble<'u> {
    pub label: &'u str,
    /// Why it last failed, in words; `None` if it answered since.
    pub reason: Option<&'u str>,
    /// Whether the query was sent to it.
    pub was_asked: bool,
    /// The proxy that it is connected to through.
    pub proxy: Option<SocketAddr>,
}

impl<'u> Trouble<'u> {
    /// That there is no connection yet, and nothing is known of why.
    fn not_connected(self) -> Cow<'u, str> {
        match self.proxy {
            Some(proxy) => format!("not connected in time through the SOCKS5 proxy {proxy}").into(),
            None => "not connected in time".into(),
        }
    }
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::NotConnected,
        Self::NotAnswered,
        Self::ConnectionLost,
        Self::Malformed,
        Self::Truncated,
        Self::TooMany,
        Self::TooManyOfClient,
        Self::NotAllowed,
        Self::Ending,
        Self::Loop,
        Self::Servfail,
        Self::Refused,
        Self::NotUnderstood,
        Self::NotValidated,
        Self::Blocked,
    ];

    /// The reason in a word, as the metrics have it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::NotAnswered => "not_answered",
            Self::ConnectionLost => "connection_lost",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::TooMany => "in_flight",
            Self::TooManyOfClient => "in_flight_per_client",
            Self::NotAllowed => "denied",
            Self::Ending => "ending",
            Self::Loop => "loop",
            Self::Servfail => "servfail",
            Self::Refused => "refused",
            Self::NotUnderstood => "not_understood",
            Self::NotValidated => "not_validated",
            Self::Blocked => "blocked",
        }
    }

    /// What it means. `upstreams`: all of them, where the failure may be theirs.
    pub fn explain<'u>(self, upstreams: impl Iterator<Item = Trouble<'u>>) -> Explanation {
        let asked = |it: Trouble<'u>, reason| it.was_asked.then_some(Cow::Borrowed(reason));
        let known = |it: Trouble<'u>| it.reason.map(Cow::Borrowed);
        let (code, text) = match self {
            Self::NotConnected => (
                Ede::NO_REACHABLE_AUTHORITY,
                reasons(upstreams, |it| {
                    known(it).or_else(|| Some(it.not_connected()))
                }),
            ),
            Self::NotAnswered => (
                Ede::NETWORK_ERROR,
                reasons(upstreams, |it| {
                    let strays = it.reason.filter(|reason| it.was_asked && *reason == STRAYS);
                    let strays = strays.map(|_| format!("no answer in time, but {STRAYS}").into());
                    strays.or(asked(it, "no answer in time")).or(known(it))
                }),
            ),
            Self::Loop => (
                Ede::NETWORK_ERROR,
                reasons(upstreams, |it| asked(it, LOOPS).or(known(it))),
            ),
            Self::ConnectionLost => (
                Ede::NETWORK_ERROR,
                reasons(upstreams, |it| known(it).or(asked(it, "connection lost"))),
            ),
            Self::Malformed => (
                Ede::NETWORK_ERROR,
                reasons(upstreams, |it| known(it).or(asked(it, "malformed answer"))),
            ),
            Self::Truncated => (Ede::OTHER, "the upstream's answer is truncated".into()),
            Self::TooMany => (Ede::OTHER, "too many queries in flight".into()),
            Self::TooManyOfClient => (
                Ede::OTHER,
                "too many queries in flight from this client".into(),
            ),
            Self::NotAllowed => (Ede::PROHIBITED, NOT_ALLOWED.into()),
            Self::Ending => (Ede::NOT_READY, "the forwarder is being stopped".into()),
            // See `of_response`.
            Self::Servfail => (Ede::OTHER, CANNOT.into()),
            Self::Refused => (Ede::OTHER, REFUSES_QUERY.into()),
            Self::NotUnderstood => (Ede::OTHER, UNKNOWN.into()),
            Self::NotValidated => (Ede::OTHER, INVALID.into()),
            Self::Blocked => (Ede::OTHER, BLOCKS.into()),
        };
        let rcode = match self {
            Self::NotAllowed | Self::Refused => Rcode::REFUSED,
            _ => Rcode::SERVFAIL,
        };
        Explanation {
            failure: self,
            rcode,
            code,
            bare: text.len(),
            text,
            is_told: false,
            id: None,
        }
    }
}

/// The upstreams that failed, each with the reason that `of` gives, as far as there is room.
fn reasons<'u>(
    upstreams: impl Iterator<Item = Trouble<'u>>,
    of: impl Fn(Trouble<'u>) -> Option<Cow<'u, str>>,
) -> Cow<'static, str> {
    let mut text = String::new();
    // Where the last of them begins, and how many do not fit.
    let (mut last, mut left_out) = (0, 0);
    let failed = upstreams.filter_map(|upstream| Some((upstream.label, of(upstream)?)));
    for (label, reason) in failed {
        let separator = if text.is_empty() { "" } else { "; " };
        let len = text.len() + separator.len() + label.len() + 2 + reason.len();
        if left_out > 0 || (len > MAX_TEXT && !text.is_empty()) {
            left_out += 1;
            continue;
        }
        last = text.len();
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{separator}{label}: {reason}");
    }
    cut(&mut text, MAX_TEXT);
    if left_out > 0 {
        if text.len() + MAX_MARK > MAX_TEXT && last > 0 {
            text.truncate(last);
            left_out += 1;
        }
        cut(&mut text, MAX_TEXT - MAX_MARK);
        let _infallible = write!(text, "; and {left_out} more");
    }
    if text.is_empty() {
        return "no upstream is available".into();
    }
    text.into()
}

/// Cuts between characters.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let at = (0..=most).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(at.unwrap_or(0));
    }
}

/// What is remembered of an upstream's failure, for the clients whose queries fail because of it.
pub fn remembered(reason: &str) -> Box<str> {
    let mut reason = reason.to_owned();
    cut(&mut reason, MAX_REASON);
    reason.into()
}

/// Why there is no connection, for clients: without what only the operator can do.
pub fn connect_reason(why: &ConnectError) -> Box<str> {
    match why {
        ConnectError::Unauthenticated { why, .. } => remembered(why),
        other => remembered(&other.to_string()),
    }
}

/// When an upstream that could not be reached is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextTry {
    /// Not before that.
    pub wait: Duration,
    /// Another connect to it is under way.
    pub under_way: bool,
    /// Another upstream is connected: without it, this one is tried sooner.
    pub others_up: bool,
}

/// The line of the log for an upstream that could not be reached.
pub fn connect_line(
    label: &str,
    addr: Option<SocketAddr>,
    why: &ConnectError,
    next: NextTry,
) -> String {
    let at = addr.map_or(String::new(), |addr| format!(" {addr}"));
    let advice = match why {
        ConnectError::Unauthenticated { why, remedy } => {
            let own = Some(&**remedy).filter(|own| !own.is_empty());
            let remedy = own.or_else(|| remedies::of_reason(why));
            format!("; no query was sent to it{}", advice(remedy))
        }
        other => advice(remedies::of_reason(&other.to_string())),
    };
    let NextTry {
        wait,
        under_way,
        others_up,
    } = next;
    let told = Lasting(wait);
    let when = match wait {
        _ if under_way => "another connect is under way".to_owned(),
        // Its other addresses have not had their turn yet, or it took so long that the time to wait is over.
        _ if wait.is_zero() => "tried again at once if queries wait".to_owned(),
        _ if others_up => {
            format!("tried again in {told}, or sooner if no other upstream is connected")
        }
        _ => format!("tried again in {told} if queries wait then, else with the next"),
    };
    format!("{label}{at}: {why}{advice}; {when}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream<'u>(label: &'u str, reason: Option<&'u str>, was_asked: bool) -> Trouble<'u> {
        Trouble {
            label,
            reason,
            was_asked,
            proxy: None,
        }
    }

    fn untrusted(remedy: &str) -> ConnectError {
        ConnectError::Unauthenticated {
            why: "certificate not trusted: unknown issuer".into(),
            remedy: remedy.into(),
        }
    }

    #[test]
    fn clients_learn_which_upstream_failed_and_why() {
        // fault 36
        let reason = connect_reason(&untrusted("x"));
        let upstreams = |asked| {
            let first = upstream("cloudflare", Some(&reason), false);
            [first, upstream("quad9", None, asked)].into_iter()
        };
        let told = Failure::NotConnected.explain(upstreams(false));
        assert_eq!((told.rcode, told.ede().code), (Rcode::SERVFAIL, 22));
        assert_eq!(
            told.ede().text,
            "cloudflare: certificate not trusted: unknown issuer; quad9: not connected in time"
        );
        let told = Failure::NotAnswered.explain(upstreams(true));
        assert_eq!(told.ede().code, 23);
        assert_eq!(
            told.ede().text,
            "cloudflare: certificate not trusted: unknown issuer; quad9: no answer in time"
        );
        let told = Failure::ConnectionLost.explain(upstreams(true));
        assert!(told.ede().text.ends_with("quad9: connection lost"));
        let told = Failure::NotAnswered.explain(upstreams(true).skip(2));
        assert_eq!(told.ede().text, "no upstream is available");
    }

    // fault 174
    #[test]
    fn an_error_of_an_upstream_is_told_without_its_own_words() {
        use crate::wire::testing;
        let query = testing::query("secret.test.", 1).build();
        let told = |rcode, ede: &[u8]| {
            let options = [(15, ede)];
            let options = if ede.is_empty() { &[][..] } else { &options };
            let message = testing::response_to(&query).rcode(rcode);
            let message = message.edns(1232, 0, options).build();
            let answer = wire::parse_response(&message).unwrap();
            let meaning = crate::engine::response::meaning(&message, &answer);
            let told = of_response("quad9", meaning, &message, &answer)?;
            let added = told.added().map(|ede| ede.code);
            Some((told.failure, told.ede().text.to_owned(), added))
        };
        let refused = "quad9: refuses this query (REFUSED)".to_owned();
        assert_eq!(told(5, b""), Some((Failure::Refused, refused, Some(0))));
        let bogus = "quad9: DNSSEC validation fails (SERVFAIL, extended error 6)".to_owned();
        let said = told(2, b"\0\x06secret.test is bogus");
        assert_eq!(said, Some((Failure::NotValidated, bogus, None)));
        assert_eq!(told(3, b""), None, "it is an answer");
    }

    #[test]
    fn the_text_is_bounded_whatever_upstreams_are_called_and_say() {
        let long = "\u{e4}".repeat(300);
        let reason = remembered(&long);
        assert!(reason.len() <= MAX_REASON);
        let labels: Vec<_> = (0..64).map(|index| format!("upstream{index}")).collect();
        let many = || {
            labels
                .iter()
                .map(|label| upstream(label, Some("connection refused"), false))
        };
        let odd = [upstream(&long, Some(&reason), false)].into_iter();
        for told in [
            Failure::NotConnected.explain(odd),
            Failure::NotConnected.explain(many()),
        ] {
            let text = told.ede().text;
            assert!((100..=MAX_TEXT).contains(&text.len()), "{text}");
        }
        let told = Failure::NotConnected.explain(many());
        let shown = told.ede().text.matches("connection refused").count();
        let rest = format!("connection refused; and {} more", labels.len() - shown);
        assert!(
            told.ede().text.ends_with(&rest),
            "whole: {}",
            told.ede().text
        );
        let told = Failure::NotConnected.explain(many().take(shown));
        assert!(!told.ede().text.contains("more"), "{}", told.ede().text);
        let first = upstream(&long, Some(&reason), false);
        let told = Failure::NotConnected.explain([first, first].into_iter());
        let text = told.ede().text;
        assert!(
            text.len() <= MAX_TEXT && text.ends_with("; and 1 more"),
            "{text}"
        );
    }

    #[test]
    fn the_log_says_what_to_do_and_what_follows() {
        let addr = "192.0.2.1:853".parse().ok();
        let at_once = NextTry {
            wait: Duration::ZERO,
            under_way: false,
            others_up: false,
        };
        let later = NextTry {
            wait: Duration::from_millis(9_820),
            under_way: false,
            others_up: true,
        };
        let soon = NextTry {
            others_up: false,
            ..later
        };
        let line = connect_line("quad9", addr, &untrusted("give it by --ca-file"), at_once);
        assert_eq!(
            line,
            "quad9 192.0.2.1:853: not authenticated: certificate not trusted: unknown issuer; no query was sent to it; give it by \
             --ca-file; tried again at once if queries wait"
        );
        let raced = NextTry {
            under_way: true,
            ..at_once
        };
        let line = connect_line("quad9", None, &ConnectError::TimedOut, raced);
        assert!(line.ends_with("; another connect is under way"), "{line}");
        let line = connect_line("quad9", None, &ConnectError::TimedOut, later);
        assert_eq!(
            line,
            "quad9: connect or handshake timed out; a firewall may drop it, or the server is down: try from another network, or name \
             another upstream; tried again in 9.8s, or sooner if no other upstream is connected"
        );
        let line = connect_line("quad9", None, &ConnectError::TimedOut, soon);
        assert!(line.ends_with("tried again in 9.8s if queries wait then, else with the next"));
    }
}
