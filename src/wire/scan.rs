//! One walk over the records of a message: where they are, with the OPT record and the signature, which concern one hop.

use std::ops::Range;

use super::compression::{NameAt, NameWalker};
use super::edns::{FLAG_DO, OptAt, TYPE_OPT, options_tile};
use super::header::{HEADER_LEN, Header};
use super::malformed::Malformed;
use super::question::QuestionAt;

/// TSIG, the signature of a transaction (RFC 8945).
pub(super) const TYPE_TSIG: u16 = 250;
/// SIG, which covers type 0 when it signs a transaction: SIG(0) (RFC 2931).
const TYPE_SIG: u16 = 24;
/// Octets of a record between its owner name and its RDATA: type, class, TTL and RDLENGTH.
const RECORD_FIXED: usize = 10;

/// A section of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The records that answer.
    Answer,
    /// The records that name an authority.
    Authority,
    /// The records that may be of help; OPT and TSIG stand here.
    Additional,
}

/// Where a record is and what its fixed fields say. All offsets are octets from the start of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The section it stands in.
    pub section: Section,
    /// Where its owner name starts.
    pub start: usize,
    /// Where its owner name ends and its type starts.
    pub name_end: usize,
    /// TYPE.
    pub rtype: u16,
    /// CLASS; a UDP size in an OPT record.
    pub class: u16,
    /// TTL as it came, in seconds; flags in an OPT record.
    pub ttl: u32,
    /// Where the TTL stands.
    pub ttl_at: usize,
    /// Where the RDATA is. It is opaque here.
    pub rdata: Range<usize>,
    /// Whether the owner is the root; in a second walk, whether it is written so.
    root: bool,
}

/// Walks records one by one. After an error it must not be called again.
pub(super) struct Walk<'a> {
    message: &'a [u8],
    at: usize,
    /// Records still to come, by section.
    left: [u16; 3],
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        message: &'a [u8],
        header: &Header,
        question: Option<QuestionAt>,
    ) -> Walk<'a> {
        Walk {
            message,
            at: question.map_or(HEADER_LEN, |at| at.end()),
            left: [header.answers, header.authorities, header.additionals],
        }
    }

    /// The section of the next record, whose count is decremented.
    fn next_section(&mut self) -> Option<Section> {
        let sections = [Section::Answer, Section::Authority, Section::Additional];
        let (left, section) = self
            .left
            .iter_mut()
            .zip(sections)
            .find(|(left, _)| **left > 0)?;
        *left -= 1;
        Some(section)
    }

    /// The next record, whose owner `walk_name` walks.
    pub(super) fn next_record(
        &mut self,
        mut walk_name: impl FnMut(&[u8], usize) -> Result<NameAt, Malformed>,
    ) -> Result<Option<Record>, Malformed> {
        let Some(section) = self.next_section() else {
            return Ok(None);
        };
        let name = walk_name(self.message, self.at)?;
        let fixed = self
            .message
            .get(name.end..)
            .and_then(|tail| tail.first_chunk::<RECORD_FIXED>());
        let &[t0, t1, c0, c1, ttl0, ttl1, ttl2, ttl3, len0, len1] =
            fixed.ok_or(Malformed("a record runs past the end"))?;
        let rdata_at = name.end + RECORD_FIXED;
        let rdata = rdata_at..rdata_at + usize::from(u16::from_be_bytes([len0, len1]));
        if rdata.end > self.message.len() {
            return Err(Malformed("RDATA runs past the end"));
        }
        let start = std::mem::replace(&mut self.at, rdata.end);
        Ok(Some(Record {
            section,
            start,
            name_end: name.end,
            rtype: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([ttl0, ttl1, ttl2, ttl3]),
            ttl_at: name.end + 4,
            rdata,
            root: name.root,
        }))
    }
}

/// The result of one walk over all records. If it stopped early, `fault` says why, and the rest describes the records before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    pub(super) opt: Option<OptAt>,
    /// A record signs the message: a TSIG, which stands last, or a SIG(0), which should (RFC 2931 section 3.1).
    pub(super) signed: bool,
    /// A TSIG was seen, so nothing may follow.
    tsig: bool,
    /// Where the records end.
    pub(super) end: usize,
    pub(super) fault: Option<Malformed>,
}

/// Walks all records of a message.
pub(super) fn scan_records(message: &[u8], header: &Header, question: Option<QuestionAt>) -> Scan {
    let mut names = NameWalker::new(question.map_or(0, |at| at.name_len));
    let mut walk = Walk::new(message, header, question);
    let mut scan = Scan {
        end: walk.at,
        ..Scan::NONE
    };
    loop {
        match walk.next_record(|message, at| names.walk(message, at)) {
            Ok(None) => break,
            Ok(Some(record)) => scan.fault = scan.note(message, &record).err(),
            Err(fault) => scan.fault = Some(fault),
        }
        scan.end = walk.at;
        if scan.fault.is_some() {
            break;
        }
    }
    if let Some(opt) = &mut scan.opt {
        opt.last = opt.end == scan.end;
    }
    scan
}

impl Scan {
    /// The result for a message whose records cannot be found.
    pub(super) const NONE: Scan = Scan {
        opt: None,
        signed: false,
        tsig: false,
        end: HEADER_LEN,
        fault: None,
    };

    fn note(&mut self, message: &[u8], record: &Record) -> Result<(), Malformed> {
        if self.tsig {
            return Err(Malformed("a TSIG that is not the last record"));
        }
        match record.rtype {
            TYPE_OPT => self.note_opt(message, record)?,
            TYPE_TSIG if record.section != Section::Additional => {
                return Err(Malformed("a TSIG outside the additional section"));
            }
            TYPE_TSIG => (self.tsig, self.signed) = (true, true),
            TYPE_SIG if record.section == Section::Additional => {
                let covered = message.get(record.rdata.clone());
                self.signed |= covered.is_some_and(|rdata| rdata.starts_with(&[0, 0]));
            }
            _ => {}
        }
        Ok(())
    }

    fn note_opt(&mut self, message: &[u8], record: &Record) -> Result<(), Malformed> {
        if record.section != Section::Additional {
            return Err(Malformed("an OPT record outside the additional section"));
        }
        if !record.root {
            return Err(Malformed("the owner of the OPT record is not the root"));
        }
        if self.opt.is_some() {
            return Err(Malformed("more than one OPT record"));
        }
        self.opt = Some(opt_at(record));
        if options_tile(message.get(record.rdata.clone()).unwrap_or_default()) {
            Ok(())
        } else {
            Err(Malformed("options do not fill the OPT record"))
        }
    }
}

/// Where an OPT record is, and what it says. Whether it is the last is for the walk to say.
fn opt_at(record: &Record) -> OptAt {
    let [extended_rcode, version, high, low] = record.ttl.to_be_bytes();
    let flags = u16::from_be_bytes([high, low]);
    OptAt {
        start: record.start,
        options_at: record.rdata.start,
        end: record.rdata.end,
        udp_size: record.class,
        extended_rcode,
        version,
        dnssec_ok: flags & FLAG_DO != 0,
        flags,
        last: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::response::{parse_response, records};
    use super::super::testing::{self, ROOT, TO_QUESTION, name_octets};
    use super::*;

    /// The scan of a message whose question reads.
    fn scan_of(message: &[u8]) -> Scan {
        let header = Header::parse(message).unwrap();
        scan_records(
            message,
            &header,
            super::super::question::question_at(message),
        )
    }

    fn fault_of(message: &[u8]) -> Option<&'static str> {
        scan_of(message).fault.map(|fault| fault.0)
    }

    #[test]
    fn every_field_of_a_record_is_read_from_its_place() {
        let built = testing::response("a.test.", 65280)
            .a(300, [192, 0, 2, 1])
            .record(
                Section::Authority,
                &name_octets("test."),
                65280,
                (5, 0x8000_0001),
                b"opaque",
            );
        let message = built.build();
        let found: Vec<Record> = records(&message, &parse_response(&message).unwrap()).collect();
        assert_eq!(found.len(), 2);

        let address = &found[0];
        assert_eq!((address.section, address.start), (Section::Answer, 24));
        assert_eq!((address.name_end, address.ttl_at), (26, 30));
        assert_eq!((address.rtype, address.class, address.ttl), (1, 1, 300));
        assert_eq!(message[address.rdata.clone()], [192, 0, 2, 1]);

        let unknown = &found[1];
        assert_eq!((unknown.section, unknown.start), (Section::Authority, 40));
        assert_eq!((unknown.rtype, unknown.class), (65280, 5));
        assert_eq!(unknown.ttl, 0x8000_0001);
        assert_eq!(message[unknown.ttl_at..][..4], [0x80, 0, 0, 1]);
        assert_eq!(&message[unknown.rdata.clone()], b"opaque");
    }

    #[test]
    fn records_are_found_in_all_sections_in_order() {
        let all = [Section::Answer, Section::Authority, Section::Additional];
        let mut built = testing::response("a.test.", 1);
        for section in all {
            for ttl in 0..3 {
                built = built.record(section, TO_QUESTION, 1, (1, ttl), &[0; 4]);
            }
        }
        let message = built.edns(1232, 0, &[]).build();
        let found: Vec<_> = records(&message, &parse_response(&message).unwrap())
            .map(|record| (record.section, record.rtype))
            .collect();
        let mut expected: Vec<_> = all.into_iter().flat_map(|s| [(s, 1); 3]).collect();
        expected.push((Section::Additional, TYPE_OPT));
        assert_eq!(found, expected);
    }

    // req 17
    #[test]
    fn counts_are_claims_that_the_octets_must_bear_out() {
        for counts in [
            [1, 1, 0, 0],
            [1, 0, 1, 0],
            [1, 0, 0, 1],
            [1, 65535, 65535, 65535],
        ] {
            let message = testing::query("a.test.", 1).counts(counts).build();
            assert_eq!(fault_of(&message), Some("a name runs past the end"));
        }
    }

    // req 18
    #[test]
    fn a_record_cut_anywhere_is_an_error() {
        let whole = testing::response("a.test.", 1).a(60, [1, 2, 3, 4]).build();
        assert_eq!(fault_of(&whole), None);
        for end in 24..whole.len() {
            assert!(fault_of(&whole[..end]).is_some(), "cut at {end}");
        }
        let too_long = testing::response("a.test.", 1)
            .counts([1, 1, 0, 0])
            .raw(b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\xFF\xFF")
            .raw(&vec![0; 65534])
            .build();
        assert_eq!(fault_of(&too_long), Some("RDATA runs past the end"));
    }

    // req 31
    #[test]
    fn there_is_one_opt_of_the_root_in_the_additional_section() {
        let query = || testing::query("a.test.", 1);
        let two = query().edns(1232, 0, &[]).edns(4096, 0, &[]).build();
        assert_eq!(fault_of(&two), Some("more than one OPT record"));
        // What was read stands, so that the error can be answered with an OPT record.
        assert_eq!(scan_of(&two).opt.unwrap().udp_size, 1232);

        for section in [Section::Answer, Section::Authority] {
            let astray = query().record(section, ROOT, 41, (1232, 0), &[]).build();
            let fault = fault_of(&astray);
            assert_eq!(fault, Some("an OPT record outside the additional section"));
            assert_eq!(scan_of(&astray).opt, None);
        }
        let owned = query().opt_rdata(TO_QUESTION, 1232, 0, &[]).build();
        let fault = fault_of(&owned);
        assert_eq!(fault, Some("the owner of the OPT record is not the root"));
    }

    // req 19
    #[test]
    fn the_owner_of_an_opt_may_be_the_root_by_pointer() {
        let message = testing::query("a.test.", 1)
            .opt_rdata(&[0xC0, 19], 1232, 0x8000, &[0, 3, 0, 0])
            .build();
        assert_eq!(message[19], 0);
        let opt = scan_of(&message).opt.unwrap();
        assert_eq!((opt.start, opt.options_at, opt.end), (24, 36, 40));
        assert!(opt.dnssec_ok && opt.last);
    }

    #[test]
    fn an_opt_knows_whether_it_is_the_last() {
        let query = testing::query("a.test.", 1).edns(1232, 0, &[]);
        assert!(scan_of(&query.build()).opt.unwrap().last);
        assert!(
            scan_of(&query.clone().raw(b"tail").build())
                .opt
                .unwrap()
                .last
        );
        assert!(!scan_of(&query.tsig().build()).opt.unwrap().last);
    }

    // req 26
    #[test]
    fn a_signature_is_the_last_record_of_all() {
        let query = || testing::query("a.test.", 1);
        assert!(scan_of(&query().tsig().build()).signed);
        assert!(scan_of(&query().edns(1232, 0, &[]).tsig().build()).signed);
        assert!(!scan_of(&query().edns(1232, 0, &[]).build()).signed);

        let early = query().tsig().edns(1232, 0, &[]).build();
        assert_eq!(fault_of(&early), Some("a TSIG that is not the last record"));
        let astray = query().record(Section::Authority, ROOT, 250, (255, 0), &[]);
        let fault = fault_of(&astray.build());
        assert_eq!(fault, Some("a TSIG outside the additional section"));
    }

    // req 26
    #[test]
    fn a_sig_signs_when_it_covers_type_zero_in_the_additional_section() {
        let sig = |covered: u16, section| {
            let mut rdata = covered.to_be_bytes().to_vec();
            rdata.extend_from_slice(&[9; 30]);
            testing::response("a.test.", 1).record(section, ROOT, 24, (255, 0), &rdata)
        };
        assert!(scan_of(&sig(0, Section::Additional).build()).signed);
        assert!(!scan_of(&sig(1, Section::Additional).build()).signed);
        assert!(!scan_of(&sig(0, Section::Answer).build()).signed);
        let followed = sig(0, Section::Additional).edns(1232, 0, &[]).build();
        assert!(
            scan_of(&followed).signed,
            "it might stand last once others are taken out"
        );
        assert_eq!(fault_of(&followed), None);
    }

    // req 3, fault 93
    #[test]
    fn the_dearest_message_of_64_kib_is_read_like_any_other() {
        // A name of 126 labels, then as many records as fit, each with a name that runs through all of it.
        let mut body = name_octets(&"a.".repeat(126));
        body.extend_from_slice(&[0, 1, 0, 1]);
        let owner = [0xC0, 14];
        let mut count = 0;
        while 12 + body.len() + 12 <= 65535 {
            body.extend_from_slice(&owner);
            body.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
            count += 1;
        }
        let message = testing::header_only(0x8180)
            .raw(&body)
            .counts([1, count, 0, 0])
            .build();
        assert_eq!(fault_of(&message), None);
        let read = parse_response(&message).unwrap();
        assert_eq!(records(&message, &read).count(), usize::from(count));
    }

    // fault 59
    #[test]
    fn sixteen_thousand_empty_options_are_walked_once() {
        let options: Vec<(u16, &[u8])> = vec![(10, &[]); 16_000];
        let message = testing::query("a.test.", 1).edns(4096, 0, &options).build();
        assert_eq!(fault_of(&message), None);

        let mut broken = testing::query("a.test.", 1).edns(4096, 0, &options).build();
        let last = broken.len() - 1;
        broken[last] = 1;
        assert_eq!(
            fault_of(&broken),
            Some("options do not fill the OPT record")
        );
    }
}
