//! A client's message: whether it is forwarded, answered with an error, or dropped.

use super::edns::{OptAt, TYPE_OPT};
use super::header::{Header, OPCODE_NOTIFY, OPCODE_QUERY, OPCODE_UPDATE, Rcode};
use super::question::{QuestionAt, question_at};
use super::scan::{Scan, TYPE_TSIG, scan_records};

/// QTYPE of an incremental zone transfer (RFC 1995).
const TYPE_IXFR: u16 = 251;
/// QTYPE of a zone transfer (RFC 5936).
const TYPE_AXFR: u16 = 252;

/// A query that can be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its header.
    pub header: Header,
    /// Its one question.
    pub question: QuestionAt,
    /// Its OPT record.
    pub opt: Option<OptAt>,
    /// Signed with TSIG or SIG(0): it may not be edited (RFC 8945 §5.5).
    pub signed: bool,
    /// Where it ends, which is the end of the octets.
    pub end: usize,
}

/// What happens to a message that is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No response: it has no whole header, or is a response itself, and answering that could start a loop.
    Drop,
    /// A response without records.
    Answer {
        /// The response code.
        rcode: Rcode,
        /// The question to echo, when it could be read.
        question: Option<QuestionAt>,
        /// The client's OPT record, when it could be read: then the response has one too.
        opt: Option<OptAt>,
    },
}

/// Reads a client's message and decides.
///
/// What is unknown is no reason to refuse: types, classes, the Z bit, EDNS flags and options all pass (RFC
/// 5625 §4).
pub fn parse_query(message: &[u8]) -> Result<Query, Refusal> {
    let header = Header::parse(message)
        .filter(|header| !header.flags.is_response())
        .ok_or(Refusal::Drop)?;
    let question = (header.questions == 1)
        .then(|| question_at(message))
        .flatten();
    // Behind a question that cannot be read, no record can be found.
    let records = match (header.questions, question) {
        (0, _) | (1, Some(_)) => scan_records(message, &header, question),
        _ => Scan::NONE,
    };
    let refuse = |rcode| {
        Err(Refusal::Answer {
            rcode,
            question,
            opt: records.opt,
        })
    };

    match header.flags.opcode() {
        OPCODE_QUERY => {}
        // REFUSED rather than NOTIMP: these would change something, and nobody allowed that.
        OPCODE_NOTIFY | OPCODE_UPDATE => return refuse(Rcode::REFUSED),
        _ => return refuse(Rcode::NOTIMP),
    }
    // Also when there are several questions, which an ordinary query never has (RFC 9619).
    let Some(question) = question else {
        return refuse(Rcode::FORMERR);
    };
    match question.qtype {
        // A transfer is a sequence of messages, and here each query gets one.
        TYPE_AXFR | TYPE_IXFR => return refuse(Rcode::NOTIMP),
        // Pseudo-records belong to a message and cannot be asked for.
        TYPE_OPT | TYPE_TSIG => return refuse(Rcode::FORMERR),
        _ => {}
    }
    if header.answers > 0 || records.fault.is_some() || records.end != message.len() {
        return refuse(Rcode::FORMERR);
    }
    if records.opt.is_some_and(|opt| opt.version > 0) {
        return refuse(Rcode::BADVERS);
    }
    Ok(Query {
        header,
        question,
        opt: records.opt,
        signed: records.signed,
        end: records.end,
    })
}

#[cfg(test)]
mod tests {
    use super::super::scan::Section;
    use super::super::testing::{self, Message, ROOT, TO_QUESTION, header_only, name_of_len};
    use super::*;

    fn plain() -> Message {
        testing::query("a.test.", 1)
    }

    /// The code that a message is refused with, and whether question and OPT are known to the response.
    fn refusal(message: &[u8]) -> (Rcode, bool, bool) {
        match parse_query(message) {
            Err(Refusal::Answer {
                rcode,
                question,
                opt,
            }) => (rcode, question.is_some(), opt.is_some()),
            other => panic!("not refused by a response: {other:?}"),
        }
    }

    #[test]
    fn an_ordinary_query_goes_on() {
        let message = plain().edns(1232, 0x8000, &[(3, b"")]).build();
        let read = parse_query(&message).unwrap();
        assert_eq!(read.header.id, 0x1234);
        assert_eq!(read.question.end(), 24);
        assert_eq!(read.end, message.len());
        assert!(!read.signed);
        let opt = read.opt.unwrap();
        assert_eq!((opt.start, opt.udp_size, opt.version), (24, 1232, 0));
        assert!(opt.dnssec_ok && opt.last);
    }

    // req 16, fault 55
    #[test]
    fn less_than_a_header_is_dropped() {
        let message = plain().build();
        for end in 0..12 {
            assert_eq!(parse_query(&message[..end]), Err(Refusal::Drop));
        }
    }

    // fault 56
    #[test]
    fn a_response_is_never_answered() {
        for flags in [0x8000, 0x8180, 0xA800, 0xFFFF] {
            let response = plain().flags(flags).build();
            assert_eq!(parse_query(&response), Err(Refusal::Drop));
            assert_eq!(parse_query(&header_only(flags).build()), Err(Refusal::Drop));
        }
    }

    // req 29, req 72
    #[test]
    fn only_ordinary_queries_are_known() {
        for opcode in 1..16 {
            let expected = match opcode {
                4 | 5 => Rcode::REFUSED,
                _ => Rcode::NOTIMP,
            };
            let whole = plain().flags(opcode << 11).edns(1232, 0, &[]).build();
            assert_eq!(refusal(&whole), (expected, true, true), "{opcode}");
            let header = header_only(opcode << 11).build();
            assert_eq!(refusal(&header), (expected, false, false), "{opcode}");
            let broken = header_only(opcode << 11).counts([1, 2, 3, 4]).raw(b"\x40");
            assert_eq!(refusal(&broken.build()), (expected, false, false));
        }
    }

    // req 15, req 16, fault 57
    #[test]
    fn a_query_has_one_question() {
        let none = header_only(0x0100);
        assert_eq!(refusal(&none.build()), (Rcode::FORMERR, false, false));
        // As a client sends it that only wants a cookie: the response still has an OPT record.
        let cookie = none.edns(1232, 0, &[(10, &[1; 8])]).build();
        assert_eq!(refusal(&cookie), (Rcode::FORMERR, false, true));

        let two = plain().question(&[0], 1, 1).build();
        assert_eq!(refusal(&two), (Rcode::FORMERR, false, false));
        let many = plain().counts([65535, 0, 0, 0]).build();
        assert_eq!(refusal(&many), (Rcode::FORMERR, false, false));
    }

    // fault 57
    #[test]
    fn a_query_brings_no_answers() {
        let message = plain().a(60, [127, 0, 0, 1]).edns(1232, 0, &[]).build();
        assert_eq!(refusal(&message), (Rcode::FORMERR, true, true));
    }

    // req 17
    #[test]
    fn counts_beyond_the_octets_are_refused() {
        for counts in [[1, 0, 0, 1], [1, 0, 65535, 0], [1, 65535, 65535, 65535]] {
            let message = plain().counts(counts).build();
            assert_eq!(refusal(&message), (Rcode::FORMERR, true, false));
        }
        let claims_one_more = plain().edns(1232, 0, &[]).counts([1, 0, 0, 2]).build();
        assert_eq!(refusal(&claims_one_more), (Rcode::FORMERR, true, true));
    }

    // req 3, req 4, fault 58
    #[test]
    fn a_question_that_cannot_be_read_is_refused() {
        let with_name = |name: &[u8]| header_only(0).question(name, 1, 1).build();
        assert!(parse_query(&with_name(&name_of_len(255))).is_ok());
        for name in [
            &b"\xC0\x0C"[..],
            b"\x01a\xC0\x0C",
            b"\xC0\x00",
            b"\x40",
            b"\x80",
            b"\x3Fshort",
            &name_of_len(256),
        ] {
            let response = refusal(&with_name(name));
            assert_eq!(response, (Rcode::FORMERR, false, false), "{name:?}");
        }
        let cut = plain().build();
        for end in 12..cut.len() {
            assert_eq!(refusal(&cut[..end]), (Rcode::FORMERR, false, false));
        }
    }

    // req 11
    #[test]
    fn a_label_holds_any_octet() {
        for octet in 0..=255 {
            let message = header_only(0).question(&[1, octet, 0], 1, 1).build();
            assert!(parse_query(&message).is_ok());
        }
    }

    // req 12, req 14, req 23
    #[test]
    fn types_and_classes_pass_whether_known_or_not() {
        for number in 0..=65535 {
            let typed = header_only(0).question(b"\x01a\x00", number, 1).build();
            let refused = matches!(number, 41 | 250 | 251 | 252);
            assert_eq!(parse_query(&typed).is_err(), refused, "TYPE{number}");
            let classed = header_only(0).question(b"\x01a\x00", 1, number).build();
            assert!(parse_query(&classed).is_ok(), "CLASS{number}");
        }
    }

    // req 30
    #[test]
    fn transfers_are_not_implemented() {
        for qtype in [251, 252] {
            let transfer = testing::query("test.", qtype).edns(1232, 0, &[]).build();
            assert_eq!(refusal(&transfer), (Rcode::NOTIMP, true, true));
        }
        // An incremental one brings its SOA along.
        let soa = testing::query("test.", 251)
            .record(Section::Authority, TO_QUESTION, 6, (1, 0), &[0; 22])
            .build();
        assert_eq!(refusal(&soa), (Rcode::NOTIMP, true, false));
    }

    // req 23
    #[test]
    fn nobody_asks_for_a_pseudo_record() {
        for qtype in [41, 250] {
            let message = testing::query("a.test.", qtype).build();
            assert_eq!(refusal(&message), (Rcode::FORMERR, true, false));
        }
    }

    // req 19
    #[test]
    fn compressed_owners_behind_the_question_are_fine() {
        let message = plain()
            .record(Section::Authority, TO_QUESTION, 1, (1, 0), &[0; 4])
            .opt_rdata(&[0xC0, 19], 1232, 0, &[])
            .record(Section::Additional, &[0xC0, 14], 250, (255, 0), &[0; 20])
            .build();
        assert!(parse_query(&message).unwrap().signed);
    }

    // req 20
    #[test]
    fn octets_behind_the_last_record_are_refused() {
        let hidden_opt = [0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0];
        let message = plain().raw(&hidden_opt).raw(&[0; 29]).build();
        assert_eq!(refusal(&message), (Rcode::FORMERR, true, false));
        let behind_opt = plain().edns(1232, 0, &[]).raw(&[0]).build();
        assert_eq!(refusal(&behind_opt), (Rcode::FORMERR, true, true));
    }

    // req 21, req 22
    #[test]
    fn flags_are_no_reason_to_refuse() {
        // AA, TC, RD, RA, Z, AD, CD, and a response code in a query.
        for bits in 0..0x0800 {
            assert!(
                parse_query(&plain().flags(bits).build()).is_ok(),
                "{bits:#06x}"
            );
        }
    }

    // req 31
    #[test]
    fn a_second_opt_or_one_astray_is_refused() {
        let two = plain().edns(1232, 0, &[]).edns(1232, 0, &[]).build();
        assert_eq!(refusal(&two), (Rcode::FORMERR, true, true));
        let astray = plain().record(Section::Authority, ROOT, 41, (1232, 0), &[]);
        assert_eq!(refusal(&astray.build()), (Rcode::FORMERR, true, false));
        let owned = plain().opt_rdata(b"\x01a\x00", 1232, 0, &[]).build();
        assert_eq!(refusal(&owned), (Rcode::FORMERR, true, false));
    }

    // req 33
    #[test]
    fn a_later_edns_version_is_not_known_whatever_it_brings() {
        for bits in [0x0001_0000, 0x0001_0040, 0x0001_8000, 0x00FF_0000] {
            let bare = plain().edns(1232, bits, &[]).build();
            assert_eq!(refusal(&bare), (Rcode::BADVERS, true, true));
            let option = plain().edns(1232, bits, &[(100, b"")]).build();
            assert_eq!(refusal(&option), (Rcode::BADVERS, true, true));
        }
    }

    // req 34, req 35, req 36, req 39
    #[test]
    fn edns_flags_options_and_sizes_are_no_reason_to_refuse() {
        for flags in [0x0040, 0x7FFF, 0xFFFF] {
            assert!(parse_query(&plain().edns(1232, flags, &[]).build()).is_ok());
        }
        for size in [0, 100, 511, 512, 4096, 65535] {
            assert!(parse_query(&plain().edns(size, 0, &[]).build()).is_ok());
        }
        let all: [(u16, &[u8]); 5] = [
            (3, b""),
            (10, &[7; 8]),
            (9, b""),
            (8, &[0, 1, 0, 0]),
            (100, &[1; 900]),
        ];
        let message = plain().edns(4096, 0, &all).build();
        assert!(parse_query(&message).is_ok());
    }

    // fault 59
    #[test]
    fn options_fill_their_record_or_are_refused() {
        for rdata in [&[0][..], &[0, 10, 0], &[0, 10, 0, 1], &[0, 3, 0, 0, 9]] {
            let message = plain().opt_rdata(ROOT, 1232, 0, rdata).build();
            assert_eq!(refusal(&message), (Rcode::FORMERR, true, true));
        }
    }

    // req 26
    #[test]
    fn a_signature_is_seen_and_must_be_last() {
        let signed = plain().edns(1232, 0, &[]).tsig().build();
        assert!(parse_query(&signed).unwrap().signed);
        let early = plain().tsig().edns(1232, 0, &[]).build();
        assert_eq!(refusal(&early), (Rcode::FORMERR, true, false));
    }
}
