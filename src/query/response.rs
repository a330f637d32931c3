//! What a response says. Pure.

use super::records::{Record, printable, sections};
use super::report::count;
use crate::json::Json;
use crate::probe::messages::Answer;
use crate::probe::problem::Problem;
use crate::wire::{self, OPTION_KEEPALIVE, OPTION_PADDING, Rcode};
use domain::base::iana::ExtendedErrorCode;
use std::fmt;
use std::time::Duration;

/// The EDNS option of extended DNS errors (RFC 8914).
const EXTENDED_ERROR: u16 = 15;
/// The EDNS option with the name of a server (RFC 5001).
const NSID: u16 = 3;
/// Characters of a server's explanation that are shown.
const MAX_REASON: usize = 200;
/// The sections, as they are called in text and in JSON.
const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

/// A response, read.
#[derive(Clone, Debug)]
pub struct Response {
    pub rcode: Rcode,
    pub flags: Vec<&'static str>,
    /// Those of the answer, of the authority section and of the additional section.
    pub sections: [Vec<Record>; 3],
    pub edns: Option<Edns>,
    /// The octets of the message.
    pub octets: usize,
}

/// What a response says by EDNS (RFC 6891).
#[derive(Clone, Debug)]
pub struct Edns {
    version: u8,
    udp_size: u16,
    dnssec_ok: bool,
    /// The octets of the padding option (RFC 7830).
    pub padding: Option<usize>,
    keepalive: Option<Duration>,
    nsid: Option<String>,
    /// Extended errors: code, and the text of the server.
    pub errors: Vec<(u16, String)>,
}

impl Response {
    /// Reads the response to this query. An error says why it is none.
    pub fn read(message: &[u8], query: &[u8]) -> Result<Self, Problem> {
        let answer = Answer::read(message, query)?;
        let malformed = |why: String| Problem::malformed(&why);
        let read = wire::parse_response(message).map_err(|why| malformed(why.to_string()))?;
        let sections = sections(message).map_err(|why| malformed(why.to_string()))?;
        let bits = read.header.flags;
        let flags = [
            ("qr", bits.is_response()),
            ("aa", bits.aa()),
            ("tc", bits.tc()),
            ("rd", bits.rd()),
            ("ra", bits.ra()),
            ("z", bits.z()),
            ("ad", bits.ad()),
            ("cd", bits.cd()),
        ];
        let set = flags.into_iter().filter(|(_, is_set)| *is_set);
        let edns = read.opt.map(|opt| {
            let option = |code| {
                let mut options = wire::options(message, &opt);
                options.find_map(|(found, data)| (found == code).then_some(data))
            };
            let all = wire::options(message, &opt);
            let errors = all.filter(|(code, _)| *code == EXTENDED_ERROR);
            Edns {
                version: opt.version,
                udp_size: opt.udp_size,
                dnssec_ok: opt.dnssec_ok,
                padding: option(OPTION_PADDING).map(<[u8]>::len),
                keepalive: answer
                    .keepalive
                    .filter(|_| option(OPTION_KEEPALIVE).is_some()),
                nsid: option(NSID).map(|data| printable(&String::from_utf8_lossy(data))),
                errors: errors.filter_map(|(_, data)| error(data)).collect(),
            }
        });
        Ok(Self {
            rcode: answer.rcode,
            flags: set.map(|(name, _)| name).collect(),
            sections,
            edns,
            octets: message.len(),
        })
    }

    /// The server has answered: the name has records of this type, or none, or does not exist.
    pub fn is_answer(&self) -> bool {
        matches!(self.rcode, Rcode::NOERROR | Rcode::NXDOMAIN)
    }

    /// Its members in JSON.
    pub fn json(&self) -> Json {
        let texts = |texts: &[&'static str]| {
            Json::List(texts.iter().map(|text| Json::text(*text)).collect())
        };
        let sections = SECTIONS.into_iter().zip(&self.sections);
        let sections = sections.map(|(name, records)| {
            let records = records.iter().map(record_json).collect();
            (name, Json::List(records))
        });
        let first = [
            ("rcode", Json::text(self.rcode.to_string())),
            ("flags", texts(&self.flags)),
        ];
        let edns = [("edns", Json::maybe(self.edns.as_ref(), Edns::json))];
        Json::Object(first.into_iter().chain(sections).chain(edns).collect())
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, ";; {}; {}", self.rcode, self.flags.join(" "))?;
        for (name, records) in SECTIONS.into_iter().zip(&self.sections) {
            if !records.is_empty() {
                writeln!(f, ";; {name}")?;
                records
                    .iter()
                    .try_for_each(|record| writeln!(f, "{record}"))?;
            }
        }
        Ok(())
    }
}

impl Edns {
    /// The lines that tell of extended errors.
    pub fn errors(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(|(code, text)| {
            let name = error_name(*code).map_or_else(String::new, |name| format!(" ({name})"));
            let text = if text.is_empty() {
                String::new()
            } else {
                format!(": {text}")
            };
            format!("EDE {code}{name}{text}")
        })
    }

    /// What else it says, for people.
    pub fn told(&self) -> String {
        let dnssec = if self.dnssec_ok { ", DO" } else { "" };
        let keepalive = self
            .keepalive
            .map(|time| format!(", keepalive {} s", time.as_secs_f64()));
        let nsid = self.nsid.as_ref().map(|name| format!(", NSID {name}"));
        let more = [keepalive, nsid].into_iter().flatten().collect::<String>();
        let (version, size) = (self.version, self.udp_size);
        format!("version {version}, UDP up to {size} octets{dnssec}{more}")
    }

    fn json(&self) -> Json {
        let error = |(code, text): &(u16, String)| {
            Json::Object(vec![
                ("code", Json::Number((*code).into())),
                ("name", Json::maybe(error_name(*code), Json::text)),
                ("text", Json::text(text)),
            ])
        };
        Json::Object(vec![
            ("version", Json::Number(self.version.into())),
            ("udp_size", Json::Number(self.udp_size.into())),
            ("dnssec_ok", Json::Bool(self.dnssec_ok)),
            ("padding", Json::maybe(self.padding, count)),
            (
                "keepalive_ms",
                Json::maybe(self.keepalive, |time| Json::Number(time.as_millis() as i64)),
            ),
            ("nsid", Json::maybe(self.nsid.as_deref(), Json::text)),
            ("ede", Json::List(self.errors.iter().map(error).collect())),
        ])
    }
}

/// The name of an extended error in the registry of IANA.
fn error_name(code: u16) -> Option<String> {
    let name = ExtendedErrorCode::from_int(code);
    let name = name.to_mnemonic()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// An extended error, whose text must not control a terminal.
fn error(data: &[u8]) -> Option<(u16, String)> {
    let (code, text) = data.split_first_chunk::<2>()?;
    let text: String = String::from_utf8_lossy(text)
        .chars()
        .take(MAX_REASON)
        .collect();
    let text = text.trim_end_matches('\0').escape_debug().to_string();
    Some((u16::from_be_bytes(*code), text))
}

fn record_json(record: &Record) -> Json {
    Json::Object(vec![
        ("name", Json::text(&record.name)),
        ("ttl", Json::Number(record.ttl.into())),
        ("class", Json::text(&record.class)),
        ("type", Json::text(&record.rtype)),
        ("data", Json::text(&record.data)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{query, response_to};

    #[test]
    fn what_a_response_says_is_read() {
        let asked = query("a.test", 1).edns(1232, 0, &[]).build();
        let options: [(u16, &[u8]); 5] = [
            (OPTION_KEEPALIVE, &[0, 100]),
            (OPTION_PADDING, &[0; 30]),
            (EXTENDED_ERROR, b"\x00\x16no way"),
            (EXTENDED_ERROR, b"\xff\x00\x1b[2J"),
            (NSID, b"ns1"),
        ];
        let response = response_to(&asked).a(300, [192, 0, 2, 1]).soa(60);
        let message = response.edns(1400, 0x8000, &options).build();
        let read = Response::read(&message, &asked).unwrap();
        assert!(read.is_answer());
        assert_eq!(read.flags, ["qr", "rd", "ra"]);
        assert_eq!(read.octets, message.len());
        let [answer, authority, additional] = &read.sections;
        assert_eq!((&*answer[0].rtype, &*authority[0].rtype), ("A", "SOA"));
        assert!(additional.is_empty(), "{additional:?}");
        let edns = read.edns.as_ref().unwrap();
        assert_eq!(edns.padding, Some(30));
        assert_eq!(
            edns.told(),
            "version 0, UDP up to 1400 octets, DO, keepalive 10 s, NSID ns1"
        );
        let errors: Vec<String> = edns.errors().collect();
        assert_eq!(
            errors,
            [
                "EDE 22 (No Reachable Authority): no way",
                "EDE 65280: \\u{1b}[2J"
            ]
        );
        let text = read.to_string();
        assert!(
            text.starts_with(
                ";; NOERROR; qr rd ra\n;; answer\na.test.\t300\tIN\tA\t192.0.2.1\n;; authority\n"
            ),
            "{text}"
        );
    }

    // fault 155
    #[test]
    fn what_is_no_response_to_the_query_is_a_problem() {
        let asked = query("a.test", 1).build();
        let kind = |message: &[u8]| {
            let read = Response::read(message, &asked);
            read.map(|_| ()).map_err(|problem| problem.kind)
        };
        let good = response_to(&asked).a(300, [192, 0, 2, 1]).build();
        assert_eq!(kind(&good), Ok(()));
        for end in 0..good.len() {
            assert_eq!(kind(&good[..end]), Err("malformed"), "{end}");
        }
        let mut other = good.clone();
        other[13] = b'b';
        assert_eq!(kind(&other), Err("wrong_question"));
        other[1] ^= 1;
        assert_eq!(kind(&other), Err("wrong_id"));
        let refused = response_to(&asked).rcode(5).build();
        assert!(!Response::read(&refused, &asked).unwrap().is_answer());
    }
}
