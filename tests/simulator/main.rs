//! Tells random stories: `simulate SEED` one with its trace, `simulate FROM..TO` many. With `--core` the core is alone;
//! with `--all` there are the trials, too, whose promises are not kept yet.

mod shrinking;
#[path = "mod.rs"]
mod simulator;
#[path = "../support"]
#[expect(dead_code, reason = "the helpers are those of all tests")]
mod support {
    pub mod codes;
    pub mod memory;
    pub mod messages;
}

use shrinking::shrink;
use simulator::{Outcome, draw, drive, first_fault, tell};
use std::process::ExitCode;

/// With so many bad stories there is enough to think about.
const FAULTS: usize = 20;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let seeds = given.first().map(|text| match text.split_once("..") {
        Some((from, to)) => Some((from.parse().ok()?, Some(to.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    });
    let has = |option: &str| given.iter().any(|word| word == option);
    let all = has("--all");
    match (seeds.flatten(), has("--core")) {
        (Some((seed, None)), true) => show(drive(seed, all, true)),
        (Some((seed, None)), false) => {
            let story = draw(seed, all);
            let story = if has("--shrink") {
                shrink(&story)
            } else {
                story
            };
            print!("{story}");
            show(tell(&story, true))
        }
        (Some((from, Some(to))), true) => search(from, to, |seed| drive(seed, all, false)),
        (Some((from, Some(to))), false) => search(from, to, |seed| tell(&draw(seed, all), false)),
        (None, _) => {
            eprintln!(
                "simulate SEED [--shrink | --core] [--all], or simulate FROM..TO [--core] [--all]"
            );
            ExitCode::from(2)
        }
    }
}

/// All that happened.
fn show(outcome: Outcome) -> ExitCode {
    for line in outcome.trace {
        println!("{line}");
    }
    println!("{:?}", outcome.stats);
    for fault in &outcome.faults {
        println!("WRONG: {fault}");
    }
    ExitCode::from(u8::from(!outcome.faults.is_empty()))
}

/// Many stories; the first ones that fail.
fn search(from: u64, to: u64, run: impl Fn(u64) -> Outcome) -> ExitCode {
    let bad: Vec<_> = (from..to)
        .filter_map(|seed| first_fault([seed], &run))
        .take(FAULTS)
        .collect();
    for (seed, faults) in &bad {
        println!("seed {seed}: {faults:#?}");
    }
    if bad.is_empty() {
        println!("{} stories end well", to.saturating_sub(from));
    }
    ExitCode::from(u8::from(!bad.is_empty()))
}
