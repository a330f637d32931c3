//! Failures of each kind and cause, as the core records them, played again to the same end.

use super::{File, play};
use crate::support::codes::{A, NOERROR, REFUSED, SERVFAIL, TC};
use crate::support::messages::{address_or_error, edns_query, response_to};
use dotward::config::{AccessList, Config, ConfigBuilder, Upstream};
use dotward::engine::{
    Action, Cache, Client, ConnectionKey, Forwarder, Now, Output, Record, Time, Times, Via,
};
use dotward::transport::{ConnectError, ConnectionError};
use dotward::transports::SCHEMES;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What an upstream of a scene does with each connect and each query.
#[derive(Clone, Debug)]
enum Does {
    /// Nothing comes, ever.
    Nothing,
    /// Connects fail.
    Refuse(ConnectError),
    /// This is the response.
    Answer(fn(&[u8]) -> Vec<u8>),
    /// The connection ends.
    End(ConnectionError),
    /// The query is lost.
    Lose(ConnectionError),
    /// The query fails.
    Fail,
}

/// What was sent: an id and a message. Nothing: a connect was begun.
type Sent = Option<(u16, Vec<u8>)>;

/// A core and its upstreams in virtual time.
struct Scene {
    core: Forwarder,
    config: Config,
    out: Output,
    now: Time,
    does: Vec<Does>,
    lines: BTreeMap<ConnectionKey, usize>,
    due: BTreeMap<(Time, u64), (ConnectionKey, Sent)>,
    next: u64,
    replies: Vec<(Client, Vec<u8>)>,
}

const SOON: Duration = Duration::from_millis(20);

impl Scene {
    fn new(does: &[Does]) -> Self {
        Self::with(does, |config| config)
    }

    fn with(does: &[Does], tweak: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let upstreams = (1..=does.len()).map(|number| {
            let spec = format!("tls://192.0.2.{number}#dns{number}.test");
            let upstream = Upstream::parse(&spec, SCHEMES).expect("an upstream");
            upstream.with_label(&format!("dns{number}.test"))
        });
        let upstreams: Vec<_> = upstreams.collect();
        let config = Config::builder().upstreams(upstreams).cache_bytes(0);
        let config = tweak(config).driver_resolves_names().build().unwrap();
        let cache = Arc::new(Cache::new(0, [1; 16], Times::default()));
        let mut core = Forwarder::new(&config, cache, [9; 32]);
        core.record_failures(256 * 1024, (1, 1));
        Self {
            core,
            config,
            out: Output::new(),
            now: Time::ZERO + Duration::from_secs(100),
            does: does.to_vec(),
            lines: BTreeMap::new(),
            due: BTreeMap::new(),
            next: 0,
            replies: Vec::new(),
        }
    }

    fn n(&self) -> Now {
        Now {
            mono: self.now,
            boot: self.now,
        }
    }

    fn settle(&mut self) {
        for action in self.out.actions().to_vec() {
            match action {
                Action::Reply { client, message } => {
                    let message = self.out.message(&message).to_vec();
                    self.replies.push((client, message));
                }
                Action::Send {
                    connection,
                    id,
                    message,
                } => {
                    let message = self.out.message(&message).to_vec();
                    self.later(SOON, connection, Some((id, message)));
                }
                Action::Connect {
                    connection,
                    upstream,
                    ..
                } => {
                    self.lines.insert(connection, upstream);
                    self.later(SOON, connection, None);
                }
                Action::Resolve { .. } => {}
                Action::Close { connection } => drop(self.lines.remove(&connection)),
            }
        }
        self.out.clear();
    }

    fn later(&mut self, after: Duration, of: ConnectionKey, sent: Sent) {
        self.next += 1;
        self.due.insert((self.now + after, self.next), (of, sent));
    }

    /// What an upstream does now that it was connected to or asked.
    fn act(&mut self, key: ConnectionKey, sent: Sent) {
        let Some(&upstream) = self.lines.get(&key) else {
            return;
        };
        let (now, out) = (self.n(), &mut self.out);
        match (self.does[upstream].clone(), sent) {
            (Does::Refuse(why), None) => {
                self.lines.remove(&key);
                self.core.connect_failed(key, &why, now, out);
            }
            (_, None) => self.core.connected(key, "", now, out),
            (Does::Answer(answer), Some((_, query))) => {
                self.core.answer(key, &answer(&query), now, out);
            }
            (Does::End(why), Some(_)) => {
                self.lines.remove(&key);
                self.core.connection_lost(key, &why, now, out);
            }
            (Does::Lose(why), Some((id, _))) => self.core.query_lost(key, id, &why, now, out),
            (Does::Fail, Some((id, _))) => self.core.query_failed(key, id, now, out),
            (Does::Nothing | Does::Refuse(_), Some(_)) => {}
        }
        self.settle();
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let due = self.due.first_key_value().map(|((at, _), _)| *at);
            let alarm = self.core.next_alarm();
            let Some(at) = alarm.into_iter().chain(due).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            if due.is_some_and(|due| due <= self.now) {
                let (_, (key, sent)) = self.due.pop_first().expect("due");
                self.act(key, sent);
            } else {
                let now = self.n();
                self.core.time(now, &mut self.out);
                self.settle();
            }
        }
        self.now = end;
    }

    fn ask_as(&mut self, client: Client, message: &[u8]) {
        let now = self.n();
        self.core.query(message, client, now, &mut self.out);
        self.settle();
    }

    fn ask(&mut self, name: &str) {
        self.next += 1;
        let id = self.next as u16;
        self.ask_as(client(1, 2_000 + id), &edns_query(name, id));
    }

    /// The record of the last failure.
    fn last(&self) -> Record {
        let id = *self.core.recorded_failures().last().expect("a failure");
        self.core.why(id, &self.config).expect("its record")
    }

    /// The records of all.
    fn all(&self) -> Vec<Record> {
        let ids = self.core.recorded_failures().into_iter();
        ids.map(|id| self.core.why(id, &self.config).expect("its record"))
            .collect()
    }
}

fn client(number: u8, port: u16) -> Client {
    Client {
        addr: ([192, 168, 7, number], port).into(),
        via: Via::Datagram {
            socket: 0,
            local: None,
        },
    }
}

fn stream() -> Client {
    Client {
        via: Via::Stream(7),
        ..client(9, 9)
    }
}

/// Plays a record, which has to end as it did, in this way.
fn ends(record: &Record, expected: &str) -> String {
    let text = record.lines();
    let file = File::read(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    let replayed = play(&file).unwrap_or_else(|why| panic!("{why}\n{text}"));
    let trace = replayed.trace.join("\n");
    assert!(
        replayed.is_same(),
        "{} instead of {}\n{text}{trace}",
        replayed.end,
        replayed.recorded
    );
    assert_eq!(replayed.end, expected, "{text}{trace}");
    assert!(!text.contains("secret"), "{text}");
    let story = record.story().join("\n");
    assert!(story.contains("what to do: "), "{story}");
    text
}

/// A query of which nothing else was asked before.
fn fails(does: &[Does], expected: &str) {
    let mut scene = Scene::new(does);
    scene.ask("secret.test");
    scene.pass(Duration::from_secs(15));
    assert_eq!(scene.replies.len(), 1);
    ends(&scene.last(), expected);
}

fn unreachable(why: &str) -> Does {
    Does::Refuse(ConnectError::Unreachable(why.into()))
}

fn untrusted() -> Does {
    Does::Refuse(ConnectError::Unauthenticated {
        why: "certificate not trusted: unknown issuer".into(),
        remedy: "give it by --ca-file".into(),
    })
}

fn servfail(query: &[u8]) -> Vec<u8> {
    address_or_error(query, SERVFAIL).build()
}

fn refused(query: &[u8]) -> Vec<u8> {
    address_or_error(query, REFUSED).build()
}

fn bogus(query: &[u8]) -> Vec<u8> {
    let why: (u16, &[u8]) = (15, b"\0\x06secret.test is bogus");
    address_or_error(query, SERVFAIL)
        .edns(1232, 0, &[why])
        .build()
}

fn truncated(query: &[u8]) -> Vec<u8> {
    response_to(query).on(TC).build()
}

fn good(query: &[u8]) -> Vec<u8> {
    address_or_error(query, NOERROR).build()
}

fn cut(query: &[u8]) -> Vec<u8> {
    let whole = good(query);
    whole[..whole.len() - 2].to_vec()
}

fn garbage(query: &[u8]) -> Vec<u8> {
    let mut garbage = query[..2].to_vec();
    garbage.extend_from_slice(&[0x80; 30]);
    garbage
}

fn other_question(query: &[u8]) -> Vec<u8> {
    let other = crate::support::messages::response("other.test", A);
    other.id(u16::from_be_bytes([query[0], query[1]])).build()
}

// req 145, fault 170
#[test]
fn what_could_not_be_connected_to_ends_alike() {
    let refused = "SERVFAIL, EDE 22: dns1.test: cannot connect: connection refused (not_connected)";
    fails(&[unreachable("connection refused")], refused);
    fails(
        &[unreachable("network is unreachable")],
        "SERVFAIL, EDE 22: dns1.test: cannot connect: network is unreachable (not_connected)",
    );
    fails(
        &[untrusted(), unreachable("connection refused")],
        "SERVFAIL, EDE 22: dns1.test: certificate not trusted: unknown issuer; dns2.test: cannot connect: connection refused (not_connected)",
    );
    fails(
        &[Does::Refuse(ConnectError::TimedOut)],
        "SERVFAIL, EDE 22: dns1.test: connect or handshake timed out (not_connected)",
    );
    fails(
        &[Does::Refuse(ConnectError::Handshake(
            "it speaks HTTP".into(),
        ))],
        "SERVFAIL, EDE 22: dns1.test: handshake failed: it speaks HTTP (not_connected)",
    );
}

// req 145, fault 170
#[test]
fn silence_ends_alike() {
    let silent = "SERVFAIL, EDE 23: dns1.test: no answer in time (not_answered)";
    fails(&[Does::Nothing], silent);
    fails(
        &[Does::Nothing, Does::Nothing],
        "SERVFAIL, EDE 23: dns1.test: no answer in time; dns2.test: no answer in time (not_answered)",
    );
    fails(
        &[unreachable("connection refused"), Does::Nothing],
        "SERVFAIL, EDE 23: dns1.test: cannot connect: connection refused; dns2.test: no answer in time (not_answered)",
    );
    // The answer to another question is none to this one.
    let other = "SERVFAIL, EDE 23: dns1.test: no answer in time, but it sends answers to other questions (not_answered)";
    fails(&[Does::Answer(other_question)], other);
}

// req 145, fault 170
#[test]
fn lost_connections_end_alike() {
    for (why, text) in [
        (ConnectionError::Closed, "closed by the upstream"),
        (
            ConnectionError::Io("connection reset by peer".into()),
            "connection reset by peer",
        ),
        (
            ConnectionError::Truncated,
            "closed by the upstream within a message",
        ),
        (
            ConnectionError::Protocol("a length of zero"),
            "protocol error: a length of zero",
        ),
    ] {
        let mut scene = Scene::new(&[Does::End(why)]);
        scene.ask("secret.test");
        scene.pass(Duration::from_secs(15));
        let record = scene.last();
        let text = format!("dns1.test: connection lost: {text}");
        let lines = record.lines();
        let end = lines.lines().last().unwrap();
        assert!(end.contains(&text), "{lines}");
        let kind = if end.contains("connection_lost") {
            "connection_lost"
        } else {
            "not_connected"
        };
        let code = if kind == "connection_lost" { 23 } else { 22 };
        ends(&record, &format!("SERVFAIL, EDE {code}: {text} ({kind})"));
    }
}

// req 145, fault 170
#[test]
fn bad_responses_end_alike() {
    let malformed = "SERVFAIL, EDE 23: dns1.test: malformed answer (malformed)";
    fails(&[Does::Answer(cut)], malformed);
    fails(&[Does::Answer(garbage)], malformed);
    fails(&[Does::Fail], malformed);
    let rejected = ConnectionError::Rejected("HTTP status 403".into());
    fails(
        &[Does::Lose(rejected)],
        "SERVFAIL, EDE 23: dns1.test: no DNS response: HTTP status 403 (malformed)",
    );
    fails(
        &[Does::Answer(servfail)],
        "SERVFAIL, EDE 0 (upstream_error)",
    );
    fails(&[Does::Answer(refused)], "REFUSED, EDE 0 (upstream_error)");
    fails(&[Does::Answer(bogus)], "SERVFAIL, EDE 6 (upstream_error)");
    fails(
        &[Does::Answer(servfail), Does::Answer(refused)],
        "REFUSED, EDE 0 (upstream_error)",
    );
    fails(
        &[Does::Nothing, Does::Answer(servfail)],
        "SERVFAIL, EDE 0 (upstream_error)",
    );
}

// req 145, fault 170
#[test]
fn a_truncated_response_over_a_stream_ends_alike() {
    let mut scene = Scene::new(&[Does::Answer(truncated)]);
    scene.ask_as(stream(), &edns_query("secret.test", 7));
    scene.pass(Duration::from_secs(1));
    ends(
        &scene.last(),
        "SERVFAIL, EDE 0: the upstream's answer is truncated (truncated)",
    );
    // Over UDP it is what clients ask for again over TCP.
    scene.ask("secret.test");
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.replies.len(), 2);
    assert_eq!(scene.all().len(), 1);
}

// req 145, fault 171
#[test]
fn what_was_refused_at_a_bound_ends_alike() {
    let bounds = |config: ConfigBuilder| config.max_in_flight(64).max_in_flight_per_client(16);
    let mut scene = Scene::with(&[Does::Nothing], bounds);
    for number in 0..17 {
        let name = format!("secret{number}.test");
        scene.ask_as(client(1, 3_000 + number), &edns_query(&name, number));
    }
    let own = "SERVFAIL, EDE 0: too many queries in flight from this client";
    ends(&scene.last(), &format!("{own} (in_flight_per_client)"));
    // After its fair time a client's oldest query makes room for its newest.
    scene.pass(Duration::from_millis(500));
    scene.ask_as(client(1, 4_000), &edns_query("secret.test", 9));
    ends(
        &scene.last(),
        &format!("{own} (in_flight_per_client)").replace("(in_flight_per_client)", "(gave_way)"),
    );

    let bounds = |config: ConfigBuilder| config.max_in_flight(64).max_in_flight_per_client(64);
    let mut scene = Scene::with(&[Does::Nothing], bounds);
    for number in 0..65 {
        let name = format!("secret{number}.test");
        let whose = 1 + (number % 4) as u8;
        scene.ask_as(client(whose, 3_000 + number), &edns_query(&name, number));
    }
    let all = "SERVFAIL, EDE 0: too many queries in flight";
    ends(&scene.last(), &format!("{all} (in_flight)"));
    scene.ask_as(client(77, 4_000), &edns_query("secret.test", 9));
    ends(&scene.last(), &format!("{all} (gave_way)"));
}

// req 145
#[test]
fn who_may_not_ask_and_who_asks_at_the_end_are_told_alike() {
    let nobody = |config: ConfigBuilder| config.allow(AccessList::from_iter([]));
    let mut scene = Scene::with(&[Does::Nothing], nobody);
    scene.ask("secret.test");
    ends(
        &scene.last(),
        "REFUSED, EDE 18: this address is not allowed to query this server (denied)",
    );
    let mut scene = Scene::new(&[Does::Nothing]);
    scene.ask("secret.test");
    scene.pass(Duration::from_secs(1));
    let now = scene.n();
    scene.core.close(now, &mut scene.out);
    scene.settle();
    ends(
        &scene.last(),
        "SERVFAIL, EDE 14: the forwarder is being stopped (ending)",
    );
}

// req 144, fault 170
#[test]
fn a_failure_after_good_times_ends_alike() {
    for (then, expected) in [
        (
            Does::Nothing,
            "SERVFAIL, EDE 23: dns1.test: no answer in time (not_answered)",
        ),
        (Does::Answer(servfail), "SERVFAIL, EDE 0 (upstream_error)"),
        (
            Does::Answer(garbage),
            "SERVFAIL, EDE 23: dns1.test: malformed answer (malformed)",
        ),
    ] {
        let mut scene = Scene::new(&[Does::Answer(good)]);
        for number in 0..50 {
            scene.ask(&format!("name{number}.test"));
            scene.pass(Duration::from_millis(200));
        }
        assert!(
            scene.all().is_empty(),
            "nothing is recorded of what succeeds"
        );
        scene.does[0] = then;
        scene.ask("secret.test");
        scene.pass(Duration::from_secs(10));
        ends(&scene.last(), expected);
    }
}

// req 144
#[test]
fn the_second_failure_is_played_with_what_the_first_left_behind() {
    let mut scene = Scene::new(&[unreachable("connection refused")]);
    for number in 0..4 {
        scene.ask(&format!("secret{number}.test"));
        scene.pass(Duration::from_millis(1_700));
    }
    let records = scene.all();
    assert!(records.len() >= 2);
    for record in records {
        ends(
            &record,
            "SERVFAIL, EDE 22: dns1.test: cannot connect: connection refused (not_connected)",
        );
    }
}

// req 143, fault 169
#[test]
fn a_flood_of_failures_at_once_is_one_record_and_the_bound_holds() {
    let mut scene = Scene::new(&[unreachable("connection refused")]);
    scene.ask("secret.test");
    scene.pass(Duration::from_millis(300));
    let before = scene.core.recorded_failures().len();
    for number in 0..1_000 {
        scene.ask(&format!("flood{number}.test"));
    }
    scene.pass(Duration::from_millis(500));
    assert!(scene.core.recorded_failures().len() <= before + 4);
    for number in 0..20_000 {
        scene.ask(&format!("flood{number}.test"));
        scene.pass(Duration::from_millis(1_100));
        assert!(scene.core.recorded() <= 256 * 1024);
    }
}

// req 143
#[test]
fn the_id_is_in_what_the_client_is_told_and_nothing_without_records() {
    let text = |reply: &[u8]| String::from_utf8_lossy(reply).into_owned();
    let mut scene = Scene::new(&[unreachable("connection refused")]);
    scene.ask("secret.test");
    scene.pass(Duration::from_secs(3));
    let id = scene.last().id();
    let told = text(&scene.replies[0].1);
    assert!(
        told.ends_with(&format!("connection refused (id {id})")),
        "{told}"
    );
    let recent: Vec<_> = scene.core.recent_failures(scene.n()).collect();
    assert_eq!((recent[0].id, recent.len()), (Some(id), 1));
    assert!(!recent[0].text.contains("(id"), "{}", recent[0].text);

    let mut scene = Scene::new(&[unreachable("connection refused")]);
    scene.core.record_failures(0, (1, 1));
    scene.ask("secret.test");
    scene.pass(Duration::from_secs(3));
    let told = text(&scene.replies[0].1);
    assert!(told.ends_with("connection refused"), "{told}");
    assert_eq!(
        (scene.core.recorded(), scene.core.recorded_failures()),
        (0, vec![])
    );
}

// req 146, fault 172
#[test]
fn a_broken_record_is_refused_with_its_line() {
    let mut scene = Scene::new(&[unreachable("connection refused")]);
    scene.ask("secret.test");
    scene.pass(Duration::from_secs(3));
    let text = scene.last().lines();
    let lines: Vec<&str> = text.lines().collect();
    let without = |index: usize| {
        let mut left = lines.clone();
        left.remove(index);
        left.join("\n")
    };
    for (broken, why) in [
        (String::new(), "there is no line \"failure\""),
        ("{".to_owned(), "line 1: no JSON"),
        (
            without(0),
            "line 1: a record begins with its line \"failure\"",
        ),
        (without(2), "line 4: there is no line of the upstream 0"),
        (without(lines.len() - 1), "there is no line \"end\""),
        (
            text.replace("\"format\":1", "\"format\":9"),
            "line 1: format 9",
        ),
        (text.replace("refused\"", "refused"), "no JSON"),
        (
            text.replace("\"event\":\"connect\"", "\"event\":\"wobble\""),
            "\"wobble\" is no event",
        ),
        (
            text.replace("\"policy\":\"failover\"", "\"policy\":7"),
            "line 2: the member \"policy\" is no text",
        ),
    ] {
        let error = File::read(&broken).expect_err(why);
        assert!(error.contains(why), "{error}: {broken}");
    }
    let cut = &text[..text.len() - 20];
    assert!(File::read(cut).is_err());
}
