//! Domain names on the wire: walking them in bounded time, and showing them.

use std::fmt::{self, Write as _};

use super::header::HEADER_LEN;
use super::octets::u16_at;
use super::scan::Malformed;

/// Octets in the longest name, length octets and root included (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

/// The most octets in a label; the two bits above are the label's type (RFC 1035 §4.1.4).
const MAX_LABEL: u8 = 63;

/// Compression pointers that one name may follow. A name has at most 127 labels, and a pointer that leads
/// to no label is of no use.
const MAX_HOPS: usize = 127;

/// Labels and pointers that all owner names of one message may cost together. A message of 64 KiB has at
/// most 65,536 of them on its face, so a real one is far from this; walking this many takes well under a
/// millisecond.
const MAX_WORK: usize = 1 << 17;

/// Octets of the uncompressed name at `start`, root included.
///
/// `None` when it does not end within the message, is too long, or uses compression or another label type.
pub(super) fn plain_len(message: &[u8], start: usize) -> Option<usize> {
    let name = message.get(start..)?;
    let mut len = 0;
    loop {
        let label = *name.get(len)?;
        if label > MAX_LABEL {
            return None;
        }
        len += 1 + usize::from(label);
        if len > MAX_NAME {
            return None;
        }
        if label == 0 {
            return Some(len);
        }
    }
}

/// Where the compression pointer leads to that the name at `start` ends in; `None` if it ends in the root.
/// For a name that was walked: here only the bounds are checked.
pub(super) fn pointer_target(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match *message.get(at)? {
            0 => return None,
            label if label <= MAX_LABEL => at += 1 + usize::from(label),
            _ => return u16_at(message, at).map(|pointer| usize::from(pointer & 0x3FFF)),
        }
    }
}

/// A name that was walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameAt {
    /// Where the next field starts.
    pub(super) end: usize,
    /// Whether it is the root, written out or by pointer.
    pub(super) root: bool,
}

/// Walks the owner names of one message, and keeps account of what that costs.
#[derive(Debug)]
pub(super) struct Names {
    /// Octets of the name of the question at offset 12, which has been walked already; 0 when there is none.
    question_len: usize,
    /// What may still be spent.
    work: usize,
}

impl Names {
    pub(super) fn new(question_len: usize) -> Names {
        Names {
            question_len,
            work: MAX_WORK,
        }
    }

    /// Walks the name at `start`, following its pointers.
    ///
    /// A pointer must lead to before the part that it ends, so every name terminates. A pointer to the
    /// question's name, the one that nearly every answer uses, is not followed: its length is known.
    pub(super) fn walk(&mut self, message: &[u8], start: usize) -> Result<NameAt, Malformed> {
        // `part` is where the labels began that are being read, `len` how long the name is so far.
        let (mut at, mut part, mut len, mut hops) = (start, start, 0, 0);
        let mut end = None;
        loop {
            self.work = self
                .work
                .checked_sub(1)
                .ok_or(Malformed("names cost too much to follow"))?;
            let octet = *message
                .get(at)
                .ok_or(Malformed("a name runs past the end"))?;
            match octet {
                0 => {
                    return Ok(NameAt {
                        end: end.unwrap_or(at + 1),
                        root: len == 0,
                    });
                }
                1..=MAX_LABEL => {
                    let label = 1 + usize::from(octet);
                    len += label;
                    at += label;
                    if len >= MAX_NAME {
                        return Err(Malformed("a name is longer than 255 octets"));
                    }
                }
                0xC0.. => {
                    let pointer =
                        u16_at(message, at).ok_or(Malformed("a name runs past the end"))?;
                    let target = usize::from(pointer & 0x3FFF);
                    let end = *end.get_or_insert(at + 2);
                    if !(HEADER_LEN..part).contains(&target) {
                        return Err(Malformed("a compression pointer does not lead backwards"));
                    }
                    if target == HEADER_LEN && self.question_len != 0 {
                        if len + self.question_len > MAX_NAME {
                            return Err(Malformed("a name is longer than 255 octets"));
                        }
                        return Ok(NameAt {
                            end,
                            root: len + self.question_len == 1,
                        });
                    }
                    hops += 1;
                    if hops > MAX_HOPS {
                        return Err(Malformed("a name has too many compression pointers"));
                    }
                    (at, part) = (target, target);
                }
                _ => return Err(Malformed("a label is of an unknown type")),
            }
        }
    }
}

/// Shows a name of the wire: labels in letters, `\.` and `\\` for those two, `\DDD` for what is not printable
/// (RFC 1035 §5.1). So no octet of a client's name can disturb a log.
#[derive(Clone, Copy, Debug)]
pub struct NameDisplay<'a>(&'a [u8]);

/// Shows the uncompressed name that `name_wire` starts with. One that breaks off is shown as far as it goes.
pub fn display(name_wire: &[u8]) -> NameDisplay<'_> {
    NameDisplay(name_wire)
}

impl fmt::Display for NameDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = labels(self.0).peekable();
        if labels.peek().is_none() {
            return f.write_char('.');
        }
        for label in labels {
            for &octet in label {
                match octet {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                    b'!'..=b'~' => f.write_char(char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_char('.')?;
        }
        Ok(())
    }
}

/// The labels of an uncompressed name, without the root.
pub(super) fn labels(name_wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = name_wire;
    std::iter::from_fn(move || {
        let (&len, tail) = rest.split_first()?;
        if len == 0 || len > MAX_LABEL {
            return None;
        }
        let (label, tail) = tail.split_at_checked(usize::from(len))?;
        rest = tail;
        Some(label)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{name_of_len, wire_name};
    use super::*;

    /// Walks the name at `start` of a message without a question.
    fn walk(message: &[u8], start: usize) -> Result<NameAt, Malformed> {
        Names::new(0).walk(message, start)
    }

    /// Twelve octets of header, then `body`.
    fn message(body: &[u8]) -> Vec<u8> {
        [&[0; HEADER_LEN], body].concat()
    }

    // req 4
    #[test]
    fn a_plain_name_is_measured_with_its_root() {
        assert_eq!(plain_len(&wire_name("."), 0), Some(1));
        assert_eq!(plain_len(&wire_name("www.example."), 0), Some(13));
        assert_eq!(plain_len(b"xx\x01a\x00rest", 2), Some(3));
    }

    // req 4, fault 58
    #[test]
    fn labels_and_names_have_their_limits() {
        let label = |len: u8| [vec![len], vec![b'a'; usize::from(len)], vec![0]].concat();
        assert_eq!(plain_len(&label(63), 0), Some(65));
        assert_eq!(plain_len(&label(64), 0), None);
        assert_eq!(plain_len(&name_of_len(255), 0), Some(255));
        assert_eq!(plain_len(&name_of_len(256), 0), None);

        assert!(walk(&message(&label(63)), 12).is_ok());
        assert!(walk(&message(&label(64)), 12).is_err());
        assert_eq!(walk(&message(&name_of_len(255)), 12).unwrap().end, 267);
        assert!(walk(&message(&name_of_len(256)), 12).is_err());
    }

    // req 4, fault 58
    #[test]
    fn label_types_that_nobody_defined_are_errors() {
        for octet in [0x40, 0x7F, 0x80, 0xBF] {
            assert_eq!(plain_len(&[octet; 300], 0), None, "{octet:#x}");
            let error = walk(&message(&[octet; 300]), 12).unwrap_err();
            assert_eq!(error, Malformed("a label is of an unknown type"));
        }
    }

    #[test]
    fn a_name_that_breaks_off_is_an_error() {
        for broken in [&b""[..], b"\x03ab", b"\x03abc", b"\x01a\xC0"] {
            assert_eq!(plain_len(broken, 0), None);
            assert!(walk(&message(broken), 12).is_err(), "{broken:?}");
        }
        assert_eq!(plain_len(b"\x00", 5), None);
        assert!(walk(&[], 5).is_err());
    }

    // req 3
    #[test]
    fn a_name_ends_in_place_at_its_first_pointer() {
        let message = message(b"\x07example\x00\x03www\xC0\x0C\xC0\x15tail");
        let www = NameAt {
            end: 27,
            root: false,
        };
        assert_eq!(walk(&message, 21), Ok(www));
        let by_two_pointers = NameAt {
            end: 29,
            root: false,
        };
        assert_eq!(walk(&message, 27), Ok(by_two_pointers));
        assert_eq!(pointer_target(&message, 21), Some(12));
        assert_eq!(pointer_target(&message, 12), None);
        assert_eq!(pointer_target(&message, 99), None);
    }

    // req 3, fault 58
    #[test]
    fn a_pointer_leads_backwards_or_nowhere() {
        for (what, body, start) in [
            ("itself", &b"\xC0\x0C"[..], 12),
            ("a pair", b"\xC0\x0E\xC0\x0C", 12),
            ("forward", b"\xC0\x0E\x00", 12),
            ("past the end", b"\x00\xFF\xFF", 13),
            ("the start of its own part", b"\x01a\xC0\x0C", 12),
            ("the middle of its own part", b"\x02\x01a\xC0\x0D", 12),
            ("the header", b"\x00\xC0\x0B", 13),
        ] {
            let error = walk(&message(body), start).unwrap_err();
            assert!(error.0.contains("backwards"), "{what}: {error}");
        }
        // Backwards from where it stands, but not from the part that it was led to.
        let loops = message(b"\x01a\xC0\x0E\xC0\x0C");
        let error = walk(&loops, 16).unwrap_err();
        assert!(error.0.contains("backwards"), "{error}");
    }

    // req 3
    #[test]
    fn a_pointer_to_the_question_costs_nothing_to_follow() {
        let message = message(b"\x07example\x00\xC0\x0C");
        let mut names = Names::new(9);
        names.work = 1;
        let pointed = names.walk(&message, 21);
        assert_eq!(
            pointed,
            Ok(NameAt {
                end: 23,
                root: false
            })
        );
        // Nothing is left for another name.
        assert!(names.walk(&message, 21).is_err());
    }

    // req 4
    #[test]
    fn the_length_counts_what_pointers_add() {
        for question_len in [200, 201] {
            let mut body = name_of_len(question_len);
            let start = HEADER_LEN + body.len();
            body.extend_from_slice(&[54; 55]);
            body.extend_from_slice(b"\xC0\x0C");
            let message = message(&body);
            // 55 octets of label and 200 of the question make 255.
            let fits = question_len == 200;
            assert_eq!(Names::new(question_len).walk(&message, start).is_ok(), fits);
            assert_eq!(walk(&message, start).is_ok(), fits);
        }
    }

    #[test]
    fn the_root_is_known_by_pointer_too() {
        let message = message(b"\x00\xC0\x0C\x01a\xC0\x0C");
        assert!(Names::new(1).walk(&message, 13).unwrap().root);
        assert!(walk(&message, 13).unwrap().root);
        assert!(!Names::new(1).walk(&message, 15).unwrap().root);
        assert!(!walk(&message, 15).unwrap().root);
    }

    // req 3
    #[test]
    fn a_chain_of_pointers_is_followed_so_far() {
        let mut body = vec![0];
        for target in (12..).step_by(2).take(200) {
            // The first leads to the root at 12, each other one to the pointer before it.
            let target: u16 = if target == 12 { 12 } else { target - 1 };
            body.extend_from_slice(&(0xC000 | target).to_be_bytes());
        }
        let message = message(&body);
        let pointer = |number: usize| 13 + 2 * (number - 1);
        assert!(walk(&message, pointer(MAX_HOPS)).unwrap().root);
        let error = walk(&message, pointer(MAX_HOPS + 1)).unwrap_err();
        assert_eq!(error, Malformed("a name has too many compression pointers"));
    }

    // req 3
    #[test]
    fn all_names_of_a_message_share_one_account() {
        // One name of 127 labels, and no question, so that every pointer to it is followed.
        let message = message(&[&b"\x01a".repeat(127)[..], b"\x00\xC0\x0C"].concat());
        let pointer = message.len() - 2;
        let mut names = Names::new(0);
        let each = 1 + 127 + 1;
        for _ in 0..MAX_WORK / each {
            assert!(names.walk(&message, pointer).is_ok());
        }
        let error = names.walk(&message, pointer).unwrap_err();
        assert_eq!(error, Malformed("names cost too much to follow"));
    }

    // req 11
    #[test]
    fn any_octet_is_shown_and_none_disturbs_a_log() {
        let shown = |wire: &[u8]| display(wire).to_string();
        assert_eq!(shown(&wire_name(".")), ".");
        assert_eq!(shown(&wire_name("www.Example.")), "www.Example.");
        assert_eq!(shown(b"\x05a.b\\c\x00"), "a\\.b\\\\c.");
        assert_eq!(shown(b"\x05_a\x00b\xFF\x00"), "_a\\000b\\255.");
        assert_eq!(shown(b"\x04\n\x1B \x7F\x00"), "\\010\\027\\032\\127.");
        assert_eq!(shown(b"\x01a\x09cut"), "a.");
        assert_eq!(shown(b""), ".");
    }
}
