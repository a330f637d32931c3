//! Questions, and answers that follow from them: whatever is mixed up on the way shows.

use super::dice::{Dice, hash};
use super::story::is_spoiled;
use crate::support::codes::{A, SERVFAIL};
pub use crate::support::codes::{NOERROR, NXDOMAIN};
pub use crate::support::messages::question_octets as question;
use crate::support::messages::{self, Message, TO_QUESTION, response_to, word};
use dotward::wire::{self, HEADER_LEN, Section};

/// What a client may get instead of an answer while something is wrong: FORMERR, SERVFAIL, NOTIMP, REFUSED.
const EXCUSES: [u16; 4] = [1, SERVFAIL, 4, 5];
/// The time to live of an answer that is out of date (RFC 8767).
const STALE_TTL: u32 = 30;
/// Octets of a compressed name, type, class, time to live, length, address.
const RECORD_LEN: usize = 16;

/// A query of type A with this name, and with an OPT record or not.
pub fn query(name: &str, id: u16, edns: bool) -> Vec<u8> {
    with_opt(messages::query(name, A).id(id), edns).build()
}

fn with_opt(message: Message, opt: bool) -> Message {
    if opt {
        message.edns(1232, 0, &[])
    } else {
        message
    }
}

/// The name with letters in any case (RFC 4343).
pub fn shout(name: &str, dice: &mut Dice) -> String {
    let letter = |c: char| {
        if dice.percent(20) {
            c.to_ascii_uppercase()
        } else {
            c
        }
    };
    name.chars().map(letter).collect()
}

/// The name in a message, in lower case, as text.
pub fn name(message: &[u8]) -> String {
    let labels = question(message);
    let mut name = String::new();
    let mut at = 0;
    while let Some(len) = labels.get(at).copied().filter(|len| *len > 0) {
        let label = labels.get(at + 1..at + 1 + usize::from(len));
        name.push_str(&String::from_utf8_lossy(label.unwrap_or_default()));
        name.push('.');
        at += 1 + usize::from(len);
    }
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// What is true about a name.
pub struct Truth {
    pub rcode: u16,
    pub ttl: u32,
    pub addresses: Vec<[u8; 4]>,
}

impl Truth {
    pub fn about(name: &str) -> Self {
        let number = hash(0, name.as_bytes());
        let mut dice = Dice::new(number);
        let (rcode, count) = match dice.below(16) {
            0 => (NXDOMAIN, 0),
            1 => (NOERROR, 0),
            // Too much for a datagram.
            2 => (NOERROR, 100),
            n => (NOERROR, n % 4 + 1),
        };
        Self {
            rcode,
            ttl: [1, 3, 8, 300][dice.index(4)],
            addresses: (0..count)
                .map(|_| (dice.next() as u32).to_be_bytes())
                .collect(),
        }
    }
}

/// The true answer to a query.
pub fn answer(query: &[u8]) -> Vec<u8> {
    truth(query).build()
}

fn truth(query: &[u8]) -> Message {
    let truth = Truth::about(&name(query));
    let plain = with_opt(response_to(query).rcode(truth.rcode), has_opt(query));
    let addresses = truth.addresses.iter();
    addresses.fold(plain, |message, address| message.a(truth.ttl, *address))
}

/// An answer without records.
pub fn error(query: &[u8], rcode: u16, opt: bool) -> Vec<u8> {
    with_opt(response_to(query).rcode(rcode), opt).build()
}

/// SERVFAIL with EDE 6, "DNSSEC Bogus", where there is an OPT record to hold it.
pub fn bogus(query: &[u8]) -> Vec<u8> {
    let bogus = response_to(query).rcode(SERVFAIL);
    if has_opt(query) {
        bogus.edns(1232, 0, &[(15, &[0, 6])]).build()
    } else {
        bogus.build()
    }
}

/// An answer that says that there are two questions in it.
pub fn two_questions(query: &[u8]) -> Vec<u8> {
    let mut answer = answer(query);
    answer[5] = 2;
    answer
}

/// An answer with one record, whose name is a pointer to what comes behind it.
pub fn points_forward(query: &[u8]) -> Vec<u8> {
    let plain = response_to(query);
    let next = (0xC000 | (plain.len() as u16 + 2)).to_be_bytes();
    let class_ttl = (1, 9);
    plain
        .record(Section::Answer, &next, A, class_ttl, &[1, 2, 3, 4])
        .build()
}

/// A well-formed answer that takes long to walk: an alias with 120 labels, and 1,200 addresses of that.
pub fn costly(query: &[u8]) -> Vec<u8> {
    let mut alias = b"\x01a".repeat(120);
    alias.push(0);
    let answer = response_to(query).record(Section::Answer, TO_QUESTION, 5, (1, 9), &alias);
    let owner = (0xC000 | (answer.len() - alias.len()) as u16).to_be_bytes();
    let addresses = 0..1_200;
    let add = |answer: Message, _| answer.record(Section::Answer, &owner, A, (1, 9), &[1, 2, 3, 4]);
    addresses.fold(answer, add).build()
}

pub fn has_opt(query: &[u8]) -> bool {
    query.get(11).is_some_and(|count| *count > 0)
}

pub fn id(message: &[u8]) -> u16 {
    word(message, 0)
}

/// Is this an answer that the client may get to its query? Says its RCODE, or what is wrong with it.
pub fn check(query: &[u8], reply: &[u8], datagram: bool) -> Result<u16, String> {
    let answer =
        wire::parse_response(reply).map_err(|malformed| format!("malformed: {}", malformed.0))?;
    let rcode = answer.rcode().0;
    let limit = if !datagram {
        65_535
    } else if has_opt(query) {
        1_232
    } else {
        512
    };
    if answer.header.id != id(query) || question(reply) != question(query) {
        return Err("another question's answer".into());
    }
    if answer.opt.is_some() != has_opt(query) {
        return Err("an OPT record too many or too few".into());
    }
    if reply.len() > limit {
        return Err(format!("{} octets, and {limit} fit", reply.len()));
    }
    if EXCUSES.contains(&rcode) {
        return Ok(rcode);
    }
    if is_spoiled(&name(query)) {
        // What is true about it is what its upstream says.
        return Ok(rcode);
    }
    let truth = Truth::about(&name(query));
    let cut = answer.header.flags.tc();
    let count = usize::from(answer.header.answers);
    let start = HEADER_LEN + question(query).len();
    let Some(records) = reply.get(start..start + count * RECORD_LEN) else {
        return Err("records of another form".into());
    };
    let right = |record: &[u8]| {
        let ttl = u32::from_be_bytes([record[6], record[7], record[8], record[9]]);
        truth
            .addresses
            .iter()
            .any(|address| record.ends_with(address))
            && (ttl <= truth.ttl || ttl == STALE_TTL)
    };
    let all_right = records.chunks(RECORD_LEN).all(right);
    match (rcode == truth.rcode && all_right, cut) {
        (true, false) if count == truth.addresses.len() => Ok(rcode),
        (true, true) if datagram => Ok(rcode),
        _ => Err(format!("a wrong answer: {rcode}, {count} records")),
    }
}
