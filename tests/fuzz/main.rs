//! Fuzzing on stable Rust: octets of any kind against the wire format, the cache's form of a response and its dump, and the whole core.
//!
//! `cargo test` runs each target over its corpus and over some thousand changed inputs that are the same each time. With
//! `FUZZ_SECONDS` each target goes on for so long, from a seed that `FUZZ_SEED` sets or the clock does: `just fuzz SECONDS`. An input that
//! finds a fault is left in the target's corpus, and so is tried ever after.

mod cache;
mod dumps;
mod generated;
mod invariants;
mod looping;
mod messages;
mod script;
#[path = "../support"]
#[expect(dead_code, reason = "the helpers are those of all tests")]
mod support {
    pub mod codes;
    pub mod messages;
}
#[path = "../simulator/watch.rs"]
#[expect(dead_code, reason = "a part of it looks at the simulator's shell")]
mod watch;

use looping::run;

/// Rounds within `cargo test`: a second for each target, without optimisation.
const ROUNDS: u32 = 1_000;
/// A script has many events, and ends with some minutes of rest.
const SCRIPTS: u32 = 200;

// req 3, req 4, fault 55, fault 58
#[test]
fn queries() {
    run("queries", messages::query, ROUNDS);
}

// req 3, req 17, req 18, fault 17
#[test]
fn responses() {
    run("responses", messages::response, ROUNDS);
}

// req 5, fault 11, fault 12
#[test]
fn streams() {
    run("streams", messages::stream, ROUNDS);
}

// req 37, req 52
#[test]
fn cached_responses() {
    run("cached_responses", cache::cached_response, ROUNDS);
}

// req 52
#[test]
fn dumps() {
    run("dumps", dumps::dump, ROUNDS);
}

// req 58, req 70, fault 24
#[test]
fn event_scripts() {
    run("event_scripts", script::play, SCRIPTS);
}
