//! The cache as octets, for the next process: a dump that was changed is refused, and one that was changed with its checksum is harmless.

use super::looping::{Doing, doing};
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use dotward::engine::{Cache, Found, ImportError, Time, Times};
use dotward::wire::{ClientEdns, ClientSubnet, Query, Recipient, parse_query, parse_response};

/// Room for all that an input may hold.
const AMPLE: usize = 1 << 20;
/// The UDP size of the answers.
const PAYLOAD: u16 = 1232;
/// The fingerprint of the route of all queries: one with bits at both ends.
const ROUTE: u32 = 0x8000_0001;

fn cache(seed: u8) -> Cache {
    Cache::new(AMPLE, [seed; 16], Times::default())
}

/// The query with its length in one octet before it, the response with its length in two, and changes of three octets: where, and by what.
pub fn dump(input: &[u8]) -> Doing {
    let Some((query, message, changes)) = parts(input) else {
        return 0;
    };
    let (Ok(asked), Ok(response)) = (parse_query(query), parse_response(message)) else {
        return doing(&[1]);
    };
    let first = cache(1);
    let Some(key) = first.key(query, &asked, ROUTE, ClientSubnet::Keep) else {
        return doing(&[2]);
    };
    let start = Time::ZERO + Duration::from_secs(1_000);
    first.put(&key, (query, &asked), (message, &response), start);
    let dump = first.export(AMPLE, start).expect("it fits");
    let later = start + Duration::from_secs(2);
    let second = cache(2);
    let taken = second.import(&dump, later).expect("a whole dump");
    assert_eq!(taken, second.len());
    if taken > 0 {
        let (before, after) = (
            ask(&first, query, &asked, later),
            ask(&second, query, &asked, later),
        );
        assert!(!before.is_empty() && before == after);
    }
    let mut other = dump.clone();
    for [high, low, by] in changes.as_chunks::<3>().0 {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % other.len();
        other[at] ^= by;
    }
    let third = cache(3);
    if other != dump {
        assert!(third.import(&other, later).is_err());
        assert!(third.is_empty());
    }
    let body = other.len() - 8;
    let mut hasher = DefaultHasher::new();
    hasher.write(&other[..body]);
    other[body..].copy_from_slice(&hasher.finish().to_be_bytes());
    let outcome = match third.import(&other, later) {
        Ok(count) => {
            assert_eq!(count, third.len());
            let end = later + Duration::from_secs(100_000);
            let told = ask(&third, query, &asked, later).len().min(2);
            let stale = ask(&third, query, &asked, end).len().min(2);
            let again = third.export(AMPLE, later).map(|dump| {
                let fourth = cache(4);
                fourth.import(&dump, later)
            });
            assert!(matches!(again, Some(Ok(_))), "{again:?}");
            10 + count + 4 * told + 16 * stale
        }
        Err(error) => {
            assert!(third.is_empty());
            match error {
                ImportError::OtherVersion => 0,
                ImportError::Damaged => 1,
                ImportError::OtherTimes => 2,
                ImportError::OtherClock => 3,
                _ => 4,
            }
        }
    };
    doing(&[3, taken, outcome])
}

fn parts(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = input.split_first()?;
    let (query, rest) = rest.split_at_checked(usize::from(*len))?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (message, changes) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((query, message, changes))
}

/// What a client gets, be it out of date.
fn ask(cache: &Cache, query: &[u8], asked: &Query, now: Time) -> Vec<u8> {
    let recipient = Recipient {
        id: 7,
        question: asked.question.octets(query),
        rd: true,
        edns: asked
            .opt
            .map(|opt| ClientEdns::of(query, &opt, ClientSubnet::Keep)),
        limit: 1_232,
    };
    let key = cache
        .key(query, asked, ROUTE, ClientSubnet::Keep)
        .expect("it had one before");
    let mut out = Vec::new();
    if cache.get(&key, &recipient, PAYLOAD, now, &mut out) == Found::Stale {
        cache.get_stale(&key, &recipient, PAYLOAD, now, &mut out);
    }
    if !out.is_empty() {
        let told = parse_response(&out).expect("a sound response");
        assert_eq!((told.end, told.header.id), (out.len(), 7));
        assert!(out.len() <= recipient.limit);
        assert_eq!(told.question.unwrap().octets(&out), recipient.question);
    }
    out
}
