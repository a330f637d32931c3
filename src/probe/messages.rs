//! The queries of a probe, and what their responses say. Pure.

use super::problem::Problem;
use crate::wire::{self, OPTION_KEEPALIVE, OPTION_PADDING, Rcode, Response, Rewrite};
use std::fmt::Write as _;
use std::num::NonZeroU16;
use std::time::Duration;

const TYPE_A: u16 = 1;
/// RD, and AD: the client understands AD in the response (RFC 6840 section 5.7).
const FLAGS: u16 = 0x0120;
const UDP_SIZE: u16 = 1232;
/// The EDNS option of extended DNS errors (RFC 8914).
const EXTENDED_ERROR: u16 = 15;
/// Queries are padded to a multiple of this (RFC 8467 section 4.1).
const PADDED_TO: u16 = 128;
/// Letters of a server's explanation that are shown.
const MAX_REASON: usize = 120;

/// The queries for one address.
#[derive(Clone, Debug)]
pub struct Questions {
    labels: Vec<String>,
    /// Names outside of this domain are not for this upstream.
    is_confined: bool,
    /// The idle time is told by an option of EDNS. Where each query has a stream that option is an error (RFC 9250 section 5.5.2).
    has_keepalive: bool,
    id: u16,
    random: u32,
}

impl Questions {
    /// For a name of letters, digits, hyphens and underscores; empty for the root. The id and the names that nobody has asked for are made of random octets.
    pub fn new(name: &str, is_confined: bool, has_keepalive: bool, random: [u32; 2]) -> Self {
        let labels = name.split('.').filter(|label| !label.is_empty());
        Self {
            labels: labels.map(str::to_owned).collect(),
            is_confined,
            has_keepalive,
            id: random[0] as u16,
            random: random[1],
        }
    }

    /// The query for the name. With EDNS it is padded, and says that keepalive is understood where there is that.
    pub fn usual(&self, with_edns: bool) -> Vec<u8> {
        let bare = query(self.id, self.labels.iter().map(String::as_str));
        let Some(read) = wire::parse_query(&bare).ok().filter(|_| with_edns) else {
            return bare;
        };
        let rewrite = Rewrite {
            own_opt: Some(UDP_SIZE),
            keepalive: self.has_keepalive,
            padding: NonZeroU16::new(PADDED_TO),
            ..Rewrite::default()
        };
        let mut query = Vec::new();
        wire::forward_query(&bare, &read, &rewrite, &mut query);
        wire::set_id(&mut query, self.id);
        query
    }

    /// The name, for people.
    pub fn name(&self) -> String {
        if self.labels.is_empty() {
            return ".".to_owned();
        }
        self.labels.join(".")
    }

    /// Queries that no cache has the responses to: for a name below the name, and for one below its topmost domain,
    /// unless that is not for this upstream.
    pub fn slow(&self) -> Vec<Vec<u8>> {
        let label = format!("probe-{:08x}", self.random);
        let labels = || self.labels.iter().map(String::as_str);
        let below = |skipped: usize, id: u16| {
            let labels = std::iter::once(label.as_str()).chain(labels().skip(skipped));
            query(self.id ^ id, labels)
        };
        let mut all = vec![below(0, 1)];
        if let Some(skipped @ 1..) = self.labels.len().checked_sub(1)
            && !self.is_confined
        {
            all.push(below(skipped, 2));
        }
        // A name of 255 octets has none below it.
        all.retain(|query| wire::parse_query(query).is_ok());
        all
    }
}

fn query<'l>(id: u16, labels: impl Iterator<Item = &'l str>) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend(FLAGS.to_be_bytes());
    // One question.
    query.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    for label in labels {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(TYPE_A.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// What the response to the usual query says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is there in the message, or not"
)]
pub struct Answer {
    pub rcode: Rcode,
    /// AD: the data are authentic, says the server.
    pub authentic: bool,
    /// It has an OPT record.
    pub edns: bool,
    /// It is padded.
    pub padded: bool,
    /// How long the server keeps an idle connection open.
    pub keepalive: Option<Duration>,
    /// Why the response is an error, in the words of the server (RFC 8914).
    pub reason: Option<String>,
    /// It is empty, not authoritative, and from a server that does not offer recursion: a referral at best.
    pub is_lame: bool,
}

impl Answer {
    /// Reads a message. An error says why it is not the response to this query.
    pub fn read(message: &[u8], query: &[u8]) -> Result<Self, Problem> {
        let response =
            wire::parse_response(message).map_err(|why| Problem::malformed(&why.to_string()))?;
        if message.get(..2) != query.get(..2) {
            let why = "it responds with another message ID than that of the query";
            return Err(Problem::mismatch("wrong_id", why));
        }
        let rcode = response.rcode();
        let is_same = match (response.question, wire::parse_query(query)) {
            (Some(at), Ok(asked)) => wire::same_question(message, &at, query, &asked.question),
            // Some servers leave the question out of an error.
            (None, _) => !matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN),
            (Some(_), Err(_)) => false,
        };
        if !is_same {
            let why = "it responds to another question than that of the query";
            return Err(Problem::mismatch("wrong_question", why));
        }
        let flags = response.header.flags;
        let option = |code| option(message, &response, code);
        let keepalive = option(OPTION_KEEPALIVE).and_then(|data| <[u8; 2]>::try_from(data).ok());
        Ok(Self {
            rcode,
            // Some copy the bit of the query into an error.
            authentic: flags.ad() && matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN),
            edns: response.opt.is_some(),
            padded: option(OPTION_PADDING).is_some(),
            // In units of 100 ms.
            keepalive: keepalive
                .map(|units| Duration::from_millis(u64::from(u16::from_be_bytes(units)) * 100)),
            reason: option(EXTENDED_ERROR).and_then(reason),
            is_lame: response.header.answers == 0 && !flags.aa() && !flags.ra(),
        })
    }

    /// Why it is of no use for this name, if it is.
    pub fn problem(&self, name: &str) -> Option<Problem> {
        let reason = (self.reason.as_ref()).map_or(String::new(), |why| format!(" ({why})"));
        let why = format!(
            "it responds to a query for {name} with {}{reason}",
            self.rcode
        );
        let (kind, advice) = match self.rcode {
            Rcode::NOERROR | Rcode::NXDOMAIN if self.is_lame => {
                return Some(Problem::new(
                    "no_recursion",
                    format!(
                        "it does not resolve {name} for clients: recursion is not available (RA)"
                    ),
                    "use a recursive resolver; a server that is authoritative for some domains belongs into a route for these",
                ));
            }
            Rcode::NOERROR | Rcode::NXDOMAIN => return None,
            Rcode::SERVFAIL => (
                "servfail",
                "it may not reach other name servers, or finds DNSSEC wrong; try another name",
            ),
            Rcode::REFUSED => (
                "refused_query",
                "its access list does not allow this machine, or it is no resolver for this name; try another one",
            ),
            _ => ("rcode", "try another name"),
        };
        Some(Problem::new(kind, why, advice))
    }

    /// The server does not understand EDNS.
    pub fn refuses_edns(&self) -> bool {
        matches!(self.rcode, Rcode::FORMERR | Rcode::NOTIMP | Rcode::BADVERS)
    }
}

fn option<'m>(message: &'m [u8], response: &Response, code: u16) -> Option<&'m [u8]> {
    let opt = response.opt.as_ref()?;
    let mut options = wire::options(message, opt);
    options.find_map(|(found, data)| (found == code).then_some(data))
}

/// An extended DNS error in words. They come from the server, and must not control a terminal.
fn reason(data: &[u8]) -> Option<String> {
    let (code, text) = data.split_first_chunk::<2>()?;
    let text = String::from_utf8_lossy(text);
    let text: String = text.chars().take(MAX_REASON).collect();
    let mut reason = format!("EDE {}", u16::from_be_bytes(*code));
    if !text.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(reason, ": {}", text.escape_debug());
    }
    Some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(name: &str) -> Questions {
        Questions::new(name, false, true, [7, 0xAB])
    }

    fn shown(query: &[u8]) -> String {
        let parsed = wire::parse_query(query).unwrap();
        wire::describe(query, &parsed.question).to_string()
    }

    #[test]
    fn the_queries_are_ones_that_we_would_forward_ourselves() {
        let asked = questions("www.example.com");
        let usual = asked.usual(true);
        assert_eq!(usual.len() % usize::from(PADDED_TO), 0);
        assert_eq!(shown(&usual), "www.example.com. A IN");
        let opt = wire::parse_query(&usual).unwrap().opt.unwrap();
        let codes: Vec<u16> = wire::options(&usual, &opt).map(|(code, _)| code).collect();
        assert_eq!(codes, [OPTION_KEEPALIVE, OPTION_PADDING]);
        assert_eq!(wire::parse_query(&asked.usual(false)).unwrap().opt, None);
        // req 99
        let on_a_stream = Questions::new("www.example.com", false, false, [7, 0xAB]);
        let usual = on_a_stream.usual(true);
        let opt = wire::parse_query(&usual).unwrap().opt.unwrap();
        let codes: Vec<u16> = wire::options(&usual, &opt).map(|(code, _)| code).collect();
        assert_eq!(codes, [OPTION_PADDING]);
        let slow: Vec<String> = asked.slow().iter().map(|query| shown(query)).collect();
        assert_eq!(
            slow,
            [
                "probe-000000ab.www.example.com. A IN",
                "probe-000000ab.com. A IN"
            ]
        );
        let mut ids: Vec<Vec<u8>> = asked.slow();
        ids.push(usual);
        let ids: Vec<&[u8]> = ids.iter().map(|query| &query[..2]).collect();
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        assert_eq!(questions("com").slow().len(), 1);
        let confined = Questions::new("corp.test", true, true, [7, 0xAB]);
        assert_eq!(confined.slow().len(), 1);
        assert_eq!(shown(&questions("").usual(true)), ". A IN");
        let long = [&"a".repeat(63)[..]; 4].join(".");
        assert_eq!(questions(&long[..253]).slow().len(), 1);
    }

    #[test]
    fn only_the_response_to_the_query_is_read() {
        let query = questions("a.test").usual(true);
        let edited = |edits: &[(usize, u8)]| {
            let mut message = query.clone();
            message[2] |= 0x80;
            for (at, octet) in edits {
                message[*at] = *octet;
            }
            message
        };
        let kind = |message: &[u8]| Answer::read(message, &query).map_err(|problem| problem.kind);
        assert_eq!(kind(&query), Err("malformed"));
        assert_eq!(kind(&edited(&[])[..20]), Err("malformed"));
        assert_eq!(kind(&edited(&[(1, 8)])), Err("wrong_id"));
        assert_eq!(kind(&edited(&[(13, b'b')])), Err("wrong_question"));
        let good = kind(&edited(&[(3, 0xA0)])).unwrap();
        assert!(good.authentic && good.padded && good.edns && !good.is_lame);
        assert_eq!(good.keepalive, None);
        assert!(kind(&edited(&[])).unwrap().is_lame);
        assert!(kind(&edited(&[(3, 1)])).unwrap().refuses_edns());
        assert!(!kind(&edited(&[(3, 0xA5)])).unwrap().authentic);
    }

    #[test]
    fn the_reason_of_a_server_controls_no_terminal() {
        let text = reason(b"\x00\x16no \x1b[2J way").unwrap();
        assert_eq!(text, "EDE 22: no \\u{1b}[2J way");
        assert_eq!(reason(&[0, 9]).as_deref(), Some("EDE 9"));
        assert_eq!(reason(&[0]), None);
    }
}
