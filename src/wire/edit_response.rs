//! An upstream's response on its way to a client.

use std::ops::Range;

use super::edns::{
    BARE_OPT, ClientEdns, Ede, OPTION_EDE, OptAt, OurOpt, option_len, options, pad_response,
    put_option,
};
use super::header::{Flags, HEADER_LEN, Header, Rcode, set_id};
use super::integers::set_u16;
use super::opt_removal::bound_before;
use super::response::{Response, parse_response, records};
use super::scan::Section;

/// What a response depends on the client for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient<'a> {
    /// The id of the client's query.
    pub id: u16,
    /// The client's own question, name, type and class, in its letter case. Empty when it could not be read.
    pub question: &'a [u8],
    /// RD of the query.
    pub rd: bool,
    /// What the client's OPT record said. A client that sent none gets none.
    pub edns: Option<ClientEdns>,
    /// Octets that the response may take, at least 512: over UDP what the client can take and we send, over
    /// TCP 65,535.
    pub limit: usize,
}

impl Recipient<'_> {
    /// Octets of the response before its first record.
    pub(super) fn head_len(&self) -> usize {
        HEADER_LEN + self.question.len()
    }

    /// Appends the header, with this client's id and RD, and the question. `counts` are those of the records
    /// without the OPT, which is counted here.
    pub(super) fn write_head(&self, flags: Flags, counts: [u16; 3], out: &mut Vec<u8>) {
        let [answers, authorities, additionals] = counts;
        let header = Header {
            id: self.id,
            flags: flags.with(Flags::RD, if self.rd { Flags::RD } else { 0 }),
            questions: u16::from(!self.question.is_empty()),
            answers,
            authorities,
            additionals: additionals.saturating_add(u16::from(self.edns.is_some())),
        };
        header.write(out);
        out.extend_from_slice(self.question);
    }
}

/// Records of an upstream's response that are relayed: one or two ranges of its octets, and how many records they hold.
#[derive(Clone, Debug, Default)]
struct Body {
    before: Range<usize>,
    behind: Range<usize>,
    counts: [u16; 3],
}

impl Body {
    fn len(&self) -> usize {
        self.before.len() + self.behind.len()
    }

    /// The first records, as many as take no more than `room` octets.
    #[cold]
    fn cut_to(&self, room: usize, message: &[u8], response: &Response) -> Body {
        let start = self.before.start;
        let most = start.saturating_add(room).min(self.before.end);
        let mut cut = Body {
            before: start..start,
            ..Body::default()
        };
        for record in records(message, response).take_while(|record| record.rdata.end <= most) {
            cut.before.end = record.rdata.end;
            let [answers, authorities, additionals] = &mut cut.counts;
            *match record.section {
                Section::Answer => answers,
                Section::Authority => authorities,
                Section::Additional => additionals,
            } += 1;
        }
        cut
    }

    /// All records but the OPT, which belongs to the upstream's hop.
    fn of(message: &[u8], response: &Response) -> Body {
        let (start, end) = (response.records_at(), response.end.min(message.len()));
        let Header {
            answers,
            authorities,
            additionals,
            ..
        } = response.header;
        match response.opt {
            None => Body {
                before: start..end,
                behind: end..end,
                counts: [answers, authorities, additionals],
            },
            Some(opt) => {
                let others = additionals.saturating_sub(1);
                // Compression pointers behind the OPT may lead across the cut. Then those records go with
                // it: they are additional ones, which a response can do without.
                let bound = bound_before(message, response, &opt);
                let (end, additionals) = bound.map_or((end, others), |before| (opt.end, before));
                Body {
                    before: start..opt.start,
                    behind: opt.end..end,
                    counts: [answers, authorities, additionals],
                }
            }
        }
    }
}

/// Appends an upstream's response as this client gets it.
///
/// The records are passed as they came. The header gets the client's id and RD, the question its letter
/// case. OPT is spoken hop by hop: the upstream's is cut, and a client that sent one gets ours as the last
/// record, with `our_udp_size`, the upstream's response code and DO, its EDEs, and the options that the
/// client sent itself. It is padded for a client that pads.
///
/// A response that exceeds the client's limit is sent with TC and with the whole records that fit, in order: RFC 2181 §9 lets clients that can
/// use TCP ignore them, and they are of use to the others. TC of the upstream stays. In a signed response only the id is changed; if it
/// exceeds the limit, no record is sent.
pub fn relay_response(
    message: &[u8],
    response: &Response,
    recipient: &Recipient<'_>,
    our_udp_size: u16,
    out: &mut Vec<u8>,
) {
    if response.signed && response.end <= recipient.limit {
        let start = out.len();
        out.extend_from_slice(message.get(..response.end).unwrap_or_default());
        set_id(out.get_mut(start..).unwrap_or_default(), recipient.id);
        return;
    }
    let start = out.len();
    let mut body = Body::of(message, response);
    let mut rcode = rcode_for(response.rcode(), recipient);
    // Pointers in the records lead to the question, so the records are only valid behind a question of the same length.
    // Only an error is meaningful without a question: the other codes say something about a name.
    let same_shape = response
        .question
        .is_some_and(|at| at.end() == recipient.head_len());
    if !same_shape {
        body = Body::default();
        if matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN) {
            rcode = Rcode::SERVFAIL;
        }
    }

    let opt_len = if recipient.edns.is_some() {
        BARE_OPT
    } else {
        0
    };
    let mut flags = response.header.flags.with(Flags::RCODE, rcode.0);
    if response.signed {
        flags = flags.with(Flags::TC, Flags::TC);
        body = Body::default();
    } else if recipient.head_len() + body.len() + opt_len > recipient.limit {
        flags = flags.with(Flags::TC, Flags::TC);
        let room = recipient
            .limit
            .saturating_sub(recipient.head_len() + opt_len);
        body = body.cut_to(room, message, response);
    }
    recipient.write_head(flags, body.counts, out);
    for stretch in [&body.before, &body.behind] {
        out.extend_from_slice(message.get(stretch.clone()).unwrap_or_default());
    }
    if let Some(client) = recipient.edns {
        let ours = OurOpt {
            udp_size: our_udp_size,
            extended_rcode: rcode.extended(),
            dnssec_ok: response.opt.map_or(client.dnssec_ok, |opt| opt.dnssec_ok),
        };
        let room = recipient
            .limit
            .saturating_sub(recipient.head_len() + body.len() + opt_len);
        let opt_at = out.len();
        relay_opt(message, response.opt.as_ref(), &client, ours, room, out);
        if client.pads {
            pad_response(start, opt_at, recipient.limit, out);
        }
    }
}

/// Appends an upstream's error response as [`relay_response`] does, with an extended error of ours for a client that speaks EDNS, as far as
/// there is room. The response has none of its own.
#[cold]
pub fn relay_error(
    message: &[u8],
    response: &Response,
    recipient: &Recipient<'_>,
    our_udp_size: u16,
    ede: Ede<'_>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let edns = recipient.edns.filter(|_| !response.signed);
    let pads = edns.is_some_and(|edns| edns.pads);
    let unpadded = Recipient {
        edns: recipient.edns.map(|edns| ClientEdns {
            pads: edns.pads && response.signed,
            ..edns
        }),
        ..*recipient
    };
    relay_response(message, response, &unpadded, our_udp_size, out);
    let written = out.get(start..).unwrap_or_default();
    let opt = edns.and_then(|_| parse_response(written).ok()?.opt);
    let Some(opt) = opt.filter(|opt| opt.last) else {
        return;
    };
    if written.len() + ede.option_len() <= recipient.limit {
        ede.write(out);
        let options = out.len() - start - opt.options_at;
        // RDLENGTH is the last field before the options; they fit into a message.
        set_u16(out, start + opt.options_at - 2, options as u16);
    }
    if pads {
        pad_response(start, start + opt.start, recipient.limit, out);
    }
}

/// Appends our OPT record with those of the upstream's options that are for this client, as far as they fit: they only explain, so no record is
/// left out for them. An extended error may be sent without its text.
fn relay_opt(
    message: &[u8],
    theirs: Option<&OptAt>,
    client: &ClientEdns,
    ours: OurOpt,
    room: usize,
    out: &mut Vec<u8>,
) {
    let kept = || {
        let theirs = theirs.into_iter().flat_map(|opt| options(message, opt));
        theirs.filter(|(code, _)| client.takes(*code))
    };
    let len: usize = kept().map(|(_, data)| option_len(data)).sum();
    if len <= room {
        ours.write(len, out);
        for (code, data) in kept() {
            put_option(out, code, data);
        }
        return;
    }
    ours.write(0, out);
    let options_at = out.len();
    for (code, data) in kept() {
        let left = room.saturating_sub(out.len() - options_at);
        let info = data.get(..2).filter(|_| code == OPTION_EDE);
        let fits = |data: &&[u8]| option_len(data) <= left;
        if let Some(data) = Some(data).filter(fits).or(info.filter(fits)) {
            put_option(out, code, data);
        }
    }
    let len = out.len() - options_at;
    // RDLENGTH is the last field before the options; they fit into a message.
    set_u16(out, options_at.saturating_sub(2), len as u16);
}

/// The response code for this client.
fn rcode_for(rcode: Rcode, recipient: &Recipient<'_>) -> Rcode {
    match rcode {
        // These concern our EDNS version and our cookie on the hop to the upstream, which the client cannot change.
        Rcode::BADVERS | Rcode::BADCOOKIE => Rcode::SERVFAIL,
        // Without an OPT record the lower four bits would be another code.
        rcode if !rcode.fits_header() && recipient.edns.is_none() => Rcode::SERVFAIL,
        rcode => rcode,
    }
}

#[cfg(test)]
mod tests {
    use super::super::edns::extended_errors;
    use super::super::header::Flags;
    use super::super::query::parse_query;
    use super::super::response::parse_response;
    use super::super::response::records;
    use super::super::scan::Section;
    use super::super::testing::{self, Message, TO_QUESTION, header_only, name_octets};
    use super::*;

    const OURS: u16 = 1400;

    /// What a client with these options says of itself.
    fn edns(sent: &[(u16, &[u8])]) -> ClientEdns {
        let message = testing::query("a.test.", 1)
            .edns(1232, 0x8000, sent)
            .build();
        let opt = parse_query(&message).unwrap().opt.unwrap();
        ClientEdns::of(&message, &opt, crate::wire::ClientSubnet::Keep)
    }

    /// The question in this client's letter case.
    fn question() -> Vec<u8> {
        [&name_octets("A.tEsT.")[..], &[0, 1, 0, 1]].concat()
    }

    fn recipient(question: &[u8], edns: impl Into<Option<ClientEdns>>) -> Recipient<'_> {
        Recipient {
            id: 0xBEEF,
            question,
            rd: true,
            edns: edns.into(),
            limit: 512,
        }
    }

    /// Relays what was built, and reads what came of it.
    fn relayed(built: &Message, recipient: &Recipient<'_>) -> (Vec<u8>, Response) {
        let message = built.build();
        let mut out = b"before".to_vec();
        relay_response(
            &message,
            &parse_response(&message).unwrap(),
            recipient,
            OURS,
            &mut out,
        );
        let out = out.split_off(6);
        let read = parse_response(&out).unwrap();
        assert_eq!(read.end, out.len());
        (out, read)
    }

    /// The same message with this client's id and question.
    fn expected(flags: u16) -> Message {
        header_only(flags)
            .id(0xBEEF)
            .question(&name_octets("A.tEsT."), 1, 1)
    }

    fn upstream() -> Message {
        testing::response("a.test.", 1)
    }

    /// The same of an error, with this reason.
    fn explained(built: &Message, recipient: &Recipient<'_>, why: &str) -> (Vec<u8>, Response) {
        let message = built.build();
        let mut out = b"before".to_vec();
        let answer = parse_response(&message).unwrap();
        let ede = Ede::OTHER.with_text(why);
        relay_error(&message, &answer, recipient, OURS, ede, &mut out);
        let out = out.split_off(6);
        let read = parse_response(&out).unwrap();
        assert_eq!(read.end, out.len());
        (out, read)
    }

    // req 147
    #[test]
    fn an_error_without_a_reason_gets_one_where_the_client_can_read_it() {
        let question = question();
        let error = upstream().rcode(5).edns(4096, 0x8000, &[]);
        let (out, _) = explained(&error, &recipient(&question, edns(&[])), "why");
        let why = &[(15, &b"\0\0why"[..])];
        let wanted = expected(0x8180).rcode(5).edns(OURS, 0x8000, why);
        assert_eq!(out, wanted.build());
        let (out, _) = explained(&error, &recipient(&question, None), "why");
        assert_eq!(out, expected(0x8180).rcode(5).build(), "it cannot");
        let small = recipient(&question, edns(&[]));
        let (out, _) = explained(&error, &small, &"w".repeat(512));
        let wanted = expected(0x8180).rcode(5).edns(OURS, 0x8000, &[]);
        assert_eq!(out, wanted.build(), "there is no room");
        let mut client = edns(&[]);
        client.pads = true;
        let (out, read) = explained(&error, &recipient(&question, client), "why");
        assert_eq!(out.len(), 468, "it is padded all the same");
        let mut told = extended_errors(&out, read.opt.as_ref());
        assert_eq!(told.next(), Some(Ede::OTHER.with_text("why")));
    }

    // req 1, req 2, req 12, req 13, req 22, fault 21
    #[test]
    fn an_answer_is_relayed_as_it_came_with_the_clients_id_and_question() {
        let (built, wanted) = (upstream().flags(0x85F3), expected(0x85F3));
        let [built, wanted] = [built, wanted].map(|message| {
            message
                .a(300, [192, 0, 2, 1])
                .record(
                    Section::Answer,
                    TO_QUESTION,
                    65280,
                    (5, 7),
                    b"\xC0\x0Copaque",
                )
                .record(
                    Section::Authority,
                    &[0xC0, 14],
                    2,
                    (1, 9),
                    b"\x02ns\xC0\x0C",
                )
                .record(
                    Section::Additional,
                    TO_QUESTION,
                    1,
                    (1, 0x8000_0001),
                    &[0; 4],
                )
        });
        let question = question();
        assert_eq!(
            relayed(&built, &recipient(&question, None)).0,
            wanted.build()
        );
    }

    // req 1
    #[test]
    fn rd_is_the_clients() {
        let question = question();
        for rd in [true, false] {
            let recipient = Recipient {
                rd,
                ..recipient(&question, None)
            };
            let (_, read) = relayed(&upstream().a(1, [1, 2, 3, 4]), &recipient);
            assert_eq!(read.header.flags, Flags(if rd { 0x8180 } else { 0x8080 }));
        }
    }

    // req 32
    #[test]
    fn there_is_an_opt_if_and_only_if_the_client_sent_one() {
        let question = question();
        let bare = || upstream().a(300, [192, 0, 2, 1]);
        for built in [bare(), bare().edns(4096, 0x8000, &[])] {
            let (out, _) = relayed(&built, &recipient(&question, None));
            assert_eq!(out, expected(0x8180).a(300, [192, 0, 2, 1]).build());
            let (out, _) = relayed(&built, &recipient(&question, edns(&[])));
            let wanted = expected(0x8180)
                .a(300, [192, 0, 2, 1])
                .edns(OURS, 0x8000, &[]);
            assert_eq!(out, wanted.build());
        }
    }

    // req 34, req 35, req 37
    #[test]
    fn the_opt_is_written_anew_with_what_is_for_this_client() {
        let question = question();
        let built = upstream().edns(
            4096,
            0x0000_7FFF,
            &[
                (3, b"server 7"),
                (10, &[1; 16]),
                (11, &[0, 9]),
                (12, &[0; 100]),
                (8, &[0, 1, 0, 0]),
                (15, &[0, 6]),
                (65001, b"?"),
                (15, &[0, 9, b't']),
            ],
        );
        let asked = edns(&[(3, b""), (10, &[1; 8]), (11, b""), (12, b"")]);
        let (out, _) = relayed(&built, &recipient(&question, asked));
        let kept: [(u16, &[u8]); 3] = [(3, b"server 7"), (15, &[0, 6]), (15, &[0, 9, b't'])];
        assert_eq!(out, expected(0x8180).edns(OURS, 0, &kept).build());
    }

    // req 92
    #[test]
    fn a_client_that_pads_gets_the_same_and_zeros() {
        let question = question();
        let built = upstream()
            .a(300, [192, 0, 2, 1])
            .edns(4096, 0, &[(12, &[0; 9])]);
        let mut client = edns(&[(12, b"")]);
        client.pads = true;
        let (out, _) = relayed(&built, &recipient(&question, Some(client)));
        let plain = expected(0x8180).a(300, [192, 0, 2, 1]);
        let padding = vec![0; 468 - plain.clone().edns(OURS, 0, &[(12, b"")]).build().len()];
        assert_eq!(out, plain.edns(OURS, 0, &[(12, &padding)]).build());
        assert_eq!(out.len(), 468);
    }

    // req 6, req 7, fault 27
    #[test]
    fn what_does_not_fit_keeps_the_records_that_do_and_says_so() {
        let question = question();
        let mut built = upstream();
        // 24 octets of header and question, 16 for each address: 512 are 30 of them and 8 octets.
        for host in 0..30 {
            built = built.a(60, [192, 0, 2, host]);
        }
        assert_eq!(built.len(), 504);
        let (out, read) = relayed(&built, &recipient(&question, None));
        assert_eq!((out.len(), read.header.answers), (504, 30));
        assert!(!read.header.flags.tc());

        let first = |count| (0..count).fold(expected(0x8380), |m, host| m.a(60, [192, 0, 2, host]));
        // An OPT record more does not fit.
        let (out, _) = relayed(&built, &recipient(&question, edns(&[])));
        assert_eq!(out, first(29).edns(OURS, 0x8000, &[]).build());
        let roomier = Recipient {
            limit: 515,
            ..recipient(&question, edns(&[]))
        };
        assert_eq!(relayed(&built, &roomier).0.len(), 515);

        let more = built.a(60, [192, 0, 2, 30]);
        let (out, _) = relayed(&more, &recipient(&question, None));
        assert_eq!(out, first(30).build());
        // The sections behind are counted anew, too.
        let more = more
            .record(Section::Authority, TO_QUESTION, 2, (1, 9), TO_QUESTION)
            .record(Section::Additional, TO_QUESTION, 1, (1, 9), &[0; 4])
            .edns(1232, 0, &[]);
        for (limit, counts) in [
            (512, [30, 0, 0]),
            (520, [31, 0, 0]),
            (534, [31, 1, 0]),
            (550, [31, 1, 1]),
        ] {
            let recipient = Recipient {
                limit,
                ..recipient(&question, None)
            };
            let (_, read) = relayed(&more, &recipient);
            let Header {
                answers,
                authorities,
                additionals,
                ..
            } = read.header;
            assert_eq!([answers, authorities, additionals], counts, "{limit}");
            assert_eq!(read.header.flags.tc(), limit < 550);
        }
        // One record that is too large, and those behind it, which might mean something else alone.
        let large = upstream()
            .record(Section::Answer, TO_QUESTION, 16, (1, 9), &[1; 600])
            .a(60, [192, 0, 2, 1]);
        let (out, _) = relayed(&large, &recipient(&question, None));
        assert_eq!(out, expected(0x8380).build());
    }

    // req 7, fault 26
    #[test]
    fn truncation_by_the_upstream_stays() {
        let question = question();
        let (_, read) = relayed(&upstream().flags(0x8380), &recipient(&question, None));
        assert!(read.header.flags.tc());
    }

    #[test]
    fn options_give_way_before_records_do() {
        let question = question();
        let text = [0; 480];
        let built = upstream()
            .a(60, [192, 0, 2, 1])
            .edns(1232, 0, &[(15, &text)]);
        let (out, read) = relayed(&built, &recipient(&question, edns(&[])));
        // Of the extended error, the code fits; its text is never cut.
        let why = expected(0x8180).a(60, [192, 0, 2, 1]);
        assert_eq!(out, why.edns(OURS, 0, &[(15, &[0; 2])]).build());
        assert!(!read.header.flags.tc());
        let roomier = Recipient {
            limit: 1232,
            ..recipient(&question, edns(&[]))
        };
        assert_eq!(relayed(&built, &roomier).0.len(), built.len());
    }

    // fault 22
    #[test]
    fn a_bare_error_gets_the_clients_question() {
        let question = question();
        for rcode in [1, 2, 4, 5] {
            let built = header_only(0x8180 | rcode);
            let (out, _) = relayed(&built, &recipient(&question, None));
            assert_eq!(out, expected(0x8180 | rcode).build());
            let (out, _) = relayed(&built, &recipient(&question, edns(&[])));
            assert_eq!(
                out,
                expected(0x8180 | rcode).edns(OURS, 0x8000, &[]).build()
            );
        }
        let with_opt = header_only(0x8182).edns(512, 0, &[(15, &[0, 22])]);
        let (out, _) = relayed(&with_opt, &recipient(&question, edns(&[])));
        assert_eq!(
            out,
            expected(0x8182).edns(OURS, 0, &[(15, &[0, 22])]).build()
        );
    }

    // req 58, fault 22
    #[test]
    fn without_a_question_nothing_is_said_about_a_name() {
        let question = question();
        let owner = name_octets("a.test.");
        for (rcode, told) in [(0, 2), (3, 2), (5, 5)] {
            let bare = header_only(0x8180 | rcode);
            let with_record = bare
                .clone()
                .record(Section::Answer, &owner, 1, (1, 60), &[0; 4]);
            for built in [bare, with_record] {
                let (out, _) = relayed(&built, &recipient(&question, None));
                assert_eq!(out, expected(0x8180 | told).build());
            }
        }
    }

    // fault 20
    #[test]
    fn records_behind_a_question_of_another_length_are_not_passed_on() {
        let built = testing::response("other.test.", 1).a(60, [1, 2, 3, 4]);
        let question = question();
        let (out, _) = relayed(&built, &recipient(&question, None));
        assert_eq!(out, expected(0x8182).build());
    }

    // fault 29
    #[test]
    fn errors_about_the_upstreams_hop_are_not_the_clients() {
        let question = question();
        for (flags, bits) in [(0x8180, 0x0100_0000), (0x8187, 0x0100_0000)] {
            let built = upstream().flags(flags).edns(512, bits, &[]);
            for edns in [None, Some(edns(&[]))] {
                let (_, read) = relayed(&built, &recipient(&question, edns));
                assert_eq!(read.rcode(), Rcode::SERVFAIL);
            }
        }
    }

    // req 32
    #[test]
    fn a_long_response_code_is_told_where_it_can_be() {
        let question = question();
        let built = upstream().flags(0x8181).edns(512, 0x0200_8000, &[]);
        let (_, read) = relayed(&built, &recipient(&question, edns(&[])));
        assert_eq!(read.rcode(), Rcode(33));
        let (_, read) = relayed(&built, &recipient(&question, None));
        assert_eq!(read.rcode(), Rcode::SERVFAIL);
    }

    // req 26
    #[test]
    fn a_signed_answer_changes_in_its_id_alone() {
        let question = question();
        let built = upstream()
            .a(60, [1, 2, 3, 4])
            .edns(4096, 0, &[(10, &[1; 8])])
            .tsig();
        for edns in [None, Some(edns(&[]))] {
            let (out, _) = relayed(&built.clone().raw(b"tail"), &recipient(&question, edns));
            assert_eq!(out, built.clone().id(0xBEEF).build());
        }
    }

    // req 6, req 26
    #[test]
    fn a_signed_answer_that_does_not_fit_is_emptied() {
        let question = question();
        let filler = [0; 400];
        let built = upstream()
            .record(Section::Answer, TO_QUESTION, 16, (1, 60), &filler)
            .edns(4096, 0, &[(12, &[0; 100])])
            .tsig();
        let (out, _) = relayed(&built, &recipient(&question, None));
        assert_eq!(out, expected(0x8380).build());
    }

    // req 20
    #[test]
    fn octets_behind_the_records_are_cut() {
        let question = question();
        let hidden_opt = [0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0];
        let built = upstream().a(60, [1, 2, 3, 4]).raw(&hidden_opt);
        for edns in [None, Some(edns(&[]))] {
            let (out, _) = relayed(&built, &recipient(&question, edns));
            let opt = if edns.is_some() { BARE_OPT } else { 0 };
            assert_eq!(out.len(), 24 + 16 + opt);
        }
    }

    // req 32, req 37
    #[test]
    fn an_opt_in_the_middle_moves_to_the_end() {
        let question = question();
        let glue =
            |built: Message| built.record(Section::Additional, &[0xC0, 14], 28, (1, 60), &[1; 16]);
        let built = glue(
            upstream()
                .a(60, [1, 2, 3, 4])
                .edns(4096, 0x8000, &[(10, &[1; 8])]),
        );
        let wanted = glue(expected(0x8180).a(60, [1, 2, 3, 4]));
        assert_eq!(
            relayed(&built, &recipient(&question, None)).0,
            wanted.build()
        );
        let with_opt = wanted.edns(OURS, 0x8000, &[]).build();
        assert_eq!(
            relayed(&built, &recipient(&question, edns(&[]))).0,
            with_opt
        );
    }

    // req 32, req 37
    #[test]
    fn records_bound_to_an_opt_in_the_middle_leave_with_it() {
        let question = question();
        let first =
            |built: Message| built.record(Section::Additional, TO_QUESTION, 28, (1, 60), &[1; 16]);
        let built = first(upstream().a(60, [1, 2, 3, 4]))
            .edns(4096, 0x8000, &[])
            .record(
                Section::Additional,
                TO_QUESTION,
                2,
                (1, 60),
                b"\x02ns\xC0\x0C",
            );
        let wanted = first(expected(0x8180).a(60, [1, 2, 3, 4]));
        let (out, read) = relayed(&built, &recipient(&question, None));
        assert_eq!(out, wanted.build());
        assert_eq!(records(&out, &read).count(), 2);
    }
}
