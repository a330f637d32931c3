//! Messages made by hand, for tests: only lengths and counts are filled in.

use super::scan::Section;

/// A compression pointer to the name of the question.
pub(crate) const TO_QUESTION: &[u8] = &[0xC0, 12];
/// The root as an owner name.
pub(crate) const ROOT: &[u8] = &[0];

/// A message in the making. Records must be added in the order of their sections.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    /// Id, flags and the four counts.
    pub(crate) header: [u16; 6],
    body: Vec<u8>,
}

/// A query with id 0x1234 and RD: `query("www.example.", 28)`, class IN.
pub(crate) fn query(name: &str, qtype: u16) -> Builder {
    Builder {
        header: [0x1234, 0x0100, 0, 0, 0, 0],
        body: Vec::new(),
    }
    .question(&wire_name(name), qtype, 1)
}

/// A response without records, with id 0x1234, RD and RA.
pub(crate) fn response(name: &str, qtype: u16) -> Builder {
    query(name, qtype).flags(0x8180)
}

// The name that `engine` still uses, until it has been changed as well.
pub(crate) use self::response as answer;

/// A header and nothing else.
pub(crate) fn header_only(flags: u16) -> Builder {
    Builder {
        header: [0x1234, flags, 0, 0, 0, 0],
        body: Vec::new(),
    }
}

/// A name as octets. Labels are taken as they are between the dots; `"."` is the root.
pub(crate) fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A name of exactly `len` octets, root included.
pub(crate) fn name_of_len(len: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    while wire.len() + 1 < len {
        let label = (len - wire.len() - 2).min(63);
        wire.push(u8::try_from(label).unwrap());
        wire.resize(wire.len() + label, b'x');
    }
    wire.push(0);
    assert_eq!(wire.len(), len, "a label cannot be empty");
    wire
}

impl Builder {
    pub(crate) fn id(mut self, id: u16) -> Builder {
        self.header[0] = id;
        self
    }

    pub(crate) fn flags(mut self, flags: u16) -> Builder {
        self.header[1] = flags;
        self
    }

    /// Overwrites the counts with claims.
    pub(crate) fn counts(mut self, counts: [u16; 4]) -> Builder {
        self.header[2..].copy_from_slice(&counts);
        self
    }

    pub(crate) fn question(self, name: &[u8], qtype: u16, qclass: u16) -> Builder {
        self.count(2)
            .raw(name)
            .raw(&qtype.to_be_bytes())
            .raw(&qclass.to_be_bytes())
    }

    /// One record; `class_ttl` are its class and its TTL.
    pub(crate) fn record(
        self,
        section: Section,
        owner: &[u8],
        rtype: u16,
        class_ttl: (u16, u32),
        rdata: &[u8],
    ) -> Builder {
        let len = u16::try_from(rdata.len()).unwrap();
        self.count(3 + section as usize)
            .raw(owner)
            .raw(&rtype.to_be_bytes())
            .raw(&class_ttl.0.to_be_bytes())
            .raw(&class_ttl.1.to_be_bytes())
            .raw(&len.to_be_bytes())
            .raw(rdata)
    }

    /// An address for the question's name in the answer section.
    pub(crate) fn a(self, ttl: u32, address: [u8; 4]) -> Builder {
        self.record(Section::Answer, TO_QUESTION, 1, (1, ttl), &address)
    }

    /// An OPT record: size, the 32 bits of response code, version and flags, and options.
    pub(crate) fn edns(self, size: u16, bits: u32, options: &[(u16, &[u8])]) -> Builder {
        let mut rdata = Vec::new();
        for (code, data) in options {
            rdata.extend_from_slice(&code.to_be_bytes());
            rdata.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            rdata.extend_from_slice(data);
        }
        self.opt_rdata(ROOT, size, bits, &rdata)
    }

    /// An OPT record with any owner and any RDATA.
    pub(crate) fn opt_rdata(self, owner: &[u8], size: u16, bits: u32, rdata: &[u8]) -> Builder {
        self.record(Section::Additional, owner, 41, (size, bits), rdata)
    }

    /// A TSIG record whose RDATA nobody here looks at.
    pub(crate) fn tsig(self) -> Builder {
        let key = wire_name("key.");
        self.record(Section::Additional, &key, 250, (255, 0), &[0xAA; 61])
    }

    /// Octets as they are, not counted.
    pub(crate) fn raw(mut self, octets: &[u8]) -> Builder {
        self.body.extend_from_slice(octets);
        self
    }

    /// Octets so far: where the next record will stand.
    pub(crate) fn len(&self) -> usize {
        12 + self.body.len()
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let header = self.header.iter().flat_map(|word| word.to_be_bytes());
        header.chain(self.body.iter().copied()).collect()
    }

    fn count(mut self, word: usize) -> Builder {
        self.header[word] += 1;
        self
    }
}
