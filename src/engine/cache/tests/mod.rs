//! The cache as its callers see it.

mod answers;
mod bounds;
mod dump;
mod failing;
mod lifetimes;
mod looked_at;

use super::super::time::Time;
use super::{Cache, Found, Key, Times};
use crate::wire::testing::{self, Message, TO_QUESTION};
use crate::wire::{self, ClientEdns, Ede, Query, Rcode, Recipient, Section};
use std::time::Duration;

/// The UDP size that we offer.
const PAYLOAD: u16 = 1232;
/// What is refused to no cache here.
const AMPLE: usize = 1 << 22;

/// A cache and a clock that stands still unless told.
struct Stage {
    cache: Cache,
    now: Time,
}

/// A query as it came.
#[derive(Clone)]
struct Asked {
    message: Vec<u8>,
    query: Query,
    limit: usize,
    /// The fingerprint of its route.
    route: u32,
}

fn asked(built: &Message) -> Asked {
    let message = built.build();
    let query = wire::parse_query(&message).unwrap();
    let limit = 512;
    Asked {
        message,
        query,
        limit,
        route: 7,
    }
}

impl Asked {
    /// Its key, which is the same when its hash is known already.
    fn key(&self, cache: &Cache) -> Option<Key<'_>> {
        let key = cache.key(
            &self.message,
            &self.query,
            self.route,
            wire::ClientSubnet::Keep,
        )?;
        let again = Key::again(&self.message, &self.query, self.route, key.hash());
        let mut lower = Vec::new();
        wire::lowercase_into(&self.message, &self.query.question, &mut lower);
        assert!(key.matches(&lower, again.bits()) && again.matches(&lower, key.bits()));
        Some(again)
    }

    fn reply(&self) -> Recipient<'_> {
        let opt = self.query.opt;
        Recipient {
            id: self.query.header.id,
            question: self.query.question.octets(&self.message),
            rd: self.query.header.flags.rd(),
            edns: opt.map(|opt| ClientEdns::of(&self.message, &opt, wire::ClientSubnet::Keep)),
            limit: self.limit,
        }
    }
}

/// What a client got.
struct Got {
    message: Vec<u8>,
    answer: wire::Response,
}

impl Got {
    fn new(message: Vec<u8>) -> Got {
        let answer = wire::parse_response(&message).unwrap();
        assert_eq!(answer.end, message.len());
        Got { message, answer }
    }

    fn ttls(&self) -> Vec<u32> {
        let records = wire::records(&self.message, &self.answer);
        let others = records.filter(|record| record.rtype != 41);
        others.map(|record| record.ttl).collect()
    }

    /// The codes of the extended errors.
    fn errors(&self) -> Vec<u16> {
        let options = self
            .answer
            .opt
            .iter()
            .flat_map(|opt| wire::options(&self.message, opt));
        options
            .filter(|(code, _)| *code == 15)
            .map(|(_, data)| u16::from_be_bytes([data[0], data[1]]))
            .collect()
    }
}

impl Stage {
    fn new() -> Stage {
        Stage::with(AMPLE, Times::default())
    }

    fn with(bytes: usize, times: Times) -> Stage {
        Stage {
            cache: Cache::new(bytes, [5; 16], times),
            now: Time::ZERO + Duration::from_secs(1_000_000),
        }
    }

    fn wait(&mut self, seconds: f64) {
        self.now = self.now + Duration::from_secs_f64(seconds);
    }

    fn learn(&self, asked: &Asked, built: &Message) {
        let message = built.build();
        let answer = wire::parse_response(&message).unwrap();
        if let Some(key) = asked.key(&self.cache) {
            let asked = (&*asked.message, &asked.query);
            self.cache.put(&key, asked, (&message, &answer), self.now);
        }
    }

    fn fail(&self, asked: &Asked) {
        let why = Ede::NO_REACHABLE_AUTHORITY;
        if let Some(key) = asked.key(&self.cache) {
            let asked = (&*asked.message, &asked.query);
            self.cache
                .put_failure(&key, asked, (Rcode::SERVFAIL, why), self.now);
        }
    }

    fn find(&self, asked: &Asked) -> (Found, Option<Got>) {
        let mut out = b"before".to_vec();
        let key = asked.key(&self.cache);
        let found = key.map_or(Found::Miss, |key| {
            self.cache
                .get(&key, &asked.reply(), PAYLOAD, self.now, &mut out)
        });
        let out = out.split_off(6);
        let got = (!out.is_empty()).then(|| Got::new(out));
        assert_eq!(got.is_some(), matches!(found, Found::Hit { .. }));
        (found, got)
    }

    /// What is found, which must be something.
    fn hit(&self, asked: &Asked) -> Got {
        self.find(asked).1.expect("nothing is known")
    }

    fn knows(&self, asked: &Asked) -> bool {
        self.find(asked).1.is_some()
    }

    fn stale(&self, asked: &Asked) -> Option<Got> {
        let mut out = Vec::new();
        let reply = asked.reply();
        let given = asked.key(&self.cache).is_some_and(|key| {
            self.cache
                .get_stale(&key, &reply, PAYLOAD, self.now, &mut out)
        });
        assert_eq!(given, !out.is_empty());
        given.then(|| Got::new(out))
    }
}

fn plain() -> Asked {
    asked(&testing::query("a.test.", 1))
}

fn with_edns() -> Asked {
    asked(&testing::query("a.test.", 1).edns(1232, 0, &[]))
}

fn a(ttl: u32) -> Message {
    testing::response("a.test.", 1).a(ttl, [192, 0, 2, 1])
}

fn soa(built: Message, ttl: u32, minimum: u32) -> Message {
    let numbers = [&[0; 16][..], &minimum.to_be_bytes()].concat();
    let rdata = [TO_QUESTION, TO_QUESTION, &numbers].concat();
    built.record(Section::Authority, TO_QUESTION, 6, (1, ttl), &rdata)
}

fn nxdomain(ttl: u32, minimum: u32) -> Message {
    soa(testing::response("a.test.", 1).flags(0x8183), ttl, minimum)
}

fn servfail() -> Message {
    testing::response("a.test.", 1).flags(0x8182)
}
