//! DNS messages as octets, written by hand, so that no test trusts the code that it tests. Every test, benchmark and tool of this
//! repository builds its messages here.

use std::net::Ipv4Addr;

use super::codes::{A, CD, IN, NOERROR, OPT, QR, RA, RD, SOA, TSIG, TXT};
use dotward::wire::Section;

/// A compression pointer to the name of the question.
pub const TO_QUESTION: &[u8] = &[0xC0, 12];
/// The root as an owner name.
pub const ROOT: &[u8] = &[0];

/// A message under construction. Only counts and lengths are filled in, and a count can be made a lie.
#[derive(Clone, Debug)]
pub struct Message {
    id: u16,
    flags: u16,
    /// Of the question and the three sections.
    counts: [u16; 4],
    parts: [Vec<u8>; 4],
    /// The part that was added to last.
    last: usize,
}

/// A header and nothing else.
pub fn header_only(flags: u16) -> Message {
    Message {
        id: 0x1234,
        flags,
        counts: [0; 4],
        parts: Default::default(),
        last: 0,
    }
}

/// A query with id 0x1234 and RD: `query("www.example", AAAA)`, class IN, no EDNS.
pub fn query(name: &str, rtype: u16) -> Message {
    query_octets(&name_octets(name), rtype, IN)
}

/// The same for a name that is given as it stands on the wire.
pub fn query_octets(name: &[u8], rtype: u16, class: u16) -> Message {
    header_only(RD).question(name, rtype, class)
}

/// A response without records, with id 0x1234, RD and RA.
pub fn response(name: &str, rtype: u16) -> Message {
    query(name, rtype).flags(QR | RD | RA)
}

/// A response without records to `query`: with its id, opcode, RD, CD and question, with QR and RA.
pub fn response_to(query: &[u8]) -> Message {
    let question = question_octets(query);
    let mut message =
        header_only(QR | RA | (word(query, 2) & (0x7800 | RD | CD))).id(word(query, 0));
    message.counts[0] = u16::from(!question.is_empty());
    message.raw(question)
}

/// A query for the address of `name`, with EDNS, so that errors come with their reason.
pub fn edns_query(name: &str, id: u16) -> Vec<u8> {
    query(name, A).id(id).edns(1232, 0, &[]).build()
}

/// What most upstreams here respond: one address, or an error.
pub fn address_or_error(query: &[u8], rcode: u16) -> Message {
    let plain = response_to(query).rcode(rcode);
    if rcode == NOERROR {
        plain.a(300, [192, 0, 2, 1])
    } else {
        plain
    }
}

impl Message {
    /// Sets the id.
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// Replaces every flag, the opcode and the RCODE field.
    pub fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the low four bits of the response code.
    pub fn rcode(mut self, rcode: u16) -> Self {
        self.flags = (self.flags & !0xF) | rcode;
        self
    }

    /// Turns flags on.
    pub fn on(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    /// Turns flags off.
    pub fn off(mut self, flags: u16) -> Self {
        self.flags &= !flags;
        self
    }

    /// Replaces the four counts, true or not.
    pub fn counts(mut self, counts: [u16; 4]) -> Self {
        self.counts = counts;
        self
    }

    /// Adds a question: a name as it stands on the wire, type and class.
    pub fn question(self, name: &[u8], rtype: u16, class: u16) -> Self {
        self.part(0)
            .raw(name)
            .raw(&rtype.to_be_bytes())
            .raw(&class.to_be_bytes())
    }

    /// Removes the question, as some servers do for errors.
    pub fn without_question(mut self) -> Self {
        self.parts[0].clear();
        self.counts[0] = 0;
        self
    }

    /// Adds a record to a section; `class_ttl` are its class and its TTL.
    pub fn record(
        self,
        section: Section,
        owner: &[u8],
        rtype: u16,
        (class, ttl): (u16, u32),
        rdata: &[u8],
    ) -> Self {
        self.part(1 + section as usize)
            .raw(owner)
            .raw(&rtype.to_be_bytes())
            .raw(&class.to_be_bytes())
            .raw(&ttl.to_be_bytes())
            .raw(&len_octets(rdata))
            .raw(rdata)
    }

    /// Adds an answer record that is owned by the question's name.
    pub fn answer(self, rtype: u16, ttl: u32, rdata: &[u8]) -> Self {
        self.record(Section::Answer, TO_QUESTION, rtype, (IN, ttl), rdata)
    }

    /// Adds an address of the question's name.
    pub fn a(self, ttl: u32, address: impl Into<Ipv4Addr>) -> Self {
        self.answer(A, ttl, &address.into().octets())
    }

    /// Adds TXT records until the message has exactly `octets` octets.
    pub fn fill(mut self, octets: usize) -> Self {
        while self.len() < octets {
            let room = octets - self.len();
            // A record costs 12 octets, its string at most 256. The last two share what is left, so that none is too short.
            let text = if room > 268 + 14 {
                255
            } else if room > 268 {
                room / 2 - 13
            } else {
                room.saturating_sub(13)
            };
            let text = vec![b'x'; text];
            self = self.answer(TXT, 300, &[&[text.len() as u8], &text[..]].concat());
        }
        self
    }

    /// Adds an SOA to the authority section, as negative answers carry it (RFC 2308).
    pub fn soa(self, ttl: u32) -> Self {
        let mut rdata = vec![0, 0];
        rdata.extend([1_u32, 2, 3, 4, 5].map(u32::to_be_bytes).concat());
        self.record(Section::Authority, ROOT, SOA, (IN, ttl), &rdata)
    }

    /// Adds an OPT record: size, the 32 bits of response code, version and flags, and options.
    pub fn edns(self, size: u16, bits: u32, options: &[(u16, &[u8])]) -> Self {
        let options: Vec<u8> = options
            .iter()
            .flat_map(|(code, data)| option(*code, data))
            .collect();
        self.opt(size, bits, &options)
    }

    /// Adds an OPT record with any RDATA.
    pub fn opt(self, size: u16, bits: u32, rdata: &[u8]) -> Self {
        self.opt_rdata(ROOT, size, bits, rdata)
    }

    /// Adds an OPT record with any owner and any RDATA.
    pub fn opt_rdata(self, owner: &[u8], size: u16, bits: u32, rdata: &[u8]) -> Self {
        self.record(Section::Additional, owner, OPT, (size, bits), rdata)
    }

    /// Adds a TSIG record whose RDATA nobody looks at.
    pub fn tsig(self) -> Self {
        let key = name_octets("key");
        self.record(Section::Additional, &key, TSIG, (255, 0), &[0xAA; 61])
    }

    /// Adds octets as they are, not counted, to the part that was added to last.
    pub fn raw(mut self, octets: &[u8]) -> Self {
        self.parts[self.last].extend_from_slice(octets);
        self
    }

    /// Octets so far.
    pub fn len(&self) -> usize {
        12 + self.parts.iter().map(Vec::len).sum::<usize>()
    }

    /// The message.
    pub fn build(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.len());
        for word in [self.id, self.flags].iter().chain(&self.counts) {
            message.extend_from_slice(&word.to_be_bytes());
        }
        for part in &self.parts {
            message.extend_from_slice(part);
        }
        message
    }

    /// Counts one more in a part, and adds to it from now on.
    fn part(mut self, part: usize) -> Self {
        self.counts[part] += 1;
        self.last = part;
        self
    }
}

/// A name from text: labels between dots, no escapes; `.` or nothing is the root.
pub fn name_octets(text: &str) -> Vec<u8> {
    labels(
        &text
            .split('.')
            .filter(|label| !label.is_empty())
            .map(str::as_bytes)
            .collect::<Vec<_>>(),
    )
}

/// A name from labels of any octets.
pub fn labels(labels: &[&[u8]]) -> Vec<u8> {
    let mut name = Vec::new();
    for label in labels {
        name.push(label.len() as u8);
        name.extend(*label);
    }
    name.push(0);
    name
}

/// A name of exactly `len` octets, root included.
pub fn name_of_len(len: usize) -> Vec<u8> {
    let mut name = Vec::new();
    while name.len() + 1 < len {
        let label = (len - name.len() - 2).min(63);
        name.push(label as u8);
        name.resize(name.len() + label, b'x');
    }
    name.push(0);
    assert_eq!(name.len(), len, "a label cannot be empty");
    name
}

/// An EDNS option.
pub fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), &len_octets(data), data].concat()
}

/// The RDATA of an SVCB record (RFC 9460 section 2.2): priority, target, and parameters as they are given.
pub fn svcb(priority: u16, target: &str, params: &[(u16, &[u8])]) -> Vec<u8> {
    let params = params.iter().flat_map(|(key, value)| option(*key, value));
    let rdata = priority
        .to_be_bytes()
        .into_iter()
        .chain(name_octets(target));
    rdata.chain(params).collect()
}

/// The RDATA of a transaction signature (RFC 8945 section 4.2) whose MAC is `mac`; nothing here can check it.
pub fn tsig_rdata(original_id: u16, mac: &[u8]) -> Vec<u8> {
    let mut rdata = name_octets("hmac-sha256");
    rdata.extend([0, 0, 0x65, 0, 0, 0, 1, 44]); // Time signed, 48 bits, and fudge.
    rdata.extend(len_octets(mac));
    rdata.extend(mac);
    rdata.extend(original_id.to_be_bytes());
    rdata.extend([0, 0, 0, 0]); // Error, other length.
    rdata
}

/// The two-octet length and the message, as TCP and TLS carry it (RFC 1035 section 4.2.2).
pub fn frame(message: &[u8]) -> Vec<u8> {
    [&len_octets(message)[..], message].concat()
}

/// The question section of a query with one plain question: name, type, class. Empty when there is none.
pub fn question_octets(message: &[u8]) -> &[u8] {
    if word(message, 4) == 0 {
        return &[];
    }
    let mut end = 12;
    while let Some(&length) = message.get(end) {
        end += 1 + usize::from(length);
        if length == 0 {
            break;
        }
    }
    message.get(12..end + 4).unwrap_or_default()
}

/// The address that the scripted upstream gives to a question: a hash of its octets without case, so that a mixed-up
/// answer shows.
pub fn address_for(question: &[u8]) -> Ipv4Addr {
    let mut hash = 0x811C_9DC5_u32; // FNV-1a.
    for octet in question.to_ascii_lowercase() {
        hash = (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193);
    }
    Ipv4Addr::from(hash)
}

/// The 16 bits at `at`, or zero where there are none.
pub fn word(message: &[u8], at: usize) -> u16 {
    match message.get(at..at + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

/// The length of octets, as it stands before them on the wire.
fn len_octets(octets: &[u8]) -> [u8; 2] {
    let len = u16::try_from(octets.len()).expect("a length of 16 bits");
    len.to_be_bytes()
}
