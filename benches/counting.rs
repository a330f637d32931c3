//! One operation, so many times, and nothing else: the program whose instructions `tests/counting/run` counts.
//!
//! `counting OPERATION TIMES`; without arguments each operation runs once, so that `cargo test --benches` finds a broken one.

mod stand;
#[path = "../tests/support"]
#[expect(dead_code, reason = "the helpers are those of all tests")]
mod support {
    pub mod codes;
    pub mod messages;
}

use dotward::engine::Time;
use dotward::wire::{self, Frames, append_frame};
use stand::{BATCH, NEW, Stand};
use std::error::Error;
use std::hint::black_box;

/// An operation by its name. It does all its work `times` times, and gives octets, lest the work be optimised away.
type Operation = (&'static str, fn(u32) -> usize);

/// All of them. `tests/counting/budget.json` has a figure for each.
const OPERATIONS: [Operation; 10] = [
    ("scan", scan),
    ("edit", edit),
    ("frame", frame),
    ("miss", |times| ask(Stand::new(), times, NEW)),
    // As with a control socket.
    ("miss_recorded", |times| {
        ask(Stand::new().recorded(), times, NEW)
    }),
    ("hit", |times| ask(Stand::new(), times, 1_000)),
    ("hit_routed", |times| {
        ask(Stand::with_routes(200), times, 1_000)
    }),
    ("host", |times| ask(beside_hosts(), times, 10_000)),
    ("no_host", |times| {
        let mut stand = beside_hosts();
        stand.skip(20_000);
        ask(stand, times, NEW)
    }),
    ("alarm", alarm),
];

fn main() -> Result<(), Box<dyn Error>> {
    // cargo bench passes "--bench".
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let Some(name) = arguments.next() else {
        for (name, run) in OPERATIONS {
            println!("{name}: {} octets", run(1));
        }
        return Ok(());
    };
    let times = arguments.next().ok_or("usage: counting OPERATION TIMES")?;
    let found = OPERATIONS.iter().find(|(known, _)| *known == name);
    let (_, run) = found.ok_or_else(|| format!("no operation {name:?}"))?;
    println!("{}", run(times.parse()?));
    Ok(())
}

/// A query and an answer walked once each.
fn scan(times: u32) -> usize {
    let (query, answer) = (stand::query(), stand::response());
    let mut octets = 0;
    for _ in 0..times {
        octets += wire::parse_query(black_box(&query)).map_or(0, |query| query.end);
        octets += wire::parse_response(black_box(&answer)).map_or(0, |answer| answer.end);
    }
    octets
}

/// A query written as it is forwarded, and an answer as it is relayed; both were walked before.
fn edit(times: u32) -> usize {
    let (query, answer) = (stand::query(), stand::response());
    let (Ok(asked), Ok(answered)) = (wire::parse_query(&query), wire::parse_response(&answer))
    else {
        return 0;
    };
    let (recipient, rewrite) = (stand::recipient(&query, &asked), stand::rewrite());
    let (mut octets, mut out) = (0, Vec::with_capacity(1024));
    for _ in 0..times {
        out.clear();
        wire::forward_query(black_box(&query), &asked, &rewrite, &mut out);
        wire::relay_response(black_box(&answer), &answered, &recipient, 1232, &mut out);
        octets += out.len();
    }
    octets
}

/// A message put behind its length, and taken out again, a batch at a time.
fn frame(times: u32) -> usize {
    let message = stand::response();
    let (mut octets, mut frames) = (0, Frames::new());
    let mut out = Vec::with_capacity(4096);
    for _ in 0..times.div_ceil(BATCH) {
        out.clear();
        for _ in 0..BATCH {
            append_frame(black_box(&message), &mut out);
        }
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            let space = frames.space();
            let (now, later) = rest.split_at(rest.len().min(space.len()));
            space[..now.len()].copy_from_slice(now);
            frames.filled(now.len());
            rest = later;
            while let Some(message) = frames.next() {
                octets += message.len();
            }
        }
    }
    octets
}

/// Questions through the whole core, for so many names in turn: asked, sent and answered where they must be, replied to.
fn ask(mut stand: Stand, times: u32, names: u32) -> usize {
    (0..times.div_ceil(BATCH)).map(|_| stand.ask(names)).sum()
}

/// A core with 10,000 hosts: the first ten thousand names but one.
fn beside_hosts() -> Stand {
    Stand::with_hosts(&stand::hosts(10_000))
}

/// When the core wants to be called next, with a question in flight.
fn alarm(times: u32) -> usize {
    let mut stand = Stand::new();
    stand.leave_one();
    let found = (0..times).filter_map(|_| black_box(&stand).next_alarm());
    found.map(|at| usize::from(at > Time::ZERO)).sum()
}
