//! The query. Pure.

use crate::cli::Question;
use crate::wire::{self, Rewrite};
use std::num::NonZeroU16;

/// RD, and AD: the client understands AD in the response (RFC 6840 section 5.7).
const FLAGS: u16 = 0x0120;
const CLASS_IN: u16 = 1;
const TYPE_OPT: u16 = 41;
/// The DO bit (RFC 3225 section 3).
const DNSSEC_OK: u16 = 0x8000;
/// A response of at most this length fits the minimum IPv6 MTU.
const UDP_SIZE: u16 = 1232;

/// What a query says by EDNS (RFC 6891).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// Signatures are asked for, too.
    pub dnssec: bool,
    /// That keepalive is understood, where that is said by an option (RFC 7828).
    pub keepalive: bool,
    /// To a multiple of how many octets it is padded (RFC 8467 section 4.1).
    pub padding: Option<NonZeroU16>,
}

/// The query for this question with this id.
pub fn query(question: &Question, id: u16, edns: Option<Edns>) -> Vec<u8> {
    let additionals = u16::from(edns.is_some());
    let mut message = Vec::new();
    for word in [id, FLAGS, 1, 0, 0, additionals] {
        message.extend(word.to_be_bytes());
    }
    message.extend_from_slice(&question.name);
    message.extend(question.rtype.to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    let Some(edns) = edns else {
        return message;
    };
    let flags = if edns.dnssec { DNSSEC_OK } else { 0 };
    // The owner is the root; there are no options yet.
    message.push(0);
    for word in [TYPE_OPT, UDP_SIZE, 0, flags, 0] {
        message.extend(word.to_be_bytes());
    }
    let Ok(read) = wire::parse_query(&message) else {
        return message;
    };
    let rewrite = Rewrite {
        keepalive: edns.keepalive,
        padding: edns.padding,
        ..Rewrite::default()
    };
    let mut out = Vec::new();
    wire::forward_query(&message, &read, &rewrite, &mut out);
    wire::set_id(&mut out, id);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // req 120
    #[test]
    fn a_query_is_one_that_dotward_would_forward() {
        let question = Question {
            name: b"\x01a\x04test\x00".to_vec(),
            rtype: 65_280,
        };
        let bare = query(&question, 7, None);
        assert_eq!(bare.len(), 12 + 8 + 4);
        assert_eq!(bare[..4], [0, 7, 1, 0x20]);
        assert_eq!(wire::parse_query(&bare).unwrap().opt, None);
        let edns = Edns {
            dnssec: true,
            keepalive: true,
            padding: NonZeroU16::new(128),
        };
        let full = query(&question, 7, Some(edns));
        let read = wire::parse_query(&full).unwrap();
        let opt = read.opt.unwrap();
        assert_eq!((full.len(), opt.dnssec_ok, opt.udp_size), (128, true, 1232));
        let codes: Vec<u16> = wire::options(&full, &opt).map(|(code, _)| code).collect();
        assert_eq!(codes, [wire::OPTION_KEEPALIVE, wire::OPTION_PADDING]);
        assert_eq!(read.question.qtype, 65_280);
        let plain = query(&question, 7, Some(Edns::default()));
        assert_eq!(plain.len(), bare.len() + 11);
    }
}
