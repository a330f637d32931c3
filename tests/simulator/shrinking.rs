//! Makes a story that fails shorter: leaves out whatever it fails without.

use crate::simulator::{Story, tell};

/// A short story that fails in the same way, as far as leaving out steps gets.
pub fn shrink(story: &Story) -> Story {
    let mut best = story.clone();
    let Some(kind) = kind(&best) else {
        return best;
    };
    let mut width = best.steps.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        while start < best.steps.len() {
            let mut shorter = best.clone();
            let end = (start + width).min(shorter.steps.len());
            shorter.steps.drain(start..end);
            if self::kind(&shorter) == Some(kind.clone()) {
                best = shorter;
            } else {
                start += width;
            }
        }
        if width == 1 {
            return best;
        }
        width = width.div_ceil(2);
    }
}

/// Of what kind a story's first fault is: its words without the numbers.
fn kind(story: &Story) -> Option<String> {
    let fault = tell(story, false).faults.into_iter().next()?;
    let words = fault
        .split(' ')
        .filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    Some(words.collect::<Vec<_>>().join(" "))
}
