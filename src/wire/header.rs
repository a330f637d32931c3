//! The fixed twelve octets that start every message (RFC 1035 §4.1.1), and response codes.

use std::fmt;

use super::integers::set_u16;

/// Octets in a header.
pub const HEADER_LEN: usize = 12;

/// OPCODE of an ordinary query, the only one that is forwarded.
pub(super) const OPCODE_QUERY: u8 = 0;
/// OPCODE of a NOTIFY (RFC 1996).
pub(super) const OPCODE_NOTIFY: u8 = 4;
/// OPCODE of a dynamic update (RFC 2136).
pub(super) const OPCODE_UPDATE: u8 = 5;

/// The second 16 bits of a header: QR, OPCODE, AA, TC, RD, RA, Z, AD, CD and the low four bits of the RCODE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    pub(super) const QR: u16 = 0x8000;
    pub(super) const TC: u16 = 0x0200;
    pub(super) const RD: u16 = 0x0100;
    pub(super) const RA: u16 = 0x0080;
    pub(super) const AD: u16 = 0x0020;
    pub(super) const CD: u16 = 0x0010;
    pub(super) const RCODE: u16 = 0x000F;

    /// QR: a response, not a query.
    pub fn is_response(self) -> bool {
        self.0 & Self::QR != 0
    }

    /// The four bits of the OPCODE.
    pub fn opcode(self) -> u8 {
        (self.0 >> 11) as u8 & 0x0F
    }

    /// AA: the response is authoritative.
    pub fn aa(self) -> bool {
        self.0 & 0x0400 != 0
    }

    /// TC: the response is truncated.
    pub fn tc(self) -> bool {
        self.0 & Self::TC != 0
    }

    /// RD: recursion desired.
    pub fn rd(self) -> bool {
        self.0 & Self::RD != 0
    }

    /// RA: recursion available.
    pub fn ra(self) -> bool {
        self.0 & Self::RA != 0
    }

    /// Z: the one bit that is still reserved. It is ignored and passed on (RFC 5625).
    pub fn z(self) -> bool {
        self.0 & 0x0040 != 0
    }

    /// AD: authentic data (RFC 4035).
    pub fn ad(self) -> bool {
        self.0 & Self::AD != 0
    }

    /// CD: checking disabled (RFC 4035).
    pub fn cd(self) -> bool {
        self.0 & Self::CD != 0
    }

    /// The low four bits of the response code; the rest stands in the OPT record, if there is one.
    pub fn rcode(self) -> u8 {
        (self.0 & Self::RCODE) as u8
    }

    /// These flags with the bits of `mask` taken from `bits`.
    pub(super) fn with(self, mask: u16, bits: u16) -> Flags {
        Flags(self.0 & !mask | bits & mask)
    }
}

/// A header, read. The counts are claims: nothing is sized by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The id, which is only meaningful on one hop.
    pub id: u16,
    /// The flags, the OPCODE and the RCODE.
    pub flags: Flags,
    /// QDCOUNT.
    pub questions: u16,
    /// ANCOUNT.
    pub answers: u16,
    /// NSCOUNT.
    pub authorities: u16,
    /// ARCOUNT.
    pub additionals: u16,
}

impl Header {
    /// The header of a message; `None` when it has fewer than twelve octets.
    pub fn parse(message: &[u8]) -> Option<Header> {
        let (words, _) = message.get(..HEADER_LEN)?.as_chunks::<2>();
        let &[id, flags, questions, answers, authorities, additionals] = words else {
            return None;
        };
        Some(Header {
            id: u16::from_be_bytes(id),
            flags: Flags(u16::from_be_bytes(flags)),
            questions: u16::from_be_bytes(questions),
            answers: u16::from_be_bytes(answers),
            authorities: u16::from_be_bytes(authorities),
            additionals: u16::from_be_bytes(additionals),
        })
    }

    /// Appends the twelve octets.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let words = [
            self.id,
            self.flags.0,
            self.questions,
            self.answers,
            self.authorities,
            self.additionals,
        ];
        for word in words {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// Overwrites the id. Does nothing to a message of fewer than two octets.
pub fn set_id(message: &mut [u8], id: u16) {
    set_u16(message, 0, id);
}

/// Clears AD in a message with these flags, which says that the data is authentic. Gives the flags that it has then.
pub fn clear_ad(message: &mut [u8], flags: Flags) -> Flags {
    let flags = flags.with(Flags::AD, 0);
    set_u16(message, 2, flags.0);
    flags
}

/// A response code of up to twelve bits: four in the header, eight in the OPT record (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Rcode = Rcode(0);
    /// The query could not be interpreted.
    pub const FORMERR: Rcode = Rcode(1);
    /// The server, or everybody behind it, failed.
    pub const SERVFAIL: Rcode = Rcode(2);
    /// The name does not exist.
    pub const NXDOMAIN: Rcode = Rcode(3);
    /// This kind of query is not supported.
    pub const NOTIMP: Rcode = Rcode(4);
    /// Refused by policy.
    pub const REFUSED: Rcode = Rcode(5);
    /// The EDNS version is not supported (RFC 6891). It needs an OPT record to be said.
    pub const BADVERS: Rcode = Rcode(16);
    /// The server's cookie is missing or wrong (RFC 7873).
    pub const BADCOOKIE: Rcode = Rcode(23);

    /// Whether the header alone can hold it.
    pub(super) fn fits_header(self) -> bool {
        self.0 <= Flags::RCODE
    }

    /// Whether the header holds only a part of it.
    pub fn is_extended(self) -> bool {
        !self.fits_header()
    }

    /// The eight bits that go into the OPT record.
    pub(super) fn extended(self) -> u8 {
        (self.0 >> 4) as u8
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mnemonic = match self.0 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            6 => "YXDOMAIN",
            7 => "YXRRSET",
            8 => "NXRRSET",
            9 => "NOTAUTH",
            10 => "NOTZONE",
            11 => "DSOTYPENI",
            16 => "BADVERS",
            23 => "BADCOOKIE",
            other => return write!(f, "RCODE{other}"),
        };
        f.write_str(mnemonic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_header_is_read_from_its_place() {
        let message = [0xAB, 0xCD, 0xAC, 0x5F, 0, 1, 0, 2, 0, 3, 0xFF, 0xFF];
        let header = Header::parse(&message).unwrap();
        assert_eq!(header.id, 0xABCD);
        assert_eq!((header.questions, header.answers), (1, 2));
        assert_eq!((header.authorities, header.additionals), (3, 65535));
        let flags = header.flags;
        assert!(flags.is_response() && flags.aa() && flags.z() && flags.cd());
        assert!(!flags.tc() && !flags.rd() && !flags.ra() && !flags.ad());
        assert_eq!((flags.opcode(), flags.rcode()), (5, 15));

        let mut out = Vec::new();
        header.write(&mut out);
        assert_eq!(out, message);
    }

    #[test]
    fn each_flag_is_one_bit() {
        let all: [fn(Flags) -> bool; 8] = [
            Flags::is_response,
            Flags::aa,
            Flags::tc,
            Flags::rd,
            Flags::ra,
            Flags::z,
            Flags::ad,
            Flags::cd,
        ];
        let bits = [15, 10, 9, 8, 7, 6, 5, 4];
        for (which, bit) in bits.into_iter().enumerate() {
            for (other, read) in all.iter().enumerate() {
                assert_eq!(read(Flags(1 << bit)), which == other, "bit {bit}");
            }
        }
    }

    // req 16, fault 55
    #[test]
    fn fewer_than_twelve_octets_are_no_header() {
        for len in 0..HEADER_LEN {
            assert_eq!(Header::parse(&vec![0xFF; len]), None);
        }
        assert!(Header::parse(&[0; HEADER_LEN]).is_some());
    }

    // req 1
    #[test]
    fn the_id_is_set_in_any_message_that_has_one() {
        for id in [0, 1, 0x1234, 65535] {
            let mut message = [7; 12];
            set_id(&mut message, id);
            assert_eq!(Header::parse(&message).unwrap().id, id);
            assert_eq!(message[2..], [7; 10]);
        }
        let mut short = [7];
        set_id(&mut short, 1);
        assert_eq!(short, [7]);
    }

    #[test]
    fn only_ad_is_cleared() {
        for flags in [0x8180, 0x81A0, 0xFFFF, 0x0020] {
            let mut message = [7; 12];
            set_u16(&mut message, 2, flags);
            let cleared = clear_ad(&mut message, Flags(flags));
            assert_eq!(cleared, Header::parse(&message).unwrap().flags);
            assert_eq!(cleared.0, flags & !0x0020);
        }
    }

    #[test]
    fn response_codes_are_shown_by_their_mnemonics() {
        assert_eq!(Rcode::SERVFAIL.to_string(), "SERVFAIL");
        assert_eq!(Rcode::BADVERS.to_string(), "BADVERS");
        assert_eq!(Rcode(3841).to_string(), "RCODE3841");
        assert!(Rcode(15).fits_header() && !Rcode(16).fits_header());
        assert_eq!(Rcode::BADCOOKIE.extended(), 1);
    }
}
