//! What holds for every message, with messages that are put together at random from sound parts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::invariants::{check_forwarded, check_relayed, exercise, rewrite};
use crate::support::messages::{Message, TO_QUESTION, header_only, query};
use dotward::wire::{
    self, ClientEdns, ClientSubnet, Ede, Frames, LocalRdata, LocalRecord, Rcode, Recipient,
    Response, Section, append_frame, local_records, local_response, parse_query, parse_response,
    records,
};
use std::net::IpAddr;

/// A name of up to five labels with any octets in them.
fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(vec(any::<u8>(), 1..=12), 0..=5).prop_map(|labels| {
        let mut name = Vec::new();
        for label in labels {
            name.push(label.len() as u8);
            name.extend_from_slice(&label);
        }
        name.push(0);
        name
    })
}

/// A type that may be asked for.
fn qtype() -> impl Strategy<Value = u16> {
    prop_oneof![0..300_u16, any::<u16>()].prop_filter("refused by policy", |qtype| {
        ![41, 250, 251, 252].contains(qtype)
    })
}

/// Options, some of which speak of one hop.
fn edns_options() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let code = prop_oneof![0..20_u16, any::<u16>()];
    vec((code, vec(any::<u8>(), 0..60)), 0..=6)
}

/// A record: owner by pointer or written out, a type that is no pseudo-record's, and RDATA with pointers or
/// anything in it.
fn record() -> impl Strategy<Value = (Vec<u8>, u16, (u16, u32), Vec<u8>)> {
    let owner = prop_oneof![
        3 => Just(TO_QUESTION.to_vec()),
        1 => name(),
        1 => Just(b"\x02ns\xC0\x0C".to_vec()),
    ];
    let rtype = any::<u16>().prop_filter("pseudo", |rtype| ![24, 41, 250].contains(rtype));
    let rdata = prop_oneof![
        Just(b"\xC0\x0C".to_vec()),
        vec(any::<u8>(), 0..40),
        vec(any::<u8>(), 400..900)
    ];
    (owner, rtype, any::<(u16, u32)>(), rdata)
}

fn with_opt(built: Message, size: u16, bits: u32, options: &[(u16, Vec<u8>)]) -> Message {
    let options: Vec<(u16, &[u8])> = options
        .iter()
        .map(|(code, data)| (*code, &data[..]))
        .collect();
    built.edns(size, bits, &options)
}

prop_compose! {
    /// A query that is forwarded. Version 0, any flags.
    fn good_query()(
        id in any::<u16>(),
        flags in 0..0x0800_u16,
        name in name(),
        qtype in qtype(),
        qclass in any::<u16>(),
        opt in prop::option::of((any::<u16>(), any::<u16>(), edns_options())),
        signed in any::<bool>(),
    ) -> Message {
        let mut built = header_only(flags).id(id).question(&name, qtype, qclass);
        if let Some((size, bits, options)) = opt {
            built = with_opt(built, size, u32::from(bits), &options);
        }
        if signed { built.tsig() } else { built }
    }
}

prop_compose! {
    /// A response that is relayed. The OPT record may stand among the additional ones, and octets behind
    /// everything.
    fn good_response()(
        id in any::<u16>(),
        flags in any::<u16>(),
        question in prop::option::weighted(0.9, (name(), qtype(), any::<u16>())),
        sections in [vec(record(), 0..4), vec(record(), 0..3), vec(record(), 0..4)],
        opt in prop::option::of((any::<u16>(), any::<u32>(), edns_options(), any::<Index>())),
        signed in prop::bool::weighted(0.1),
        tail in vec(any::<u8>(), 0..40),
    ) -> Message {
        // QR and the opcode are what makes it a response to a query.
        let mut built = header_only(flags & 0x07FF | 0x8000).id(id);
        let asks = question.is_some();
        if let Some((name, qtype, qclass)) = question {
            built = built.question(&name, qtype, qclass);
        }
        let all = [Section::Answer, Section::Authority, Section::Additional];
        let opt_before = opt.as_ref().map(|(.., index)| index.index(sections[2].len() + 1));
        for (section, records) in all.into_iter().zip(&sections) {
            for place in 0..=records.len() {
                if let Some((size, bits, options, _)) = &opt
                    && section == Section::Additional
                    && opt_before == Some(place)
                {
                    built = with_opt(built, *size, *bits, options);
                }
                if let Some((owner, rtype, class_ttl, rdata)) = records.get(place) {
                    // Without a question there is nothing that a pointer could lead to.
                    let owner = if asks { owner } else { &vec![0] };
                    built = built.record(section, owner, *rtype, *class_ttl, rdata);
                }
            }
        }
        if signed { built = built.tsig(); }
        built.raw(&tail)
    }
}

prop_compose! {
    /// What a client said of itself.
    fn client()(edns in prop::option::of((any::<u16>(), any::<u16>(), edns_options()))) -> Option<ClientEdns> {
        let (size, bits, options) = edns?;
        let message = with_opt(query(".", 1), size, u32::from(bits), &options).build();
        let opt = parse_query(&message).unwrap().opt.unwrap();
        Some(ClientEdns::of(&message, &opt, ClientSubnet::Keep))
    }
}

/// Octets overwritten, cut off or inserted at some places.
fn mutated(built: impl Strategy<Value = Message>) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<Index>(), any::<u8>(), 0..4_u8), 0..6);
    (built, changes).prop_map(|(built, changes)| {
        let mut message = built.build();
        for (place, octet, how) in changes {
            let at = place.index(message.len());
            match how {
                0 => message.insert(at, octet),
                1 if message.len() > 13 => message.truncate(at.max(12)),
                _ => message[at] = octet,
            }
        }
        message
    })
}

/// The octets of all records but the OPT, one by one.
fn others(message: &[u8], read: &Response) -> Vec<Vec<u8>> {
    let others = records(message, read).filter(|record| record.rtype != 41);
    others
        .map(|record| message[record.start..record.rdata.end].to_vec())
        .collect()
}

/// The response's own question, or one of our making, with the case of its letters turned round.
fn other_case(message: &[u8], read: &Response) -> Vec<u8> {
    let Some(at) = read.question else {
        return b"\x01A\x00\x00\x01\x00\x01".to_vec();
    };
    let mut question = at.octets(message).to_vec();
    for octet in &mut question[..at.name_len] {
        if octet.is_ascii_alphabetic() {
            *octet ^= 0x20;
        }
    }
    question
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // fault 55
    #[test]
    fn any_octets_are_survived(message in vec(any::<u8>(), 0..200), client in client()) {
        exercise(&message, client);
    }

    // fault 55, fault 58, req 3, req 4
    #[test]
    fn mutated_queries_are_survived(message in mutated(good_query()), client in client()) {
        exercise(&message, client);
    }

    // fault 17, req 3, req 18
    #[test]
    fn mutated_answers_are_survived(message in mutated(good_response()), client in client()) {
        exercise(&message, client);
    }

    // req 26, req 28
    #[test]
    fn a_good_query_goes_on(built in good_query()) {
        let message = built.build();
        let read = parse_query(&message).unwrap();
        for number in 0..=u8::MAX {
            check_forwarded(&message, &read, rewrite(number));
        }
    }

    // req 1, req 2, req 6, req 7, req 32
    #[test]
    fn a_good_answer_reaches_its_client(
        built in good_response(),
        client in client(),
        id in any::<u16>(),
        rd in any::<bool>(),
        limit in prop_oneof![Just(512), 512..2000_usize, Just(65535)],
    ) {
        let message = built.build();
        let read = parse_response(&message).unwrap();
        let question = other_case(&message, &read);
        let recipient = Recipient { id, question: &question, rd, edns: client, limit };
        let out = check_relayed(&message, &read, &recipient);

        // Records are passed on as they came: all of them, or as many of the first as fit.
        if read.question.is_some() && !read.signed && read.opt.is_none_or(|opt| opt.last) {
            let (passed, sent) = (others(&out, &parse_response(&out).unwrap()), others(&message, &read));
            let opt = if client.is_some() { 11 } else { 0 };
            if 12 + question.len() + sent.concat().len() + opt <= limit {
                prop_assert_eq!(passed, sent);
            } else {
                prop_assert!(passed.len() < sent.len());
                prop_assert_eq!(&passed[..], &sent[..passed.len()]);
                let room = limit - 12 - question.len() - opt;
                prop_assert!(sent[..=passed.len()].concat().len() > room);
                prop_assert!(parse_response(&out).unwrap().header.flags.tc());
            }
        }
    }

    // req 6, req 7
    #[test]
    fn local_records_are_as_many_as_fit(
        name in name(),
        client in client(),
        addresses in vec(any::<IpAddr>(), 0..100),
        limit in 512..2_000_usize,
    ) {
        let question = [&name[..], &[0, 1, 0, 1]].concat();
        let recipient = Recipient { id: 7, question: &question, rd: true, edns: client, limit };
        let record = |address: IpAddr| LocalRecord {
            section: Section::Answer,
            owner_at: 0,
            rtype: if address.is_ipv4() { 1 } else { 28 },
            ttl: 60,
            rdata: LocalRdata::Address(address),
        };
        let all = addresses.iter().copied().map(record);
        let mut out = Vec::new();
        let ede = Some(Ede::NOT_READY.with_text("starting"));
        local_records(&recipient, false, Rcode::NOERROR, all, ede, 1232, &mut out);
        prop_assert!(out.len() <= limit);
        let read = parse_response(&out).unwrap();
        prop_assert_eq!(read.end, out.len());
        prop_assert_eq!(read.opt.is_some(), client.is_some());
        let told: Vec<_> = records(&out, &read)
            .filter(|record| record.section == Section::Answer)
            .map(|record| out[record.rdata.clone()].to_vec())
            .collect();
        let octets = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let expected: Vec<_> = addresses.iter().map(octets).collect();
        prop_assert_eq!(&told[..], &expected[..told.len()]);
        prop_assert_eq!(read.header.flags.tc(), told.len() < expected.len());
        if let Some(next) = expected.get(told.len()) {
            let opt = if client.is_some() { 11 } else { 0 };
            let used = 12 + question.len() + told.iter().map(|rdata| 12 + rdata.len()).sum::<usize>();
            prop_assert!(used + opt + 12 + next.len() > limit);
        }
    }

    // req 1, req 29, req 33, req 56
    #[test]
    fn our_local_response_is_one(
        name in name(),
        opcode in 0..16_u8,
        client in client(),
        rcode in 0..4096_u16,
        (id, rd, cd) in any::<(u16, bool, bool)>(),
    ) {
        let question = [&name[..], &[0, 1, 0, 1]].concat();
        let recipient = Recipient { id, question: &question, rd, edns: client, limit: 512 };
        let mut out = Vec::new();
        let ede = Some(Ede::NOT_READY.with_text("starting"));
        let head = (opcode, cd, Rcode(rcode));
        local_response(&recipient, head, ede, 1232, &mut out);
        prop_assert!(out.len() <= 512);
        let flags = wire::Header::parse(&out).unwrap().flags;
        prop_assert_eq!(flags.opcode(), opcode);
        prop_assert_eq!((flags.rd(), flags.cd(), flags.ra()), (rd, cd, true));
        if opcode == 0 {
            let read = parse_response(&out).unwrap();
            let told = if rcode > 15 && client.is_none() { Rcode::SERVFAIL } else { Rcode(rcode) };
            prop_assert_eq!(read.rcode(), told);
            prop_assert_eq!(read.question.unwrap().octets(&out), &question[..]);
            prop_assert_eq!(read.opt.is_some(), client.is_some());
        }
    }

    // req 5, fault 11, fault 12
    #[test]
    fn frames_survive_every_split(
        messages in vec(vec(any::<u8>(), 0..3000), 0..12),
        pieces in vec(1..5000_usize, 1..20),
        release in any::<bool>(),
    ) {
        let mut stream = Vec::new();
        for message in &messages {
            append_frame(message, &mut stream);
        }
        let (mut frames, mut got, mut rest) = (Frames::new(), Vec::new(), &stream[..]);
        let mut pieces = pieces.iter().cycle();
        while !rest.is_empty() {
            let space = frames.space();
            let n = space.len().min(rest.len()).min(*pieces.next().unwrap());
            space[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            frames.filled(n);
            while let Some(message) = frames.next() {
                got.push(message.to_vec());
            }
            if release {
                frames.release();
            }
        }
        prop_assert_eq!(got, messages);
        prop_assert!(frames.is_empty());
    }
}
