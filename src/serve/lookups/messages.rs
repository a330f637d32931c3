//! The messages of a look-up: an A and an AAAA query, and what their responses say. Pure.

use crate::config::Host;
use crate::wire::{self, Rcode, Section};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

const A: u16 = 1;
const AAAA: u16 = 28;
const TYPES: [u16; 2] = [A, AAAA];
/// Addresses are looked up again after their TTL, but neither all the time nor hardly ever.
const LIFETIMES: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

/// Addresses, and for how long they may be used.
pub type Found = (Vec<SocketAddr>, Duration);

/// The two queries for one host, and what was learned from responses.
pub struct Queries {
    host: Host,
    ids: [u16; 2],
    answered: [bool; 2],
    addresses: Vec<IpAddr>,
    ttl: Duration,
    /// Why there is no address: the last thing that went wrong.
    pub failure: String,
}

impl Queries {
    /// The ids are made of random octets.
    pub fn new(host: Host, random: u32) -> Self {
        let [a, aaaa] = [random as u16, (random >> 16) as u16];
        Self {
            host,
            // They go over the same connection, so that they must differ.
            ids: [a, if a == aaaa { !aaaa } else { aaaa }],
            answered: [false; 2],
            addresses: Vec::new(),
            ttl: *LIFETIMES.end(),
            failure: "no bootstrap resolver".into(),
        }
    }

    /// The same queries for another resolver.
    pub fn start_over(&mut self) {
        self.answered = [false; 2];
        self.failure = format!("no address for {}", self.host.name());
    }

    pub fn are_answered(&self) -> bool {
        self.answered == [true; 2]
    }

    /// The queries that are not answered.
    pub fn unanswered(&self) -> impl Iterator<Item = Vec<u8>> {
        let unanswered = (0..TYPES.len()).filter(|index| !self.answered[*index]);
        unanswered.map(|index| query(self.host.name(), self.ids[index], TYPES[index]))
    }

    /// Takes a message. One that is not the response to a query without a response yet is ignored, and so is one that was truncated,
    /// unless a part of the addresses `may_be_partial`.
    pub fn take(&mut self, message: &[u8], may_be_partial: bool) {
        let Ok(response) = wire::parse_response(message) else {
            return;
        };
        let index = self.ids.iter().position(|id| *id == response.header.id);
        let Some(index) = index.filter(|index| !self.answered[*index]) else {
            return;
        };
        let query = query(self.host.name(), self.ids[index], TYPES[index]);
        let is_partial = response.header.flags.tc();
        if !is_response_to(message, &response, &query) || (is_partial && !may_be_partial) {
            return;
        }
        self.answered[index] = true;
        if response.rcode() != Rcode::NOERROR {
            self.failure = format!("{} for {}", response.rcode(), self.host.name());
            return;
        }
        // A chain of CNAMEs ends in address records of another owner; the resolver has followed it.
        for record in wire::records(message, &response) {
            let data = message.get(record.rdata).unwrap_or_default();
            let ip = match (record.section, record.rtype) {
                (Section::Answer, A) => <[u8; 4]>::try_from(data).map(IpAddr::from),
                (Section::Answer, AAAA) => <[u8; 16]>::try_from(data).map(IpAddr::from),
                _ => continue,
            };
            if let Ok(ip) = ip {
                self.addresses.push(ip);
                self.ttl = self.ttl.min(Duration::from_secs(record.ttl.into()));
            }
        }
    }

    /// Hands out the addresses, if any were found.
    pub fn found(&mut self) -> Option<Found> {
        let port = self.host.port();
        let addresses = self.addresses.drain(..).map(|ip| (ip, port).into());
        let addresses: Vec<SocketAddr> = addresses.collect();
        let lifetime = self.ttl.clamp(*LIFETIMES.start(), *LIFETIMES.end());
        (!addresses.is_empty()).then_some((addresses, lifetime))
    }
}

fn is_response_to(message: &[u8], response: &wire::Response, query: &[u8]) -> bool {
    let (Some(at), Ok(asked)) = (response.question, wire::parse_query(query)) else {
        return false;
    };
    wire::same_question(message, &at, query, &asked.question)
}

/// A query in wire format. The name was checked when the configuration was read.
fn query(name: &str, id: u16, qtype: u16) -> Vec<u8> {
    let mut query = Vec::with_capacity(wire::HEADER_LEN + name.len() + 6);
    query.extend_from_slice(&id.to_be_bytes());
    // RD, one question.
    query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend_from_slice(&qtype.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries() -> Queries {
        Queries::new(Host::new("dot.example", 853).unwrap(), 0x0008_0007)
    }

    /// A response to a query, with these flags and one record of the query's type.
    fn response(query: &[u8], flags: [u8; 2], ttl: u32, data: &[u8]) -> Vec<u8> {
        let mut message = query.to_vec();
        message[2..4].copy_from_slice(&flags);
        message[7] = 1;
        let qtype = message[message.len() - 4..message.len() - 2].to_vec();
        message.extend_from_slice(&[0xC0, 12]);
        message.extend_from_slice(&qtype);
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&(data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
        message
    }

    #[test]
    fn the_query_is_one_that_we_would_forward_ourselves() {
        let query = query("dot.example", 7, AAAA);
        let scanned = wire::parse_query(&query).unwrap();
        assert_eq!((scanned.header.id, scanned.question.qtype), (7, AAAA));
        assert_eq!(
            wire::describe(&query, &scanned.question).to_string(),
            "dot.example. AAAA IN"
        );
    }

    #[test]
    fn addresses_come_from_the_responses_to_both_queries() {
        let mut queries = queries();
        let [a, aaaa] = queries.unanswered().collect::<Vec<_>>().try_into().unwrap();
        let from_a = response(&a, [0x81, 0x80], 300, &[192, 0, 2, 1]);
        queries.take(&from_a, false);
        assert!(queries.unanswered().eq([aaaa.clone()]));
        // A repeated response counts once.
        queries.take(&from_a, false);
        let from_aaaa = response(&aaaa, [0x81, 0x80], 1, &1_u128.to_be_bytes());
        queries.take(&from_aaaa, false);
        assert!(queries.are_answered());
        let addresses = ["192.0.2.1:853", "[::1]:853"].map(|addr| addr.parse().unwrap());
        assert_eq!(
            queries.found(),
            Some((addresses.to_vec(), *LIFETIMES.start()))
        );
    }

    #[test]
    fn only_a_whole_response_to_the_query_counts() {
        let good = response(
            &query("dot.example", 7, A),
            [0x81, 0x80],
            300,
            &[192, 0, 2, 1],
        );
        let edited = |at: usize, octet: u8| {
            let mut message = good.clone();
            message[at] = octet;
            message
        };
        let ignored = [
            ("a query", edited(2, 1)),
            ("another id", edited(1, 9)),
            ("the id of the other query", edited(1, 8)),
            ("another name", edited(13, b'x')),
            ("a truncated one", edited(2, 0x83)),
            ("half a message", good[..good.len() / 2].to_vec()),
        ];
        for (what, message) in ignored {
            let mut queries = queries();
            queries.take(&message, false);
            assert_eq!(queries.found(), None, "{what}");
        }
        let mut partial = queries();
        partial.take(&edited(2, 0x83), true);
        assert!(partial.found().is_some());
        let mut refused = queries();
        refused.take(&edited(3, 0x85), false);
        assert_eq!(refused.failure, "REFUSED for dot.example");
    }
}
