//! A response in the form in which it is cached: edited once when it is stored, and relayed as often as it is asked for.

use super::edit_response::{Recipient, relay_response};
use super::edns::{BARE_OPT, Ede, OPTION_EDE, OptAt, OurOpt, TYPE_OPT, options, put_option};
use super::header::{Flags, Header, Rcode};
use super::query::Query;
use super::question::{QuestionAt, lowercase_into};
use super::response::Response;
use super::response::records;
use super::rotation::rotate_addresses;

/// Octets of the longest EXTRA-TEXT of an upstream that is cached, since it is sent with every hit. A longer one is left out as a whole: it may
/// be structured, as JSON for instance.
const MAX_EDE_TEXT: usize = 1024;
/// Extended errors of one response that are cached. One is usual.
const MAX_EDES: usize = 4;
/// AA: a cached response is not authoritative.
const AA: u16 = 0x0400;
/// AD, which is only for clients that asked for it (RFC 6840 §5.8).
const AD: u16 = 0x0020;

/// A whole message: the header, the question in lower case, the records as they came, and an OPT record of
/// ours in the place of the upstream's (RFC 6891 §6.1.1). That record holds the upstream's extended errors
/// and, as the very last option, the *state*: the extended error that says that the response is stale, or a cached failure. A response
/// without it is the message up to that option. So a cache hit is [`relay_response`] of this message, and nothing else.
///
/// The offsets of all TTLs follow the message, 16 bits each.
#[derive(Clone, Debug)]
pub struct CachedResponse {
    pub(super) octets: Box<[u8]>,
    pub(super) header: Header,
    pub(super) question: QuestionAt,
    /// Where the OPT record starts.
    pub(super) opt_at: u32,
    /// Where the option with the state starts.
    pub(super) state_at: u32,
    /// Where the message ends and the offsets start.
    pub(super) end: u32,
}

impl CachedResponse {
    /// A positive or a negative answer to `asked`. TTLs below `min_ttl` seconds are raised to it, those above `max_ttl` lowered. Its state says
    /// that it is stale.
    ///
    /// `None` when it cannot be cached: it repeats another question, or its OPT record is not the last.
    pub fn data(
        query: &[u8],
        asked: &Query,
        message: &[u8],
        response: &Response,
        (min_ttl, max_ttl): (u32, u32),
    ) -> Option<CachedResponse> {
        let same_shape = response
            .question
            .is_some_and(|at| at.name_len == asked.question.name_len);
        if !same_shape || response.signed || response.opt.is_some_and(|opt| !opt.last) {
            return None;
        }
        let flags = asked.header.flags;
        let told = if flags.ad() || dnssec_ok(asked) {
            AA
        } else {
            AA | AD
        };
        let mut header = response.header;
        header.flags = header.flags.with(told, 0);
        let theirs = u16::from(response.opt.is_some());
        header.additionals = header.additionals.saturating_sub(theirs);
        let end = response.opt.map_or(response.end, |opt| opt.start);
        let body = message.get(response.records_at()..end)?;
        let state = match response.rcode() {
            Rcode::NXDOMAIN => Ede::STALE_NXDOMAIN,
            _ => Ede::STALE_ANSWER,
        };
        let edes = edes(message, response.opt.as_ref());
        let records = records(message, response).filter(|record| record.rtype != TYPE_OPT);
        let ttls = records.filter_map(|record| u16::try_from(record.ttl_at).ok());
        let mut cached = assemble(query, asked, header, (body, ttls), &edes, state)?;
        cached.each_ttl(|ttl| ttl.max(min_ttl).min(max_ttl));
        Some(cached)
    }

    /// An upstream's error response to `asked`: its code and its extended errors, without records. Its state says that it is cached.
    pub fn error(
        query: &[u8],
        asked: &Query,
        message: &[u8],
        response: &Response,
    ) -> Option<CachedResponse> {
        let edes = edes(message, response.opt.as_ref());
        failure(query, asked, response.rcode(), &edes)
    }

    /// This error to `asked`, because of `why`. Its state says that it is cached.
    pub fn failure(
        query: &[u8],
        asked: &Query,
        rcode: Rcode,
        why: Ede<'_>,
    ) -> Option<CachedResponse> {
        let mut edes = Vec::new();
        why.write(&mut edes);
        failure(query, asked, rcode, &edes)
    }

    /// The question in the form of [`lowercase_into`].
    pub fn question(&self) -> &[u8] {
        self.question.octets(&self.octets)
    }

    /// Its response code, as far as the header holds it.
    pub fn rcode(&self) -> Rcode {
        Rcode(self.header.flags.rcode().into())
    }

    /// How many records its answer section has.
    pub fn answers(&self) -> u16 {
        self.header.answers
    }

    /// Octets of heap memory that it takes: the allocation, rounded up as allocators do, and their header.
    pub fn heap_size(&self) -> usize {
        self.octets.len().next_multiple_of(16) + 16
    }

    /// Lowers every TTL by so many seconds, to no less than 0.
    pub fn age(&mut self, seconds: u32) {
        self.each_ttl(|ttl| ttl.saturating_sub(seconds));
    }

    /// Sets every TTL, as that of a stale response (RFC 8767 §4).
    pub fn set_ttls(&mut self, ttl: u32) {
        self.each_ttl(|_| ttl);
    }

    /// Moves the first address of each set to the set's end.
    pub fn rotate(&mut self) {
        let start = self.question.end();
        let answers = usize::from(self.header.answers);
        let Some((message, ttls)) = self.octets.split_at_mut_checked(self.end as usize) else {
            return;
        };
        let ttls = ttls.as_chunks::<2>().0.iter().take(answers);
        rotate_addresses(
            message,
            start,
            ttls.map(|at| u16::from_be_bytes(*at).into()),
        );
    }

    /// Appends the response as this client gets it: see [`relay_response`]. With `state`, clients that sent an OPT record are told the state.
    pub fn relay(
        &self,
        recipient: &Recipient<'_>,
        our_udp_size: u16,
        state: bool,
        out: &mut Vec<u8>,
    ) {
        let end = if state { self.end } else { self.state_at } as usize;
        let start = self.opt_at as usize;
        let opt = OptAt {
            start,
            options_at: start + BARE_OPT,
            end,
            // DO is copied from the query (RFC 3225 §3). It is a part of the cache key.
            dnssec_ok: recipient.edns.is_some_and(|client| client.dnssec_ok),
            last: true,
            ..OptAt::default()
        };
        let response = Response {
            header: self.header,
            question: Some(self.question),
            opt: Some(opt),
            signed: false,
            end,
        };
        relay_response(&self.octets, &response, recipient, our_udp_size, out);
    }

    fn each_ttl(&mut self, change: impl Fn(u32) -> u32) {
        let Some((message, ttls)) = self.octets.split_at_mut_checked(self.end as usize) else {
            return;
        };
        for at in ttls.as_chunks::<2>().0 {
            let at = usize::from(u16::from_be_bytes(*at));
            let ttl = message
                .get_mut(at..)
                .and_then(|tail| tail.first_chunk_mut());
            if let Some(ttl) = ttl {
                *ttl = change(u32::from_be_bytes(*ttl)).to_be_bytes();
            }
        }
    }
}

/// Octets of the smallest record: the root as its owner, and the fixed fields.
const MIN_RECORD: usize = 11;

/// Puts a message together. `header` counts the records of `body`, whose TTLs stand at `ttls` in the message.
fn assemble(
    query: &[u8],
    asked: &Query,
    header: Header,
    (body, ttls): (&[u8], impl Iterator<Item = u16>),
    edes: &[u8],
    state: Ede<'_>,
) -> Option<CachedResponse> {
    let records = header.additionals;
    let header = Header {
        id: 0,
        questions: 1,
        additionals: header.additionals.checked_add(1)?,
        ..header
    };
    // One allocation of the right size, since it is not shrunk afterwards.
    let counts = [header.answers, header.authorities, records];
    let records = counts.map(usize::from).iter().sum::<usize>();
    let offsets = 2 * records.min(body.len() / MIN_RECORD);
    let opt_len = BARE_OPT + edes.len() + state.option_len();
    let mut message = Vec::with_capacity(asked.question.end() + body.len() + opt_len + offsets);
    header.write(&mut message);
    lowercase_into(query, &asked.question, &mut message);
    message.extend_from_slice(body);
    let opt_at = message.len();
    let opt = OurOpt {
        udp_size: 0,
        extended_rcode: 0,
        dnssec_ok: dnssec_ok(asked),
    };
    opt.write(edes.len() + state.option_len(), &mut message);
    message.extend_from_slice(edes);
    let state_at = message.len();
    state.write(&mut message);
    let end = message.len();
    message.extend(ttls.flat_map(u16::to_be_bytes));
    Some(CachedResponse {
        octets: message.into_boxed_slice(),
        header,
        question: asked.question,
        opt_at: u32::try_from(opt_at).ok()?,
        state_at: u32::try_from(state_at).ok()?,
        end: u32::try_from(end).ok()?,
    })
}

/// An error without records.
fn failure(query: &[u8], asked: &Query, rcode: Rcode, edes: &[u8]) -> Option<CachedResponse> {
    let flags =
        Flags(Flags::QR | Flags::RA | rcode.0 & Flags::RCODE).with(Flags::CD, asked.header.flags.0);
    let header = Header {
        flags,
        answers: 0,
        authorities: 0,
        additionals: 0,
        ..asked.header
    };
    let nothing = (&[][..], std::iter::empty());
    assemble(query, asked, header, nothing, edes, Ede::CACHED_ERROR)
}

fn dnssec_ok(asked: &Query) -> bool {
    asked.opt.is_some_and(|opt| opt.dnssec_ok)
}

/// The extended errors of a response as options, bounded in number and length.
fn edes(message: &[u8], opt: Option<&OptAt>) -> Vec<u8> {
    let mut edes = Vec::new();
    let all = opt.into_iter().flat_map(|opt| options(message, opt));
    for (_, data) in all.filter(|(code, _)| *code == OPTION_EDE).take(MAX_EDES) {
        let Some((info, text)) = data.split_at_checked(2) else {
            continue;
        };
        // EXTRA-TEXT that is not UTF-8 is left out (RFC 8914 §2).
        let whole = text.len() <= MAX_EDE_TEXT && std::str::from_utf8(text).is_ok();
        let cached = if whole { data } else { info };
        put_option(&mut edes, OPTION_EDE, cached);
    }
    edes
}

#[cfg(test)]
mod tests {
    use super::super::edns::ClientEdns;
    use super::super::query::parse_query;
    use super::super::response::parse_response;
    use super::super::scan::Section;
    use super::super::testing::{self, Message, TO_QUESTION};
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A client that asked this, in its letter case.
    struct Client {
        message: Vec<u8>,
        query: Query,
    }

    impl Client {
        fn new(built: &Message) -> Client {
            let message = built.build();
            let query = parse_query(&message).unwrap();
            Client { message, query }
        }

        fn store(&self, built: &Message) -> CachedResponse {
            let message = built.build();
            let response = parse_response(&message).unwrap();
            CachedResponse::data(&self.message, &self.query, &message, &response, (0, 86400))
                .unwrap()
        }

        /// What this client gets: the octets and where things are.
        fn gets(&self, cached: &CachedResponse, state: bool) -> (Vec<u8>, Response) {
            let opt = self.query.opt;
            let recipient = Recipient {
                id: self.query.header.id,
                question: self.query.question.octets(&self.message),
                rd: self.query.header.flags.rd(),
                edns: opt.map(|opt| {
                    ClientEdns::of(&self.message, &opt, crate::wire::ClientSubnet::Keep)
                }),
                limit: if opt.is_some_and(|opt| opt.udp_size == 4096) {
                    4096
                } else {
                    512
                },
            };
            let mut out = Vec::new();
            cached.relay(&recipient, 1232, state, &mut out);
            let read = parse_response(&out).unwrap();
            assert_eq!(read.end, out.len());
            (out, read)
        }
    }

    fn plain() -> Client {
        Client::new(&testing::query("a.test.", 1))
    }

    fn with_edns() -> Client {
        Client::new(&testing::query("A.tEsT.", 1).id(0xBEEF).edns(1232, 0, &[]))
    }

    fn ttls((message, read): &(Vec<u8>, Response)) -> Vec<u32> {
        let others = records(message, read).filter(|record| record.rtype != TYPE_OPT);
        others.map(|record| record.ttl).collect()
    }

    fn errors((message, read): &(Vec<u8>, Response)) -> Vec<Vec<u8>> {
        let opt = read.opt.unwrap();
        options(message, &opt)
            .map(|(code, data)| {
                assert_eq!(code, OPTION_EDE);
                data.to_vec()
            })
            .collect()
    }

    fn a(ttl: u32) -> Message {
        testing::response("a.test.", 1).a(ttl, [192, 0, 2, 1])
    }

    // req 1, req 2
    #[test]
    fn what_is_kept_is_what_came_with_the_clients_id_and_case() {
        let alias = |built: Message| {
            built
                .record(Section::Answer, TO_QUESTION, 5, (1, 9), b"\x01b\xC0\x0E")
                .record(
                    Section::Additional,
                    TO_QUESTION,
                    65280,
                    (7, 8),
                    b"\xC0\x0Cx",
                )
        };
        let cached = plain().store(&alias(testing::response("a.test.", 1)));
        let wanted = alias(testing::query("A.tEsT.", 1).id(0xBEEF).flags(0x8180));
        let wanted = wanted.edns(1232, 0, &[]).build();
        assert_eq!(with_edns().gets(&cached, false).0, wanted);
        assert_eq!(cached.question(), b"\x01a\x04test\x00\x00\x01\x00\x01");
    }

    // req 32, req 37
    #[test]
    fn the_upstreams_opt_is_not_kept_and_each_client_gets_what_it_speaks() {
        let hop: [(u16, &[u8]); 5] = [
            (3, b"ns1"),
            (8, &[0, 1, 0, 0]),
            (10, &[7; 16]),
            (11, &[0, 9]),
            (12, &[0; 50]),
        ];
        let cached = plain().store(&a(60).edns(4096, 0x8000, &hop));
        assert_eq!(plain().gets(&cached, false).1.opt, None);
        let told = with_edns().gets(&cached, false);
        let opt = told.1.opt.unwrap();
        assert_eq!((opt.udp_size, opt.dnssec_ok, opt.version), (1232, false, 0));
        assert!(errors(&told).is_empty());
        // And the other way round: the upstream sent none.
        assert!(
            with_edns()
                .gets(&plain().store(&a(60)), false)
                .1
                .opt
                .is_some()
        );
    }

    // req 44, req 52
    #[test]
    fn ttls_fall_in_all_sections_to_no_less_than_zero() {
        let built = a(300)
            .record(Section::Authority, TO_QUESTION, 2, (1, 5), TO_QUESTION)
            .record(Section::Additional, TO_QUESTION, 1, (1, 60), &[0; 4]);
        let mut cached = plain().store(&built);
        assert_eq!(ttls(&with_edns().gets(&cached, false)), [300, 5, 60]);
        cached.age(4);
        cached.age(6);
        assert_eq!(ttls(&with_edns().gets(&cached, false)), [290, 0, 50]);
        cached.set_ttls(30);
        assert_eq!(ttls(&with_edns().gets(&cached, false)), [30; 3]);
        let opt = with_edns().gets(&cached, false).1.opt.unwrap();
        assert_eq!((opt.version, opt.extended_rcode), (0, 0));
    }

    #[test]
    fn rotation_is_for_the_addresses_that_answer_and_leaves_ttls_where_they_are() {
        let built = a(300)
            .a(300, [192, 0, 2, 2])
            .record(Section::Additional, TO_QUESTION, 1, (1, 60), &[0, 0, 0, 3])
            .record(Section::Additional, TO_QUESTION, 1, (1, 60), &[0, 0, 0, 4]);
        let mut cached = plain().store(&built.edns(1232, 0, &[(15, b"\x00\x06x")]));
        let order = |cached: &CachedResponse| -> Vec<u8> {
            let (out, read) = with_edns().gets(cached, false);
            let all = records(&out, &read).filter(|record| record.rtype != TYPE_OPT);
            all.map(|record| out[record.rdata.end - 1]).collect()
        };
        assert_eq!(order(&cached), [1, 2, 3, 4]);
        cached.rotate();
        cached.age(10);
        assert_eq!(order(&cached), [2, 1, 3, 4]);
        assert_eq!(ttls(&plain().gets(&cached, false)), [290, 290, 50, 50]);
        cached.rotate();
        assert_eq!(order(&cached), [1, 2, 3, 4]);
    }

    // req 57
    #[test]
    fn no_ttl_is_kept_above_the_cap() {
        assert_eq!(
            ttls(&plain().gets(&plain().store(&a(86401)), false)),
            [86400]
        );
    }

    // req 49
    #[test]
    fn ad_is_for_those_who_asked_and_aa_for_nobody() {
        let asks = |flags, bits: Option<u32>| {
            let built = testing::query("a.test.", 1).flags(flags);
            let built = match bits {
                Some(bits) => built.edns(1232, bits, &[]),
                None => built,
            };
            let client = Client::new(&built);
            let cached = client.store(&a(60).flags(0x85A0));
            client.gets(&cached, false).1.header.flags
        };
        for (flags, bits, ad) in [
            (0x0100, None, false),
            (0x0100, Some(0), false),
            (0x0120, None, true),
            (0x0100, Some(0x8000), true),
        ] {
            let told = asks(flags, bits);
            assert_eq!((told.ad(), told.aa(), told.ra()), (ad, false, true));
        }
    }

    // req 56
    #[test]
    fn extended_errors_are_kept_within_bounds() {
        // fault 110: whole up to 1 KiB, as structured errors must be, or left out.
        let whole = [b"\x00\x04", "é".repeat(512).as_bytes()].concat();
        let long = [b"\x00\x04", "é".repeat(513).as_bytes()].concat();
        let odd = [b"\x00\x05", &[0xFF; 9][..]].concat();
        let sent: [(u16, &[u8]); 7] = [
            (15, &whole),
            (15, &long),
            (15, b"\x00"),
            (15, &odd),
            (15, &odd),
            (15, &odd),
            (12, b""),
        ];
        let cached = plain().store(&a(60).edns(1232, 0, &sent));
        let client = testing::query("a.test.", 1).edns(4096, 0, &[]);
        let told = errors(&Client::new(&client).gets(&cached, false));
        assert_eq!(told[0], whole);
        assert_eq!(told[1], b"\x00\x04");
        assert_eq!(told[2], b"\x00\x05");
        assert_eq!(told.len(), 3, "the fourth has no code");
    }

    // req 53, req 56
    #[test]
    fn a_stale_answer_says_so_to_those_who_speak_edns() {
        let found = plain().store(&a(60).edns(1232, 0, &[(15, b"\x00\x06x")]));
        let told = errors(&with_edns().gets(&found, true));
        assert_eq!(told, [&b"\x00\x06x"[..], b"\x00\x03"]);
        assert_eq!(plain().gets(&found, true).1.opt, None);
        let absent = plain().store(&testing::response("a.test.", 1).flags(0x8183));
        assert_eq!(errors(&with_edns().gets(&absent, true)), [b"\x00\x13"]);
    }

    // req 45, req 56
    #[test]
    fn a_failure_is_its_code_and_why() {
        let message = testing::response("a.test.", 1).flags(0x85A5).a(60, [0; 4]);
        let message = message.edns(1232, 0, &[(15, b"\x00\x12no")]).build();
        let read = parse_response(&message).unwrap();
        let client = with_edns();
        let cached =
            CachedResponse::error(&client.message, &client.query, &message, &read).unwrap();
        let told = client.gets(&cached, true);
        assert_eq!(told.1.header.flags, Flags(0x8185));
        assert_eq!(told.1.header.answers, 0);
        assert_eq!(errors(&told), [&b"\x00\x12no"[..], b"\x00\x0D"]);

        let why = Ede::NETWORK_ERROR.with_text("refused");
        let cached =
            CachedResponse::failure(&client.message, &client.query, Rcode::SERVFAIL, why).unwrap();
        let told = client.gets(&cached, true);
        assert_eq!(told.1.rcode(), Rcode::SERVFAIL);
        assert_eq!(told.1.question.unwrap().name(&told.0), b"\x01A\x04tEsT\x00");
        assert_eq!(errors(&told), [&b"\x00\x17refused"[..], b"\x00\x0D"]);
    }

    // req 6, fault 27
    #[test]
    fn what_does_not_fit_leaves_truncated_and_stays_whole() {
        let big = a(60).record(Section::Answer, TO_QUESTION, 16, (1, 60), &[0; 600]);
        let cached = plain().store(&big);
        let (out, read) = with_edns().gets(&cached, false);
        assert!(out.len() <= 512 && read.header.flags.tc() && read.opt.is_some());
        assert_eq!(read.header.answers, 1, "the address fits");
        let recipient = Recipient {
            id: 1,
            question: cached.question(),
            rd: true,
            edns: None,
            limit: 65535,
        };
        let mut out = Vec::new();
        cached.relay(&recipient, 1232, false, &mut out);
        assert_eq!(out.len(), big.len());
    }

    #[test]
    fn what_cannot_be_kept_is_not() {
        let client = plain();
        for built in [
            testing::response("other.test.", 1).a(60, [0; 4]),
            a(60).tsig(),
            testing::header_only(0x8180),
            a(60)
                .edns(1232, 0, &[])
                .record(Section::Additional, TO_QUESTION, 1, (1, 1), &[0; 4]),
        ] {
            let message = built.build();
            let response = parse_response(&message).unwrap();
            let cached =
                CachedResponse::data(&client.message, &client.query, &message, &response, (0, 9));
            assert!(cached.is_none());
        }
    }

    /// RDATA that is well-formed for its type, with names in it that point to the question's.
    fn any_record() -> impl Strategy<Value = (usize, Vec<u8>, u16, u32, Vec<u8>)> {
        let data = prop_oneof![
            Just((1, vec![9; 4])),
            Just((28, vec![9; 16])),
            Just((5, b"\x01c\xC0\x0C".to_vec())),
            Just((15, b"\x00\x05\xC0\x0C".to_vec())),
            vec(any::<u8>(), 0..300).prop_map(|rdata| (16, rdata)),
            vec(any::<u8>(), 0..300).prop_map(|rdata| (65280, rdata)),
        ];
        let owner = prop_oneof![Just(TO_QUESTION.to_vec()), Just(b"\x01b\xC0\x0E".to_vec())];
        (0..3_usize, owner, 0..100_000_u32, data)
            .prop_map(|(section, owner, ttl, (rtype, rdata))| (section, owner, rtype, ttl, rdata))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        // req 2, req 6, req 32, req 52
        #[test]
        fn a_young_answer_is_the_relayed_one_and_an_older_one_differs_in_its_ttls(
            mut records in vec(any_record(), 0..12),
            flags in 0..0x0080_u16,
            edns in prop::option::of((512..2000_u16, any::<bool>())),
            theirs in any::<bool>(),
            over_tcp in any::<bool>(),
            age in 0..200_000_u32,
        ) {
            records.sort_by_key(|record| record.0);
            let sections = [Section::Answer, Section::Authority, Section::Additional];
            // No AA and no AD, and no response code: these are not always passed on.
            let mut built = testing::response("a.test.", 1).flags(0x8180 | flags & 0x0050);
            for (section, owner, rtype, ttl, rdata) in &records {
                built = built.record(sections[*section], owner, *rtype, (1, *ttl), rdata);
            }
            let mut asks = testing::query("A.test.", 1).id(77);
            if let Some((size, dnssec_ok)) = edns {
                let bits = if dnssec_ok { 0x8000 } else { 0 };
                asks = asks.edns(size, bits, &[]);
                if theirs {
                    built = built.edns(4096, bits, &[(12, &[0; 9]), (15, b"\x00\x06x")]);
                }
            }
            let client = Client::new(&asks);
            let message = built.build();
            let response = parse_response(&message).unwrap();
            let mut cached = client.store(&built);
            let recipient = Recipient {
                id: 77,
                question: client.query.question.octets(&client.message),
                rd: true,
                edns: client.query.opt.map(|opt| ClientEdns::of(&client.message, &opt, crate::wire::ClientSubnet::Keep)),
                limit: if over_tcp { 65535 } else { usize::from(edns.map_or(512, |(size, _)| size)) },
            };
            let (mut young, mut relayed) = (Vec::new(), Vec::new());
            cached.relay(&recipient, 1232, false, &mut young);
            relay_response(&message, &response, &recipient, 1232, &mut relayed);
            // The cap: the only thing that the first who asks is not told.
            let capped = records.iter().any(|record| record.3 > 86400);
            prop_assert_eq!(young.len(), relayed.len());
            prop_assert!(capped || young == relayed);

            cached.age(age);
            let mut old = Vec::new();
            cached.relay(&recipient, 1232, false, &mut old);
            let read = super::super::response::parse_response(&old).unwrap();
            let old = (old, read);
            if !read.header.flags.tc() {
                let wanted = records.iter().map(|record| record.3.min(86400).saturating_sub(age));
                prop_assert_eq!(ttls(&old), wanted.collect::<Vec<_>>());
            }
        }
    }
}
