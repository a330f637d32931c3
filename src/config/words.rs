//! Suggestions for misspelt words.

/// Longer than any word that is suggested; no suggestion is looked for a word that is longer still.
const MAX_WORD: usize = 64;

/// The candidate nearest to a misspelt word, if it is near enough. Case does not matter.
pub(crate) fn closest<'a>(
    word: &str,
    mut candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    nearest(word, &mut candidates)
}

fn nearest<'a>(word: &str, candidates: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_ascii_lowercase();
    // One edit in three letters: enough for `clodflare` and `gogle`, too few for another word.
    let most = word.chars().count() / 3;
    candidates
        .map(|candidate| {
            let edits = strsim::osa_distance(&word, &candidate.to_ascii_lowercase());
            (edits, candidate)
        })
        .filter(|(edits, _)| *edits <= most)
        .min_by_key(|(edits, _)| *edits)
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
        // Two letters that changed places are one edit.
        assert_eq!(closest("tpc", words()), Some("tcp"));
        assert_eq!(closest("mullvad", words()), None);
        assert_eq!(closest("", words()), None);
        assert_eq!(closest(&"x".repeat(100_000), words()), None);
        assert_eq!(hint("gogle", words()), "; did you mean google?");
        assert_eq!(hint("mullvad", words()), "");
    }
}
