//! Tells random stories: `simulate SEED` one with its trace, `simulate FROM..TO` many.

mod shrinking;
#[path = "mod.rs"]
mod simulator;

use shrinking::shrink;
use simulator::{Story, draw, first_fault, survive};
use std::process::ExitCode;

/// With so many bad stories there is enough to think about.
const FAULTS: usize = 20;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let seeds = given.first().map(|text| match text.split_once("..") {
        Some((from, to)) => Some((from.parse().ok()?, Some(to.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    });
    match seeds.flatten() {
        Some((seed, None)) => tell(&draw(seed), given.iter().any(|word| word == "--shrink")),
        Some((from, Some(to))) => search(from, to),
        None => {
            eprintln!("simulate SEED [--shrink], or simulate FROM..TO");
            ExitCode::from(2)
        }
    }
}

/// One story with all that happens.
fn tell(story: &Story, shorter: bool) -> ExitCode {
    let story = if shorter { &shrink(story) } else { story };
    print!("{story}");
    let outcome = survive(story, true);
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
fn search(from: u64, to: u64) -> ExitCode {
    let bad: Vec<_> = (from..to)
        .filter_map(|seed| first_fault([seed]))
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
