//! What was found, for people and for programs. Its JSON is described in `docs/probe.md`, and does not change without a new `format`.

use super::authentication::Authentication;
use super::messages::Answer;
use super::problem::Problem;
use crate::config::Upstream;
use crate::json::Json;
use crate::transports::tls::inspect::{Certificate, REMEDY, SOON, Session};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

/// The number of the JSON document's format.
const FORMAT: i64 = 1;
/// Names of a certificate that are shown.
const MAX_NAMES: usize = 4;
const DAY: u64 = 86_400;

/// What was found about all upstreams.
#[derive(Debug)]
pub struct Report {
    pub(super) upstreams: Vec<UpstreamReport>,
    /// The time of this machine's clock, in seconds since 1970.
    pub(super) now: u64,
}

/// What was found about one upstream.
#[derive(Debug)]
pub struct UpstreamReport {
    label: String,
    scheme: String,
    host: Option<String>,
    designated_by: Option<String>,
    server_name: Option<String>,
    authentication: Authentication,
    /// The name that it was asked for.
    name: String,
    pub(super) addresses: Vec<AddressReport>,
    /// Why it has no addresses.
    pub(super) problem: Option<Problem>,
}

/// What was found at one address, as far as the probe came.
#[derive(Debug)]
pub struct AddressReport {
    pub(crate) addr: SocketAddr,
    /// The scheme, where the upstream has several protocols.
    by: Option<&'static str>,
    /// What connecting over TCP took.
    pub(crate) tcp: Option<Duration>,
    /// What the first TLS handshake took.
    pub(crate) handshake: Option<Duration>,
    pub(crate) second_handshake: Option<Duration>,
    /// The second one resumed the session of the first.
    pub(crate) resumed: Option<bool>,
    pub(crate) session: Option<Session>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) answer: Option<Answer>,
    /// What the response took.
    pub(crate) time: Option<Duration>,
    /// A later query was answered before an earlier one.
    pub(crate) overtakes: bool,
    pub(crate) problem: Option<Problem>,
}

impl Report {
    /// Each upstream can be used.
    pub fn is_usable(&self) -> bool {
        self.upstreams.iter().all(UpstreamReport::is_usable)
    }

    /// One JSON document, without a line break within.
    pub fn json(&self) -> String {
        let upstreams = self.upstreams.iter().map(|one| one.json(self.now));
        let document = Json::Object(vec![
            ("format", Json::Number(FORMAT)),
            ("usable", Json::Bool(self.is_usable())),
            ("upstreams", Json::List(upstreams.collect())),
        ]);
        format!("{document}\n")
    }
}

impl fmt::Display for Report {
    /// A block of nine lines at most for each upstream, and one more for each further protocol of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut upstreams = self.upstreams.iter();
        upstreams.try_for_each(|one| one.write(f, self.now))
    }
}

impl UpstreamReport {
    pub fn new(upstream: &Upstream, name: &str) -> Self {
        Self {
            label: upstream.label().to_owned(),
            scheme: upstream.schemes_text(),
            host: upstream.host().map(|host| host.name().to_owned()),
            designated_by: upstream.designated_by().map(|addr| addr.to_string()),
            server_name: upstream.server_name().map(str::to_owned),
            authentication: Authentication::of(upstream),
            name: if name.is_empty() { "." } else { name }.to_owned(),
            addresses: Vec::new(),
            problem: None,
        }
    }

    /// One of its addresses is enough: the others are tried when one fails.
    fn is_usable(&self) -> bool {
        self.used().is_some_and(AddressReport::is_usable)
    }

    /// Its addresses, each by all its protocols.
    fn by_address(&self) -> impl Iterator<Item = &[AddressReport]> {
        let is_same = |one: &AddressReport, next: &AddressReport| {
            next.by.is_some() && one.addr.ip() == next.addr.ip()
        };
        self.addresses.chunk_by(is_same)
    }

    /// What the service uses: at the first address that can be used, else at the first. Of several protocols that is the first over which a
    /// response comes; a server that is not who it should be ends the search, unless it is one that another resolver designates.
    fn used(&self) -> Option<&AddressReport> {
        let is_designated = self.designated_by.is_some();
        let decides = |one: &&AddressReport| match &one.problem {
            None => true,
            Some(problem) => one.answer.is_some() || (problem.is_of_identity && !is_designated),
        };
        let mut used = self.by_address().filter_map(|all| all.iter().find(decides));
        let first = used.next();
        let usable = first.into_iter().chain(used).find(|one| one.is_usable());
        usable.or(first)
    }

    /// The address that the block is about.
    fn shown(&self) -> Option<&AddressReport> {
        let used = self.used();
        let is_shown = |one: &&AddressReport| one.by.is_some() || one.is_usable();
        used.filter(is_shown).or(self.addresses.first())
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, now: u64) -> fmt::Result {
        let verdict = if self.is_usable() {
            "usable"
        } else {
            "NOT USABLE"
        };
        writeln!(f, "{}: {verdict}", self.label)?;
        if let Some(one) = self.shown() {
            row(f, "address", Some(self.address(one)))?;
            row(f, "TLS", one.session.as_ref().map(session))?;
            let shown = one.certificate.as_ref();
            row(f, "certificate", shown.map(|it| certificate(it, now)))?;
            let is_valid = |it: &Certificate| it.not_after.is_some_and(|end| end >= now);
            let ends = shown.filter(|it| one.is_usable() && is_valid(it) && ends_soon(it, now));
            row(
                f,
                "warning",
                ends.map(|_| format!("the certificate ends soon: {REMEDY}")),
            )?;
            row(f, "pin", self.pin(one))?;
            row(f, "time", one.times())?;
            // An error says little of what a server is able to do.
            let answer = one.answer.as_ref().filter(|_| one.is_usable());
            row(f, "answers", answer.map(|it| self.answers(one, it)))?;
        }
        row(f, "problem", self.problem().map(|it| self.placed(it)))?;
        for (what, text) in self.other_problems() {
            row(f, what, Some(text))?;
        }
        Ok(())
    }

    /// The address of an upstream, and as whom it was authenticated.
    fn address(&self, one: &AddressReport) -> String {
        let is_plain = self.server_name.is_none();
        let who = match &one.certificate {
            certificate if is_plain || one.is_shaken() => {
                self.authentication.told(certificate.as_ref())
            }
            Some(_) => "not authenticated".to_owned(),
            None => return format!("{}{}", one.place(), self.others()),
        };
        format!("{}{}, {who}", one.place(), self.others())
    }

    /// What its responses are like.
    fn answers(&self, one: &AddressReport, answer: &Answer) -> String {
        let name = &self.name;
        let overtaken = if one.overtakes {
            "out of order"
        } else {
            "out of order not seen"
        };
        let padded = if answer.padded {
            "padded"
        } else {
            "not padded"
        };
        let keepalive = match answer.keepalive {
            // The protocol says it, where each query has a stream.
            _ if matches!(one.by.unwrap_or(&self.scheme), "https" | "quic") => String::new(),
            Some(time) => format!(", keepalive {} s", time.as_secs_f64()),
            None => ", no keepalive".to_owned(),
        };
        let authentic = if answer.authentic {
            format!("validates DNSSEC (AD for {name})")
        } else {
            format!("DNSSEC validation not seen (no AD for {name})")
        };
        let edns = if answer.edns { "" } else { ", no EDNS" };
        format!("{overtaken}, {padded}{keepalive}, {authentic}{edns}")
    }

    fn pin(&self, one: &AddressReport) -> Option<String> {
        let pin = &one.certificate.as_ref()?.pin;
        let trusted = one.is_shaken() && self.authentication.succeeded() == Some(true);
        let warning = if trusted {
            ""
        } else {
            " (of a certificate that is not trusted: compare it with what the operator publishes)"
        };
        Some(format!("sha256/{pin}{warning}"))
    }

    /// How the other addresses fare.
    fn others(&self) -> String {
        let usable = self.addresses.iter().filter(|one| one.is_usable()).count();
        let is_several = self.addresses.iter().any(|one| one.by.is_some());
        let what = if is_several {
            "ways to it"
        } else {
            "addresses"
        };
        match self.addresses.len() {
            0 | 1 => String::new(),
            count => format!(" ({usable} of {count} {what} are usable)"),
        }
    }

    /// What is wrong with the address that is shown, or with the whole upstream.
    fn problem(&self) -> Option<&Problem> {
        let shown = || self.shown().and_then(|one| one.problem.as_ref());
        self.problem.as_ref().or_else(shown)
    }

    /// A problem of the address that is shown, with the protocol where there are several.
    fn placed(&self, it: &Problem) -> String {
        let one = self.shown().filter(|one| one.by.is_some());
        let place = one.map_or_else(String::new, |one| format!("{}: ", one.place()));
        format!("{place}{}", problem(it))
    }

    /// What is wrong elsewhere: by each other protocol, or else at one other address of an upstream that can be used. A protocol that
    /// connects without a response costs the service a query, and is only warned of.
    fn other_problems(&self) -> Vec<(&'static str, String)> {
        let (shown, is_usable) = (self.shown(), self.is_usable());
        let is_other = |one: &&AddressReport| !shown.is_some_and(|shown| std::ptr::eq(shown, *one));
        let others = self.addresses.iter().filter(is_other);
        let mut told: Vec<(&AddressReport, &Problem)> = others
            .filter(|one| one.by.is_some() || is_usable)
            .filter_map(|one| Some((one, one.problem.as_ref()?)))
            .collect();
        told.sort_by_key(|(_, it)| !it.is_of_identity);
        if shown.is_some_and(|one| one.by.is_none()) {
            told.truncate(1);
        }
        let tell = |(one, it): (&AddressReport, &Problem)| {
            let text = problem(it);
            let place = one.place();
            if is_usable && one.is_shaken() && one.answer.is_none() {
                let text = format!(
                    "{place}: connects, but does not answer, so that another protocol is used: {text}"
                );
                return ("warning", text);
            }
            ("problem", format!("{place}: {text}"))
        };
        told.into_iter().map(tell).collect()
    }

    fn json(&self, now: u64) -> Json {
        let text = |text: &Option<String>| Json::maybe(text.as_deref(), Json::text);
        let addresses = self.addresses.iter().map(|one| one.json(self, now));
        Json::Object(vec![
            ("upstream", Json::text(&self.label)),
            ("usable", Json::Bool(self.is_usable())),
            ("scheme", Json::text(&self.scheme)),
            ("host", text(&self.host)),
            ("designated_by", text(&self.designated_by)),
            ("server_name", text(&self.server_name)),
            ("probe_name", Json::text(&self.name)),
            ("problem", Json::maybe(self.problem(), problem_json)),
            ("addresses", Json::List(addresses.collect())),
        ])
    }
}

impl AddressReport {
    pub fn new(addr: SocketAddr, by: Option<&'static str>) -> Self {
        Self {
            addr,
            by,
            tcp: None,
            handshake: None,
            second_handshake: None,
            resumed: None,
            session: None,
            certificate: None,
            answer: None,
            time: None,
            overtakes: false,
            problem: None,
        }
    }

    /// The address, and the protocol if there are several.
    fn place(&self) -> String {
        let addr = self.addr;
        self.by
            .map_or_else(|| addr.to_string(), |scheme| format!("{addr} by {scheme}"))
    }

    fn is_usable(&self) -> bool {
        self.problem.is_none()
    }

    /// A handshake has succeeded.
    fn is_shaken(&self) -> bool {
        self.handshake.is_some()
    }

    fn times(&self) -> Option<String> {
        let mut parts = Vec::new();
        match (self.tcp, self.handshake) {
            (Some(tcp), _) => parts.push(format!("TCP {}", millis(tcp))),
            // The handshake of QUIC begins with the first datagram.
            (None, Some(_)) => {}
            (None, None) => return None,
        }
        if let Some(full) = self.handshake {
            parts.push(format!("full handshake {}", millis(full)));
        }
        match (self.resumed, self.second_handshake) {
            (Some(true), Some(time)) => parts.push(format!("resumed {}", millis(time))),
            (Some(false), _) => parts.push("sessions are not resumed".to_owned()),
            _ => {}
        }
        if let Some(time) = self.time {
            parts.push(format!("answer {}", millis(time)));
        }
        Some(parts.join(", "))
    }

    fn json(&self, of: &UpstreamReport, now: u64) -> Json {
        let shaken = self.is_shaken();
        let authenticated = of.authentication.succeeded().map(|yes| yes && shaken);
        let shown = self.certificate.as_ref().filter(|_| shaken);
        let matched = shown.and_then(|it| of.authentication.matched(it));
        let second = self.second_handshake.filter(|_| self.resumed == Some(true));
        let times = [
            ("tcp", self.tcp),
            ("full_handshake", self.handshake),
            ("resumed_handshake", second),
            ("answer", self.time),
        ];
        let times = times.map(|(name, time)| (name, Json::maybe(time, in_millis)));
        let scheme = self.by.map(|scheme| ("scheme", Json::text(scheme)));
        let first = ("address", Json::text(self.addr.to_string()));
        let others = vec![
            ("usable", Json::Bool(self.is_usable())),
            ("authenticated", Json::maybe(authenticated, Json::Bool)),
            ("matched_name", Json::maybe(matched, Json::text)),
            ("tls", Json::maybe(self.session.as_ref(), session_json)),
            (
                "certificate",
                Json::maybe(self.certificate.as_ref(), |it| certificate_json(it, now)),
            ),
            ("times_ms", Json::Object(times.into())),
            ("resumes", Json::maybe(self.resumed, Json::Bool)),
            (
                "answer",
                Json::maybe(self.answer.as_ref(), |it| self.answer_json(it)),
            ),
            ("problem", Json::maybe(self.problem.as_ref(), problem_json)),
        ];
        Json::Object([first].into_iter().chain(scheme).chain(others).collect())
    }

    fn answer_json(&self, answer: &Answer) -> Json {
        let millis = |time: Duration| time.as_millis() as i64;
        // What was not seen may still be so.
        let overtakes = self.overtakes.then_some(true);
        Json::Object(vec![
            ("rcode", Json::text(answer.rcode.to_string())),
            ("reason", Json::maybe(answer.reason.as_deref(), Json::text)),
            ("edns", Json::Bool(answer.edns)),
            ("padding", Json::Bool(answer.padded)),
            (
                "keepalive_ms",
                Json::maybe(answer.keepalive, |time| Json::Number(millis(time))),
            ),
            ("authentic_data", Json::Bool(answer.authentic)),
            ("out_of_order", Json::maybe(overtakes, Json::Bool)),
        ])
    }
}

/// A line of a block, if there is something to say.
fn row(f: &mut fmt::Formatter<'_>, what: &str, text: Option<String>) -> fmt::Result {
    match text {
        Some(text) => writeln!(f, "  {what:<13}{text}"),
        None => Ok(()),
    }
}

pub(crate) fn session(session: &Session) -> String {
    let group = session.group.as_deref().unwrap_or("no key exchange");
    let alpn = (session.alpn.as_ref()).map_or(String::new(), |name| format!(", ALPN {name}"));
    format!("{}, {group}, {}{alpn}", session.version, session.cipher)
}

pub(crate) fn session_json(session: &Session) -> Json {
    Json::Object(vec![
        ("version", Json::text(session.version)),
        ("group", Json::maybe(session.group.as_deref(), Json::text)),
        ("cipher", Json::text(&session.cipher)),
        ("alpn", Json::Bool(session.alpn.is_some())),
    ])
}

fn certificate(certificate: &Certificate, now: u64) -> String {
    let names = &certificate.names;
    let first: Vec<&str> = names.iter().take(MAX_NAMES).map(String::as_str).collect();
    let names = match names.len() {
        0 => "no host names".to_owned(),
        count if count > MAX_NAMES => {
            format!("{} and {} more", first.join(", "), count - MAX_NAMES)
        }
        _ => first.join(", "),
    };
    let validity = match (certificate.not_before, certificate.not_after) {
        (Some(from), _) if from > now => format!("not valid before {}", date(from)),
        (_, Some(until)) if until < now => {
            format!(
                "expired at {}, {} ago",
                date(until),
                days((now - until) / DAY)
            )
        }
        (_, Some(until)) => {
            format!(
                "valid until {}, {} left",
                date(until),
                days((until - now) / DAY)
            )
        }
        (_, None) => "its period of validity cannot be read".to_owned(),
    };
    format!("{validity}; for {names}")
}

/// Whether a certificate is to be warned of.
fn ends_soon(certificate: &Certificate, now: u64) -> bool {
    let end = certificate.not_after;
    end.is_some_and(|end| end.saturating_sub(now) <= SOON.as_secs())
}

fn days(count: u64) -> String {
    match count {
        1 => "1 day".to_owned(),
        count => format!("{count} days"),
    }
}

fn certificate_json(certificate: &Certificate, now: u64) -> Json {
    let names = certificate.names.iter().map(Json::text).collect();
    let time = |seconds: Option<u64>| Json::maybe(seconds, |at| Json::text(date(at)));
    let left = certificate.not_after.map(|until| {
        let left = i128::from(until) - i128::from(now);
        // More days than this are no date.
        i64::try_from(left.div_euclid(i128::from(DAY))).unwrap_or(i64::MAX)
    });
    Json::Object(vec![
        ("names", Json::List(names)),
        ("not_before", time(certificate.not_before)),
        ("not_after", time(certificate.not_after)),
        ("days_left", Json::maybe(left, Json::Number)),
        ("ends_soon", Json::Bool(ends_soon(certificate, now))),
        ("spki_sha256", Json::text(&certificate.pin)),
    ])
}

fn problem(problem: &Problem) -> String {
    if problem.advice.is_empty() {
        return problem.why.clone();
    }
    format!("{}; {}", problem.why, problem.advice)
}

pub(crate) fn problem_json(problem: &Problem) -> Json {
    Json::Object(vec![
        ("kind", Json::text(problem.kind)),
        ("message", Json::text(&problem.why)),
        ("advice", Json::text(&problem.advice)),
    ])
}

fn date(seconds: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.map_or("later".to_owned(), |time| {
        humantime::format_rfc3339_seconds(time).to_string()
    })
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

pub(crate) fn in_millis(time: Duration) -> Json {
    Json::Fraction(time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SCHEMES;

    const PORTS: [(&str, u16); 3] = [("quic", 853), ("tls", 853), ("https", 443)];

    fn report(spec: &str) -> UpstreamReport {
        UpstreamReport::new(&Upstream::parse(spec, SCHEMES).unwrap(), "a.test")
    }

    /// What a probe finds by one of several protocols.
    fn way<P: Into<Option<Problem>>>(scheme: &'static str, problem: P) -> AddressReport {
        let (_, port) = PORTS.iter().find(|(name, _)| *name == scheme).unwrap();
        let addr = SocketAddr::new([192, 0, 2, 9].into(), *port);
        AddressReport {
            problem: problem.into(),
            ..AddressReport::new(addr, Some(scheme))
        }
    }

    fn shaken(way: AddressReport) -> AddressReport {
        let handshake = Some(Duration::from_millis(2));
        AddressReport { handshake, ..way }
    }

    fn answered(way: AddressReport) -> AddressReport {
        let answer = Some(Answer {
            rcode: crate::wire::Rcode::NOERROR,
            authentic: false,
            edns: false,
            padded: false,
            keepalive: None,
            reason: None,
            is_lame: false,
        });
        shaken(AddressReport { answer, ..way })
    }

    fn refused() -> Problem {
        Problem::new("refused", "cannot connect: connection refused", "")
    }

    fn not_found() -> Problem {
        Problem::new("malformed", "HTTP status 404", "check the path")
    }

    fn stranger() -> Problem {
        Problem {
            is_of_identity: true,
            ..Problem::new("wrong_name", "not authenticated: it is for b.test", "")
        }
    }

    fn told(report: &UpstreamReport) -> String {
        struct Told<'r>(&'r UpstreamReport);
        impl fmt::Display for Told<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f, 0)
            }
        }
        Told(report).to_string()
    }

    /// The lines of a report that begin with this word.
    fn lines<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
        let prefix = format!("  {word:<13}");
        text.lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect()
    }

    #[test]
    fn a_handshake_of_quic_authenticates_too() {
        let mut report = report("quic://192.0.2.9#dns.test");
        let addr = SocketAddr::new([192, 0, 2, 9].into(), 853);
        report.addresses = vec![shaken(AddressReport::new(addr, None))];
        report.addresses[0].certificate = Some(Certificate {
            names: vec!["dns.test".to_owned()],
            not_before: None,
            not_after: None,
            pin: "AAAA".to_owned(),
            weak_rsa: None,
            issuer: None,
        });
        let text = told(&report);
        assert!(text.contains(", authenticated as dns.test\n"), "{text}");
        assert_eq!(lines(&text, "pin"), ["sha256/AAAA"]);
        let json = report.json(0).to_string();
        assert!(
            json.contains("\"authenticated\":true,\"matched_name\":\"dns.test\""),
            "{json}"
        );
    }

    // fault 143
    #[test]
    fn a_protocol_that_connects_without_an_answer_is_warned_of() {
        let mut report = report("https+tls://192.0.2.9/nope#dns.test");
        report.addresses = vec![
            shaken(way("https", not_found())),
            answered(way("tls", None)),
        ];
        let text = told(&report);
        assert!(report.is_usable(), "{text}");
        assert!(
            text.contains("192.0.2.9:853 by tls (1 of 2 ways to it are usable)"),
            "{text}"
        );
        let warnings = lines(&text, "warning");
        assert_eq!(warnings.len(), 1, "{text}");
        let start = "192.0.2.9:443 by https: connects, but does not answer, so that another protocol is used: HTTP status 404";
        assert!(warnings[0].starts_with(start), "{text}");
    }

    // fault 138
    #[test]
    fn a_wrong_certificate_before_a_protocol_that_works_is_an_error_as_in_the_service() {
        let mut report = report("quic+tls+https://192.0.2.9#dns.test");
        report.addresses = vec![
            way("quic", refused()),
            way("tls", stranger()),
            answered(way("https", None)),
        ];
        let text = told(&report);
        assert!(!report.is_usable(), "{text}");
        let problems = lines(&text, "problem");
        assert_eq!(problems.len(), 2, "{text}");
        assert!(
            problems[0].starts_with("192.0.2.9:853 by tls: not authenticated"),
            "{text}"
        );
        assert!(
            problems[1].starts_with("192.0.2.9:853 by quic: cannot connect"),
            "{text}"
        );
        // Behind the one that works it is never looked at.
        report.addresses.reverse();
        let text = told(&report);
        assert!(report.is_usable(), "{text}");
        assert_eq!(lines(&text, "problem").len(), 2, "{text}");
        // A resolver that another one designates may be a server of its own.
        report.addresses.reverse();
        report.designated_by = Some("192.0.2.1:53".to_owned());
        assert!(report.is_usable());
    }

    #[test]
    fn an_error_that_comes_as_a_response_is_what_the_service_gets() {
        let mut report = report("tls+https://192.0.2.9#dns.test");
        report.addresses = vec![
            answered(way("tls", Problem::new("refused_query", "REFUSED", ""))),
            answered(way("https", None)),
        ];
        assert!(!report.is_usable(), "{}", told(&report));
    }

    #[test]
    fn each_protocol_that_is_not_usable_has_its_problem() {
        let mut report = report("quic+tls+https://192.0.2.9#dns.test");
        report.addresses = vec![
            way("quic", refused()),
            way("tls", refused()),
            way("https", stranger()),
        ];
        let text = told(&report);
        assert!(!report.is_usable(), "{text}");
        let problems = lines(&text, "problem");
        let places = [
            "192.0.2.9:443 by https: not auth",
            "192.0.2.9:853 by quic: ",
            "192.0.2.9:853 by tls: ",
        ];
        assert_eq!(problems.len(), 3, "{text}");
        for (problem, place) in problems.iter().zip(places) {
            assert!(problem.starts_with(place), "{text}");
        }
    }

    #[test]
    fn one_of_two_addresses_is_enough() {
        let mut report = report("tls+https://192.0.2.9#dns.test");
        report.addresses = vec![way("tls", stranger()), way("https", None)];
        let elsewhere = AddressReport::new("192.0.2.10:853".parse().unwrap(), Some("tls"));
        report.addresses.push(answered(elsewhere));
        let text = told(&report);
        assert!(report.is_usable(), "{text}");
        assert!(text.contains("192.0.2.10:853 by tls"), "{text}");
    }
}
