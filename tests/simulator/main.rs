//! Tells random stories: `simulate SEED` one with its trace, `simulate FROM..TO` many. With `--core` the core is alone;
//! `--replay FILE` plays the record of a failure, as `dotward why ID --output FILE` writes it;
//! `--failures` plays the records of all failures of stories again; with `--all` there are the trials, too, whose promises are not kept yet; with `--protocol https` or `--protocol quic` an upstream at least
//! speaks that, for which the program is built with the feature `doh` or `doq`.

mod shrinking;
#[path = "mod.rs"]
mod simulator;
#[path = "../support"]
#[expect(dead_code, reason = "the helpers are those of all tests")]
mod support {
    pub mod codes;
    #[cfg(feature = "doh")]
    pub mod http2;
    pub mod memory;
    pub mod messages;
    #[cfg(feature = "doq")]
    pub mod quic;
}

use shrinking::shrink;
use simulator::replay::{File, play};
use simulator::{Outcome, Protocol, Wanted, draw, drive, first_fault, tell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;

/// With so many bad stories there is enough to think about.
const FAULTS: usize = 20;
const USAGE: &str = "simulate SEED [--shrink] [--all] [--protocol NAME],
simulate FROM..TO [--all] [--protocol NAME],
simulate SEED --core [--all], or simulate FROM..TO --core [--all],
simulate FROM..TO --failures, or simulate --replay FILE";

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let [option, path] = &given[..]
        && option == "--replay"
    {
        return replay(path);
    }
    let seeds = given.first().map(|text| match text.split_once("..") {
        Some((from, to)) => Some((from.parse().ok()?, Some(to.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    });
    let has = |option: &str| given.iter().any(|word| word == option);
    let all = has("--all");
    let Ok(protocol) = protocol(&given) else {
        eprintln!(
            "this build has only these protocols with streams: {:?}",
            Protocol::WITH_STREAMS
        );
        return ExitCode::from(2);
    };
    let wanted = Wanted { all, protocol };
    if let (Some((from, to)), true) = (seeds.flatten(), has("--failures")) {
        let run = |seed| {
            if has("--core") {
                drive(seed, all, false)
            } else {
                tell(&draw(seed, wanted), false)
            }
        };
        return failures(from..to.unwrap_or(from + 1), run);
    }
    match (seeds.flatten(), has("--core")) {
        (Some((seed, None)), true) => show(drive(seed, all, true)),
        (Some((seed, None)), false) => {
            let story = draw(seed, wanted);
            let story = if has("--shrink") {
                shrink(&story)
            } else {
                story
            };
            print!("{story}");
            show(tell(&story, true))
        }
        (Some((from, Some(to))), true) => search(from, to, |seed| drive(seed, all, false)),
        (Some((from, Some(to))), false) => {
            search(from, to, |seed| tell(&draw(seed, wanted), false))
        }
        (None, _) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Plays the record of a failure. The exit code is 0 if it ends as it did, 1 if it does not, and 2 if there is no such record.
fn replay(path: &str) -> ExitCode {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let file = text.and_then(|text| File::read(&text));
    match file.and_then(|file| play(&file)) {
        Ok(replayed) => {
            for line in &replayed.trace {
                println!("{line}");
            }
            if replayed.is_same() {
                println!("ends as recorded: {}", replayed.end);
                return ExitCode::SUCCESS;
            }
            println!("ends differently: {}", replayed.end);
            println!("        recorded: {}", replayed.recorded);
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("{path}: {why}");
            ExitCode::from(2)
        }
    }
}

/// Plays the records of all failures of these stories, with all that happens if it is one story, and counts those that end as they did, by kind.
fn failures(seeds: Range<u64>, run: impl Fn(u64) -> Outcome) -> ExitCode {
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let is_one = seeds.end - seeds.start == 1;
    for seed in seeds {
        for (index, text) in run(seed).records.iter().enumerate() {
            let played =
                File::read(text).and_then(|file| Ok((file.end.kind.clone(), play(&file)?)));
            let (kind, replayed) = match played {
                Ok(played) => played,
                Err(why) => {
                    println!("seed {seed}, failure {index}: {why}");
                    continue;
                }
            };
            let (all, alike) = kinds.entry(kind).or_default();
            *all += 1;
            *alike += usize::from(replayed.is_same());
            if !replayed.is_same() {
                let (end, recorded) = (replayed.end, replayed.recorded);
                println!("seed {seed}, failure {index}: {end}, and not {recorded}");
                if is_one {
                    println!("{text}{}", replayed.trace.join("\n"));
                }
            }
        }
    }
    let all: usize = kinds.values().map(|(all, _)| all).sum();
    let alike: usize = kinds.values().map(|(_, alike)| alike).sum();
    for (kind, (all, alike)) in kinds {
        println!("{kind}: {alike} of {all} end as recorded");
    }
    println!("{alike} of {all} failures end as recorded");
    ExitCode::from(u8::from(alike < all))
}

/// The protocol that at least one upstream is to speak, if one is named. An error: this build lacks it.
fn protocol(given: &[String]) -> Result<Option<Protocol>, ()> {
    let Some(option) = given.iter().position(|word| word == "--protocol") else {
        return Ok(None);
    };
    let name = given.get(option + 1).ok_or(())?;
    let mut known = Protocol::WITH_STREAMS.iter();
    let found = known.find(|known| known.scheme() == name);
    found.copied().map(Some).ok_or(())
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
