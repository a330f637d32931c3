//! A response in the form in which it is cached, and what is made of that for a client.

use super::looping::{Doing, doing};
use super::messages::client;
use dotward::wire::{
    Cacheability, CachedResponse, Ede, Rcode, Recipient, cacheability, lowercase_into, parse_query,
    parse_response, records, same_question,
};

/// Longer than this no response is cached.
const MAX_TTL: u32 = 86_400;

/// Two octets about the client and what it does, the query with its length in one octet before it, and the response.
pub fn cached_response(input: &[u8]) -> Doing {
    let Some((&[first, steps, len], rest)) = input.split_first_chunk() else {
        return 0;
    };
    let Some((query, message)) = rest.split_at_checked(len.into()) else {
        return 0;
    };
    let (Ok(asked), Ok(response)) = (parse_query(query), parse_response(message)) else {
        return doing(&[1]);
    };
    let is_asked = |at| same_question(message, at, query, &asked.question);
    if !response.question.as_ref().is_some_and(is_asked) {
        return doing(&[3]);
    }
    let kind = match cacheability(message, &response) {
        Cacheability::Data { lifetime, negative } => {
            assert!(lifetime > 0 && lifetime >> 31 == 0);
            usize::from(negative)
        }
        Cacheability::MustNotCache => 2,
        Cacheability::Failure => 3,
        Cacheability::Unusable => 4,
    };
    let min_ttl = u32::from(first) * 10;
    let cached = [
        Some(()).filter(|()| kind < 2).and_then(|()| {
            CachedResponse::data(query, &asked, message, &response, (min_ttl, MAX_TTL))
        }),
        CachedResponse::error(query, &asked, message, &response),
        CachedResponse::failure(
            query,
            &asked,
            Rcode::SERVFAIL,
            Ede::NOT_READY.with_text("starting"),
        ),
    ];
    let edns = client(first);
    let recipient = Recipient {
        id: 0x4321,
        question: asked.question.octets(query),
        rd: true,
        edns,
        limit: 512 + 16 * usize::from(steps),
    };
    let mut question = Vec::new();
    lowercase_into(query, &asked.question, &mut question);
    let is_data = cached[0].is_some();
    for (index, cached) in cached.into_iter().enumerate() {
        let Some(mut cached) = cached else {
            continue;
        };
        assert_eq!(cached.question(), question);
        for step in 0..steps % 8 {
            match (steps >> 3).wrapping_add(step) % 4 {
                0 => cached.age(u32::from(steps) << step),
                1 => cached.rotate(),
                2 => cached.set_ttls(30),
                _ => {}
            }
            let mut out = Vec::new();
            cached.relay(&recipient, 1232, step % 2 == 0, &mut out);
            assert!(out.len() <= recipient.limit);
            let told = parse_response(&out).unwrap();
            assert_eq!(told.question.unwrap().octets(&out), recipient.question);
            assert_eq!((told.header.id, told.end), (recipient.id, out.len()));
            assert!(!told.header.flags.aa() && told.opt.is_some() == edns.is_some());
            let mut ttls = records(&out, &told).filter(|record| record.rtype != 41);
            assert!(ttls.all(|record| record.ttl <= MAX_TTL.max(min_ttl)));
            let came: u16 = [told.header.answers, told.header.authorities].iter().sum();
            assert!(index == 0 || came == 0);
        }
    }
    doing(&[
        2,
        kind,
        usize::from(is_data),
        response.header.answers.min(8).into(),
        usize::from(edns.is_some()),
        (steps % 8).into(),
    ])
}
