//! The loop: inputs from a corpus, changed at random, for so many rounds or so many seconds.
//!
//! A target gives a number for what an input made it do. An input with a number that was not seen before is kept and changed further:
//! little is needed of a compiler for that, and random octets become messages with parts that fit together.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

/// Octets of the longest input. Long names and long chains fit many times.
const LONGEST: usize = 4_096;
/// Octets that stand for something in messages, and numbers near an edge.
const NOTABLE: [u8; 16] = [
    0, 1, 2, 4, 10, 12, 15, 28, 41, 63, 64, 127, 128, 192, 250, 255,
];

/// What an input made the target do, as a number: for the same doings the same.
pub type Doing = u64;

/// Runs a target over its corpus and what can be made of that, for so many rounds within `cargo test`.
pub fn run(name: &str, target: fn(&[u8]) -> Doing, rounds_in_a_test: u32) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let mut inputs = corpus(&folder);
    let mut seen = HashSet::new();
    for input in &inputs {
        seen.insert(try_one(&folder, target, input));
    }
    let seconds = env::var("FUZZ_SECONDS")
        .ok()
        .map(|text| text.parse().expect("FUZZ_SECONDS: a number"));
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut chance = Chance(end.map_or(1, |_| seed()));
    let mut rounds = 0;
    while end.map_or(rounds < rounds_in_a_test, |end| Instant::now() < end) {
        let input = chance.change(&inputs);
        if seen.insert(try_one(&folder, target, &input)) {
            inputs.push(input);
        }
        rounds += 1;
    }
    println!(
        "{name}: {rounds} inputs, {} of them did something new",
        seen.len()
    );
}

/// The inputs in a folder, by the names of their files.
fn corpus(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).expect("the target has a corpus");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let inputs: Vec<_> = files
        .iter()
        .map(|file| fs::read(file).expect("an input"))
        .collect();
    assert!(!inputs.is_empty(), "the corpus is empty");
    inputs
}

/// Tries one input. One that panics is left in the corpus first.
fn try_one(folder: &Path, target: fn(&[u8]) -> Doing, input: &[u8]) -> Doing {
    catch_unwind(AssertUnwindSafe(|| target(input))).unwrap_or_else(|panic| {
        let sum = input
            .iter()
            .fold(0_u64, |sum, octet| mix(sum ^ u64::from(*octet)));
        let file = folder.join(format!("fault-{sum:016x}"));
        fs::write(&file, input).expect("the input is written");
        println!("the input that did it: {}", file.display());
        resume_unwind(panic)
    })
}

/// The seed of a long run, which is printed.
fn seed() -> u64 {
    let given = env::var("FUZZ_SEED")
        .ok()
        .map(|text| text.parse().expect("FUZZ_SEED: a number"));
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_nanos() as u64)
    };
    let seed = given.unwrap_or_else(now);
    println!("FUZZ_SEED={seed}");
    seed
}

/// Chance that follows from a seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.0) % n.max(1) as u64) as usize
    }

    /// One of the inputs, changed in some places. A recent one is as likely as all others together.
    fn change(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let recent = inputs.len().saturating_sub(20);
        let at = match self.below(2) {
            0 => self.below(inputs.len()),
            _ => recent + self.below(inputs.len() - recent),
        };
        let mut input = inputs[at].clone();
        for _ in 0..=self.below(6) {
            self.change_once(&mut input, inputs);
        }
        input.truncate(LONGEST);
        input
    }

    fn change_once(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below(input.len() + 1 - at).min(64);
        match self.below(9) {
            0 => input.insert(at, self.below(256) as u8),
            1 => drop(input.drain(at..end)),
            2 => input.extend_from_within(at..end),
            3 => {
                let copy = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            4 => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len() + 1);
                let to = from + self.below(other.len() + 1 - from);
                input.splice(at..end, other[from..to].iter().copied());
            }
            kind => {
                if let Some(octet) = input.get_mut(at) {
                    *octet = match kind {
                        5 => self.below(256) as u8,
                        6 => *octet ^ 1 << self.below(8),
                        7 => octet.wrapping_add(self.below(9) as u8).wrapping_sub(4),
                        _ => NOTABLE[self.below(NOTABLE.len())],
                    };
                }
            }
        }
    }
}

/// Mixes a number, so that a small change in it changes half of its bits.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number for doings that are described by numbers.
pub fn doing(numbers: &[usize]) -> Doing {
    numbers
        .iter()
        .fold(1, |sum, number| mix(sum ^ *number as u64).wrapping_add(1))
}
