//! What an upstream sent: whether it is a well-formed response, and where things are in it.

use super::compression::in_place;
use super::edns::{OptAt, TYPE_OPT};
use super::header::{HEADER_LEN, Header, OPCODE_QUERY, Rcode};
use super::malformed::Malformed;
use super::question::{QuestionAt, question_at};
use super::scan::{Record, Walk, scan_records};

/// A response that can be relayed. Whether it repeats the question that was asked is for the caller to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its header.
    pub header: Header,
    /// The question it repeats; `None` when QDCOUNT is 0, as some servers send with an error.
    pub question: Option<QuestionAt>,
    /// Its OPT record.
    pub opt: Option<OptAt>,
    /// Signed with TSIG or SIG(0): it may not be edited.
    pub signed: bool,
    /// Where the records end. What stands behind is no part of the message.
    pub end: usize,
}

impl Response {
    /// The whole response code: four bits of the header, eight of the OPT record.
    pub fn rcode(&self) -> Rcode {
        let extended = self.opt.map_or(0, |opt| opt.extended_rcode);
        Rcode(u16::from(extended) << 4 | u16::from(self.header.flags.rcode()))
    }

    /// Where the records start.
    pub(super) fn records_at(&self) -> usize {
        self.question.map_or(HEADER_LEN, |at| at.end())
    }
}

/// Reads an upstream's message. RDATA is opaque: only its bounds are checked, so unknown types pass bit for
/// bit.
pub fn parse_response(message: &[u8]) -> Result<Response, Malformed> {
    let header = Header::parse(message).ok_or(Malformed("shorter than a header"))?;
    if !header.flags.is_response() {
        return Err(Malformed("not a response"));
    }
    if header.flags.opcode() != OPCODE_QUERY {
        return Err(Malformed("a response to something else than a query"));
    }
    let question = match header.questions {
        0 => None,
        1 => Some(question_at(message).ok_or(Malformed("the question cannot be read"))?),
        _ => return Err(Malformed("more than one question")),
    };
    let records = scan_records(message, &header, question);
    match records.fault {
        Some(fault) => Err(fault),
        None => Ok(Response {
            header,
            question,
            opt: records.opt,
            signed: records.signed,
            end: records.end,
        }),
    }
}

/// The records of a response that has been scanned, in order, OPT and TSIG among them.
///
/// This is a second walk, in which pointers are not followed again. It ends early only if `message` is not the one that was scanned.
pub fn records<'a>(
    message: &'a [u8],
    response: &Response,
) -> impl Iterator<Item = Record> + use<'a> {
    let mut walk = Walk::new(message, &response.header, response.question);
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let record = walk.next_record(in_place).ok().flatten();
        over = record.is_none();
        record
    })
}

/// Lowers the TTL of every record by so many seconds, to no less than 0. A response that cannot be read, or is signed, stays as it is.
pub fn lower_ttls(message: &mut [u8], seconds: u32) {
    let Ok(response) = parse_response(message) else {
        return;
    };
    if response.signed {
        return;
    }
    let records = records(message, &response).filter(|record| record.rtype != TYPE_OPT);
    let ttls: Vec<(usize, u32)> = records.map(|record| (record.ttl_at, record.ttl)).collect();
    for (at, ttl) in ttls {
        // RFC 2181 section 8: one with the highest bit set is 0.
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        if let Some(field) = message
            .get_mut(at..)
            .and_then(|tail| tail.first_chunk_mut())
        {
            *field = ttl.saturating_sub(seconds).to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::Section;
    use super::super::testing::{self, TO_QUESTION, header_only};
    use super::*;

    fn error(message: &[u8]) -> &'static str {
        parse_response(message).unwrap_err().0
    }

    #[test]
    fn an_ordinary_answer_is_read() {
        let message = testing::response("a.test.", 1)
            .a(60, [192, 0, 2, 1])
            .edns(1232, 0x8000, &[])
            .build();
        let read = parse_response(&message).unwrap();
        assert_eq!(read.question.unwrap().qtype, 1);
        assert_eq!(read.records_at(), 24);
        assert!(read.opt.unwrap().dnssec_ok);
        assert!(!read.signed);
        assert_eq!(read.rcode(), Rcode::NOERROR);
        assert_eq!(read.end, message.len());
    }

    // fault 14
    #[test]
    fn less_than_a_header_is_no_answer() {
        for len in 0..12 {
            assert_eq!(error(&vec![0x80; len]), "shorter than a header");
        }
    }

    // fault 23, req 1
    #[test]
    fn an_echo_of_the_query_or_another_opcode_is_no_answer() {
        assert_eq!(
            error(&testing::query("a.test.", 1).build()),
            "not a response"
        );
        let notify = testing::response("a.test.", 6).flags(0xA000).build();
        assert_eq!(error(&notify), "a response to something else than a query");
    }

    // fault 22
    #[test]
    fn an_error_may_come_without_its_question() {
        let message = header_only(0x8182).build();
        let read = parse_response(&message).unwrap();
        assert_eq!((read.question, read.end), (None, 12));
        assert_eq!(read.rcode(), Rcode::SERVFAIL);
    }

    #[test]
    fn two_questions_or_a_compressed_one_are_no_answer() {
        let two = testing::response("a.test.", 1).question(&[0], 1, 1).build();
        assert_eq!(error(&two), "more than one question");
        let compressed = header_only(0x8180).question(b"\xC0\x0C", 1, 1).build();
        assert_eq!(error(&compressed), "the question cannot be read");
    }

    // req 33, fault 29
    #[test]
    fn the_response_code_has_twelve_bits() {
        let with = |flags, bits| {
            let message = testing::response("a.test.", 1)
                .flags(flags)
                .edns(512, bits, &[]);
            parse_response(&message.build()).unwrap().rcode()
        };
        assert_eq!(with(0x8180, 0x0100_0000), Rcode::BADVERS);
        assert_eq!(with(0x8187, 0x0100_0000), Rcode::BADCOOKIE);
        assert_eq!(with(0x818F, 0xFF00_0000), Rcode(4095));
        assert_eq!(with(0x8183, 0), Rcode::NXDOMAIN);
    }

    // req 3
    #[test]
    fn owner_names_are_walked_whatever_they_belong_to() {
        for owner in [&b"\xC0\x18"[..], b"\xFF\xFF", b"\x40", b"\xC0\x01"] {
            let message = testing::response("a.test.", 1)
                .record(Section::Additional, owner, 1, (1, 60), &[0; 4])
                .build();
            assert!(parse_response(&message).is_err(), "{owner:?}");
        }
    }

    // req 12, req 13, req 18
    #[test]
    fn rdata_is_opaque() {
        for (rtype, rdata) in [
            (65280, &[0xC0; 200][..]),
            (1, &[0; 5]),
            (5, &[]),
            (33, &[0xFF; 7]),
        ] {
            let message = testing::response("a.test.", rtype)
                .record(Section::Answer, TO_QUESTION, rtype, (1, 60), rdata)
                .build();
            assert_eq!(parse_response(&message).unwrap().end, message.len());
        }
    }

    // req 20
    #[test]
    fn octets_behind_the_last_record_are_not_part_of_it() {
        let built = testing::response("a.test.", 1)
            .a(60, [192, 0, 2, 1])
            .edns(1232, 0, &[]);
        let read = parse_response(&built.clone().raw(&[0; 40]).build()).unwrap();
        assert_eq!(read.end, built.len());
        assert!(read.opt.unwrap().last);
    }

    // req 10, 92
    #[test]
    fn ttls_are_lowered_in_all_sections_but_in_the_opt_record() {
        let built = |ttls: [u32; 4]| {
            let [one, two, authority, additional] = ttls;
            let record = |message: testing::Message, section, ttl| {
                message.record(section, TO_QUESTION, 1, (1, ttl), &[192, 0, 2, 1])
            };
            let message = testing::response("a.test.", 1)
                .a(one, [1; 4])
                .a(two, [2; 4]);
            let message = record(message, Section::Authority, authority);
            let message = record(message, Section::Additional, additional);
            message.edns(1232, 0x8000, &[(12, &[0; 9])])
        };
        let mut message = built([300, 10, 86_400, 0x8000_0001]).build();
        lower_ttls(&mut message, 10);
        assert_eq!(message, built([290, 0, 86_390, 0]).build());
        lower_ttls(&mut message, u32::MAX);
        assert_eq!(message, built([0; 4]).build());
    }

    #[test]
    fn what_cannot_be_read_or_is_signed_keeps_its_ttls() {
        let whole = testing::response("a.test.", 1).a(300, [1; 4]);
        let (mut cut, mut signed) = (whole.build(), whole.tsig().build());
        cut.pop();
        for message in [&mut cut, &mut signed, &mut Vec::new()] {
            let before = message.clone();
            lower_ttls(message, 10);
            assert_eq!(*message, before);
        }
    }

    // fault 15
    #[test]
    fn the_largest_message_is_read() {
        let built = testing::response("a.test.", 16);
        let rest = 65535 - built.len() - 12;
        let rdata = vec![1; rest];
        let message = built
            .record(Section::Answer, TO_QUESTION, 16, (1, 60), &rdata)
            .build();
        assert_eq!(message.len(), 65535);
        assert_eq!(parse_response(&message).unwrap().end, 65535);
    }

    // req 26
    #[test]
    fn a_signed_answer_is_known() {
        let message = testing::response("a.test.", 1)
            .a(60, [1, 2, 3, 4])
            .tsig()
            .build();
        assert!(parse_response(&message).unwrap().signed);
    }
}
