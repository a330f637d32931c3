//! What holds for every message: nothing panics, what is edited stays well-formed, and nothing passes that belongs to one hop.

use dotward::wire::{
    ClientEdns, ClientSubnet, Ede, Query, Recipient, Refusal, Response, Rewrite, Svcb, describe,
    display, forward_query, local_response, lowercase_into, options, parse_query, parse_response,
    records, relay_response, same_question, typed, uncompressed,
};
use std::num::NonZeroU16;

/// Reads and edits a message in every way there is.
pub fn exercise(message: &[u8], client: Option<ClientEdns>) {
    let asked: &[u8] = b"\x01A\x00\x00\x01\x00\x01";
    let recipient = Recipient {
        id: 7,
        question: asked,
        rd: true,
        edns: client,
        limit: 512,
    };
    let mut out = Vec::new();
    let question = match parse_query(message) {
        Ok(read) => {
            for number in 0..=u8::MAX {
                check_forwarded(message, &read, rewrite(number));
            }
            Some(read.question)
        }
        Err(Refusal::Answer {
            rcode,
            question,
            opt,
        }) => {
            let edns = opt.map(|opt| ClientEdns::of(message, &opt, ClientSubnet::Keep));
            let own = Recipient {
                question: question.as_ref().map_or(&[], |at| at.octets(message)),
                edns,
                ..recipient
            };
            let head = (0, false, rcode);
            local_response(&own, head, Some(Ede::OTHER), 1232, &mut out);
            assert_eq!(parse_response(&out).unwrap().rcode(), rcode);
            question
        }
        Err(Refusal::Drop) => None,
    };
    if let Some(at) = question {
        lowercase_into(message, &at, &mut out);
        assert!(same_question(message, &at, message, &at));
        assert!(describe(message, &at).to_string().is_ascii());
        if let Some(typed) = typed(message, &at) {
            assert_eq!(u16::from(typed.qtype), at.qtype);
        }
    }
    if let Ok(read) = parse_response(message) {
        assert!(read.end <= message.len());
        let counts = read.header;
        let claimed = [counts.answers, counts.authorities, counts.additionals].map(usize::from);
        assert_eq!(
            records(message, &read).count(),
            claimed.iter().sum::<usize>()
        );
        for record in records(message, &read) {
            // The owner was walked, so that it is whole.
            let owner = uncompressed(message, record.start).unwrap();
            assert!(owner.len() <= 255 && owner.last() == Some(&0));
            if let Ok(svcb) = Svcb::read(&message[record.rdata]) {
                assert!(svcb.alpn().all(|name| !name.is_empty()));
                assert!(!svcb.is_alias() || svcb.port().is_none());
            }
        }
        // The question of a response of this length would be the client's.
        let own = read
            .question
            .filter(|at| at.octets(message).len() == asked.len());
        let recipient = Recipient {
            question: own.as_ref().map_or(asked, |at| at.octets(message)),
            ..recipient
        };
        check_relayed(message, &read, &recipient);
    }
    assert!(display(message).to_string().is_ascii());
}

/// What leaves is a query, asks the same, tells the upstream nothing about the client's hop, and is as long as it should be.
pub fn check_forwarded(message: &[u8], read: &Query, rewrite: Rewrite) {
    let mut out = b"before".to_vec();
    forward_query(message, read, &rewrite, &mut out);
    let out = &out[6..];
    let sent = parse_query(out).unwrap();
    assert_eq!((sent.header.id, sent.header.flags), (0, read.header.flags));
    assert_eq!(sent.question.octets(out), read.question.octets(message));
    assert_eq!(sent.signed, read.signed);
    let is_fixed = read.signed || read.opt.is_some_and(|opt| !opt.last);
    if is_fixed || (read.opt.is_none() && rewrite.own_opt.is_none()) {
        assert_eq!(out[2..], message[2..]);
        return;
    }
    let Some(opt) = sent.opt else {
        let left_out = rewrite.without_edns && read.opt.is_some();
        assert!(left_out || message.len() > 65_500);
        return;
    };
    let read_options = |message: &[u8], opt| -> Vec<(u16, Vec<u8>)> {
        let all = options(message, opt);
        all.map(|(code, data)| (code, data.to_vec())).collect()
    };
    let mut expected = Vec::new();
    if let Some(opt) = &read.opt {
        expected = read_options(message, opt);
        expected.retain(|(code, _)| !(10..=12).contains(code));
        expected.retain(|(code, data)| {
            let says_none = data.len() == 4 && data[0] == 0 && data[1] < 3 && data[2..] == [0, 0];
            *code != 8
                || match rewrite.subnet {
                    ClientSubnet::Keep => true,
                    ClientSubnet::Strip => says_none,
                    ClientSubnet::Forbid => false,
                }
        });
    }
    let mut got = read_options(out, &opt);
    if let Some(block) = rewrite.padding
        && got.last().is_some_and(|(code, _)| *code == 12)
    {
        assert_eq!(out.len() % usize::from(block.get()), 0);
        let (_, padding) = got.pop().unwrap();
        assert!(padding.len() < block.get().into() && padding.iter().all(|octet| *octet == 0));
    } else {
        assert!(rewrite.padding.is_none() || out.len() > 60_000);
    }
    if message.len() < 60_000 {
        if rewrite.subnet == ClientSubnet::Forbid {
            expected.push((8, vec![0, 1, 0, 0]));
        }
        if rewrite.keepalive {
            expected.push((11, Vec::new()));
        }
        assert_eq!(got, expected);
    }
}

/// Some ways to rewrite a query, by a number.
pub fn rewrite(number: u8) -> Rewrite {
    let subnets = [
        ClientSubnet::Keep,
        ClientSubnet::Strip,
        ClientSubnet::Forbid,
    ];
    let blocks = [0, 16, 128, 468];
    Rewrite {
        without_edns: number & 1 > 0,
        own_opt: (number & 2 > 0).then_some(1232),
        keepalive: number & 4 > 0,
        subnet: subnets[usize::from(number >> 3) % 3],
        padding: NonZeroU16::new(blocks[usize::from(number >> 6)]),
    }
}

/// What a client gets that pads is what another gets, and behind that zeros up to a block or to its limit.
fn check_padded(
    message: &[u8],
    read: &Response,
    bare: &[u8],
    client: ClientEdns,
    recipient: &Recipient<'_>,
) {
    let recipient = Recipient {
        edns: Some(client),
        ..*recipient
    };
    let mut out = Vec::new();
    relay_response(message, read, &recipient, 1232, &mut out);
    let opt = parse_response(&out).unwrap().opt.unwrap();
    let (code, zeros) = options(&out, &opt).last().unwrap_or((0, &[]));
    if code != 12 {
        assert_eq!(out, bare);
        return assert!(out.len() + 4 > recipient.limit);
    }
    assert!(zeros.iter().all(|octet| *octet == 0));
    assert!(out.len().is_multiple_of(468) || out.len() == recipient.limit);
    let rest = out.len() - zeros.len() - 4;
    assert_eq!(rest, bare.len());
    // RDLENGTH is another.
    assert_eq!(out[..opt.start + 9], bare[..opt.start + 9]);
    assert_eq!(out[opt.start + 11..rest], bare[opt.start + 11..]);
}

/// What a client gets is a response to its question, in its limit, with an OPT record if it sent one.
pub fn check_relayed(message: &[u8], read: &Response, recipient: &Recipient<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    relay_response(message, read, recipient, 1232, &mut out);
    let got = parse_response(&out).unwrap();
    assert!(out.len() <= recipient.limit);
    assert_eq!(got.end, out.len());
    assert_eq!(got.header.id, recipient.id);
    assert!(got.header.flags.tc() || !read.header.flags.tc());
    if got.signed {
        assert_eq!(out[2..], message[2..read.end]);
        return out;
    }
    if let Some(client) = recipient.edns.filter(|client| !client.pads) {
        let edns = ClientEdns {
            pads: true,
            ..client
        };
        check_padded(message, read, &out, edns, recipient);
    }
    assert_eq!(got.question.unwrap().octets(&out), recipient.question);
    assert_eq!(got.header.flags.rd(), recipient.rd);
    assert_eq!(got.opt.is_some(), recipient.edns.is_some());
    if let (Some(opt), Some(client)) = (got.opt, recipient.edns) {
        assert!(opt.last);
        assert_eq!((opt.udp_size, opt.version), (1232, 0));
        for (code, _) in options(&out, &opt) {
            assert!(!(10..=12).contains(&code));
            assert!(code == 15 || client.options.contains(code));
        }
    }
    out
}
