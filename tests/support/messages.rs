//! DNS messages as bytes, written and read by hand, so that no test trusts the code that it tests.

use std::net::Ipv4Addr;

use super::codes::{A, CD, IN, OPT, QR, RA, RD, SOA, TXT};

/// A query under construction. It starts as RD=1, one question, class IN, no EDNS.
#[derive(Clone)]
pub struct Query {
    id: u16,
    flags: u16,
    question: Vec<u8>,
    additional: Vec<u8>,
    counts: [u16; 4],
}

/// Asks for `name` and `rtype`.
pub fn query(name: &str, rtype: u16) -> Query {
    query_octets(&name_octets(name), rtype, IN)
}

/// Asks for a name that is given as it stands on the wire.
pub fn query_octets(name: &[u8], rtype: u16, class: u16) -> Query {
    let mut question = name.to_vec();
    question.extend(rtype.to_be_bytes());
    question.extend(class.to_be_bytes());
    Query {
        id: 0x1234,
        flags: RD,
        question,
        additional: Vec::new(),
        counts: [1, 0, 0, 0],
    }
}

impl Query {
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

    /// Replaces the four counts, true or not.
    pub fn counts(mut self, counts: [u16; 4]) -> Self {
        self.counts = counts;
        self
    }

    /// Adds an OPT with a payload size and nothing else.
    pub fn edns(self, size: u16) -> Self {
        self.opt(size, 0, &[])
    }

    /// Adds an OPT. `ttl` holds the extended RCODE, the version and the flags (RFC 6891 section 6.1.3).
    pub fn opt(self, size: u16, ttl: u32, options: &[u8]) -> Self {
        self.additional_record(&[0], OPT, size, ttl, options)
    }

    /// Adds a record to the additional section.
    pub fn additional_record(
        mut self,
        owner: &[u8],
        rtype: u16,
        class: u16,
        ttl: u32,
        rdata: &[u8],
    ) -> Self {
        self.counts[3] += 1;
        push_record(&mut self.additional, owner, rtype, class, ttl, rdata);
        self
    }

    /// The message.
    pub fn bytes(&self) -> Vec<u8> {
        let mut message = header(self.id, self.flags, self.counts);
        message.extend(&self.question);
        message.extend(&self.additional);
        message
    }
}

/// An answer under construction, to a query's bytes. It starts as NOERROR with no records.
#[derive(Clone)]
pub struct Answer {
    id: u16,
    flags: u16,
    question: Vec<u8>,
    sections: [Vec<u8>; 3],
    counts: [u16; 4],
}

/// Begins the answer to `query`: its id, opcode, RD, CD and question, with QR and RA.
pub fn answer(query: &[u8]) -> Answer {
    let question = question_octets(query).to_vec();
    let counts = [u16::from(!question.is_empty()), 0, 0, 0];
    let flags = QR | RA | (word(query, 2) & (0x7800 | RD | CD));
    Answer {
        id: word(query, 0),
        flags,
        question,
        sections: Default::default(),
        counts,
    }
}

impl Answer {
    /// Sets the id.
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
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

    /// Replaces the question: a name as it stands on the wire, type and class.
    pub fn question(mut self, name: &[u8], rtype: u16, class: u16) -> Self {
        self.question = [name, &rtype.to_be_bytes(), &class.to_be_bytes()].concat();
        self
    }

    /// Sends the header without a question, as some servers do for errors.
    pub fn no_question(mut self) -> Self {
        self.question.clear();
        self.counts[0] = 0;
        self
    }

    /// Adds an answer record that is owned by the question's name (a compression pointer to octet 12).
    pub fn record(mut self, rtype: u16, ttl: u32, rdata: &[u8]) -> Self {
        push_record(&mut self.sections[0], &[0xC0, 12], rtype, IN, ttl, rdata);
        self.counts[1] += 1;
        self
    }

    /// Adds an A record.
    pub fn a(self, address: Ipv4Addr) -> Self {
        self.record(A, 300, &address.octets())
    }

    /// Adds TXT records until the message has exactly `octets` octets.
    pub fn fill(mut self, octets: usize) -> Self {
        while self.bytes().len() < octets {
            let room = octets - self.bytes().len();
            // A record costs 12 octets, its string at most 256. The last two share what is left, so that none is too short.
            let text = if room > 268 + 14 {
                255
            } else if room > 268 {
                room / 2 - 13
            } else {
                room.saturating_sub(13)
            };
            self = self.record(
                TXT,
                300,
                &[&[text as u8], vec![b'x'; text].as_slice()].concat(),
            );
        }
        self
    }

    /// Adds an SOA to the authority section, as negative answers carry it (RFC 2308).
    pub fn soa(mut self, ttl: u32) -> Self {
        let rdata = [
            &[0, 0][..],
            &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5],
        ]
        .concat();
        push_record(&mut self.sections[1], &[0], SOA, IN, ttl, &rdata);
        self.counts[2] += 1;
        self
    }

    /// Adds an OPT. `ttl` holds the extended RCODE, the version and the flags.
    pub fn opt(self, size: u16, ttl: u32, options: &[u8]) -> Self {
        self.additional_record(&[0], OPT, size, ttl, options)
    }

    /// Adds a record to the additional section.
    pub fn additional_record(
        mut self,
        owner: &[u8],
        rtype: u16,
        class: u16,
        ttl: u32,
        rdata: &[u8],
    ) -> Self {
        push_record(&mut self.sections[2], owner, rtype, class, ttl, rdata);
        self.counts[3] += 1;
        self
    }

    /// The message.
    pub fn bytes(&self) -> Vec<u8> {
        let mut message = header(self.id, self.flags, self.counts);
        message.extend(&self.question);
        message.extend(self.sections.concat());
        message
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

/// An EDNS option.
pub fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [
        &code.to_be_bytes(),
        &(data.len() as u16).to_be_bytes(),
        data,
    ]
    .concat()
}

/// The RDATA of a transaction signature (RFC 8945 section 4.2) whose MAC is `mac`; nothing here can check it.
pub fn tsig_rdata(original_id: u16, mac: &[u8]) -> Vec<u8> {
    let mut rdata = name_octets("hmac-sha256");
    rdata.extend([0, 0, 0x65, 0, 0, 0, 1, 44]); // Time signed, 48 bits, and fudge.
    rdata.extend((mac.len() as u16).to_be_bytes());
    rdata.extend(mac);
    rdata.extend(original_id.to_be_bytes());
    rdata.extend([0, 0, 0, 0]); // Error, other length.
    rdata
}

/// The two-octet length and the message, as TCP and TLS carry it (RFC 1035 section 4.2.2).
pub fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
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

fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags, counts[0], counts[1], counts[2], counts[3]]
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .collect()
}

fn push_record(out: &mut Vec<u8>, owner: &[u8], rtype: u16, class: u16, ttl: u32, rdata: &[u8]) {
    out.extend(owner);
    out.extend(rtype.to_be_bytes());
    out.extend(class.to_be_bytes());
    out.extend(ttl.to_be_bytes());
    out.extend((rdata.len() as u16).to_be_bytes());
    out.extend(rdata);
}
