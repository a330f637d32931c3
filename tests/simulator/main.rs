//! Tells random stories: `simulate SEED` one with its trace, `simulate FROM..TO` many.

#[path = "mod.rs"]
mod simulator;

use simulator::{Story, draw, first_fault, shrink, survive};
use std::process::ExitCode;

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
    for fault in &outcome.faults {
        println!("WRONG: {fault}");
    }
    ExitCode::from(u8::from(!outcome.faults.is_empty()))
}

/// Many stories, until one fails.
fn search(from: u64, to: u64) -> ExitCode {
    match first_fault(from..to) {
        Some((seed, faults)) => {
            println!("seed {seed}: {faults:#?}");
            ExitCode::FAILURE
        }
        None => {
            println!("{} stories end well", to.saturating_sub(from));
            ExitCode::SUCCESS
        }
    }
}
