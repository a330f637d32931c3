//! Following compression pointers (RFC 1035 §4.1.4) in time that is linear in the length of the message.
//!
//! Most messages are small, and most of their pointers lead to the question, so their names are simply walked. After more steps than
//! usual messages take, the names that pointers lead to are memoized: a message of 65,535 octets with a long name in every record costs a
//! few steps for each octet, not a hundred for each record.

use std::ops::Range;

use super::header::HEADER_LEN;
use super::integers::u16_at;
use super::malformed::Malformed;
use super::name::{MAX_LABEL, MAX_NAME};

/// Labels and pointers that are walked before names are memoized. Usual responses have fewer than a hundred.
const PLAIN_STEPS: usize = 1_000;
/// Compression pointers in one name. A name has at most 127 labels, and a useful pointer leads to a label.
const MAX_HOPS: usize = 127;
/// The offsets that a compression pointer, which has 14 bits, can lead to (RFC 1035 §4.1.4).
const REACHABLE: usize = 1 << 14;

const PAST_THE_END: Malformed = Malformed("a name runs past the end");
const TOO_LONG: Malformed = Malformed("a name is longer than 255 octets");
const NOT_BACKWARDS: Malformed = Malformed("a compression pointer does not lead backwards");
const TOO_MANY_POINTERS: Malformed = Malformed("a name has too many compression pointers");
const UNKNOWN_LABEL: Malformed = Malformed("a label is of an unknown type");

/// A name that was walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameAt {
    /// Where the next field starts.
    pub(super) end: usize,
    /// Whether it is the root, written out or by pointer.
    pub(super) root: bool,
}

/// Walks the names of one message.
#[derive(Debug)]
pub(super) struct NameWalker {
    /// Octets of the name of the question at offset 12, which has been walked already; 0 when there is none.
    question_len: usize,
    /// Whether a pointer was followed: to somewhere else than the question's name.
    pub(super) followed: bool,
    /// Labels and pointers that may still be walked without memoizing.
    steps: usize,
    /// Made when those are used up.
    memos: Option<Box<Memos>>,
}

impl NameWalker {
    pub(super) fn new(question_len: usize) -> NameWalker {
        NameWalker {
            question_len,
            followed: false,
            steps: PLAIN_STEPS,
            memos: None,
        }
    }

    /// Walks the name at `start`, following its pointers.
    ///
    /// A pointer stands for a prior occurrence of a name (RFC 1035 §4.1.4): the labels that it leads to must end before those that it follows.
    /// So every name terminates, and no name depends on octets behind it. A pointer to the question's name, which nearly every response
    /// uses, is not followed: the length is known.
    pub(super) fn walk(&mut self, message: &[u8], start: usize) -> Result<NameAt, Malformed> {
        // `part` is where the current run of labels starts, `len` the length of the name so far.
        let (mut at, mut part, mut len, mut hops) = (start, start, 0, 0);
        let (mut end, mut visible) = (None, message);
        loop {
            let Some(steps) = self.steps.checked_sub(1) else {
                return self.walk_memoizing(message, start);
            };
            self.steps = steps;
            match *visible.get(at).ok_or(PAST_THE_END)? {
                0 => {
                    return Ok(NameAt {
                        end: end.unwrap_or(at + 1),
                        root: len == 0,
                    });
                }
                octet @ 1..=MAX_LABEL => {
                    let label = 1 + usize::from(octet);
                    len += label;
                    at += label;
                    if len >= MAX_NAME {
                        return Err(TOO_LONG);
                    }
                }
                0xC0.. => {
                    let target = pointer(visible, at, part)?;
                    let end = *end.get_or_insert(at + 2);
                    if target == HEADER_LEN && self.question_len != 0 {
                        // The pointer may follow labels that start within the question: then the question does not end before them.
                        if part < HEADER_LEN + self.question_len {
                            return Err(NOT_BACKWARDS);
                        }
                        return whole(len + self.question_len, end);
                    }
                    self.followed = true;
                    hops += 1;
                    if hops > MAX_HOPS {
                        return Err(TOO_MANY_POINTERS);
                    }
                    visible = visible.get(..part).unwrap_or_default();
                    (at, part) = (target, target);
                }
                _ => return Err(UNKNOWN_LABEL),
            }
        }
    }

    /// The same, with memoization.
    #[cold]
    fn walk_memoizing(&mut self, message: &[u8], start: usize) -> Result<NameAt, Malformed> {
        self.followed = true;
        let memos = self
            .memos
            .get_or_insert_with(|| Box::new(Memos::new(self.question_len)));
        let part = Part::read(message, start)?;
        let rest = match part.target {
            Some(target) => memos.name_at(message, target, start)?.len.into(),
            None => 1,
        };
        whole(part.len + rest, part.end)
    }
}

/// The end of a name whose pointer need not be followed, because it was walked before. `root` says whether it is written out as the root.
pub(super) fn in_place(message: &[u8], start: usize) -> Result<NameAt, Malformed> {
    let part = Part::read(message, start)?;
    Ok(NameAt {
        end: part.end,
        root: part.len == 0 && part.target.is_none(),
    })
}

/// The labels that the pointers of a name lead to, run by run, as far as the question's name. For a name that was walked before.
pub(super) fn pointed_to(message: &[u8], start: usize) -> impl Iterator<Item = Range<usize>> {
    let target = |start| Part::read(message, start).ok()?.target;
    let mut next = target(start);
    std::iter::from_fn(move || {
        let start = next.filter(|target| *target != HEADER_LEN)?;
        let part = Part::read(message, start).ok()?;
        next = part.target;
        Some(start..part.end)
    })
}

/// The name with this length, if it is not too long.
fn whole(len: usize, end: usize) -> Result<NameAt, Malformed> {
    if len > MAX_NAME {
        return Err(TOO_LONG);
    }
    Ok(NameAt {
        end,
        root: len == 1,
    })
}

/// The target of the pointer at `at`, which follows the labels that start at `part`.
fn pointer(message: &[u8], at: usize, part: usize) -> Result<usize, Malformed> {
    let pointer = u16_at(message, at).ok_or(PAST_THE_END)?;
    let target = usize::from(pointer & 0x3FFF);
    if (HEADER_LEN..part).contains(&target) {
        Ok(target)
    } else {
        Err(NOT_BACKWARDS)
    }
}

/// A run of labels, up to the root or to a pointer.
struct Part {
    /// Their octets.
    len: usize,
    /// The target of the pointer that ends it; `None` if the root ends it.
    target: Option<usize>,
    /// Where the next field starts.
    end: usize,
}

impl Part {
    fn read(message: &[u8], start: usize) -> Result<Part, Malformed> {
        let mut at = start;
        loop {
            let len = at - start;
            match *message.get(at).ok_or(PAST_THE_END)? {
                _ if len >= MAX_NAME => return Err(TOO_LONG),
                0 => {
                    return Ok(Part {
                        len,
                        target: None,
                        end: at + 1,
                    });
                }
                octet @ 1..=MAX_LABEL => at += 1 + usize::from(octet),
                0xC0.. => {
                    return Ok(Part {
                        len,
                        target: Some(pointer(message, at, start)?),
                        end: at + 2,
                    });
                }
                _ => return Err(UNKNOWN_LABEL),
            }
        }
    }
}

/// The memo for the name that starts at an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memo {
    /// Its length, root included; 0 when it was not walked yet.
    len: u8,
    /// Pointers that are followed on the way through it, including the one that leads to it and without one to the question.
    hops: u8,
    /// Where its first run of labels ends.
    end: u16,
    /// Where the next run starts and ends, to which a pointer leads; 0 if there is none.
    target: u16,
    target_end: u16,
}

/// Memos of the names that pointers lead to, by the offset at which each starts.
#[derive(Debug)]
struct Memos {
    suffixes: Vec<Memo>,
    /// The runs of labels of the name that is being walked: where each starts and ends.
    parts: Vec<(usize, usize)>,
    /// How many memos were read, so that a test can show the bound.
    #[cfg(test)]
    looked_at: usize,
}

impl Memos {
    fn new(question_len: usize) -> Memos {
        let mut suffixes = vec![Memo::default(); REACHABLE];
        if let Some(question) = suffixes.get_mut(HEADER_LEN) {
            question.len = u8::try_from(question_len).unwrap_or_default();
            question.end = offset(HEADER_LEN + question_len);
        }
        Memos {
            suffixes,
            parts: Vec::new(),
            #[cfg(test)]
            looked_at: 0,
        }
    }

    fn at(&mut self, at: usize) -> Option<Memo> {
        #[cfg(test)]
        {
            self.looked_at += 1;
        }
        self.suffixes.get(at).copied().filter(|memo| memo.len > 0)
    }

    /// The name at `start`. The labels that are followed by the pointer to it start at `before`.
    fn name_at(&mut self, message: &[u8], start: usize, before: usize) -> Result<Memo, Malformed> {
        let (mut part, mut before, mut len, mut hops) = (start, before, 0, 0);
        self.parts.clear();
        let (target, target_end) = loop {
            let visible = message.get(..before).unwrap_or_default();
            let (labels, end) = self.labels(visible, part)?;
            len += labels;
            match end {
                End::Root(end) => {
                    (len, hops) = (len + 1, hops + 1);
                    self.parts.push((part, end));
                    break (0, 0);
                }
                End::Memo(name) if labels == 0 && self.parts.is_empty() => return Ok(name),
                End::Memo(rest) => {
                    len += usize::from(rest.len);
                    hops += usize::from(rest.hops);
                    self.parts.push((part, rest.end.into()));
                    break (rest.target, rest.target_end);
                }
                End::Pointer { target, end } => {
                    self.parts.push((part, end));
                    (before, part, hops) = (part, target, hops + 1);
                }
            }
            if len >= MAX_NAME {
                return Err(TOO_LONG);
            }
        };
        if hops > MAX_HOPS {
            return Err(TOO_MANY_POINTERS);
        }
        let name = Memo {
            len: u8::try_from(len).map_err(|_| TOO_LONG)?,
            hops: u8::try_from(hops).map_err(|_| TOO_MANY_POINTERS)?,
            end: 0,
            target,
            target_end,
        };
        self.memoize(message, name);
        Ok(name)
    }

    /// The length of the labels from `start` on, up to the first that has a memo, and how they end.
    fn labels(&mut self, visible: &[u8], start: usize) -> Result<(usize, End), Malformed> {
        let mut at = start;
        loop {
            let len = at - start;
            if let Some(memo) = self.at(at) {
                // The run that follows these labels must end before all of them.
                let ends = [(memo.target_end, start), (memo.end, visible.len())];
                return if ends.iter().all(|(end, most)| usize::from(*end) <= *most) {
                    Ok((len, End::Memo(memo)))
                } else {
                    Err(NOT_BACKWARDS)
                };
            }
            match *visible.get(at).ok_or(PAST_THE_END)? {
                _ if len >= MAX_NAME => return Err(TOO_LONG),
                0 => return Ok((len, End::Root(at + 1))),
                octet @ 1..=MAX_LABEL => at += 1 + usize::from(octet),
                0xC0.. => {
                    let (target, end) = (pointer(visible, at, start)?, at + 2);
                    return Ok((len, End::Pointer { target, end }));
                }
                _ => return Err(UNKNOWN_LABEL),
            }
        }
    }

    /// Writes memos for the name that was walked and for all of its suffixes, up to the first that has one. `name` says where its last run
    /// leads.
    fn memoize(&mut self, message: &[u8], name: Memo) {
        let mut left = name;
        for number in 0..self.parts.len() {
            let Some(&(start, end)) = self.parts.get(number) else {
                return;
            };
            left.end = offset(end);
            (left.target, left.target_end) = match self.parts.get(number + 1) {
                Some(&(target, target_end)) => (offset(target), offset(target_end)),
                None => (name.target, name.target_end),
            };
            // All labels of this run, then its end.
            let mut at = start;
            loop {
                if self.at(at).is_some() {
                    return;
                }
                if let Some(memo) = self.suffixes.get_mut(at) {
                    *memo = left;
                }
                match message.get(at) {
                    Some(&octet @ 1..=MAX_LABEL) => {
                        let label = 1 + octet;
                        at += usize::from(label);
                        left.len = left.len.saturating_sub(label);
                    }
                    Some(0xC0..) => break,
                    _ => return,
                }
            }
            left.hops = left.hops.saturating_sub(1);
        }
    }
}

/// An offset in a message, which has no more than 65,535 octets.
fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// How labels end.
enum End {
    /// In the root, which ends here.
    Root(usize),
    /// In a name that has a memo.
    Memo(Memo),
    /// By a pointer, which ends here.
    Pointer { target: usize, end: usize },
}

#[cfg(test)]
mod tests {
    use super::super::testing::name_of_len;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The same in the simplest way, in any time.
    fn plainly(message: &[u8], start: usize, question: bool) -> Option<NameAt> {
        let (mut at, mut part, mut len, mut end, mut hops) = (start, start, 0, None, 0);
        let mut visible = message.len();
        loop {
            let octet = usize::from(*message[..visible].get(at)?);
            match octet {
                0 => break,
                1..=63 => {
                    at += 1 + octet;
                    len += 1 + octet;
                }
                0xC0.. => {
                    let target =
                        (octet & 0x3F) << 8 | usize::from(*message[..visible].get(at + 1)?);
                    end.get_or_insert(at + 2);
                    if target < HEADER_LEN || target >= part {
                        return None;
                    }
                    visible = part;
                    (at, part) = (target, target);
                    hops += usize::from(!question || target != HEADER_LEN);
                }
                _ => return None,
            }
            if len > 254 || hops > MAX_HOPS {
                return None;
            }
        }
        Some(NameAt {
            end: end.unwrap_or(at + 1),
            root: len == 0,
        })
    }

    /// One that walks plainly, and one that memoizes from the start.
    fn both(question_len: usize) -> [NameWalker; 2] {
        [PLAIN_STEPS, 0].map(|steps| NameWalker {
            steps,
            ..NameWalker::new(question_len)
        })
    }

    /// Walks the name at `start` of a message without a question, in both ways.
    fn walk(message: &[u8], start: usize) -> Result<NameAt, Malformed> {
        let [plain, memoized] = both(0).map(|mut names| names.walk(message, start));
        assert_eq!(plain.ok(), memoized.ok());
        assert_eq!(plain.ok(), plainly(message, start, false));
        plain
    }

    /// Twelve octets of header, then `body`.
    fn message(body: &[u8]) -> Vec<u8> {
        [&[0; HEADER_LEN], body].concat()
    }

    /// Memos that were read so far.
    fn looked_at(names: &NameWalker) -> usize {
        names.memos.as_ref().unwrap().looked_at
    }

    // req 4, fault 58
    #[test]
    fn labels_and_names_have_their_limits() {
        let label = |len: u8| [vec![len], vec![b'a'; usize::from(len)], vec![0]].concat();
        assert!(walk(&message(&label(63)), 12).is_ok());
        assert!(walk(&message(&label(64)), 12).is_err());
        assert_eq!(walk(&message(&name_of_len(255)), 12).unwrap().end, 267);
        assert!(walk(&message(&name_of_len(256)), 12).is_err());
    }

    // req 4, fault 58
    #[test]
    fn label_types_that_nobody_defined_are_errors() {
        for octet in [0x40, 0x7F, 0x80, 0xBF] {
            let error = walk(&message(&[octet; 300]), 12).unwrap_err();
            assert_eq!(error, UNKNOWN_LABEL);
        }
    }

    #[test]
    fn a_name_that_breaks_off_is_an_error() {
        for broken in [&b""[..], b"\x03ab", b"\x03abc", b"\x01a\xC0"] {
            assert!(walk(&message(broken), 12).is_err(), "{broken:?}");
        }
        assert!(walk(&[], 5).is_err());
    }

    // req 3
    #[test]
    fn a_name_ends_in_place_at_its_first_pointer() {
        let message = message(b"\x07example\x00\x03www\xC0\x0C\xC0\x15tail");
        let at = |end| Ok(NameAt { end, root: false });
        assert_eq!(walk(&message, 21), at(27));
        assert_eq!(walk(&message, 27), at(29), "by two pointers");
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
            assert_eq!(walk(&message(body), start), Err(NOT_BACKWARDS), "{what}");
        }
        // Backwards from where it stands, but not from the part that it was led to.
        let loops = message(b"\x01a\xC0\x0E\xC0\x0C");
        assert_eq!(walk(&loops, 16), Err(NOT_BACKWARDS));
    }

    // req 3
    #[test]
    fn labels_that_run_into_a_memoized_name_may_not_go_on_behind_their_start() {
        // At 16 a name whose pointer leads to 14; from 13 on labels run into it, and 14 lies within those.
        let message = message(b"\x00\x02\x00x\x01a\xC0\x0E\xC0\x10\xC0\x0D");
        let [_, mut memoizing] = both(0);
        let known = memoizing.walk(&message, 20);
        assert_eq!(known.ok(), plainly(&message, 20, false));
        assert_eq!(memoizing.walk(&message, 22), Err(NOT_BACKWARDS));
        assert_eq!(plainly(&message, 22, false), None);
    }

    // req 3
    #[test]
    fn a_pointer_to_the_question_is_not_followed() {
        let message = message(b"\x07example\x00\xC0\x0C");
        for mut names in both(9) {
            let end = NameAt {
                end: 23,
                root: false,
            };
            assert_eq!(names.walk(&message, 21), Ok(end));
        }
        let mut names = NameWalker::new(9);
        assert!(names.walk(&message, 21).is_ok());
        assert_eq!(names.steps, PLAIN_STEPS - 1);
    }

    // req 3
    #[test]
    fn labels_that_start_within_the_question_may_not_lead_to_it() {
        // At 14 stands a label of the question, or the middle of one; from there labels lead to 12, whose name goes on behind 14.
        for body in [
            &b"\x01a\x01b\x00\x01c\xC0\x0C\xC0\x0E"[..],
            b"\x04a\xC0\x0Cb\x00\xC0\x0E\x00\x00\xC0\x0E",
            b"\x03a\x04b\x00\x01c\xC0\x0C\xC0\x0E",
        ] {
            let message = message(body);
            let start = message.len() - 2;
            let question = NameWalker::new(0).walk(&message, HEADER_LEN);
            let expected = plainly(&message, start, true);
            for mut names in both(question.unwrap().end - HEADER_LEN) {
                assert_eq!(names.walk(&message, start).ok(), expected, "{body:?}");
            }
        }
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
            assert_eq!(walk(&message, start).is_ok(), fits);
            for mut names in both(question_len) {
                assert_eq!(names.walk(&message, start).is_ok(), fits);
            }
        }
    }

    #[test]
    fn the_root_is_known_by_pointer_too() {
        let message = message(b"\x00\xC0\x0C\x01a\xC0\x0C");
        for (start, root) in [(13, true), (15, false)] {
            assert_eq!(walk(&message, start).unwrap().root, root);
            for mut names in both(1) {
                assert_eq!(names.walk(&message, start).unwrap().root, root);
            }
        }
    }

    /// The root at octet 12, then so many pointers: to the root, to the one before, and so on.
    fn chain(count: u16) -> Vec<u8> {
        let targets = std::iter::once(12).chain((13..).step_by(2));
        let pointers = targets.take(count.into());
        let body = pointers.flat_map(|target| (0xC000_u16 | target).to_be_bytes());
        message(&[&[0][..], &body.collect::<Vec<u8>>()].concat())
    }

    // req 3
    #[test]
    fn a_chain_of_pointers_is_followed_so_far() {
        let message = chain(200);
        let pointer = |number: usize| 13 + 2 * (number - 1);
        assert!(walk(&message, pointer(MAX_HOPS)).unwrap().root);
        let error = walk(&message, pointer(MAX_HOPS + 1)).unwrap_err();
        assert_eq!(error, TOO_MANY_POINTERS);
        // Also if the names were walked one after the other.
        let [_, mut memoizing] = both(0);
        for number in 1..=MAX_HOPS {
            assert!(memoizing.walk(&message, pointer(number)).is_ok());
        }
        let error = memoizing.walk(&message, pointer(MAX_HOPS + 1));
        assert_eq!(error, Err(TOO_MANY_POINTERS));
    }

    // req 3, fault 93
    #[test]
    fn a_long_name_in_every_record_is_walked_once() {
        let name = [&b"\x01a".repeat(127)[..], b"\x00"].concat();
        let message = message(&[&name[..], b"\xC0\x0C"].concat());
        let mut names = NameWalker::new(0);
        for _ in 0..30_000 {
            assert!(names.walk(&message, message.len() - 2).is_ok());
        }
        assert!(looked_at(&names) <= 30_000 + 4 * name.len());
    }

    // req 3, fault 93
    #[test]
    fn labels_that_are_led_to_at_every_octet_are_looked_at_a_few_times_each() {
        // Length octets that overlap: from each octet other labels are read, and all of them run into the same ones.
        let block = [[63, 62, 61, 60].repeat(10), vec![1; 120], vec![0; 70]].concat();
        let mut message = message(&block.repeat(REACHABLE / block.len()));
        let end = message.len();
        message.extend_from_slice(&[0; 2]);
        let [_, mut names] = both(0);
        for target in HEADER_LEN..end {
            let pointer = 0xC000 | u16::try_from(target).unwrap();
            message[end..].copy_from_slice(&pointer.to_be_bytes());
            let walked = names.walk(&message, end).ok();
            assert_eq!(walked, plainly(&message, end, false), "{target}");
        }
        assert!(looked_at(&names) <= 8 * end, "{}", looked_at(&names));
    }

    /// Octets in which labels, roots and pointers overlap.
    fn tangle() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => (1..6_u8).prop_map(|octet| vec![octet]),
            1 => Just(vec![0]),
            1 => Just(vec![60]),
            2 => (0..400_u16).prop_map(|target| (0xC000 | target).to_be_bytes().to_vec()),
        ];
        vec(piece, 0..300).prop_map(|pieces| message(&pieces.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        // req 3, fault 93
        #[test]
        fn memoizing_gives_what_walking_gives(
            message in tangle(),
            starts in vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let [mut plain, mut memoizing] = both(0);
            for start in starts {
                let start = start.index(message.len());
                let expected = plainly(&message, start, false);
                plain.steps = PLAIN_STEPS;
                prop_assert_eq!(plain.walk(&message, start).ok(), expected);
                prop_assert_eq!(memoizing.walk(&message, start).ok(), expected, "at {}", start);
            }
        }

        // req 3, fault 93
        #[test]
        fn a_question_that_is_known_changes_nothing(
            labels in vec(vec(any::<u8>(), 1..4), 0..6),
            rest in tangle(),
            starts in vec(any::<prop::sample::Index>(), 0..50),
        ) {
            let mut name = Vec::new();
            for label in &labels {
                name.push(label.len() as u8);
                name.extend_from_slice(label);
            }
            name.push(0);
            let message = message(&[&name[..], &rest[HEADER_LEN..]].concat());
            let question_end = HEADER_LEN + name.len();
            let [mut plain, mut memoizing] = both(name.len());
            for start in starts {
                let start = question_end + start.index(message.len() - question_end + 1);
                let expected = plainly(&message, start, true);
                plain.steps = PLAIN_STEPS;
                prop_assert_eq!(plain.walk(&message, start).ok(), expected);
                prop_assert_eq!(memoizing.walk(&message, start).ok(), expected);
            }
        }
    }
}
