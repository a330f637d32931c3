//! What holds for every message: nothing panics, what is edited stays well-formed, and nothing passes that belongs to one hop.

use dotward::wire::{
    ClientEdns, Ede, Query, Recipient, Refusal, Response, add_option, describe, display,
    forward_query, local_response, lowercase_into, options, parse_query, parse_response, records,
    relay_response, same_question, typed,
};

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
            check_forwarded(message, &read, true);
            check_forwarded(message, &read, false);
            Some(read.question)
        }
        Err(Refusal::Answer {
            rcode,
            question,
            opt,
        }) => {
            let edns = opt.map(|opt| ClientEdns::of(message, &opt));
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

/// What leaves is a query, asks the same, and tells the upstream nothing about the client's hop.
pub fn check_forwarded(message: &[u8], read: &Query, edns: bool) {
    let mut out = Vec::new();
    forward_query(message, read, edns, &mut out);
    let sent = parse_query(&out).unwrap();
    assert_eq!((sent.header.id, sent.header.flags), (0, read.header.flags));
    assert_eq!(sent.question.octets(&out), read.question.octets(message));
    assert_eq!(sent.signed, read.signed);
    assert!(out.len() <= message.len());
    if let Some(opt) = sent.opt.filter(|opt| opt.last) {
        assert!(edns && options(&out, &opt).all(|(code, _)| !(10..=12).contains(&code)));
    }
    check_with_option(&out);
}

/// One option more, where there is a place for it, is the only change.
pub fn check_with_option(message: &[u8]) {
    let mut out = message.to_vec();
    add_option(&mut out, 0, 11, b"x");
    let (before, after) = (parse_query(message).unwrap(), parse_query(&out).unwrap());
    let Some(opt) = before.opt.filter(|opt| opt.last) else {
        assert_eq!(out, message);
        return;
    };
    let mut expected: Vec<_> = options(message, &opt).collect();
    expected.push((11, b"x"));
    let got: Vec<_> = options(&out, &after.opt.unwrap()).collect();
    assert_eq!(got, expected);
    assert_eq!(out[..opt.options_at - 2], message[..opt.options_at - 2]);
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
