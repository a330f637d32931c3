//! A client's query on its way upstream.

use std::num::NonZeroU16;
use std::ops::Range;

use super::edns::{
    BARE_OPT, ClientSubnet, OPTION_CLIENT_SUBNET, OPTION_FIXED, OPTION_KEEPALIVE, OptAt, OurOpt,
    options, put_option, put_padding,
};
use super::header::set_id;
use super::integers::set_u16;
use super::query::Query;

/// Offset of ARCOUNT.
const ARCOUNT_AT: usize = 10;
/// Octets of the largest message, by the length before it (RFC 1035 §4.2.2).
const MAX_MESSAGE: usize = 65_535;
/// A client subnet of no length, which asks that none be sent on (RFC 7871 section 7.1.2): FAMILY 1, SOURCE and SCOPE PREFIX-LENGTH 0.
const NO_SUBNET: [u8; 4] = [0, 1, 0, 0];

/// What becomes of a query's OPT record on its way upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// The record is left out, for a server that does not understand EDNS.
    pub without_edns: bool,
    /// A query without the record gets one of ours, with this size for responses over UDP.
    pub own_opt: Option<u16>,
    /// What becomes of the option of a client's subnet.
    pub subnet: ClientSubnet,
    /// The keepalive option is added, as a client sends it, without data (RFC 7828 section 3.2.1).
    pub keepalive: bool,
    /// The padding option is added, by which the length of the message becomes a multiple of so many octets (RFC 8467 section 4.1).
    pub padding: Option<NonZeroU16>,
}

/// Appends the query as it goes upstream: the octets that came, with id 0 for the connection to overwrite.
///
/// Hop-by-hop options are removed from the OPT record, and options are added as `rewrite` says, where they fit. A signed query is not
/// touched (RFC 8945 §5.5), and neither is an OPT record that has others behind it: compression pointers there could lead across the gap.
pub fn forward_query(message: &[u8], query: &Query, rewrite: &Rewrite, out: &mut Vec<u8>) {
    let start = out.len();
    let mut additionals = query.header.additionals;
    match query.opt {
        // The last record of a signed query is its signature, so its OPT record is never the last.
        Some(opt) if opt.last && rewrite.without_edns => {
            copy(message, 0..opt.start, out);
            additionals = additionals.saturating_sub(1);
        }
        Some(opt) if opt.last => {
            copy(message, 0..opt.options_at, out);
            let options_at = out.len();
            for (code, data) in options(message, &opt) {
                if !rewrite.subnet.ends_here(code, data) {
                    put_option(out, code, data);
                }
            }
            rewrite.add_options(start, options_at, out);
        }
        None if let Some(udp_size) = rewrite.own_opt
            && !query.signed
            && additionals < u16::MAX
            && query.end + BARE_OPT <= MAX_MESSAGE =>
        {
            copy(message, 0..query.end, out);
            let ours = OurOpt {
                udp_size,
                extended_rcode: 0,
                dnssec_ok: false,
            };
            ours.write(0, out);
            additionals += 1;
            rewrite.add_options(start, out.len(), out);
        }
        _ => copy(message, 0..query.end, out),
    }
    if let Some(appended) = out.get_mut(start..) {
        set_id(appended, 0);
        set_u16(appended, ARCOUNT_AT, additionals);
    }
}

impl Rewrite {
    /// Adds options behind those of the OPT record at the end of `out`, of which the first is at `options_at`, and writes its RDLENGTH. The
    /// message begins at `start`.
    fn add_options(&self, start: usize, options_at: usize, out: &mut Vec<u8>) {
        let room = |out: &Vec<u8>| MAX_MESSAGE.saturating_sub(out.len() - start);
        if self.subnet == ClientSubnet::Forbid && room(out) >= OPTION_FIXED + NO_SUBNET.len() {
            put_option(out, OPTION_CLIENT_SUBNET, &NO_SUBNET);
        }
        if self.keepalive && room(out) >= OPTION_FIXED {
            put_option(out, OPTION_KEEPALIVE, &[]);
        }
        if let Some(block) = self.padding {
            let bare = out.len() - start + OPTION_FIXED;
            let padding = bare.next_multiple_of(block.get().into()) - bare;
            if room(out) >= OPTION_FIXED + padding {
                put_padding(out, padding);
            }
        }
        // RDLENGTH is the last field before the options. They are a part of the message, so their length fits.
        let options = out.len() - options_at;
        set_u16(out, options_at - 2, options as u16);
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
    use super::super::query::parse_query;
    use super::super::scan::Section;
    use super::super::testing::{self, Message, ROOT};
    use super::*;

    /// The query as it goes upstream, behind octets that are not its own.
    fn rewritten(message: &[u8], rewrite: &Rewrite) -> Vec<u8> {
        let mut out = b"before".to_vec();
        forward_query(message, &parse_query(message).unwrap(), rewrite, &mut out);
        assert_eq!(&out[..6], b"before");
        assert!(parse_query(&out[6..]).is_ok(), "what leaves is a query");
        out.split_off(6)
    }

    fn forwarded(built: &Message, edns: bool) -> Vec<u8> {
        let rewrite = Rewrite {
            without_edns: !edns,
            subnet: ClientSubnet::Keep,
            ..Rewrite::default()
        };
        rewritten(&built.build(), &rewrite)
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

    const KEEPALIVE: Rewrite = Rewrite {
        without_edns: false,
        own_opt: None,
        subnet: ClientSubnet::Keep,
        keepalive: true,
        padding: None,
    };

    fn padded(block: u16) -> Rewrite {
        Rewrite {
            own_opt: Some(1232),
            padding: NonZeroU16::new(block),
            ..Rewrite::default()
        }
    }

    // req 71
    #[test]
    fn an_option_is_added_behind_the_others() {
        for sent in [&[][..], &[(3, &b""[..]), (65001, b"own")]] {
            let added = [sent, &[(11, b"")]].concat();
            let message = plain().edns(1232, 0x8000, sent).build();
            let expected = plain().id(0).edns(1232, 0x8000, &added).build();
            assert_eq!(rewritten(&message, &KEEPALIVE), expected);
        }
    }

    #[test]
    fn where_there_is_no_place_for_an_option_none_is_added() {
        let other =
            |built: Message| built.record(Section::Additional, ROOT, 1, (1, 0), &[127, 0, 0, 1]);
        let all = Rewrite {
            keepalive: true,
            subnet: ClientSubnet::Forbid,
            ..padded(128)
        };
        for built in [
            plain().edns(1232, 0, &[(12, &[0; 9])]).tsig(),
            plain().tsig(),
            other(plain().edns(1232, 0, &[(8, &[0, 1, 0, 0])])),
        ] {
            let expected = built.clone().id(0).build();
            assert_eq!(rewritten(&built.build(), &all), expected);
        }
        assert_eq!(
            rewritten(&plain().build(), &KEEPALIVE),
            plain().id(0).build()
        );
    }

    #[test]
    fn a_message_grows_no_larger_than_a_frame_holds() {
        let filled = |len: usize| plain().edns(1232, 0, &[(65001, &vec![0; len][..])]).build();
        let room = MAX_MESSAGE - filled(0).len();
        for (len, fits) in [(room - 4, true), (room - 3, false), (room, false)] {
            let message = filled(len);
            let longer = rewritten(&message, &KEEPALIVE);
            assert_eq!(longer.len() > message.len(), fits, "{len} octets");
        }
        for block in [16, 128, 468, 4096] {
            for len in (room - 2 * usize::from(block)..=room).step_by(7) {
                let out = rewritten(&filled(len), &padded(block));
                let fits = (filled(len).len() + 4).next_multiple_of(block.into()) <= MAX_MESSAGE;
                assert_eq!(
                    out.len().is_multiple_of(block.into()),
                    fits,
                    "{len} {block}"
                );
                assert!(out.len() <= MAX_MESSAGE);
            }
        }
        let with = |len: usize| plain().record(Section::Authority, ROOT, 99, (1, 1), &vec![0; len]);
        let full = with(MAX_MESSAGE - BARE_OPT + 1 - with(0).build().len());
        assert_eq!(rewritten(&full.build(), &padded(128)), full.id(0).build());
    }

    #[test]
    fn every_length_becomes_a_multiple_of_the_block() {
        for len in 0..300 {
            let own = vec![7; len];
            for built in [
                plain().edns(4096, 0x8000, &[(65001, &own[..])]),
                plain().edns(1232, 0, &[(12, &own[..]), (10, &own[..])]),
                plain().record(Section::Authority, ROOT, 99, (1, 1), &own),
            ] {
                let keepalive = len % 2 == 0;
                let rewrite = Rewrite {
                    keepalive,
                    ..padded(128)
                };
                let out = rewritten(&built.build(), &rewrite);
                assert_eq!(out.len() % 128, 0, "{len}");
                let read = parse_query(&out).unwrap();
                let codes: Vec<u16> = options(&out, &read.opt.unwrap())
                    .map(|(code, _)| code)
                    .collect();
                assert_eq!(codes.last(), Some(&12));
                assert_eq!(codes.contains(&11), keepalive);
                assert!(!codes.contains(&10));
                assert_eq!(codes.iter().filter(|code| **code == 12).count(), 1);
            }
        }
    }

    // fault 115
    #[test]
    fn an_opt_record_of_ours_is_the_last_record() {
        let ours = Rewrite {
            own_opt: Some(1232),
            ..Rewrite::default()
        };
        let message = plain().build();
        let expected = plain().id(0).edns(1232, 0, &[]).build();
        assert_eq!(rewritten(&message, &ours), expected);
        // A client's own stays as it is.
        let own = plain().edns(4096, 0x8000, &[(3, b"")]);
        assert_eq!(rewritten(&own.build(), &ours), own.id(0).build());
    }

    #[test]
    fn a_client_subnet_is_kept_removed_or_forbidden() {
        let own: (u16, &[u8]) = (8, &[0, 1, 24, 0, 192, 0, 2]);
        let none: (u16, &[u8]) = (8, &[0, 1, 0, 0]);
        let sent = plain().edns(1232, 0, &[(3, b""), own]).build();
        let by = |subnet, message: &[u8]| {
            let rewrite = Rewrite {
                subnet,
                own_opt: (subnet == ClientSubnet::Forbid).then_some(1232),
                ..Rewrite::default()
            };
            rewritten(message, &rewrite)
        };
        let with = |options: &[(u16, &[u8])]| plain().id(0).edns(1232, 0, options).build();
        assert_eq!(by(ClientSubnet::Keep, &sent), with(&[(3, b""), own]));
        assert_eq!(by(ClientSubnet::Strip, &sent), with(&[(3, b"")]));
        // A client that wants none sent on is heard.
        let opted_out = plain().edns(1232, 0, &[none]).build();
        assert_eq!(by(ClientSubnet::Strip, &opted_out), with(&[none]));
        // It is no way for octets of an address to cross: neither behind a length of 0, nor in the other fields.
        for data in [
            &[0, 1, 0, 0, 192, 0, 2][..],
            &[0, 1, 0, 24],
            &[192, 0, 0, 0],
            &[0, 1, 0],
        ] {
            let message = plain().edns(1232, 0, &[(8, data)]).build();
            assert_eq!(by(ClientSubnet::Strip, &message), with(&[]), "{data:?}");
        }
        assert_eq!(by(ClientSubnet::Forbid, &sent), with(&[(3, b""), none]));
        assert_eq!(by(ClientSubnet::Forbid, &plain().build()), with(&[none]));
    }
}
