//! A cached response outside of the cache: what of it has to be stored, and how it is read back.

use super::cached_response::CachedResponse;
use super::edns::{OPTION_EDE, OPTION_FIXED, TYPE_OPT, options};
use super::integers::u16_at;
use super::response::{parse_response, records};

impl CachedResponse {
    /// Its octets, where its state starts in them, and where the message ends: what [`CachedResponse::restore`] takes.
    pub fn stored(&self) -> (&[u8], u32, u32) {
        (&self.octets, self.state_at, self.end)
    }

    /// Reads back what [`CachedResponse::stored`] gave. `None` if these octets are not a whole cached response: every offset is derived
    /// from the message anew, and must be the one that is stored.
    pub fn restore(octets: &[u8], state_at: u32, end: u32) -> Option<CachedResponse> {
        let (message, ttls) = octets.split_at_checked(end as usize)?;
        let response = parse_response(message).ok()?;
        let (question, opt) = (response.question?, response.opt?);
        let name = question.name(message);
        let is_whole = opt.last && opt.end == message.len() && !response.signed;
        if !is_whole || name.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        // The state is the last option.
        let all = options(message, &opt);
        let lengths = all.map(|(_, data)| OPTION_FIXED + data.len());
        let last = opt.end.checked_sub(lengths.last()?)?;
        if last != state_at as usize || u16_at(message, last) != Some(OPTION_EDE) {
            return None;
        }
        let found = records(message, &response).filter(|record| record.rtype != TYPE_OPT);
        let (pairs, []) = ttls.as_chunks::<2>() else {
            return None;
        };
        let stored = pairs.iter().map(|at| usize::from(u16::from_be_bytes(*at)));
        // A failure has no records, and a response has an offset for each.
        if !found.map(|record| record.ttl_at).eq(stored) {
            return None;
        }
        Some(CachedResponse {
            header: response.header,
            question,
            opt_at: u32::try_from(opt.start).ok()?,
            state_at,
            end,
            octets: octets.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::parse_query;
    use super::super::testing::{self, TO_QUESTION};
    use super::super::{Ede, Rcode, Section};
    use super::*;

    fn cached() -> CachedResponse {
        let query = testing::query("A.test.", 1).build();
        let asked = parse_query(&query).unwrap();
        let answer = testing::response("a.test.", 1)
            .a(60, [192, 0, 2, 1])
            .record(
                Section::Authority,
                TO_QUESTION,
                2,
                (1, 9),
                b"\x02ns\xC0\x0C",
            )
            .edns(1232, 0, &[(15, b"\x00\x04why")])
            .build();
        let response = parse_response(&answer).unwrap();
        CachedResponse::data(&query, &asked, &answer, &response, (0, 86_400)).unwrap()
    }

    #[test]
    fn a_response_is_read_back_as_it_was() {
        let query = testing::query("a.test.", 1).build();
        let asked = parse_query(&query).unwrap();
        let servfail =
            CachedResponse::failure(&query, &asked, Rcode::SERVFAIL, Ede::NOT_READY).unwrap();
        for cached in [cached(), servfail] {
            let (octets, state_at, end) = cached.stored();
            let restored = CachedResponse::restore(octets, state_at, end).unwrap();
            assert_eq!(format!("{restored:?}"), format!("{cached:?}"));
        }
    }

    #[test]
    fn a_part_of_one_and_other_offsets_are_refused() {
        let cached = cached();
        let (octets, state_at, end) = cached.stored();
        for len in 0..octets.len() {
            assert!(CachedResponse::restore(&octets[..len], state_at, end).is_none());
        }
        for wrong in (0..=end + 4).filter(|at| *at != state_at) {
            assert!(CachedResponse::restore(octets, wrong, end).is_none());
        }
        for wrong in (0..=end + 4).filter(|at| *at != end) {
            assert!(CachedResponse::restore(octets, state_at, wrong).is_none());
        }
        let mut other = octets.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert!(CachedResponse::restore(&other, state_at, end).is_none());
        other = octets.to_vec();
        other[13] = b'A';
        assert!(CachedResponse::restore(&other, state_at, end).is_none());
    }
}
