//! How long the parts of a question's way take, in nanoseconds on this machine: `cargo bench --bench micro`.
//!
//! For a comparison between two versions prefer `tests/counting/run`, which counts instructions and has no noise.

#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod stand;
#[path = "../tests/support"]
#[expect(dead_code, reason = "the helpers are those of all tests")]
mod support {
    pub mod codes;
    pub mod messages;
}

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use dotward::wire::{self, Frames, append_frame};
use stand::{BATCH, NEW, Stand};

fn main() {
    divan::main();
}

/// A client's question, walked once.
#[divan::bench]
fn scan_query(bencher: Bencher) {
    let query = stand::query();
    bencher.bench_local(|| wire::parse_query(black_box(&query)));
}

/// An upstream's answer, walked once.
#[divan::bench]
fn scan_answer(bencher: Bencher) {
    let answer = stand::response();
    bencher.bench_local(|| wire::parse_response(black_box(&answer)));
}

/// simple-dns reads the question, for what wants it typed.
#[divan::bench]
fn typed_question(bencher: Bencher) {
    let query = stand::query();
    let asked = wire::parse_query(&query).expect("a good query");
    bencher.bench_local(|| wire::typed(black_box(&query), &asked.question).is_some());
}

/// A question as the upstream gets it.
#[divan::bench]
fn forward_query(bencher: Bencher) {
    let query = stand::query();
    let asked = wire::parse_query(&query).expect("a good query");
    let (rewrite, mut out) = (stand::rewrite(), Vec::with_capacity(512));
    bencher.bench_local(|| {
        out.clear();
        wire::forward_query(black_box(&query), &asked, &rewrite, &mut out);
        out.len()
    });
}

/// An answer as the client gets it.
#[divan::bench]
fn relay_answer(bencher: Bencher) {
    let (query, answer) = (stand::query(), stand::response());
    let asked = wire::parse_query(&query).expect("a good query");
    let answered = wire::parse_response(&answer).expect("a good answer");
    let recipient = stand::recipient(&query, &asked);
    let mut out = Vec::with_capacity(512);
    bencher.bench_local(|| {
        out.clear();
        wire::relay_response(black_box(&answer), &answered, &recipient, 1232, &mut out);
        out.len()
    });
}

/// A batch of answers taken out of one read from a stream.
#[divan::bench]
fn frames(bencher: Bencher) {
    let mut read = Vec::new();
    for _ in 0..BATCH {
        append_frame(&stand::response(), &mut read);
    }
    let mut frames = Frames::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let space = &mut frames.space()[..read.len()];
        space.copy_from_slice(black_box(&read));
        frames.filled(read.len());
        std::iter::from_fn(|| frames.next().map(|message| message.len())).sum::<usize>()
    });
}

/// The whole core, a batch of new names: asked, sent, answered, relayed.
#[divan::bench]
fn miss(bencher: Bencher) {
    let mut stand = Stand::new();
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| stand.ask(NEW));
}

/// The whole core, a batch of names that the cache knows.
#[divan::bench]
fn hit(bencher: Bencher) {
    let mut stand = Stand::new();
    let names = 1_000;
    for _ in 0..=names / BATCH {
        stand.ask(names);
    }
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| stand.ask(names));
}

/// The whole core, a batch of the names of 10,000 hosts, which are answered here.
#[divan::bench]
fn host(bencher: Bencher) {
    let hosts = stand::hosts(10_000);
    let mut stand = Stand::with_hosts(&hosts);
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| stand.ask(10_000));
}

/// The same as `miss`, with 10,000 hosts among which the names are not.
#[divan::bench]
fn miss_beside_hosts(bencher: Bencher) {
    let hosts = stand::hosts(10_000);
    let mut stand = Stand::with_hosts(&hosts);
    // Behind the numbers of the hosts.
    stand.skip(20_000);
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| stand.ask(NEW));
}

/// The same as [`hit`] with 200 routes, of which the names take one: the difference is what finding that costs.
#[divan::bench]
fn hit_on_a_route(bencher: Bencher) {
    let mut stand = Stand::with_routes(200);
    let names = 1_000;
    for _ in 0..=names / BATCH {
        stand.ask(names);
    }
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| stand.ask(names));
}

/// When the core wants to be called next, with a question in flight: asked twice in each turn of the loop.
#[divan::bench]
fn next_alarm(bencher: Bencher) {
    let mut stand = Stand::new();
    stand.leave_one();
    bencher.bench_local(|| black_box(&stand).next_alarm());
}
