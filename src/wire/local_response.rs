//! Responses that are made here, without an upstream.

use std::net::IpAddr;

use super::edit_response::Recipient;
use super::edns::{BARE_OPT, Ede, OurOpt, pad_response};
use super::header::{Flags, HEADER_LEN, OPCODE_QUERY, Rcode};
use super::integers::put_u16;
use super::scan::Section;

/// A record that is made here, in the class of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRecord<'a> {
    /// The section it stands in.
    pub section: Section,
    /// Its owner is the suffix of the question's name that starts at this octet of it.
    pub owner_at: usize,
    /// TYPE.
    pub rtype: u16,
    /// TTL in seconds.
    pub ttl: u32,
    /// RDATA.
    pub rdata: LocalRdata<'a>,
}

/// The RDATA of a record that is made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalRdata<'a> {
    /// These octets.
    Octets(&'a [u8]),
    /// An address, of A or AAAA.
    Address(IpAddr),
    /// A name and octets behind it. The name is the suffix of the question's name that starts at this octet of it.
    NameThen(usize, &'a [u8]),
}

impl LocalRdata<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Octets(octets) => octets.len(),
            Self::Address(IpAddr::V4(_)) => 4,
            Self::Address(IpAddr::V6(_)) => 16,
            Self::NameThen(_, octets) => 2 + octets.len(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Octets(octets) => out.extend_from_slice(octets),
            Self::Address(IpAddr::V4(address)) => out.extend_from_slice(&address.octets()),
            Self::Address(IpAddr::V6(address)) => out.extend_from_slice(&address.octets()),
            Self::NameThen(at, octets) => {
                put_pointer(out, *at);
                out.extend_from_slice(octets);
            }
        }
    }
}

impl LocalRecord<'_> {
    fn len(&self) -> usize {
        // A pointer as the owner, type, class, TTL and RDLENGTH.
        12 + self.rdata.len()
    }

    fn write(&self, question: &[u8], out: &mut Vec<u8>) {
        put_pointer(out, self.owner_at);
        put_u16(out, self.rtype);
        out.extend_from_slice(question.last_chunk::<2>().unwrap_or(&[0, 1]));
        out.extend_from_slice(&self.ttl.to_be_bytes());
        put_u16(out, self.rdata.len() as u16);
        self.rdata.write(out);
    }
}

/// Appends a compression pointer to the suffix of the question's name that starts at this octet of it.
fn put_pointer(out: &mut Vec<u8>, at: usize) {
    put_u16(out, 0xC000 | (HEADER_LEN + at) as u16);
}

/// Appends a local response without records: the response code, the question if there is one, RA, and, for a client that sent an OPT record,
/// ours with `ede` in it. The head is the opcode, CD and the response code.
///
/// A response code above 15 needs an OPT record; a client without one gets SERVFAIL instead.
pub fn local_response(
    recipient: &Recipient<'_>,
    head: (u8, bool, Rcode),
    ede: Option<Ede<'_>>,
    our_udp_size: u16,
    out: &mut Vec<u8>,
) {
    write_local(recipient, head, [].into_iter(), ede, our_udp_size, out);
}

/// Appends a local response with these records, in the order of their sections; see [`local_response`]. If they exceed the client's limit, it
/// has TC and the first of them, as a relayed response has.
pub fn local_records<'a>(
    recipient: &Recipient<'_>,
    cd: bool,
    rcode: Rcode,
    records: impl Iterator<Item = LocalRecord<'a>> + Clone,
    ede: Option<Ede<'_>>,
    our_udp_size: u16,
    out: &mut Vec<u8>,
) {
    let head = (OPCODE_QUERY, cd, rcode);
    write_local(recipient, head, records, ede, our_udp_size, out);
}

fn write_local<'a>(
    recipient: &Recipient<'_>,
    (opcode, cd, rcode): (u8, bool, Rcode),
    records: impl Iterator<Item = LocalRecord<'a>> + Clone,
    ede: Option<Ede<'_>>,
    our_udp_size: u16,
    out: &mut Vec<u8>,
) {
    let rcode = if rcode.fits_header() || recipient.edns.is_some() {
        rcode
    } else {
        Rcode::SERVFAIL
    };
    let opt_len = recipient.edns.map_or(0, |_| BARE_OPT);
    let room = recipient
        .limit
        .saturating_sub(recipient.head_len() + opt_len);
    let (mut len, mut fitting, mut counts) = (0, 0, [0_u16; 3]);
    let mut truncated = false;
    for record in records.clone() {
        truncated = len + record.len() > room;
        if truncated {
            break;
        }
        len += record.len();
        fitting += 1;
        let [answers, authorities, additionals] = &mut counts;
        *match record.section {
            Section::Answer => answers,
            Section::Authority => authorities,
            Section::Additional => additionals,
        } += 1;
    }
    let flags = Flags(Flags::QR | u16::from(opcode & 0x0F) << 11 | Flags::RA)
        .with(Flags::TC, if truncated { Flags::TC } else { 0 })
        .with(Flags::CD, if cd { Flags::CD } else { 0 })
        .with(Flags::RCODE, rcode.0);
    let start = out.len();
    recipient.write_head(flags, counts, out);
    for record in records.take(fitting) {
        record.write(recipient.question, out);
    }
    if let Some(client) = recipient.edns {
        let room = room.saturating_sub(len);
        // With its text, or else without it.
        let fits = |ede: &Ede<'_>| ede.option_len() <= room;
        let ede = ede.and_then(|ede| {
            Some(ede)
                .filter(fits)
                .or(Some(ede.with_text("")).filter(fits))
        });
        let ours = OurOpt {
            udp_size: our_udp_size,
            extended_rcode: rcode.extended(),
            dnssec_ok: client.dnssec_ok,
        };
        let opt_at = out.len();
        ours.write(ede.map_or(0, |ede| ede.option_len()), out);
        if let Some(ede) = ede {
            ede.write(out);
        }
        if client.pads {
            pad_response(start, opt_at, recipient.limit, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::edns::ClientEdns;
    use super::super::query::parse_query;
    use super::super::response::parse_response;
    use super::super::testing::{self, Message, header_only, name_octets};
    use super::*;

    const OURS: u16 = 1400;

    /// What a client without EDNS options says of itself.
    fn edns() -> ClientEdns {
        let message = testing::query("a.test.", 1).edns(1232, 0x8000, &[]).build();
        let opt = parse_query(&message).unwrap().opt.unwrap();
        ClientEdns::of(&message, &opt, crate::wire::ClientSubnet::Keep)
    }

    /// The question in this client's letter case.
    fn question() -> Vec<u8> {
        [&name_octets("A.tEsT.")[..], &[0, 1, 0, 1]].concat()
    }

    fn recipient(question: &[u8], edns: impl Into<Option<ClientEdns>>) -> Recipient<'_> {
        Recipient {
            id: 0xBEEF,
            question,
            rd: true,
            edns: edns.into(),
            limit: 512,
        }
    }

    /// The same message with this client's id and question.
    fn expected(flags: u16) -> Message {
        header_only(flags)
            .id(0xBEEF)
            .question(&name_octets("A.tEsT."), 1, 1)
    }

    /// An address of the question's name.
    fn address(address: impl Into<IpAddr>) -> LocalRecord<'static> {
        LocalRecord {
            section: Section::Answer,
            owner_at: 0,
            rtype: 1,
            ttl: 60,
            rdata: LocalRdata::Address(address.into()),
        }
    }

    fn with_records(recipient: &Recipient<'_>, records: &[LocalRecord<'_>]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        let (records, why) = (records.iter().copied(), Some(Ede::OTHER.with_text("why")));
        local_records(
            recipient,
            false,
            Rcode::NOERROR,
            records,
            why,
            OURS,
            &mut out,
        );
        out.split_off(6)
    }

    // req 1, req 2
    #[test]
    fn records_stand_in_their_sections_and_point_into_the_question() {
        let question = question();
        let v6 = std::net::Ipv6Addr::LOCALHOST;
        let of_test = |section, rdata| LocalRecord {
            section,
            owner_at: 2,
            rtype: 6,
            ttl: 9,
            rdata,
        };
        let records = [
            address([192, 0, 2, 1]),
            address(v6),
            of_test(Section::Authority, LocalRdata::NameThen(2, b"rest")),
            of_test(Section::Additional, LocalRdata::Octets(b"octets")),
        ];
        let wanted = expected(0x8180)
            .a(60, [192, 0, 2, 1])
            .answer(1, 60, &v6.octets())
            .record(Section::Authority, &[0xC0, 14], 6, (1, 9), b"\xC0\x0Erest")
            .record(Section::Additional, &[0xC0, 14], 6, (1, 9), b"octets");
        let out = with_records(&recipient(&question, None), &records);
        assert_eq!(out, wanted.build());
        let out = with_records(&recipient(&question, edns()), &records);
        let why = (15, &b"\0\0why"[..]);
        assert_eq!(out, wanted.edns(OURS, 0x8000, &[why]).build());
    }

    // req 6, req 7, fault 27
    #[test]
    fn records_that_do_not_fit_are_left_out_with_tc() {
        let question = question();
        // 24 octets of header and question, 16 for each address: 512 are 30 of them and 8 octets.
        let records: Vec<_> = (0..31).map(|host| address([192, 0, 2, host])).collect();
        let first = |flags, count| {
            (0..count).fold(expected(flags), |message, host| {
                message.a(60, [192, 0, 2, host])
            })
        };
        let out = with_records(&recipient(&question, None), &records[..30]);
        assert_eq!(out, first(0x8180, 30).build());
        let out = with_records(&recipient(&question, None), &records);
        assert_eq!(out, first(0x8380, 30).build());
        // The OPT record takes the place of a record. The extended error gets what is left, so perhaps not with its text.
        let out = with_records(&recipient(&question, edns()), &records);
        let why = (15, &b"\0\0why"[..]);
        let opt = |message: Message| message.edns(OURS, 0x8000, &[why]).build();
        assert_eq!(out, opt(first(0x8380, 29)));
        let tight = Recipient {
            limit: 24 + 29 * 16 + 11 + 6,
            ..recipient(&question, edns())
        };
        let out = with_records(&tight, &records);
        let short = (15, &b"\0\0"[..]);
        assert_eq!(out, first(0x8380, 29).edns(OURS, 0x8000, &[short]).build());
        assert_eq!(out.len(), tight.limit);
        let roomy = Recipient {
            limit: 65_535,
            ..recipient(&question, edns())
        };
        assert_eq!(with_records(&roomy, &records), opt(first(0x8180, 31)));
    }

    /// A response of our own to the client, read.
    fn own(recipient: &Recipient<'_>, opcode: u8, rcode: Rcode, ede: Option<Ede<'_>>) -> Vec<u8> {
        let mut out = b"before".to_vec();
        local_response(recipient, (opcode, false, rcode), ede, OURS, &mut out);
        out.split_off(6)
    }

    // req 1, req 2, req 29
    #[test]
    fn our_local_response_echoes_id_opcode_question_and_rd() {
        let question = question();
        for opcode in 0..16 {
            let out = own(&recipient(&question, None), opcode, Rcode::NOTIMP, None);
            let flags = 0x8184 | u16::from(opcode) << 11;
            assert_eq!(out, expected(flags).build());
        }
        let silent = Recipient {
            rd: false,
            ..recipient(&question, None)
        };
        let mut out = Vec::new();
        local_response(&silent, (0, true, Rcode::SERVFAIL), None, OURS, &mut out);
        assert_eq!(out, expected(0x8092).build());
    }

    // req 16
    #[test]
    fn a_question_that_could_not_be_read_is_not_echoed() {
        let out = own(&recipient(&[], None), 0, Rcode::FORMERR, None);
        assert_eq!(out, header_only(0x8181).id(0xBEEF).build());
        let out = own(&recipient(&[], edns()), 15, Rcode::NOTIMP, None);
        let wanted = header_only(0xF984).id(0xBEEF).edns(OURS, 0x8000, &[]);
        assert_eq!(out, wanted.build());
    }

    // req 33
    #[test]
    fn badvers_is_told_by_an_opt_of_version_zero() {
        let question = question();
        let out = own(&recipient(&question, edns()), 0, Rcode::BADVERS, None);
        assert_eq!(out, expected(0x8180).edns(OURS, 0x0100_8000, &[]).build());
        // It is never asked for without; then its lower bits must not read as NOERROR.
        let out = own(&recipient(&question, None), 0, Rcode::BADVERS, None);
        assert_eq!(parse_response(&out).unwrap().rcode(), Rcode::SERVFAIL);
    }

    // req 56
    #[test]
    fn a_reason_is_given_to_who_can_read_it() {
        let question = question();
        let why = Some(Ede::NO_REACHABLE_AUTHORITY.with_text("no upstream answered"));
        let out = own(&recipient(&question, edns()), 0, Rcode::SERVFAIL, why);
        let option = [&[0, 22][..], b"no upstream answered"].concat();
        let wanted = expected(0x8182).edns(OURS, 0x8000, &[(15, &option)]);
        assert_eq!(out, wanted.build());
        let out = own(&recipient(&question, None), 0, Rcode::SERVFAIL, why);
        assert_eq!(out, expected(0x8182).build());
        let tight = Recipient {
            limit: 40,
            ..recipient(&question, edns())
        };
        let out = own(&tight, 0, Rcode::SERVFAIL, why);
        assert_eq!(out, expected(0x8182).edns(OURS, 0x8000, &[]).build());
    }
}
