//! What can happen to a core, one event at a time, in any order that its contract allows.

use super::super::drawing;
use super::super::messages::{self, Truth};
use super::super::story::upstream_addr;
use super::Driver;
use super::ledger::Line;
use dotward::engine::{Action, Client, LinkKey, Via};
use dotward::transport::{ConnectError, ConnectionError};
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
    (1, say_a_limit),
    (2, report_of_the_gone),
    (20, wait),
    (1, be_stopped),
    (1, sleep),
];
const EVENT_COUNT: usize = 15;
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
    let open: Vec<_> = open.filter(|open| datagrams(&open.client)).collect();
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
fn unanswered(driver: &mut Driver) -> Option<(LinkKey, u16, Vec<u8>)> {
    let of = |(link, line): (&LinkKey, &Line)| {
        let asked = line.asked.iter();
        let asked: Vec<_> = asked.map(|(id, query)| (*id, query.clone())).collect();
        let link = *link;
        asked.into_iter().map(move |(id, query)| (link, id, query))
    };
    let lines = driver.ledger.lines.iter();
    let lines = lines.filter(|(link, _)| !driver.ledger.is_healthy(**link));
    let mut all: Vec<_> = lines.flat_map(of).collect();
    let drawn = driver.dice.index(all.len());
    (!all.is_empty()).then(|| all.swap_remove(drawn))
}

/// One of the links, but those of the healthy upstream, that are up, or of those that are being made.
fn link(driver: &mut Driver, is_up: bool) -> Option<LinkKey> {
    let lines = driver.ledger.lines.iter();
    let so = lines.filter(|(link, line)| line.is_up == is_up && !driver.ledger.is_healthy(**link));
    let so: Vec<_> = so.map(|(link, _)| *link).collect();
    (!so.is_empty()).then(|| driver.dice.pick(&so))
}

/// A message from an upstream.
fn hear(driver: &mut Driver, link: LinkKey, message: &[u8]) {
    driver
        .log
        .note(|| format!("{link:?}: comes id {}", messages::id(message)));
    let now = driver.now();
    driver.core.answer(link, message, now, &mut driver.out);
}

/// The other end has no question with this id any more, and another may get it.
fn forget(driver: &mut Driver, link: LinkKey, id: u16) {
    if let Some(line) = driver.ledger.lines.get_mut(&link) {
        line.asked.remove(&id);
    }
}

fn answer(driver: &mut Driver) {
    if let Some((link, id, query)) = unanswered(driver) {
        answer_well(driver, link, id, &query);
    }
}

fn answer_well(driver: &mut Driver, link: LinkKey, id: u16, query: &[u8]) {
    forget(driver, link, id);
    if let Some(line) = driver.ledger.lines.get_mut(&link) {
        line.is_useful = true;
    }
    hear(driver, link, &messages::answer(query));
}

/// The healthy upstream takes a connect, or answers a question, if the core still wants it. A connect to another one has taken too
/// long, if it is still under way.
pub fn come_due(driver: &mut Driver, link: LinkKey, id: Option<u16>) {
    let Some(there) = driver.ledger.lines.get(&link) else {
        return;
    };
    let Some(id) = id else {
        match there.is_up {
            _ if driver.ledger.is_healthy(link) => come_up(driver, link),
            true => {}
            false => fail_to_connect(driver, link),
        }
        return;
    };
    if let Some(query) = there.asked.get(&id).cloned() {
        answer_well(driver, link, id, &query);
    }
}

/// An answer that says little: the upstream fails, refuses, does not understand, or cuts it short.
fn answer_badly(driver: &mut Driver) {
    let Some((link, id, query)) = unanswered(driver) else {
        return;
    };
    forget(driver, link, id);
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
    if let Some(line) = driver.ledger.lines.get_mut(&link) {
        line.is_useful = true;
    }
    hear(driver, link, &bad);
}

/// What is no answer to the question.
fn answer_wrongly(driver: &mut Driver) {
    let Some((link, id, query)) = unanswered(driver) else {
        return;
    };
    let mut wrong = messages::answer(&query);
    match driver.dice.below(6) {
        0 => {
            wrong[1] ^= 1 + driver.dice.below(255) as u8;
            forget(driver, link, messages::id(&wrong));
        }
        1 => {
            // Of the same length, or else it would not fit.
            let other = format!("x{}", &messages::name(&query)[1..]);
            wrong = messages::answer(&messages::query(&other, id, messages::has_opt(&query)));
            forget(driver, link, id);
        }
        2 => wrong = query,
        3 => wrong.truncate(driver.dice.index(wrong.len())),
        4 => wrong.push(0),
        _ => {
            // The right one, and once more.
            forget(driver, link, id);
            hear(driver, link, &wrong);
        }
    }
    let before = driver.out.actions().len();
    hear(driver, link, &wrong);
    let Some(there) = driver.ledger.lines.get_mut(&link) else {
        return;
    };
    there.unmatched += 1;
    if wrong.starts_with(&id.to_be_bytes()) {
        there.free.insert(id);
    }
    let closes = driver.out.actions().iter().skip(before);
    let closes = closes.filter(|action| matches!(action, Action::Close { link: l } if *l == link));
    if closes.count() > 0 && there.unmatched < MANY {
        let what = format!("{link:?}: one bad message ends the connection of all");
        driver.log.wrong(what);
    }
}

fn end_a_dial(driver: &mut Driver) {
    if let Some(link) = link(driver, false) {
        end_dial(driver, link);
    }
}

/// A connect succeeds or fails.
pub fn end_dial(driver: &mut Driver, link: LinkKey) {
    if driver.dice.percent(60) {
        come_up(driver, link);
    } else {
        fail_to_connect(driver, link);
    }
}

fn fail_to_connect(driver: &mut Driver, link: LinkKey) {
    driver.log.note(|| format!("{link:?}: cannot be made"));
    end(driver, link);
    let (why, now) = (ConnectError::TimedOut, driver.now());
    driver.core.dial_failed(link, &why, now, &mut driver.out);
}

fn come_up(driver: &mut Driver, link: LinkKey) {
    driver.log.note(|| format!("{link:?}: comes up"));
    if let Some(line) = driver.ledger.lines.get_mut(&link) {
        line.is_up = true;
    }
    let now = driver.now();
    driver.core.link_up(link, "", now, &mut driver.out);
}

/// A link is no more, and the core has not wanted that.
fn end(driver: &mut Driver, link: LinkKey) {
    if let Some(line) = driver.ledger.hang_up(link) {
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

fn lose_a_link(driver: &mut Driver) {
    if let Some(link) = link(driver, true) {
        end(driver, link);
        go_down(driver, link);
    }
}

fn go_down(driver: &mut Driver, link: LinkKey) {
    let why = [
        ConnectionError::Closed,
        ConnectionError::Truncated,
        ConnectionError::Io("reset".into()),
        ConnectionError::Protocol("nonsense"),
    ];
    let why = &why[driver.dice.index(4)];
    driver.log.note(|| format!("{link:?}: {why}"));
    let now = driver.now();
    driver.core.link_down(link, why, now, &mut driver.out);
}

fn fail_a_question(driver: &mut Driver) {
    if let Some((link, id, _)) = unanswered(driver) {
        forget(driver, link, id);
        driver.log.note(|| format!("{link:?}: fails id {id}"));
        let now = driver.now();
        driver.core.question_failed(link, id, now, &mut driver.out);
    }
}

fn say_a_limit(driver: &mut Driver) {
    if let Some(link) = link(driver, true) {
        let (limit, now) = (1 + driver.dice.index(5), driver.now());
        driver
            .log
            .note(|| format!("{link:?}: takes {limit} at once"));
        driver.core.link_limits(link, limit, now);
    }
}

/// What is reported of a link that is no more is ignored.
fn report_of_the_gone(driver: &mut Driver) {
    if driver.ledger.gone.is_empty() {
        return;
    }
    let link = driver.dice.pick(&driver.ledger.gone);
    let now = driver.now();
    match driver.dice.below(4) {
        0 => driver.core.link_up(link, "", now, &mut driver.out),
        1 => go_down(driver, link),
        2 => hear(
            driver,
            link,
            &messages::answer(&messages::query("a", 1, true)),
        ),
        _ => driver.core.link_limits(link, 1, now),
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
