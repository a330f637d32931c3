//! What a mistyped word most likely stands for.

/// Longer than any word that is known here; what is longer still stands for none of them.
const MAX_WORD: usize = 64;

/// The candidate that is nearest to a mistyped word, if it is near enough to be meant. Case does not matter.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_ascii_lowercase();
    // One slip in three letters: enough for `clodflare` and `gogle`, too little for another word.
    let tolerated = word.chars().count() / 3;
    candidates
        .map(|candidate| {
            let slips = strsim::osa_distance(&word, &candidate.to_ascii_lowercase());
            (slips, candidate)
        })
        .filter(|(slips, _)| *slips <= tolerated)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean NAME?`, or nothing if no candidate is near.
pub(crate) fn hint<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    closest(word, candidates).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        let words = || ["cloudflare", "cloudflare-family", "quad9", "google", "tcp"].into_iter();
        assert_eq!(closest("clodflare", words()), Some("cloudflare"));
        assert_eq!(closest("GOGLE", words()), Some("google"));
        assert_eq!(closest("quad8", words()), Some("quad9"));
        // Two letters that changed places are one slip.
        assert_eq!(closest("tpc", words()), Some("tcp"));
        assert_eq!(closest("mullvad", words()), None);
        assert_eq!(closest("", words()), None);
        assert_eq!(closest(&"x".repeat(100_000), words()), None);
        assert_eq!(hint("gogle", words()), "; did you mean google?");
        assert_eq!(hint("mullvad", words()), "");
    }
}
