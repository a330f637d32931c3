//! Records in presentation form (RFC 1035 section 5.1), those of unknown types as octets (RFC 3597 section 5).

use domain::base::iana::Rtype;
use domain::base::message::RecordSection;
use domain::base::rdata::UnknownRecordData;
use domain::base::wire::ParseError;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::base::{Message, ParsedName, ParsedRecord, ToName as _};
use domain::rdata::AllRecordData;
use std::fmt::{self, Write as _};
use std::time::{Duration, UNIX_EPOCH};

/// One record, each part of it as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its owner, with the final dot.
    pub name: String,
    /// In seconds.
    pub ttl: u32,
    /// `IN`.
    pub class: String,
    /// A name such as `MX`, or `TYPE` and a number.
    pub rtype: String,
    /// Its RDATA.
    pub data: String,
}

impl fmt::Display for Record {
    /// As in a zone file, and as kdig and dig print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            ttl,
            class,
            rtype,
            data,
        } = self;
        write!(f, "{name}\t{ttl}\t{class}\t{rtype}\t{data}")
    }
}

/// The records of the answer, of the authority section and of the additional section, without those that belong to the message (OPT, TSIG).
pub fn sections(message: &[u8]) -> Result<[Vec<Record>; 3], ParseError> {
    let message = Message::from_slice(message).map_err(|_| ParseError::ShortInput)?;
    let (_, answer, authority, additional) = message.sections()?;
    Ok([records(answer)?, records(authority)?, records(additional)?])
}

/// The name of a type.
pub fn type_name(rtype: u16) -> String {
    Rtype::from_int(rtype).to_string()
}

fn records(section: RecordSection<'_, [u8]>) -> Result<Vec<Record>, ParseError> {
    let mut records = Vec::new();
    for record in section {
        let record = record?;
        if !matches!(record.rtype(), Rtype::OPT | Rtype::TSIG) {
            records.push(Record {
                name: printable(&record.owner().fmt_with_dot().to_string()),
                ttl: record.ttl().as_secs(),
                class: record.class().to_string(),
                rtype: record.rtype().to_string(),
                data: printable(&data(&record)?),
            });
        }
    }
    Ok(records)
}

/// The RDATA of a record; as octets if its type is not known, or if it is not what its type demands.
fn data(record: &ParsedRecord<'_, [u8]>) -> Result<String, ParseError> {
    type Known<'m> = AllRecordData<&'m [u8], ParsedName<&'m [u8]>>;
    if let Ok(Some(record)) = record.to_record::<Known<'_>>() {
        return Ok(match record.data() {
            AllRecordData::Unknown(data) => generic(data.data()),
            // No strings: there is no other form for that.
            AllRecordData::Txt(data) if data.len() == 0 => generic(&[]),
            AllRecordData::Rrsig(data) => with_dates(&shown(data)),
            data => shown(data),
        });
    }
    let record = record.to_record::<UnknownRecordData<&[u8]>>()?;
    Ok(record.map_or_else(String::new, |it| generic(it.data().data())))
}

fn shown(data: &impl ZonefileFmt) -> String {
    data.display_zonefile(DisplayKind::Simple).to_string()
}

/// Octets without a meaning.
fn generic(octets: &[u8]) -> String {
    let mut text = format!("\\# {}", octets.len());
    for (index, octet) in octets.iter().enumerate() {
        let blank = if index == 0 { " " } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "{blank}{octet:02X}");
    }
    text
}

/// The RDATA of a signature with its times as people read them (RFC 4034 section 3.2), instead of seconds.
fn with_dates(data: &str) -> String {
    let words = data.split(' ').enumerate();
    let words = words.map(|(index, word)| match word.parse() {
        Ok(seconds) if matches!(index, 4 | 5) => date(seconds),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A time of 32 bits as `YYYYMMDDHHmmSS`.
fn date(seconds: u32) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(seconds.into());
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.chars().filter(char::is_ascii_digit).collect()
}

/// What comes from a server must not control a terminal, whatever a type has made of it. A blank within a name is written by its number, as
/// kdig and dig do, so that blanks separate.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut is_escaped = false;
    for c in text.chars() {
        let was_escaped = is_escaped;
        is_escaped = c == '\\' && !was_escaped;
        if was_escaped && c == ' ' {
            safe.push_str("032");
        } else if c.is_ascii_graphic() || c == ' ' {
            safe.push(c);
        } else {
            for octet in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string does not fail.
                let _ = write!(safe, "\\{octet:03}");
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{Message as Built, response};
    use proptest::prelude::*;

    fn shown_of(built: &Built) -> Vec<String> {
        let [answer, ..] = sections(&built.build()).unwrap();
        answer.iter().map(ToString::to_string).collect()
    }

    fn with(rtype: u16, data: &[u8]) -> Built {
        response("a.test", rtype).answer(rtype, 300, data)
    }

    // req 119
    #[test]
    fn records_are_shown_as_in_a_zone_file() {
        for (rtype, data, expected) in [
            (1, &[192, 0, 2, 1][..], "A\t192.0.2.1"),
            (15, b"\x00\x0a\x04mail\xc0\x0c", "MX\t10 mail.a.test."),
            (16, b"", "TXT\t\\# 0"),
            (16, b"\x04so\"\xff\x00", "TXT\t\"so\\\"\\255\" \"\""),
            (52, b"\x03\x01\x01\xab\xcd", "TLSA\t3 1 1 ABCD"),
            (65_280, b"\x00\x11\xaa", "TYPE65280\t\\# 3 0011AA"),
            (65_280, b"", "TYPE65280\t\\# 0"),
            (2, b"\x03a \\\x00", "NS\ta\\032\\\\."),
            // An address of three octets is none.
            (1, &[192, 0, 2], "A\t\\# 3 C00002"),
            (
                46,
                b"\x00\x01\x08\x02\x00\x00\x0e\x10\x3a\x4f\xc8\x80\x38\x6d\x43\x80\x00\x07\x04test\x00\x01",
                "RRSIG\tA 8 2 3600 20010101000000 20000101000000 7 test. AQ==",
            ),
        ] {
            let line = format!("a.test.\t300\tIN\t{expected}");
            assert_eq!(shown_of(&with(rtype, data)), [line]);
        }
        assert_eq!(type_name(65), "HTTPS");
        assert_eq!(type_name(65_280), "TYPE65280");
    }

    proptest! {
        // fault 153
        #[test]
        fn no_record_controls_a_terminal(
            rtype in prop_oneof![0_u16..300, any::<u16>()],
            data in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            for line in shown_of(&with(rtype, &data)) {
                prop_assert!(line.chars().all(|c| c.is_ascii_graphic() || c == ' ' || c == '\t'), "{line:?}");
            }
        }
    }
}
