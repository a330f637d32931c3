//! The question: comparing it, keying by it, and reading it.

use std::fmt;

use simple_dns::{Label, Name, QCLASS, QTYPE, Question};

use super::header::HEADER_LEN;
use super::integers::u16_at;
use super::name::{display, labels, plain_len};

/// The type of the record that says whether a zone below is signed, which is in the zone above (RFC 4034 section 5).
pub const TYPE_DS: u16 = 43;

/// Octets of a question behind its name: QTYPE and QCLASS.
const QUESTION_FIXED: usize = 4;

/// Where the one question of a message is, and what it asks. Its name starts at octet 12 and is not compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionAt {
    /// Octets of the name, root included: 1 to 255.
    pub name_len: usize,
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS.
    pub qclass: u16,
}

impl QuestionAt {
    /// Where the question ends and the first record starts.
    pub fn end(&self) -> usize {
        HEADER_LEN + self.name_len + QUESTION_FIXED
    }

    /// The question's own octets: name, type and class.
    pub fn octets<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message.get(HEADER_LEN..self.end()).unwrap_or_default()
    }

    /// The octets of the name.
    pub fn name<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message
            .get(HEADER_LEN..HEADER_LEN + self.name_len)
            .unwrap_or_default()
    }
}

/// Reads the question that starts behind the header. Nothing stands before it that a compression pointer
/// could lead to, so a compressed name is an error (as is one that is too long).
pub(super) fn question_at(message: &[u8]) -> Option<QuestionAt> {
    let name_len = plain_len(message, HEADER_LEN)?;
    let qtype = u16_at(message, HEADER_LEN + name_len)?;
    let qclass = u16_at(message, HEADER_LEN + name_len + 2)?;
    Some(QuestionAt {
        name_len,
        qtype,
        qclass,
    })
}

/// Whether two messages ask the same: type, class, and name without regard to ASCII case (RFC 4343, RFC
/// 5452 §9.1).
pub fn same_question(a: &[u8], a_at: &QuestionAt, b: &[u8], b_at: &QuestionAt) -> bool {
    // Length octets are below 64, so they are not letters, and whole names can be compared.
    a_at == b_at && a_at.name(a).eq_ignore_ascii_case(b_at.name(b))
}

/// Appends the question in the form that makes equal questions equal octets: the name in lower case, type,
/// class.
pub fn lowercase_into(message: &[u8], at: &QuestionAt, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(at.octets(message));
    // Length octets are below 64, so they are no letters.
    if let Some(name) = out
        .get_mut(start..)
        .and_then(|question| question.get_mut(..at.name_len))
    {
        name.make_ascii_lowercase();
    }
}

/// The question in the types of simple-dns.
///
/// `None` if simple-dns does not know the type or the class, which is no reason to refuse the query. Only the question is read, so neither
/// counts nor flags of the header can make it fail.
pub fn typed<'a>(message: &'a [u8], at: &QuestionAt) -> Option<Question<'a>> {
    let qtype = QTYPE::try_from(at.qtype).ok()?;
    let qclass = QCLASS::try_from(at.qclass).ok()?;
    let labels: Vec<Label<'a>> = labels(at.name(message)).map(Label::new_unchecked).collect();
    // The top bit of a class means "answer me alone" only in multicast DNS; here it is a part of the class.
    let unicast_response = false;
    Some(Question::new(
        Name::new_with_labels(&labels),
        qtype,
        qclass,
        unicast_response,
    ))
}

/// The labels of a typed question's name, the leftmost first.
pub fn typed_labels<'q>(
    question: &'q Question<'_>,
) -> impl DoubleEndedIterator<Item = &'q [u8]> + ExactSizeIterator + Clone {
    question.qname.get_labels().iter().map(AsRef::as_ref)
}

/// Shows a question for people: `example.com. AAAA IN`. Types and classes without a mnemonic are shown by
/// number (RFC 3597 §5).
#[derive(Clone, Copy, Debug)]
pub struct QuestionDisplay<'a> {
    name: &'a [u8],
    at: QuestionAt,
}

/// Shows the question of a message.
pub fn describe<'a>(message: &'a [u8], at: &QuestionAt) -> QuestionDisplay<'a> {
    QuestionDisplay {
        name: at.name(message),
        at: *at,
    }
}

impl fmt::Display for QuestionDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", display(self.name))?;
        write_type(self.at.qtype, f)?;
        f.write_str(" ")?;
        write_class(self.at.qclass, f)
    }
}

/// A type by its mnemonic, or as RFC 3597 section 5 has it.
fn write_type(qtype: u16, f: &mut impl fmt::Write) -> fmt::Result {
    match QTYPE::try_from(qtype) {
        Ok(QTYPE::TYPE(known)) => write!(f, "{known:?}"),
        Ok(meta) => write!(f, "{meta:?}"),
        Err(_) => write!(f, "TYPE{qtype}"),
    }
}

fn write_class(qclass: u16, f: &mut impl fmt::Write) -> fmt::Result {
    match QCLASS::try_from(qclass) {
        Ok(QCLASS::CLASS(known)) => write!(f, "{known:?}"),
        Ok(QCLASS::ANY) => f.write_str("ANY"),
        Err(_) => write!(f, "CLASS{qclass}"),
    }
}

/// The name, the type and the class of a question's octets, for people. `None` if they are none.
pub fn question_words(octets: &[u8]) -> Option<(String, String, String)> {
    let (name, rest) = octets.split_at_checked(octets.len().checked_sub(4)?)?;
    let (mut qtype, mut qclass) = (String::new(), String::new());
    // Writing to a string cannot fail.
    let _infallible = write_type(u16_at(rest, 0)?, &mut qtype);
    let _infallible = write_class(u16_at(rest, 2)?, &mut qclass);
    Some((display(name).to_string(), qtype, qclass))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, header_only, name_octets, name_of_len};
    use super::*;

    /// A message that asks this, and where.
    fn asking(name: &[u8], qtype: u16, qclass: u16) -> (Vec<u8>, QuestionAt) {
        let message = header_only(0).question(name, qtype, qclass).build();
        let at = question_at(&message).unwrap();
        (message, at)
    }

    #[test]
    fn a_question_is_where_the_header_ends() {
        let (message, at) = asking(&name_octets("www.example."), 28, 3);
        assert_eq!((at.name_len, at.qtype, at.qclass), (13, 28, 3));
        assert_eq!(at.end(), message.len());
        assert_eq!(at.octets(&message), &message[12..]);
        assert_eq!(at.name(&message), b"\x03www\x07example\x00");
        assert_eq!(question_at(&message[..message.len() - 1]), None);
        assert_eq!(question_at(&[0; 12]), None);
    }

    // req 58, fault 20, fault 21
    #[test]
    fn the_same_question_is_asked_in_any_letter_case() {
        let same = |a: &(Vec<u8>, QuestionAt), b: &(Vec<u8>, QuestionAt)| {
            same_question(&a.0, &a.1, &b.0, &b.1)
        };
        let asked = asking(&name_octets("wWw.ExAmPlE."), 1, 1);
        assert!(same(&asked, &asking(&name_octets("www.example."), 1, 1)));
        assert!(same(&asked, &asking(&name_octets("WWW.EXAMPLE."), 1, 1)));
        assert!(!same(&asked, &asking(&name_octets("www.examplf."), 1, 1)));
        assert!(!same(&asked, &asking(&name_octets("ww.example."), 1, 1)));
        assert!(!same(&asked, &asking(&name_octets("www.example."), 28, 1)));
        assert!(!same(&asked, &asking(&name_octets("www.example."), 1, 3)));
        // The same octets in other labels are another name.
        let (one, other) = (name_octets("aa.b."), b"\x01a\x02.b\x00");
        assert!(!same(&asking(&one, 1, 1), &asking(other, 1, 1)));
        // Only ASCII has letter case here.
        let (upper, lower) = (b"\x01\xC4\x00", b"\x01\xE4\x00");
        assert!(!same(&asking(upper, 1, 1), &asking(lower, 1, 1)));
    }

    // req 58
    #[test]
    fn a_scan_of_another_message_matches_nothing_by_mistake() {
        let (message, at) = asking(&name_octets("www.example."), 1, 1);
        assert!(!same_question(&message, &at, &message[..20], &at));
    }

    #[test]
    fn a_key_is_in_lower_case_and_nothing_else_is_changed() {
        // Type and class hold the codes of letters, and so does a label that is no text.
        let (message, at) = asking(b"\x02Ab\x03[@Z\x00", 0x4142, 0x5A59);
        let mut out = b"KEEP".to_vec();
        lowercase_into(&message, &at, &mut out);
        assert_eq!(out, b"KEEP\x02ab\x03[@z\x00\x41\x42\x5A\x59");
    }

    #[test]
    fn the_longest_labels_have_length_octets_that_are_no_letters() {
        let name = name_of_len(255);
        let (message, at) = asking(&name, 1, 1);
        let mut out = Vec::new();
        lowercase_into(&message, &at, &mut out);
        assert_eq!(out[..255], name);
    }

    #[test]
    fn simple_dns_gives_the_question_its_types() {
        let (message, at) = asking(&name_octets("Mail.Example."), 28, 1);
        let typed = typed(&message, &at).unwrap();
        assert_eq!(typed.qtype, QTYPE::TYPE(simple_dns::TYPE::AAAA));
        assert_eq!(typed.qclass, QCLASS::CLASS(simple_dns::CLASS::IN));
        assert_eq!(typed.qname.to_string(), "Mail.Example");
        assert!(typed.qname.is_subdomain_of(&Name::new("example").unwrap()));
    }

    // req 17, req 21
    #[test]
    fn neither_flags_nor_counts_keep_a_question_from_being_typed() {
        let message = testing::query("a.test.", 1)
            .flags(0x0140)
            .counts([1, 65535, 65535, 65535])
            .build();
        let at = question_at(&message).unwrap();
        assert!(typed(&message, &at).is_some());
    }

    // req 12, req 14
    #[test]
    fn what_simple_dns_does_not_know_is_opaque() {
        for (qtype, qclass) in [(65280, 1), (52, 1), (1, 5), (1, 0x8001)] {
            let (message, at) = asking(&name_octets("a.test."), qtype, qclass);
            assert!(typed(&message, &at).is_none(), "{qtype} {qclass}");
        }
    }

    #[test]
    fn a_question_is_shown_by_mnemonics_or_numbers() {
        let shown = |name: &str, qtype, qclass| {
            let (message, at) = asking(&name_octets(name), qtype, qclass);
            describe(&message, &at).to_string()
        };
        assert_eq!(shown("example.com.", 28, 1), "example.com. AAAA IN");
        assert_eq!(shown(".", 255, 255), ". ANY ANY");
        assert_eq!(shown("x.test.", 65280, 5), "x.test. TYPE65280 CLASS5");
        assert_eq!(shown("version.bind.", 16, 3), "version.bind. TXT CH");
        assert_eq!(shown("a b.", 1, 1), "a\\032b. A IN");
    }
}
