//! What simple-dns can and cannot be trusted with. Each test pins one behaviour that this module works around; if one fails after an update,
//! the workaround may no longer be needed.

use proptest::prelude::*;
use simple_dns::{CLASS, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, SimpleDnsError, TYPE};

use super::query::parse_query;
use super::question::typed;
use super::testing::{self, Message, TO_QUESTION, header_only};
use super::{Section, parse_response};

fn plain(qtype: u16) -> Message {
    testing::query("a.test.", qtype)
}

#[test]
fn types_that_it_does_not_know_are_errors() {
    // DNAME, SSHFP, NSEC3, TLSA and a private one; all pass here.
    for qtype in [39, 44, 50, 52, 65280] {
        let message = plain(qtype).build();
        let refused = Packet::parse(&message).unwrap_err();
        assert_eq!(refused, SimpleDnsError::InvalidQType(qtype));
        assert!(parse_query(&message).is_ok());
    }
}

#[test]
fn classes_that_it_does_not_know_are_errors() {
    let message = header_only(0).question(&[0], 1, 5).build();
    let refused = Packet::parse(&message).unwrap_err();
    assert_eq!(refused, SimpleDnsError::InvalidClass(5));
    assert!(parse_query(&message).is_ok());
}

#[test]
fn the_top_bit_of_a_class_is_taken_for_multicast_dns() {
    let message = header_only(0).question(&[0], 1, 0x8001).build();
    let packet = Packet::parse(&message).unwrap();
    assert_eq!(packet.questions[0].qclass, QCLASS::CLASS(CLASS::IN));
    assert!(packet.questions[0].unicast_response);
    let question = parse_query(&message).unwrap().question;
    assert_eq!(question.qclass, 0x8001);
    assert!(typed(&message, &question).is_none());
}

// req 21
#[test]
fn the_z_bit_is_an_error() {
    let message = plain(1).flags(0x0140).build();
    let refused = Packet::parse(&message).unwrap_err();
    assert_eq!(refused, SimpleDnsError::InvalidHeaderData);
    assert!(parse_query(&message).unwrap().header.flags.z());
}

// req 33, req 47
#[test]
fn the_fields_of_edns_are_read_from_wrong_places() {
    let read = |bits| {
        let message = plain(1).edns(1232, bits, &[]).build();
        let packet = Packet::parse(&message).unwrap();
        (packet.opt().unwrap().version, packet.rcode())
    };
    assert_eq!(read(0x0000_8000).0, 128, "DO is taken for a version");
    assert_eq!(read(0x0001_0000).0, 0, "version 1 is not seen");
    assert_eq!(read(0x0100_0000).1, RCODE::NoError, "BADVERS is dropped");

    let message = plain(1).edns(1232, 0x0000_8000, &[]).build();
    let opt = parse_query(&message).unwrap().opt.unwrap();
    assert_eq!((opt.version, opt.dnssec_ok), (0, true));
}

// req 3
#[test]
fn a_chain_of_pointers_is_followed_to_any_length() {
    let mut chain = testing::response("a.test.", 1).record(
        Section::Answer,
        TO_QUESTION,
        65280,
        (1, 60),
        &pointers(12, 24 + 12, 5_000),
    );
    let last = 24 + 12 + 2 * 4_999;
    let owner = (0xC000 | u16::try_from(last).unwrap()).to_be_bytes();
    chain = chain.record(Section::Answer, &owner, 1, (1, 60), &[0; 4]);
    let message = chain.build();
    assert_eq!(Packet::parse(&message).unwrap().answers.len(), 2);
    assert!(parse_response(&message).is_err());
}

/// So many pointers from `at` on: the first leads to `target`, each other one to the one before it.
fn pointers(target: u16, at: u16, count: u16) -> Vec<u8> {
    let others = (0..count - 1).map(|number| at + 2 * number);
    let targets = std::iter::once(target).chain(others);
    targets
        .flat_map(|target| (0xC000 | target).to_be_bytes())
        .collect()
}

// req 20
#[test]
fn octets_behind_the_last_record_are_not_noticed() {
    let message = plain(1).raw(&[0; 40]).build();
    assert!(Packet::parse(&message).is_ok());
    assert!(parse_query(&message).is_err());
}

// req 31
#[test]
fn a_second_opt_is_not_noticed() {
    let message = plain(1).edns(1232, 0, &[]).edns(4096, 0, &[]).build();
    assert!(Packet::parse(&message).is_ok());
    assert!(parse_query(&message).is_err());
}

#[test]
fn an_unknown_opcode_is_lost_when_a_packet_is_rebuilt() {
    let message = header_only(0x7900).build();
    let packet = Packet::parse(&message).unwrap();
    assert_eq!(packet.opcode(), OPCODE::Reserved);
    assert_ne!(packet.build_bytes_vec().unwrap(), message);
}

// req 28
#[test]
fn edns_flags_and_extended_codes_are_lost_when_a_packet_is_rebuilt() {
    for bits in [0x0000_0040, 0x0100_0000] {
        let message = plain(1).edns(1232, bits, &[]).build();
        let rebuilt = Packet::parse(&message).unwrap().build_bytes_vec().unwrap();
        assert_ne!(rebuilt, message, "{bits:#010x}");
    }
}

// req 18
#[test]
fn rdata_that_does_not_fit_its_type_is_an_error() {
    for (rtype, rdata) in [(1, &[1, 2, 3][..]), (15, &[0]), (33, &[0; 5])] {
        let message = testing::response("a.test.", rtype)
            .record(Section::Answer, TO_QUESTION, rtype, (1, 60), rdata)
            .build();
        assert!(Packet::parse(&message).is_err(), "{rtype}");
        assert!(parse_response(&message).is_ok(), "{rtype}");
    }
}

#[test]
fn the_flags_that_it_knows_are_read_right() {
    let message = plain(28).flags(0x0130).build();
    let packet = Packet::parse(&message).unwrap();
    let expected =
        PacketFlag::RECURSION_DESIRED | PacketFlag::AUTHENTIC_DATA | PacketFlag::CHECKING_DISABLED;
    assert!(packet.has_flags(expected));
    assert_eq!(packet.questions[0].qtype, QTYPE::TYPE(TYPE::AAAA));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Wherever it reads a question at all, it reads the one that `typed` hands out.
    #[test]
    fn typed_is_what_its_parser_gives(
        labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..6),
        qtype in prop_oneof![0..300_u16, any::<u16>()],
        qclass in prop_oneof![0..5_u16, 0..0x8000_u16],
    ) {
        let mut name = Vec::new();
        for label in &labels {
            name.push(u8::try_from(label.len()).unwrap());
            name.extend_from_slice(label);
        }
        name.push(0);
        let message = header_only(0).question(&name, qtype, qclass).build();
        let at = super::question::question_at(&message).unwrap();
        let ours = typed(&message, &at);
        match Packet::parse(&message) {
            Err(_) => prop_assert!(ours.is_none()),
            Ok(packet) => {
                let (theirs, ours) = (&packet.questions[0], ours.unwrap());
                prop_assert_eq!(&theirs.qname, &ours.qname);
                prop_assert_eq!(theirs.qtype, ours.qtype);
                prop_assert_eq!(theirs.qclass, ours.qclass);
                prop_assert_eq!(theirs.unicast_response, ours.unicast_response);
            }
        }
    }
}
