//! The name of a failure, which people read off a response and type.

use std::fmt;
use std::str::FromStr;

/// The digits: those of Crockford's base 32 in lower case, in which no letter is taken for a digit.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The first one, so that all have four digits at least and are told from other numbers.
const FIRST: u64 = 32 * 32 * 32;
/// Octets of the longest one: a 64-bit number.
pub(super) const MAX_LEN: usize = 13;

/// Names a failure. It is unique in a process, of all its event loops together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureId(u64);

impl FailureId {
    /// The name of a loop's failure with this number. `number` of the loop, from 1 on, among all `loops`.
    pub(super) fn new(count: u64, (number, loops): (usize, usize)) -> Self {
        let (number, loops) = (number.saturating_sub(1) as u64, loops.max(1) as u64);
        Self(FIRST + count * loops + number % loops)
    }
}

impl fmt::Display for FailureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; MAX_LEN];
        let (mut at, mut left) = (MAX_LEN, self.0);
        while at > 0 && (left > 0 || at == MAX_LEN) {
            at -= 1;
            digits[at] = DIGITS[(left % 32) as usize];
            left /= 32;
        }
        f.write_str(std::str::from_utf8(&digits[at..]).unwrap_or_default())
    }
}

impl FromStr for FailureId {
    type Err = String;

    /// Reads one in any letter case. An error says what it looks like.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no id of a failure: that has 4 to {MAX_LEN} letters and digits, as in (id 1a2b)"
            )
        };
        if !(4..=MAX_LEN).contains(&text.len()) {
            return Err(wrong());
        }
        let mut number: u64 = 0;
        for octet in text.bytes() {
            let digit = DIGITS
                .iter()
                .position(|it| *it == octet.to_ascii_lowercase());
            let digit = digit.ok_or_else(wrong)? as u64;
            let shifted = number.checked_mul(32).ok_or_else(wrong)?;
            number = shifted + digit;
        }
        Ok(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    // req 143
    #[test]
    fn ids_of_all_loops_differ_and_are_read_as_they_are_written() {
        let mut all = BTreeSet::new();
        for count in 0..5_000 {
            for number in 1..=3 {
                let id = FailureId::new(count, (number, 3));
                let text = id.to_string();
                assert_eq!(text.len(), 4, "{text}");
                assert_eq!(text.to_uppercase().parse(), Ok(id));
                assert!(all.insert(text));
            }
        }
        for wrong in [
            "",
            "abc",
            "abcu",
            "12345678901234",
            "zzzzzzzzzzzzz",
            "a b c",
        ] {
            let error = wrong.parse::<FailureId>().unwrap_err();
            assert!(error.contains("is no id of a failure"), "{error}");
        }
    }
}
