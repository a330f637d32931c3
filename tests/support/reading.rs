//! Reads an answer's bytes into fields that a test can compare.

use super::codes::OPT;
use super::messages::word;

/// A message taken apart. Names stand as octets, without compression and in their own letter case.
#[derive(Debug)]
pub struct Message {
    /// The id.
    pub id: u16,
    /// The second 16 bits of the header.
    pub flags: u16,
    /// Name, type and class of each question.
    pub questions: Vec<(Vec<u8>, u16, u16)>,
    /// The answer section.
    pub answer: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section, OPT and all.
    pub additional: Vec<Record>,
}

/// One record.
#[derive(Debug)]
pub struct Record {
    /// The owner's name.
    pub owner: Vec<u8>,
    /// The type.
    pub rtype: u16,
    /// The class; an OPT's payload size.
    pub class: u16,
    /// The TTL; an OPT's extended RCODE, version and flags.
    pub ttl: u32,
    /// The data as it stands in the message.
    pub rdata: Vec<u8>,
}

/// Reads `message`, which must be well formed to its last octet.
pub fn read(message: &[u8]) -> Message {
    parse(message).unwrap_or_else(|| panic!("not a well-formed message: {message:02x?}"))
}

impl Message {
    /// The response code, with the upper bits of an OPT.
    pub fn rcode(&self) -> u16 {
        let upper = self.opt().map_or(0, |opt| (opt.ttl >> 24) as u16);
        (upper << 4) | (self.flags & 0xF)
    }

    /// Whether all of `flags` are on.
    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// The OPT, where there is one.
    pub fn opt(&self) -> Option<&Record> {
        self.additional.iter().find(|record| record.rtype == OPT)
    }

    /// The EDNS options: code and data.
    pub fn options(&self) -> Vec<(u16, Vec<u8>)> {
        let mut options = Vec::new();
        let mut rest = self.opt().map_or(&[][..], |opt| &opt.rdata);
        while let Some((head, tail)) = rest.split_at_checked(4) {
            let (data, tail) = tail
                .split_at_checked(usize::from(word(head, 2)))
                .expect("an option within the OPT");
            options.push((word(head, 0), data.to_vec()));
            rest = tail;
        }
        options
    }

    /// The codes of the extended DNS errors (RFC 8914).
    pub fn extended_errors(&self) -> Vec<u16> {
        self.options()
            .iter()
            .filter(|(code, _)| *code == 15)
            .map(|(_, data)| word(data, 0))
            .collect()
    }
}

fn parse(message: &[u8]) -> Option<Message> {
    let mut at = 12;
    message.get(..at)?;
    let mut questions = Vec::new();
    for _ in 0..word(message, 4) {
        let name = name(message, &mut at)?;
        let fixed = take(message, &mut at, 4)?;
        questions.push((name, word(fixed, 0), word(fixed, 2)));
    }
    let answer = section(message, &mut at, 6)?;
    let authority = section(message, &mut at, 8)?;
    let additional = section(message, &mut at, 10)?;
    let whole = at == message.len();
    whole.then(|| Message {
        id: word(message, 0),
        flags: word(message, 2),
        questions,
        answer,
        authority,
        additional,
    })
}

fn section(message: &[u8], at: &mut usize, count: usize) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    for _ in 0..word(message, count) {
        let owner = name(message, at)?;
        let fixed = take(message, at, 10)?;
        let (rtype, class) = (word(fixed, 0), word(fixed, 2));
        let ttl = u32::from(word(fixed, 4)) << 16 | u32::from(word(fixed, 6));
        let rdata = take(message, at, usize::from(word(fixed, 8)))?.to_vec();
        records.push(Record {
            owner,
            rtype,
            class,
            ttl,
            rdata,
        });
    }
    Some(records)
}

/// Reads the name at `at` and moves `at` behind it. Pointers are followed backwards only.
fn name(message: &[u8], at: &mut usize) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let (mut cursor, mut jumped) = (*at, false);
    loop {
        let length = usize::from(*message.get(cursor)?);
        let size = match length {
            0 => 1,
            1..=63 => 1 + length,
            192.. => {
                let target = usize::from(word(message, cursor) & 0x3FFF);
                if !jumped {
                    *at = cursor + 2;
                }
                jumped = true;
                if target >= cursor {
                    return None;
                }
                cursor = target;
                continue;
            }
            _ => return None,
        };
        name.extend(message.get(cursor..cursor + size)?);
        cursor += size;
        if length == 0 {
            if !jumped {
                *at = cursor;
            }
            return Some(name);
        }
    }
}

fn take<'m>(message: &'m [u8], at: &mut usize, size: usize) -> Option<&'m [u8]> {
    let part = message.get(*at..*at + size)?;
    *at += size;
    Some(part)
}

/// The text of the extended error in a response (RFC 8914); empty if there is none.
pub fn extra_text(message: &[u8]) -> String {
    let options = read(message).options();
    let text = options.iter().find(|(code, _)| *code == 15);
    let text = text.and_then(|(_, data)| data.get(2..)).unwrap_or_default();
    String::from_utf8(text.to_vec()).expect("text")
}
