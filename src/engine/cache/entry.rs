//! One remembered answer: how old it is, and what it is still good for.

use super::super::time::Time;
use super::Times;
use super::octets::Octets;
use super::remembered::{Holds, Remembered};
use crate::wire::{CachedResponse, Recipient};
use std::time::Duration;

/// Hits that show that a name is asked for again and again, and so worth to be asked for ahead of time.
const PREFETCH_HITS: u8 = 2;
/// The part of a lifetime, at its end, in which that is done: a tenth.
const PREFETCH_PART: u32 = 10;

/// What an entry is good for at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It holds.
    Fresh,
    /// It is better than no answer, and asking has failed just now.
    Standing,
    /// It is better than no answer.
    Stale,
    /// Nothing.
    Gone,
}

/// An answer and its times.
#[derive(Debug)]
pub(super) struct Entry {
    kept: CachedResponse,
    /// Those of the key.
    pub(super) bits: u64,
    /// An error, that is: there are no data in it that could be served stale.
    failure: bool,
    /// The TTLs stand as in a stale answer.
    turned: bool,
    /// Somebody was told to ask ahead of time.
    prefetched: bool,
    hits: u8,
    /// Seconds that the TTLs were lowered by so far.
    aged: u32,
    stored: Time,
    /// Until when it holds.
    expires: Time,
    /// Until when nobody asks anew after a failure.
    stands_until: Time,
}

impl Entry {
    /// An answer that holds for `lifetime` seconds.
    pub(super) fn data(kept: CachedResponse, bits: u64, lifetime: u32, now: Time) -> Self {
        Self {
            kept,
            bits,
            failure: false,
            turned: false,
            prefetched: false,
            hits: 0,
            aged: 0,
            stored: now,
            expires: now + Duration::from_secs(lifetime.into()),
            stands_until: Time::ZERO,
        }
    }

    /// An error that is remembered for `lifetime` seconds.
    pub(super) fn failure(kept: CachedResponse, bits: u64, lifetime: u32, now: Time) -> Self {
        Self {
            failure: true,
            ..Self::data(kept, bits, lifetime, now)
        }
    }

    /// Is it no failure?
    pub(super) fn is_data(&self) -> bool {
        !self.failure
    }

    pub(super) fn question(&self) -> &[u8] {
        self.kept.question()
    }

    /// Octets that it takes beside its slot.
    pub(super) fn heap_size(&self) -> usize {
        self.kept.heap_size()
    }

    pub(super) fn state(&self, now: Time, times: &Times) -> State {
        let keep = Duration::from_secs(times.stale_for.into());
        if now < self.expires && !self.turned {
            State::Fresh
        } else if self.failure || now >= self.expires + keep {
            State::Gone
        } else if now < self.stands_until {
            State::Standing
        } else {
            State::Stale
        }
    }

    /// What it is, for people; `None` if it is good for nothing.
    pub(super) fn told(&self, now: Time, times: &Times) -> Option<Remembered> {
        let holds = match self.state(now, times) {
            State::Fresh => Holds::Fresh,
            State::Standing => Holds::Standing,
            State::Stale => Holds::Stale,
            State::Gone => return None,
        };
        Some(Remembered {
            holds,
            is_failure: self.failure,
            rcode: self.kept.rcode(),
            answers: self.kept.answers(),
            age: now.since(self.stored),
            left: self.expires.since(now),
            hits: self.hits,
            ..Remembered::of_bits(self.bits)
        })
    }

    /// Whether there is something in it that is better than an error.
    pub(super) fn has_data(&self, now: Time, times: &Times) -> bool {
        !self.failure && self.state(now, times) != State::Gone
    }

    /// Asking anew failed: these data stand for a while.
    pub(super) fn stand(&mut self, until: Time) {
        self.stands_until = until;
    }

    /// Whether it is time for one caller to ask ahead. Says so once.
    pub(super) fn hit(&mut self, now: Time) -> bool {
        self.hits = self.hits.saturating_add(1);
        let last = self.expires.since(self.stored) / PREFETCH_PART;
        let due = !self.failure
            && !self.prefetched
            && self.hits >= PREFETCH_HITS
            && self.expires.since(now) <= last;
        self.prefetched |= due;
        due
    }

    /// Appends it to a dump, with its key's bits, and whether somebody `asked` for it lately.
    pub(super) fn store(&self, asked: bool, out: &mut Vec<u8>) {
        let (octets, state_at, end) = self.kept.stored();
        for number in [octets.len() as u32, state_at, end, self.aged] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.bits.to_be_bytes());
        for moment in [self.stored, self.expires] {
            out.extend_from_slice(&moment.as_nanos().to_be_bytes());
        }
        let marks = u8::from(self.prefetched) << 1 | u8::from(asked);
        out.extend_from_slice(&[self.hits, marks]);
        out.extend_from_slice(octets);
    }

    /// Reads what [`Entry::store`] wrote, and whether somebody asked for it lately.
    pub(super) fn read(from: &mut Octets<'_>) -> Option<(Self, bool)> {
        let mut number = || from.number::<4>().map(|number| number as u32);
        let (len, state_at, end) = (number()?, number()?, number()?);
        let aged = number()?;
        let bits = from.number::<8>()?;
        let mut moment = || from.number::<8>().map(Time::from_nanos);
        let (stored, expires) = (moment()?, moment()?);
        let (hits, marks) = (from.number::<1>()? as u8, from.number::<1>()?);
        let kept = CachedResponse::restore(from.take(len as usize)?, state_at, end)?;
        let entry = Self {
            prefetched: marks & 2 != 0,
            hits,
            aged,
            expires,
            ..Self::data(kept, bits, 0, stored)
        };
        Some((entry, marks & 1 != 0))
    }

    /// From now on its addresses are in another order.
    pub(super) fn rotate(&mut self) {
        self.kept.rotate();
    }

    /// Appends the answer as it is now. A fresh one has its TTLs lowered by its age; that is done in place and once a second, so most hits
    /// only copy. Otherwise it is what was true once: from now on the entry is stale for everybody.
    pub(super) fn write(
        &mut self,
        reply: &Recipient<'_>,
        payload: u16,
        now: Time,
        times: &Times,
        out: &mut Vec<u8>,
    ) {
        let fresh = self.state(now, times) == State::Fresh;
        let age = u32::try_from(now.since(self.stored).as_secs()).unwrap_or(u32::MAX);
        if !fresh && !self.turned {
            self.kept.set_ttls(times.stale_ttl);
            self.turned = true;
        } else if fresh && !self.failure && age > self.aged {
            // Workers read the clock once per batch, so one may come with an earlier time than another.
            self.kept.age(age - self.aged);
            self.aged = age;
        }
        self.kept.relay(reply, payload, self.failure || !fresh, out);
    }
}
