//! Rotating the addresses in a response: most clients use the first, so a fixed order would send them all to one server.

use std::ops::Range;

/// Octets of a record before its TTL, behind its owner: type and class.
const TYPE_AND_CLASS: usize = 4;
/// Octets of a record from its TTL to its RDATA: TTL and RDLENGTH.
const TTL_AND_LENGTH: usize = 6;
/// Type A and type AAAA, each in class IN. In other classes they may hold names, which others may point to.
const ADDRESSES: [[u8; TYPE_AND_CLASS]; 2] = [[0, 1, 0, 1], [0, 28, 0, 1]];

/// Where a record is.
#[derive(Clone)]
struct RecordAt {
    owner: Range<usize>,
    ttl_at: usize,
    end: usize,
}

/// Moves the first of each set of adjacent addresses to the set's end. Owners stay where they are; each address moves together with its TTL.
///
/// The first record starts at `start`, and their TTLs stand at `ttls`, in order.
pub(super) fn rotate_addresses(
    message: &mut [u8],
    start: usize,
    ttls: impl Iterator<Item = usize>,
) {
    let mut start = start;
    let mut last: Option<RecordAt> = None;
    for ttl_at in ttls {
        let Some(record) = record_at(message, start, ttl_at) else {
            return;
        };
        start = record.end;
        // The first address of a set is swapped from place to place until it is the last.
        if let Some(last) = last.filter(|last| are_one_set(message, last, &record)) {
            swap(message, last.ttl_at..last.end, record.ttl_at..record.end);
        }
        last = Some(record);
    }
}

fn record_at(message: &[u8], start: usize, ttl_at: usize) -> Option<RecordAt> {
    let rdata_at = ttl_at.checked_add(TTL_AND_LENGTH)?;
    let &[.., high, low] = message.get(ttl_at..rdata_at)? else {
        return None;
    };
    Some(RecordAt {
        owner: start..ttl_at.checked_sub(TYPE_AND_CLASS)?,
        ttl_at,
        end: rdata_at + usize::from(u16::from_be_bytes([high, low])),
    })
}

/// Whether these are two addresses of one name and of one type.
fn are_one_set(message: &[u8], one: &RecordAt, next: &RecordAt) -> bool {
    let kind = |record: &RecordAt| message.get(record.owner.end..record.ttl_at);
    let owner = |record: &RecordAt| message.get(record.owner.clone());
    // The owner is written out again, or is a pointer to the owner of the record before.
    let points_back = || {
        let pointer = u16::try_from(one.owner.start).map(|at| (0xC000 | at).to_be_bytes());
        one.owner.start < 0x4000 && pointer.is_ok_and(|pointer| owner(next) == Some(&pointer))
    };
    let is_address = |kind: &[u8]| ADDRESSES.iter().any(|address| address == kind);
    kind(one).is_some_and(is_address)
        && kind(one) == kind(next)
        && one.end - one.ttl_at == next.end - next.ttl_at
        && (owner(one) == owner(next) || points_back())
}

/// Swaps two ranges of the same length, of which the second is behind the first.
fn swap(message: &mut [u8], first: Range<usize>, second: Range<usize>) {
    let Some((before, behind)) = message.split_at_mut_checked(second.start) else {
        return;
    };
    let (first, second) = (before.get_mut(first), behind.get_mut(..second.len()));
    if let (Some(first), Some(second)) = (first, second)
        && first.len() == second.len()
    {
        first.swap_with_slice(second);
    }
}

#[cfg(test)]
mod tests {
    use super::super::response::parse_response;
    use super::super::response::records;
    use super::super::scan::{Record, Section};
    use super::super::testing::{self, Message, TO_QUESTION};
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn read(message: &[u8]) -> Vec<Record> {
        records(message, &parse_response(message).unwrap()).collect()
    }

    fn rotated(message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        let start = parse_response(&message).unwrap().question.unwrap().end();
        let ttls: Vec<usize> = read(&message).iter().map(|record| record.ttl_at).collect();
        rotate_addresses(&mut message, start, ttls.into_iter());
        message
    }

    /// The TTL and the last octet of each record.
    fn ends(message: &[u8]) -> Vec<(u32, u8)> {
        let all = read(message).into_iter();
        all.map(|record| (record.ttl, message[record.rdata.end - 1]))
            .collect()
    }

    fn a(built: Message, owner: &[u8], ttl: u32, end: u8) -> Message {
        built.record(Section::Answer, owner, 1, (1, ttl), &[192, 0, 2, end])
    }

    #[test]
    fn the_first_address_becomes_the_last_with_its_ttl() {
        let mut built = testing::response("a.test.", 1);
        for (ttl, end) in [(10, 1), (20, 2), (30, 3)] {
            built = a(built, TO_QUESTION, ttl, end);
        }
        let once = rotated(&built.build());
        assert_eq!(ends(&once), [(20, 2), (30, 3), (10, 1)]);
        assert_eq!(rotated(&rotated(&once)), built.build());
    }

    #[test]
    fn sets_are_told_apart_and_all_else_stays() {
        let aaaa = |built: Message, end: u8| {
            let mut address = [9; 16];
            address[15] = end;
            built.record(Section::Answer, TO_QUESTION, 28, (1, 60), &address)
        };
        let alias = testing::response("a.test.", 1);
        let mut built = alias.record(Section::Answer, TO_QUESTION, 5, (1, 60), b"\x01b\xC0\x0E");
        built = a(built, TO_QUESTION, 60, 1);
        built = a(built, TO_QUESTION, 60, 2);
        // Another name, another type, and addresses of class CH, which are names.
        built = a(built, b"\xC0\x0E", 60, 3);
        built = aaaa(aaaa(built, 4), 5);
        for end in [6, 7] {
            built = built.record(Section::Answer, TO_QUESTION, 1, (3, 60), &[0, 9, 9, end]);
        }
        for end in [8, 9] {
            built = built.record(Section::Answer, TO_QUESTION, 16, (1, 60), &[1, end]);
        }
        let once = ends(&rotated(&built.build()));
        let order: Vec<u8> = once.iter().map(|(_, end)| *end).collect();
        assert_eq!(order, [0x0E, 2, 1, 3, 5, 4, 6, 7, 8, 9]);
    }

    #[test]
    fn a_name_may_be_written_out_or_point_to_where_it_was() {
        let name = testing::name_octets("b.test.");
        let mut built = a(testing::response("a.test.", 1), &name, 60, 1);
        // The question takes 12 octets behind the header, so the first owner stands at 24.
        built = a(built, &[0xC0, 24], 60, 2);
        built = a(built, &[0xC0, 24], 60, 3);
        let once = rotated(&built.build());
        assert_eq!(ends(&once), [(60, 2), (60, 3), (60, 1)]);
        let twice = a(
            a(testing::response("a.test.", 1), &name, 60, 1),
            &name,
            60,
            2,
        );
        assert_eq!(ends(&rotated(&twice.build())), [(60, 2), (60, 1)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn records_stay_where_they_are(
            all in vec((0..2_usize, prop::sample::select(vec![1_u16, 28, 5, 16]), 1..3_u16, any::<u32>(), 0..18_usize), 0..20),
            noise in vec(any::<usize>(), 0..20),
        ) {
            let mut built = testing::response("a.test.", 1);
            for (owner, rtype, class, ttl, len) in all {
                let owner = [TO_QUESTION, b"\xC0\x0E"][owner];
                built = built.record(Section::Answer, owner, rtype, (class, ttl), &vec![7; len]);
            }
            let message = built.build();
            let mut turned = rotated(&message);
            let shape = |message: &[u8]| -> Vec<_> {
                read(message).into_iter().map(|r| (r.start, r.rtype, r.class, r.ttl_at, r.rdata)).collect()
            };
            prop_assert_eq!(shape(&turned), shape(&message));
            let sorted = |message: &[u8]| {
                let mut ttls: Vec<u32> = read(message).iter().map(|r| r.ttl).collect();
                ttls.sort_unstable();
                ttls
            };
            prop_assert_eq!(sorted(&turned), sorted(&message));
            // Offsets that are none do no harm.
            rotate_addresses(&mut turned, 24, noise.into_iter());
        }
    }
}
