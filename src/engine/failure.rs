//! What a failure means, in one place: the RCODE and the extended error that clients get (RFC 8914), and the line in the log.

use crate::engine::recorder::FailureId;
use crate::engine::words::Lasting;
use crate::transport::ConnectError;
use crate::wire::{Ede, Rcode};
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
}

/// What a client and the log are told.
pub struct Explanation {
    pub failure: Failure,
    pub rcode: Rcode,
    code: Ede<'static>,
    text: Cow<'static, str>,
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
                reasons(upstreams, |it| asked(it, "no answer in time").or(known(it))),
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
            Self::NotAllowed => (
                Ede::PROHIBITED,
                "this address is not allowed to query this server".into(),
            ),
            Self::Ending => (Ede::NOT_READY, "the forwarder is being stopped".into()),
        };
        let rcode = match self {
            Self::NotAllowed => Rcode::REFUSED,
            _ => Rcode::SERVFAIL,
        };
        Explanation {
            failure: self,
            rcode,
            code,
            bare: text.len(),
            text,
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
        ConnectError::Unauthenticated { remedy, .. } if remedy.is_empty() => {
            "; no query was sent to it".to_owned()
        }
        ConnectError::Unauthenticated { remedy, .. } => {
            format!("; no query was sent to it; {remedy}")
        }
        _ => String::new(),
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
            "quad9: connect or handshake timed out; tried again in 9.8s, or sooner if no other upstream is connected"
        );
        let line = connect_line("quad9", None, &ConnectError::TimedOut, soon);
        assert!(line.ends_with("tried again in 9.8s if queries wait then, else with the next"));
    }
}
