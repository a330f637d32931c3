//! A client's query on its way upstream.

use std::ops::Range;

use super::edns::{BARE_OPT, OptAt, OurOpt, is_hop_by_hop, option_len, options, put_option};
use super::header::set_id;
use super::integers::{put_u16, set_u16, u16_at};
use super::query::{Query, parse_query};

/// Offset of ARCOUNT.
const ARCOUNT_AT: usize = 10;
/// Octets of the largest message, by the length before it (RFC 1035 §4.2.2).
const MAX_MESSAGE: usize = 65_535;

/// Appends the query as it goes upstream: the octets that came, with id 0 for the connection to overwrite.
///
/// Hop-by-hop options are removed from the OPT record; without `edns` the whole record is removed, for a server that does not understand it. A signed query is not touched (RFC 8945 §5.5), and neither
/// is an OPT record that has others behind it: compression pointers there could lead across the gap.
pub fn forward_query(message: &[u8], query: &Query, edns: bool, out: &mut Vec<u8>) {
    let start = out.len();
    let mut additionals = query.header.additionals;
    // The last record of a signed query is its signature, so its OPT record is never the last.
    match query.opt.filter(|opt| opt.last) {
        Some(opt) if !edns => {
            copy(message, 0..opt.start, out);
            additionals = additionals.saturating_sub(1);
        }
        Some(opt) if options(message, &opt).any(|(code, _)| is_hop_by_hop(code)) => {
            without_hop_options(message, &opt, out);
        }
        _ => copy(message, 0..query.end, out),
    }
    if let Some(appended) = out.get_mut(start..) {
        set_id(appended, 0);
        set_u16(appended, ARCOUNT_AT, additionals);
    }
}

/// Appends the message up to and including its OPT record, without the hop-by-hop options.
fn without_hop_options(message: &[u8], opt: &OptAt, out: &mut Vec<u8>) {
    let kept = || options(message, opt).filter(|(code, _)| !is_hop_by_hop(*code));
    let len: usize = kept().map(|(_, data)| option_len(data)).sum();
    // All but RDLENGTH, the last field before the options, stays as it is.
    copy(message, 0..opt.options_at.saturating_sub(2), out);
    put_u16(out, len as u16);
    for (code, data) in kept() {
        put_option(out, code, data);
    }
}

/// Adds an option to the OPT record of the query that stands in `out` from `start` on. The query stays as it is if it has no OPT record, if
/// other records follow that, or if it would become too long.
pub fn add_option(out: &mut Vec<u8>, start: usize, code: u16, data: &[u8]) {
    let Some(message) = out.get_mut(start..) else {
        return;
    };
    let opt = parse_query(message).ok().and_then(|query| query.opt);
    let Some(opt) = opt.filter(|opt| opt.last) else {
        return;
    };
    let more = option_len(data);
    // The record is a part of the message, so where this fits, RDLENGTH does.
    if u16::try_from(message.len() + more).is_ok() {
        let options = opt.end.saturating_sub(opt.options_at) + more;
        // RDLENGTH is the last field before the options.
        set_u16(message, opt.options_at.saturating_sub(2), options as u16);
        put_option(out, code, data);
    }
}

/// Adds an OPT record of ours, without options, to the query that stands in `out` from `start` on and has none.
pub fn add_opt(out: &mut Vec<u8>, start: usize, our_udp_size: u16) {
    let Some(message) = out.get_mut(start..) else {
        return;
    };
    let additionals = u16_at(message, ARCOUNT_AT).and_then(|count| count.checked_add(1));
    if let Some(additionals) = additionals.filter(|_| message.len() + BARE_OPT <= MAX_MESSAGE) {
        set_u16(message, ARCOUNT_AT, additionals);
        let ours = OurOpt {
            udp_size: our_udp_size,
            extended_rcode: 0,
            dnssec_ok: false,
        };
        ours.write(0, out);
    }
}

/// Changes the size of responses over UDP that the OPT record asks for (RFC 6891 section 6.2.3).
pub fn set_udp_size(message: &mut [u8], opt: &OptAt, size: u16) {
    // It is the class, which comes with TTL and RDLENGTH before the options: 2 + 4 + 2 octets.
    set_u16(message, opt.options_at.saturating_sub(8), size);
}

fn copy(message: &[u8], range: Range<usize>, out: &mut Vec<u8>) {
    out.extend_from_slice(message.get(range).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::super::scan::Section;
    use super::super::testing::{self, Message, ROOT};
    use super::*;

    /// The query as it goes upstream, behind octets that are not its own.
    fn forwarded(built: &Message, edns: bool) -> Vec<u8> {
        let message = built.build();
        let mut out = b"before".to_vec();
        forward_query(&message, &parse_query(&message).unwrap(), edns, &mut out);
        assert!(parse_query(&out[6..]).is_ok(), "what leaves is a query");
        out.split_off(6)
    }

    fn plain() -> Message {
        testing::query("wWw.ExAmPlE.tEsT.", 65280)
    }

    // req 28, req 2, req 12, req 22
    #[test]
    fn a_query_leaves_as_it_came_but_for_the_id() {
        for built in [
            plain(),
            plain().flags(0x0170),
            plain().edns(
                4096,
                0xFFFF,
                &[(3, b""), (8, &[0, 1, 0, 0]), (65001, b"own")],
            ),
            plain().record(Section::Authority, ROOT, 99, (7, 7), b"odd"),
        ] {
            assert_eq!(forwarded(&built, true), built.id(0).build());
        }
    }

    // req 63
    #[test]
    fn options_of_the_clients_hop_are_cut() {
        let sent = plain().edns(
            1232,
            0x8000,
            &[
                (10, &[1; 8]),
                (3, b""),
                (11, b""),
                (12, &[0; 90]),
                (100, b"x"),
                (10, b""),
            ],
        );
        let expected = plain().id(0).edns(1232, 0x8000, &[(3, b""), (100, b"x")]);
        assert_eq!(forwarded(&sent, true), expected.build());

        let only = plain().edns(1232, 0, &[(10, &[1; 8])]);
        assert_eq!(
            forwarded(&only, true),
            plain().id(0).edns(1232, 0, &[]).build()
        );
    }

    // fault 28
    #[test]
    fn a_server_without_edns_is_asked_without() {
        let sent = plain().edns(1232, 0x8000, &[(3, b"")]);
        assert_eq!(forwarded(&sent, false), plain().id(0).build());
        assert_eq!(forwarded(&plain(), false), plain().id(0).build());
    }

    // req 26
    #[test]
    fn a_signed_query_is_not_touched() {
        let signed = plain()
            .edns(1232, 0, &[(10, &[1; 8]), (12, &[0; 9])])
            .tsig();
        for edns in [true, false] {
            assert_eq!(forwarded(&signed, edns), signed.clone().id(0).build());
        }
    }

    #[test]
    fn an_opt_before_other_records_is_left_as_it_is() {
        let built = plain().edns(1232, 0, &[(10, &[1; 8])]).record(
            Section::Additional,
            ROOT,
            1,
            (1, 0),
            &[127, 0, 0, 1],
        );
        for edns in [true, false] {
            assert_eq!(forwarded(&built, edns), built.clone().id(0).build());
        }
    }

    // req 19
    #[test]
    fn an_opt_whose_owner_is_a_pointer_is_cut_where_it_starts() {
        let root_of_question = [0xC0, 12 + 17];
        let cookie = [0, 10, 0, 1, 9];
        let sent = plain().opt_rdata(&root_of_question, 1232, 0, &cookie);
        let without_cookie = plain().id(0).opt_rdata(&root_of_question, 1232, 0, &[]);
        assert_eq!(forwarded(&sent, true), without_cookie.build());
        assert_eq!(forwarded(&sent, false), plain().id(0).build());
    }

    /// The query with one more option, behind octets that are not its own.
    fn with_option(message: &[u8], code: u16, data: &[u8]) -> Vec<u8> {
        let mut out = [b"before", message].concat();
        add_option(&mut out, 6, code, data);
        assert_eq!(&out[..6], b"before");
        out.split_off(6)
    }

    // req 71
    #[test]
    fn an_option_is_added_behind_the_others() {
        for sent in [&[][..], &[(3, &b""[..]), (65001, b"own")]] {
            let added = [sent, &[(11, b"data")]].concat();
            let (message, expected) = (
                plain().edns(1232, 0x8000, sent).build(),
                plain().edns(1232, 0x8000, &added).build(),
            );
            assert_eq!(with_option(&message, 11, b"data"), expected);
        }
    }

    #[test]
    fn where_there_is_no_place_for_an_option_none_is_added() {
        let other =
            |built: Message| built.record(Section::Additional, ROOT, 1, (1, 0), &[127, 0, 0, 1]);
        for built in [
            plain(),
            plain().edns(1232, 0, &[]).tsig(),
            other(plain().edns(1232, 0, &[])),
            testing::response("a.test.", 1).edns(1232, 0, &[]),
        ] {
            let message = built.build();
            assert_eq!(with_option(&message, 11, b""), message);
        }
        let mut nowhere = b"abc".to_vec();
        add_option(&mut nowhere, 4, 11, b"");
        assert_eq!(nowhere, b"abc");
    }

    #[test]
    fn a_message_grows_no_larger_than_a_frame_holds() {
        let padded = |len: usize| plain().edns(1232, 0, &[(65001, &vec![0; len][..])]).build();
        let bare = padded(0).len();
        let room = usize::from(u16::MAX) - bare;
        for (len, fits) in [(room - 4, true), (room - 3, false), (room, false)] {
            let message = padded(len);
            let longer = with_option(&message, 11, b"");
            assert_eq!(longer.len() > message.len(), fits, "{len} octets");
            assert!(parse_query(&longer).is_ok());
        }
    }

    // fault 115
    #[test]
    fn an_opt_record_of_ours_is_the_last_record() {
        let plain = testing::query("a.test.", 1);
        let mut out = [&b"before"[..], &plain.build()].concat();
        add_opt(&mut out, 6, 1232);
        assert_eq!(out[6..], plain.edns(1232, 0, &[]).build());
        // None fits.
        let mut full = vec![0; 65_530];
        add_opt(&mut full, 0, 1232);
        assert_eq!(full.len(), 65_530);
        add_opt(&mut full, 70_000, 1232);
        assert_eq!(full.len(), 65_530);
    }
}
