//! The messages of a look-up: queries to one resolver, and which messages are the responses to them. Pure.

use crate::wire::{self, Rcode, Record, Section};
use rand_chacha::rand_core::Rng;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const A: u16 = 1;
pub const AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
/// An OPT record (RFC 6891 section 6.1.2). A response over UDP may have 1,232 octets, which pass without fragments nearly everywhere.
const OPT: [u8; 11] = [0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0];

/// What is asked for: a name in wire format, and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: Vec<u8>,
    pub qtype: u16,
}

impl Question {
    /// Those for all addresses of this name.
    pub fn addresses_of(name: &[u8]) -> [Self; 2] {
        [A, AAAA].map(|qtype| Self {
            name: name.to_vec(),
            qtype,
        })
    }

    /// The name for people, without the final dot.
    fn name(&self) -> String {
        let name = wire::display(&self.name).to_string();
        name.strip_suffix('.').unwrap_or(&name).to_owned()
    }
}

/// Queries that go to one resolver at once, and its responses.
#[derive(Default)]
pub struct Queries {
    asked: Vec<Asked>,
    /// Why there is nothing, if all are answered.
    nothing: String,
    /// Why they are not: the last thing that went wrong on the way.
    pub failure: String,
}

struct Asked {
    question: Question,
    id: u16,
    /// One that can be read, whatever its response code is.
    response: Option<Vec<u8>>,
}

impl Queries {
    /// For these questions, with random ids that differ: they go over the same connection. What it means if the resolver answers all and
    /// knows `nothing`.
    pub fn new(questions: Vec<Question>, nothing: String, random: &mut impl Rng) -> Self {
        let mut asked: Vec<Asked> = Vec::new();
        for question in questions {
            let mut id = random.next_u32() as u16;
            while asked.iter().any(|other| other.id == id) {
                id = id.wrapping_add(1);
            }
            asked.push(Asked {
                question,
                id,
                response: None,
            });
        }
        Self {
            asked,
            nothing,
            failure: String::new(),
        }
    }

    /// Why nothing came of them.
    pub fn why_nothing(&self) -> &str {
        if self.are_answered() {
            &self.nothing
        } else {
            &self.failure
        }
    }

    pub fn are_answered(&self) -> bool {
        self.asked.iter().all(|asked| asked.response.is_some())
    }

    /// The queries that are not answered.
    pub fn unanswered(&self) -> impl Iterator<Item = Vec<u8>> {
        let unanswered = self.asked.iter().filter(|asked| asked.response.is_none());
        unanswered.map(Asked::query)
    }

    /// Takes a message. One that is not the response to a query without a response yet is ignored, and so is one that was truncated,
    /// unless a part of the records `may_be_partial`.
    pub fn take(&mut self, message: &[u8], may_be_partial: bool) {
        let Ok(response) = wire::parse_response(message) else {
            return;
        };
        let mut open = self
            .asked
            .iter_mut()
            .filter(|asked| asked.response.is_none());
        let Some(asked) = open.find(|asked| asked.id == response.header.id) else {
            return;
        };
        let is_partial = response.header.flags.tc();
        if !asked.is_answered_by(message, &response) || (is_partial && !may_be_partial) {
            return;
        }
        if response.rcode() != Rcode::NOERROR {
            self.nothing = format!("{} for {}", response.rcode(), asked.question.name());
        }
        asked.response = Some(message.to_vec());
    }

    /// The records of all responses without an error, each with its message and the question.
    pub fn records(&self) -> impl Iterator<Item = (&Question, &[u8], Record)> {
        self.asked.iter().flat_map(|asked| {
            let message = asked.response.as_deref().unwrap_or_default();
            let response = wire::parse_response(message).ok();
            let good = response.filter(|response| response.rcode() == Rcode::NOERROR);
            let records = good.map(|response| wire::records(message, &response));
            let of_internet = |record: &Record| record.class == CLASS_IN;
            let records = records.into_iter().flatten().filter(of_internet);
            records.map(move |record| (&asked.question, message, record))
        })
    }

    /// The addresses that were asked for, with the name that has them and their TTL. A chain of CNAMEs ends in address records of another
    /// owner; the resolver has followed it.
    pub fn addresses(&self) -> impl Iterator<Item = (&[u8], IpAddr, u32)> {
        self.records().filter_map(|(question, message, record)| {
            let ip = address(message, &record)?;
            let is_asked = record.section == Section::Answer && record.rtype == question.qtype;
            is_asked.then_some((&question.name[..], ip, record.ttl))
        })
    }
}

impl Asked {
    /// The query in wire format.
    fn query(&self) -> Vec<u8> {
        // Not for addresses, which fit anyway: some home routers do not know EDNS.
        let with_edns = ![A, AAAA].contains(&self.question.qtype);
        let mut query = Vec::with_capacity(wire::HEADER_LEN + self.question.name.len() + 15);
        query.extend_from_slice(&self.id.to_be_bytes());
        // RD, one question.
        query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(with_edns)]);
        query.extend_from_slice(&self.question.name);
        query.extend_from_slice(&self.question.qtype.to_be_bytes());
        query.extend_from_slice(&CLASS_IN.to_be_bytes());
        if with_edns {
            query.extend_from_slice(&OPT);
        }
        query
    }

    fn is_answered_by(&self, message: &[u8], response: &wire::Response) -> bool {
        let query = self.query();
        let (Some(at), Ok(asked)) = (response.question, wire::parse_query(&query)) else {
            return false;
        };
        wire::same_question(message, &at, &query, &asked.question)
    }
}

/// The address in a record, if it is of that kind, and one that a server can have.
pub fn address(message: &[u8], record: &Record) -> Option<IpAddr> {
    let data = message.get(record.rdata.clone())?;
    let ip = match record.rtype {
        A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        AAAA => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
        _ => None,
    };
    ip.filter(is_of_one_server)
}

/// Whether one server can have this address.
pub fn is_of_one_server(ip: &IpAddr) -> bool {
    let canonical = ip.to_canonical();
    !canonical.is_unspecified()
        && !canonical.is_multicast()
        && canonical != IpAddr::V4(Ipv4Addr::BROADCAST)
        && *ip != IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

/// A host name, which was checked when the configuration was read, in wire format.
pub fn to_wire(name: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::testing::{Message, response_to};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// The queries for these questions.
    pub fn asked(questions: impl Into<Vec<Question>>) -> Queries {
        let random = &mut ChaCha8Rng::seed_from_u64(7);
        Queries::new(questions.into(), "nothing".into(), random)
    }

    /// Answers all queries with what this makes of them.
    pub fn answer(queries: &mut Queries, reply: impl Fn(&[u8], Message) -> Message) {
        for query in queries.unanswered().collect::<Vec<_>>() {
            let response = reply(&query, response_to(&query)).build();
            queries.take(&response, false);
        }
        assert!(queries.are_answered());
    }

    fn queries() -> Queries {
        asked(Question::addresses_of(&to_wire("dot.example")))
    }

    fn found(queries: &Queries) -> Vec<(String, u32)> {
        let addresses = queries.addresses();
        addresses
            .map(|(_, ip, ttl)| (ip.to_string(), ttl))
            .collect()
    }

    #[test]
    fn the_query_is_one_that_we_would_forward_ourselves() {
        for (qtype, shown, edns) in [(AAAA, "AAAA", false), (64, "SVCB", true)] {
            let question = Question {
                name: to_wire("dot.example"),
                qtype,
            };
            let query = asked([question]).unanswered().next().unwrap();
            let scanned = wire::parse_query(&query).unwrap();
            let described = wire::describe(&query, &scanned.question).to_string();
            assert_eq!(described, format!("dot.example. {shown} IN"));
            assert_eq!(scanned.opt.is_some(), edns);
        }
    }

    #[test]
    fn addresses_come_from_the_responses_to_both_queries() {
        let mut queries = queries();
        let [a, aaaa] = queries.unanswered().collect::<Vec<_>>().try_into().unwrap();
        assert_ne!(a[..2], aaaa[..2], "an id each");
        let from_a = response_to(&a).a(300, [192, 0, 2, 1]).build();
        queries.take(&from_a, false);
        assert!(queries.unanswered().eq([aaaa.clone()]));
        // A repeated response counts once.
        queries.take(&from_a, false);
        // An address of the wrong type, and one that nobody has.
        let from_aaaa = response_to(&aaaa)
            .a(1, [192, 0, 2, 9])
            .answer(AAAA, 1, &0_u128.to_be_bytes())
            .answer(AAAA, 1, &1_u128.to_be_bytes());
        queries.take(&from_aaaa.build(), false);
        assert!(queries.are_answered());
        let expected = [("192.0.2.1", 300), ("::1", 1)];
        assert_eq!(
            found(&queries),
            expected.map(|(ip, ttl)| (ip.to_owned(), ttl))
        );
    }

    #[test]
    fn only_a_whole_response_to_the_query_counts() {
        let a = queries().unanswered().next().unwrap();
        let good = response_to(&a).a(300, [192, 0, 2, 1]).build();
        let edited = |at: usize, flip: u8| {
            let mut message = good.clone();
            message[at] ^= flip;
            message
        };
        let mut other_id = queries().unanswered().nth(1).unwrap();
        other_id.truncate(2);
        let ignored = [
            ("a query", edited(2, 0x80)),
            ("another id", edited(1, 0x10)),
            (
                "the id of the other query",
                [&other_id, &good[2..]].concat(),
            ),
            ("another name", edited(13, b'x')),
            ("a truncated one", edited(2, 0x02)),
            ("half a message", good[..good.len() / 2].to_vec()),
        ];
        for (what, message) in ignored {
            let mut queries = queries();
            queries.take(&message, false);
            assert_eq!(
                (found(&queries), queries.unanswered().count()),
                (vec![], 2),
                "{what}"
            );
        }
        let mut partial = queries();
        partial.take(&edited(2, 0x02), true);
        assert_eq!(found(&partial).len(), 1);
    }

    #[test]
    fn the_reason_for_nothing_is_what_the_resolver_says_if_it_answers() {
        let mut queries = queries();
        queries.failure = "connection refused".into();
        let [a, aaaa] = queries.unanswered().collect::<Vec<_>>().try_into().unwrap();
        queries.take(&response_to(&a).build(), false);
        assert_eq!(queries.why_nothing(), "connection refused");
        queries.take(&response_to(&aaaa).build(), false);
        assert_eq!(queries.why_nothing(), "nothing");
        let mut queries = self::queries();
        answer(&mut queries, |_, plain| {
            plain.rcode(5).a(300, [192, 0, 2, 1])
        });
        assert_eq!(queries.why_nothing(), "REFUSED for dot.example");
        assert_eq!(found(&queries), []);
    }
}
