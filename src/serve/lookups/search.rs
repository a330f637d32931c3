//! What a look-up asks its resolver for, step by step, and what comes of it. Pure.

use super::designation::Designation;
use super::messages::{Queries, Question, to_wire};
use super::step::{Step, found};
use crate::config::{Host, Upstream};
use rand_chacha::ChaCha8Rng;
use std::net::SocketAddr;

/// What is looked for.
pub enum Search {
    /// The addresses of a host.
    Host(Host),
    /// The resolvers that the one which is asked designates.
    Designated(Designation),
}

impl Search {
    /// For the addresses of this upstream, and who is asked: the bootstrap resolvers, or the one that designates it. `None` if it needs no
    /// look-up.
    pub fn of(upstream: &Upstream, bootstrap: &[SocketAddr]) -> Option<(Self, Vec<SocketAddr>)> {
        if let Some(resolver) = upstream.designated_by() {
            return Some((
                Self::Designated(Designation::of(resolver, upstream.usual_protocols())),
                vec![resolver],
            ));
        }
        let host = upstream.host_to_find()?.clone();
        Some((Self::Host(host), bootstrap.to_vec()))
    }

    /// What a resolver is asked first.
    pub fn first(&mut self) -> Vec<Question> {
        match self {
            Self::Host(host) => Question::addresses_of(&to_wire(host.name())).into(),
            Self::Designated(designation) => designation.first(),
        }
    }

    /// What it means that a resolver has answered and that nothing comes of it.
    pub fn nothing(&self) -> String {
        match self {
            Self::Host(host) => format!("no address for {}", host.name()),
            Self::Designated(designation) => designation.nothing(),
        }
    }

    /// What follows from what a resolver has answered to the last questions, be it all of them or not.
    pub fn step(&mut self, answers: &Queries, random: &mut ChaCha8Rng) -> Step {
        match self {
            Self::Host(host) => {
                let mut ttl = u32::MAX;
                let addresses = answers.addresses().map(|(_, ip, of_record)| {
                    ttl = ttl.min(of_record);
                    SocketAddr::new(ip, host.port()).into()
                });
                let addresses = addresses.collect();
                found(addresses, ttl)
            }
            Self::Designated(designation) => designation.step(answers, random),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::{answer, asked};
    use super::super::messages::{A, AAAA};
    use super::super::step::{Found, MAX_ADDRESSES, Place};
    use super::*;
    use crate::wire::testing::word;
    use rand_chacha::rand_core::SeedableRng;
    use std::time::Duration;

    /// What a host with this TTL leads to, whose IPv6 address has another one.
    fn step(ttl: u32, ttl_v6: u32) -> Step {
        let mut search = Search::Host(Host::new("dot.example", 8853).unwrap());
        let mut queries = asked(search.first());
        answer(&mut queries, |query, plain| {
            match word(query, query.len() - 4) {
                A => plain.a(ttl, [192, 0, 2, 1]),
                _ => plain.answer(AAAA, ttl_v6, &1_u128.to_be_bytes()),
            }
        });
        search.step(&queries, &mut ChaCha8Rng::seed_from_u64(7))
    }

    // req 85
    #[test]
    fn a_host_is_looked_up_again_when_its_lowest_ttl_ends_within_bounds() {
        let addresses =
            ["192.0.2.1:8853", "[::1]:8853"].map(|addr| addr.parse::<SocketAddr>().unwrap());
        for (ttl, ttl_v6, seconds) in [
            (300, 7_200, 300),
            (7_200, 300, 300),
            (1, 300, 60),
            (0, 0, 60),
            (604_800, 604_800, 86_400),
        ] {
            let expected = Found {
                places: addresses.map(Place::from).into(),
                lifetime: Duration::from_secs(seconds),
            };
            assert_eq!(step(ttl, ttl_v6), Step::Found(expected), "{ttl} {ttl_v6}");
        }
    }

    #[test]
    fn a_host_without_an_address_leads_to_nothing() {
        let mut search = Search::Host(Host::new("dot.example", 853).unwrap());
        let mut queries = asked(search.first());
        answer(&mut queries, |_, plain| plain);
        let step = search.step(&queries, &mut ChaCha8Rng::seed_from_u64(7));
        assert_eq!(step, Step::Nothing(None));
        assert_eq!(search.nothing(), "no address for dot.example");
    }

    #[test]
    fn a_host_with_many_addresses_has_so_many_and_no_more() {
        let mut search = Search::Host(Host::new("dot.example", 853).unwrap());
        let mut queries = asked(search.first());
        answer(&mut queries, |_, plain| {
            (1..=200).fold(plain, |plain, last| plain.a(300, [192, 0, 2, last]))
        });
        match search.step(&queries, &mut ChaCha8Rng::seed_from_u64(7)) {
            Step::Found(found) => assert_eq!(found.places.len(), MAX_ADDRESSES),
            other => panic!("{other:?}"),
        }
    }
}
