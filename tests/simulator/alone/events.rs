//! What can happen to a core, one event at a time, in any order that its contract allows.

use super::super::drawing;
use super::super::messages::{self, Truth};
use super::super::split::Split;
use super::super::story::upstream_addr;
use super::Driver;
use super::ledger::{Line, Open};
use dotward::config::{Policy, Upstream};
use dotward::engine::{Action, Client, ConnectionKey, Via};
use dotward::transport::{ConnectError, ConnectionError, Limits};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// With fewer messages that are no answers, a connection goes on.
const MANY: u32 = 50;

type Event = fn(&mut Driver);

/// All events, each with how often it comes, roughly.
pub const EVENTS: [(u64, Event); EVENT_COUNT] = [
    (30, ask),
    (4, ask_again),
    (3, ask_nonsense),
    (25, answer),
    (8, answer_badly),
    (6, answer_wrongly),
    (12, end_a_dial),
    (4, look_something_up),
    (3, lose_a_link),
    (2, fail_a_question),
    (1, limit_a_link),
    (2, report_of_the_gone),
    (20, wait),
    (1, reload),
    (1, be_stopped),
    (1, sleep),
];
const EVENT_COUNT: usize = 16;
/// The last ones, at which the time of questions may be over: nobody can answer them.
pub const ABSENCES: std::ops::Range<usize> = EVENT_COUNT - 2..EVENT_COUNT;

/// A client with an address of its own, or one of a few.
fn client(driver: &mut Driver) -> Client {
    let number = driver.dice.below(4) as u8;
    let addr: SocketAddr = (Ipv4Addr::new(127, 0, 1, number), 40_000).into();
    let via = match number {
        0 => Via::Stream(driver.dice.below(3)),
        _ => Via::Datagram {
            socket: 0,
            local: None,
        },
    };
    Client { addr, via }
}

/// Hands a query to the core. Says whether a reply will come.
fn hand_over(driver: &mut Driver, client: Client, query: &[u8]) -> bool {
    let (name, id) = (messages::name(query), messages::id(query));
    driver
        .log
        .note(|| format!("{} asks for {name}, id {id}", client.addr));
    let now = driver.now();
    driver.core.query(query, client, now, &mut driver.out)
}

fn ask(driver: &mut Driver) {
    driver.asked += 1;
    let (number, client) = (driver.asked, client(driver));
    let name = drawing::name(&mut driver.dice, number.into());
    let query = messages::query(&name, number, driver.dice.percent(70));
    if !hand_over(driver, client, &query) {
        return driver.log.wrong("a good query earns nothing".into());
    }
    driver.ledger.tally.asked(&query);
    let now = driver.now().mono;
    driver.ledger.owes(client, &query, now, false);
}

/// A datagram that is repeated while its answer is due asks for nothing new.
fn ask_again(driver: &mut Driver) {
    // What the core has not noticed yet, such as a sleep, may end what is open.
    driver.call();
    let datagrams = |client: &Client| client.is_datagram();
    let open = driver.ledger.open.values();
    // What was asked before another configuration came is a new question by it, as its response may be another one.
    let reloaded_at = driver.ledger.reloaded_at;
    let joins = |open: &&Open| datagrams(&open.client) && open.since > reloaded_at;
    let open: Vec<_> = open.filter(joins).collect();
    if open.is_empty() {
        return;
    }
    let open = open[driver.dice.index(open.len())];
    let (client, query) = (open.client, open.query.clone());
    if hand_over(driver, client, &query) {
        let what = "a repeated datagram is a question of its own";
        driver.log.wrong(what.into());
    }
}

/// Whatever is no query earns an error at once, or nothing.
fn ask_nonsense(driver: &mut Driver) {
    driver.asked += 1;
    let (number, mut client) = (driver.asked, client(driver));
    let mut nonsense = messages::query("nonsense.test", number, false);
    match driver.dice.below(5) {
        0 => nonsense.truncate(driver.dice.index(nonsense.len())),
        1 => nonsense[2] |= 0x80,
        2 => nonsense[2] |= 0x28,
        3 => nonsense.push(0),
        // A good query, from somebody who may not ask.
        _ => client.addr.set_ip(Ipv4Addr::new(192, 0, 2, 99).into()),
    }
    if hand_over(driver, client, &nonsense) {
        let now = driver.now().mono;
        driver.ledger.owes(client, &nonsense, now, true);
    }
}

/// One of the questions that upstreams, but the healthy one, have not answered. Those that the core has given up are among them.
fn unanswered(driver: &mut Driver) -> Option<(ConnectionKey, u16, Vec<u8>)> {
    let of = |(connection, line): (&ConnectionKey, &Line)| {
        let asked = line.asked.iter();
        let asked: Vec<_> = asked.map(|(id, query)| (*id, query.clone())).collect();
        let connection = *connection;
        asked
            .into_iter()
            .map(move |(id, query)| (connection, id, query))
    };
    let lines = driver.ledger.lines.iter();
    let lines =
        lines.filter(|(connection, line)| line.is_up && !driver.ledger.is_healthy(**connection));
    let mut all: Vec<_> = lines.flat_map(of).collect();
    let drawn = driver.dice.index(all.len());
    (!all.is_empty()).then(|| all.swap_remove(drawn))
}

/// One of the connections, but those of the healthy upstream, that are up, or of those that are being made.
fn link(driver: &mut Driver, is_up: bool) -> Option<ConnectionKey> {
    let lines = driver.ledger.lines.iter();
    let so = lines.filter(|(connection, line)| {
        line.is_up == is_up && !driver.ledger.is_healthy(**connection)
    });
    let so: Vec<_> = so.map(|(connection, _)| *connection).collect();
    (!so.is_empty()).then(|| driver.dice.pick(&so))
}

/// A message from an upstream.
fn hear(driver: &mut Driver, connection: ConnectionKey, message: &[u8]) {
    driver
        .log
        .note(|| format!("{connection:?}: comes id {}", messages::id(message)));
    let now = driver.now();
    driver
        .core
        .answer(connection, message, now, &mut driver.out);
}

/// The other end has no question with this id any more, and another may get it.
fn forget(driver: &mut Driver, connection: ConnectionKey, id: u16) {
    if let Some(line) = driver.ledger.lines.get_mut(&connection) {
        line.asked.remove(&id);
    }
}

fn answer(driver: &mut Driver) {
    if let Some((connection, id, query)) = unanswered(driver) {
        answer_well(driver, connection, id, &query);
    }
}

fn answer_well(driver: &mut Driver, connection: ConnectionKey, id: u16, query: &[u8]) {
    forget(driver, connection, id);
    if let Some(line) = driver.ledger.lines.get_mut(&connection) {
        line.is_useful = true;
    }
    hear(driver, connection, &messages::answer(query));
}

/// The healthy upstream takes a connect, or answers a question, if the core still wants it. A connect to another one has taken too
/// long, if it is still under way.
pub fn come_due(driver: &mut Driver, connection: ConnectionKey, id: Option<u16>) {
    let Some(there) = driver.ledger.lines.get(&connection) else {
        return;
    };
    let Some(id) = id else {
        match there.is_up {
            _ if driver.ledger.is_healthy(connection) => come_up(driver, connection),
            true => {}
            false => fail_to_connect(driver, connection),
        }
        return;
    };
    if let Some(query) = there.asked.get(&id).cloned() {
        answer_well(driver, connection, id, &query);
    }
}

/// An answer that says little: the upstream fails, refuses, does not understand, or cuts it short.
fn answer_badly(driver: &mut Driver) {
    let Some((connection, id, query)) = unanswered(driver) else {
        return;
    };
    forget(driver, connection, id);
    let opt = messages::has_opt(&query);
    let truth = Truth::about(&messages::name(&query)).rcode;
    let (rcode, opt, cut) = driver.dice.pick(&[
        (2, opt, false),
        (5, opt, false),
        (1, false, false),
        (truth, opt, true),
    ]);
    // A format error in a plain query is the client's own.
    let is_own = rcode == 1 && !messages::has_opt(&query) && driver.ledger.healthy.is_some();
    let mut bad = messages::error(&query, if is_own { 2 } else { rcode }, opt);
    bad[2] |= 2 * u8::from(cut);
    if let Some(line) = driver.ledger.lines.get_mut(&connection) {
        line.is_useful = true;
    }
    hear(driver, connection, &bad);
}

/// What is no answer to the question.
fn answer_wrongly(driver: &mut Driver) {
    let Some((connection, id, query)) = unanswered(driver) else {
        return;
    };
    let mut wrong = messages::answer(&query);
    match driver.dice.below(6) {
        0 => {
            wrong[1] ^= 1 + driver.dice.below(255) as u8;
            forget(driver, connection, messages::id(&wrong));
        }
        1 => {
            // Of the same length, or else it would not fit.
            let other = format!("x{}", &messages::name(&query)[1..]);
            wrong = messages::answer(&messages::query(&other, id, messages::has_opt(&query)));
            forget(driver, connection, id);
        }
        2 => wrong = query,
        3 => wrong.truncate(driver.dice.index(wrong.len())),
        4 => wrong.push(0),
        _ => {
            // The right one, and once more.
            forget(driver, connection, id);
            hear(driver, connection, &wrong);
        }
    }
    let before = driver.out.actions().len();
    hear(driver, connection, &wrong);
    let Some(there) = driver.ledger.lines.get_mut(&connection) else {
        return;
    };
    there.unmatched += 1;
    // A query is no response at all, and that to the one with this id may still come.
    let is_response = wrong.get(2).is_none_or(|flags| flags & 0x80 != 0);
    if wrong.starts_with(&id.to_be_bytes()) && is_response {
        there.free.insert(id);
    }
    let closes = driver.out.actions().iter().skip(before);
    let closes = closes
        .filter(|action| matches!(action, Action::Close { connection: l } if *l == connection));
    if closes.count() > 0 && there.unmatched < MANY {
        let what = format!("{connection:?}: one bad message ends the connection of all");
        driver.log.wrong(what);
    }
}

fn end_a_dial(driver: &mut Driver) {
    let Some(connection) = link(driver, false) else {
        return;
    };
    let lines = &driver.ledger.lines;
    let is_early = lines.get(&connection).is_some_and(|line| line.is_early);
    if !is_early && driver.dice.percent(30) {
        be_early(driver, connection);
    } else {
        end_dial(driver, connection);
    }
}

/// A connection takes questions before it is clear whether it comes up.
fn be_early(driver: &mut Driver, connection: ConnectionKey) {
    driver.log.note(|| format!("{connection:?}: is early"));
    if let Some(line) = driver.ledger.lines.get_mut(&connection) {
        line.is_early = true;
    }
    let now = driver.now();
    driver.core.early(connection, now, &mut driver.out);
}

/// A connect succeeds or fails.
pub fn end_dial(driver: &mut Driver, connection: ConnectionKey) {
    if driver.dice.percent(60) {
        come_up(driver, connection);
    } else {
        fail_to_connect(driver, connection);
    }
}

fn fail_to_connect(driver: &mut Driver, connection: ConnectionKey) {
    driver
        .log
        .note(|| format!("{connection:?}: cannot be made"));
    let line = driver.ledger.lines.get(&connection);
    for early in line.into_iter().flat_map(|line| line.asked.values()) {
        driver.ledger.tally.not_sent(&messages::name(early));
    }
    end(driver, connection);
    let (why, now) = (ConnectError::TimedOut, driver.now());
    driver
        .core
        .connect_failed(connection, &why, now, &mut driver.out);
}

fn come_up(driver: &mut Driver, connection: ConnectionKey) {
    driver.log.note(|| format!("{connection:?}: comes up"));
    if let Some(line) = driver.ledger.lines.get_mut(&connection) {
        line.is_up = true;
    }
    let now = driver.now();
    driver.core.connected(connection, "", now, &mut driver.out);
}

/// A connection is no more, and the core has not wanted that.
fn end(driver: &mut Driver, connection: ConnectionKey) {
    if let Some(line) = driver.ledger.hang_up(connection) {
        let now = driver.now().mono;
        let counted = driver.ledger.failed(&line, now);
        driver.log.check(counted);
    }
}

fn look_something_up(driver: &mut Driver) {
    if let Some(upstream) = driver.ledger.lookups.pop_first() {
        look_up(driver, upstream);
    }
}

/// A look-up finds something or nothing. It has been taken out of the ledger.
pub fn look_up(driver: &mut Driver, upstream: usize) {
    let many = driver.dice.index(4);
    let addresses = (0..many).map(|n| upstream_addr(20 + 4 * upstream + n));
    let found = match driver.dice.below(3) {
        0 => Err(ConnectError::Unresolved("nobody knows".into())),
        _ => Ok((addresses.collect(), driver.dice.ms(1_000, 60_000))),
    };
    driver
        .log
        .note(|| format!("upstream {upstream} is at {found:?}"));
    let now = driver.now();
    driver.core.resolved(upstream, found, now, &mut driver.out);
}

/// Another configuration: other upstreams in another order, perhaps another route, another policy.
fn reload(driver: &mut Driver) {
    let dice = &mut driver.dice;
    let healthy = driver.ledger.healthy;
    let mut some: Vec<Upstream> = Vec::new();
    for (number, upstream) in driver.upstreams.iter().enumerate() {
        // The healthy one is always there.
        if dice.percent(60) || healthy == Some(number) {
            some.insert(dice.index(some.len() + 1), upstream.clone());
        }
    }
    if some.is_empty() {
        some.push(driver.upstreams[0].clone());
    }
    let split = match healthy {
        None => Split::draw(dice, some.len()),
        Some(_) => None,
    };
    let mut house = driver.house;
    house.policy = dice.pick(Policy::ALL).1;
    house.hedge = dice.percent(50);
    let split = split.unwrap_or(Split::none(some.len()));
    let config = super::configure(house, &some, split);
    let before = std::mem::replace(&mut driver.config, config);
    driver
        .log
        .note(|| format!("from now on {:?}", driver.config));
    let host = |driver: &Driver, number: usize| driver.core.upstream(number)?.host().cloned();
    let looked_up: Vec<_> = driver.ledger.lookups.iter().copied().collect();
    let hosts: Vec<_> = looked_up
        .iter()
        .map(|number| host(driver, *number))
        .collect();
    let (cache, now) = (driver.cache.clone(), driver.now());
    let (core, out) = (&mut driver.core, &mut driver.out);
    core.reconfigure(&before, &driver.config, cache, now, out);
    for (number, before) in looked_up.into_iter().zip(hosts) {
        if host(driver, number) != before {
            driver.ledger.lookups.remove(&number);
        }
    }
    driver.ledger.allowed = super::allowed(&driver.core, &driver.config);
    driver.ledger.reloaded_at = now.mono;
}

fn lose_a_link(driver: &mut Driver) {
    if let Some(connection) = link(driver, true) {
        end(driver, connection);
        go_down(driver, connection);
    }
}

fn go_down(driver: &mut Driver, connection: ConnectionKey) {
    let why = [
        ConnectionError::Closed,
        ConnectionError::Truncated,
        ConnectionError::Io("reset".into()),
        ConnectionError::Protocol("nonsense"),
    ];
    let why = &why[driver.dice.index(4)];
    driver.log.note(|| format!("{connection:?}: {why}"));
    let now = driver.now();
    driver
        .core
        .connection_lost(connection, why, now, &mut driver.out);
}

fn fail_a_question(driver: &mut Driver) {
    if let Some((connection, id, query)) = unanswered(driver) {
        forget(driver, connection, id);
        // Each in its way.
        let why = match id % 4 {
            0 => None,
            1 => Some(ConnectionError::Io("the proxy failed".into())),
            2 => Some(ConnectionError::Unprocessed),
            _ => Some(ConnectionError::Rejected("HTTP status 500".into())),
        };
        driver.log.note(|| {
            let why = why.as_ref().map(ToString::to_string).unwrap_or_default();
            format!(
                "{connection:?}: fails id {id}, {}: {why}",
                messages::name(&query)
            )
        });
        // To one that has got a malformed response, nothing more comes.
        let line = driver.ledger.lines.get(&connection);
        if why == Some(ConnectionError::Unprocessed)
            && line.is_some_and(|line| !line.free.contains(&id))
        {
            driver.ledger.tally.unprocessed(&messages::name(&query));
        }
        let (now, out) = (driver.now(), &mut driver.out);
        match why {
            Some(why) => driver.core.query_lost(connection, id, &why, now, out),
            None => driver.core.query_failed(connection, id, now, out),
        }
    }
}

fn limit_a_link(driver: &mut Driver) {
    if let Some(connection) = link(driver, true) {
        let in_flight = driver.dice.pick(&[0, 1, 5, 100, usize::MAX]);
        driver
            .log
            .note(|| format!("{connection:?}: takes {in_flight} queries"));
        let (now, out) = (driver.now(), &mut driver.out);
        driver
            .core
            .limited(connection, Limits { in_flight }, now, out);
    }
}

/// What is reported of a connection that is no more is ignored.
fn report_of_the_gone(driver: &mut Driver) {
    if driver.ledger.gone.is_empty() {
        return;
    }
    let connection = driver.dice.pick(&driver.ledger.gone);
    let now = driver.now();
    match driver.dice.below(4) {
        0 => driver.core.connected(connection, "", now, &mut driver.out),
        1 => go_down(driver, connection),
        2 => hear(
            driver,
            connection,
            &messages::answer(&messages::query("a", 1, true)),
        ),
        _ => driver
            .core
            .query_failed(connection, 1, now, &mut driver.out),
    }
}

fn wait(driver: &mut Driver) {
    let span = driver.dice.pick(&[2, 300, 5_000]);
    let span = driver.dice.ms(0, span);
    driver.pass(span);
}

/// The process stands still, and then has something else to do than to look at the clock.
fn be_stopped(driver: &mut Driver) {
    let span = driver.dice.ms(0, 20_000);
    driver.leap(span, Duration::ZERO);
    let first: [Event; 4] = [ask, answer, end_a_dial, lose_a_link];
    driver.dice.pick(&first)(driver);
}

fn sleep(driver: &mut Driver) {
    let span = driver.dice.ms(0, 600_000);
    driver.leap(Duration::ZERO, span);
    driver.dice.pick(&[ask as Event, wait])(driver);
}
