//! Messages and streams of any octets.

use super::invariants::{check_forwarded, check_relayed, exercise, rewrite};
use super::looping::{Doing, doing};
use dotward::wire::{
    ClientEdns, ClientSubnet, Frames, Recipient, Refusal, append_frame, options, parse_query,
    parse_response, records,
};

/// A client's message: its first octet says what the client that would get a response says of itself.
pub fn query(input: &[u8]) -> Doing {
    let (first, message) = input.split_first().unwrap_or((&0, &[]));
    exercise(message, client(*first));
    match parse_query(message) {
        Ok(read) => {
            check_forwarded(message, &read, rewrite(*first));
            let of = |opt| {
                options(message, &opt)
                    .map(|(code, _)| usize::from(code.min(20)))
                    .sum()
            };
            let told = read.opt.map_or(0, of);
            doing(&[
                1,
                usize::from(read.signed),
                read.question.name_len / 16,
                told,
            ])
        }
        Err(Refusal::Drop) => doing(&[2]),
        Err(Refusal::Answer {
            rcode,
            question,
            opt,
        }) => {
            let read = [question.is_some(), opt.is_some()].map(usize::from);
            doing(&[3, rcode.0.into(), read[0], read[1]])
        }
    }
}

/// An upstream's message. Its first octets say which client gets it.
pub fn response(input: &[u8]) -> Doing {
    let Some((&[first, limit], message)) = input.split_first_chunk() else {
        return 0;
    };
    exercise(message, client(first));
    let read = match parse_response(message) {
        Ok(read) => read,
        Err(why) => return doing(&[why.0.len(), usize::from(why.0.as_bytes()[5])]),
    };
    let question = read
        .question
        .map_or(b"\x01A\x00\x00\x01\x00\x01".as_slice(), |at| {
            at.octets(message)
        });
    let recipient = Recipient {
        id: 0x1234,
        question,
        rd: first & 2 != 0,
        edns: client(first),
        limit: 512 + 16 * usize::from(limit),
    };
    let out = check_relayed(message, &read, &recipient);
    let passed = parse_response(&out).unwrap();
    // Each record that is passed on is one that came.
    let octets = |message: &[u8], record: dotward::wire::Record| {
        message[record.start..record.rdata.end].to_vec()
    };
    let came: Vec<_> = records(message, &read)
        .map(|record| octets(message, record))
        .collect();
    for record in records(&out, &passed).filter(|record| record.rtype != 41) {
        assert!(came.contains(&octets(&out, record)));
    }
    let flags = passed.header.flags;
    let types = records(message, &read).map(|record| usize::from(record.rtype.min(70)));
    doing(&[
        4,
        came.len().min(20),
        types.take(4).sum(),
        usize::from(flags.tc()),
        usize::from(read.signed),
        usize::from(read.opt.is_some_and(|opt| opt.last)),
        usize::from(passed.rcode().0.min(25)),
    ])
}

/// A stream of frames that is read in pieces: the first octets are their lengths, up to a zero.
pub fn stream(input: &[u8]) -> Doing {
    let end = input
        .iter()
        .position(|octet| *octet == 0)
        .unwrap_or(input.len());
    let (pieces, mut rest) = input.split_at(end);
    let whole = rest;
    let mut pieces = pieces
        .iter()
        .chain(&[7])
        .map(|piece| 31 * usize::from(*piece))
        .cycle();
    let (mut frames, mut got) = (Frames::new(), Vec::new());
    let mut messages = 0;
    while !rest.is_empty() {
        let space = frames.space();
        let n = space.len().min(rest.len()).min(pieces.next().unwrap_or(1));
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        frames.filled(n);
        while frames.has_message() {
            append_frame(frames.next().unwrap(), &mut got);
            messages += 1;
        }
        assert!(frames.next().is_none());
        if n % 2 == 0 {
            frames.release();
        } else {
            frames.relax();
        }
        // One frame and one step, as its page says.
        assert!(frames.memory() <= 2 + 65_535 + 4_096);
    }
    assert_eq!(got, whole[..got.len()]);
    assert_eq!(frames.is_empty(), got.len() == whole.len());
    doing(&[5, messages, frames.memory() / 4_096])
}

/// A client by a number: without EDNS, or with options of any kind.
pub fn client(number: u8) -> Option<ClientEdns> {
    use crate::support::messages;
    if number & 4 == 0 {
        return None;
    }
    let codes = [3, 8, 15, u16::from(number)];
    let options: Vec<(u16, &[u8])> = codes.iter().map(|code| (*code, &b"ab"[..])).collect();
    let bits = u32::from(number & 8) << 12;
    let message = messages::query(".", 1)
        .edns(u16::from(number) * 16, bits, &options)
        .build();
    let opt = parse_query(&message).unwrap().opt?;
    Some(ClientEdns::of(&message, &opt, ClientSubnet::Keep))
}
