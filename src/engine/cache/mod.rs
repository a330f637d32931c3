//! The cache: answers that still hold, under the questions that they answer.
//!
//! An answer is remembered whole and under its own question only: no record of it ever answers another
//! question (RFC 2181 §5.4.1), and nothing is concluded for names below or beside (RFC 8020, RFC 8198).
//!
//! Workers share one cache. It is cut into shards, each behind its own lock, which is held for as long as an
//! answer takes to be copied out. It is bounded in octets, and counts in them all that an entry costs. Time is
//! the boot clock's, which goes on while the machine sleeps.
//!
//! - `key` says what a question is remembered under, and which are none of the cache's business.
//! - `entry` is one answer and its times; [`CachedResponse`] is its form, [`wire::cacheability`] its admission.
//! - `shard` bounds a part; `index` finds in it, `sieve` says who has to go.
//! - `dump` is the cache as octets, for the next process.
//! - `remembered` says what there is for a question, and `flush` forgets it, for whoever controls the program.

mod dump;
mod entry;
mod flush;
mod index;
mod key;
mod octets;
mod remembered;
mod shard;
mod sieve;
#[cfg(test)]
mod tests;

use super::response;
use super::time::Time;
use crate::locks::lock;
use crate::wire::{
    self, Cacheability, CachedResponse, ClientSubnet, Ede, Query, Rcode, Recipient, Response,
};
use dump::Dump;
pub use dump::ImportError;
use entry::{Entry, State};
pub use flush::Flush;
pub use key::Key;
pub use remembered::{Holds, Remembered};
use shard::Shard;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The most shards: more than there are workers, so that two seldom want the same one.
const MAX_SHARDS: usize = 16;
/// The least that a shard holds, in octets: eight of the largest messages.
const MIN_SHARD: usize = 1 << 20;

/// For how long things are remembered, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The least for an answer that may be remembered at all, and the lowest TTL in one.
    pub min: u32,
    /// The most for an answer, and the highest TTL in one.
    pub max: u32,
    /// The most for an answer that says that there is nothing; RFC 2308 §5 advises 1 to 3 hours at most.
    pub max_negative: u32,
    /// For failures; taken as at least 1 and at most 300 (RFC 9520 §3.2).
    pub failure: u32,
    /// After its end an answer is kept for so long, for want of a better one; 0 turns that off. RFC 8767 §5
    /// advises 1 to 3 days at most.
    pub stale_for: u32,
    /// The TTL of such an answer.
    pub stale_ttl: u32,
}

impl Default for Times {
    /// A day, as most resolvers; a quarter of an hour, so that a new name is soon found; 5 seconds, as RFC 9520
    /// §3.2 has it first; a day; 30 seconds (RFC 8767 §4).
    fn default() -> Self {
        Self {
            min: 0,
            max: 86_400,
            max_negative: 900,
            failure: 5,
            stale_for: 86_400,
            stale_ttl: 30,
        }
    }
}

impl Times {
    /// With bounds that hold in any case.
    fn sane(self) -> Self {
        Self {
            failure: self.failure.clamp(1, 300),
            ..self
        }
    }
}

/// What the cache has for a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or the query is none of its business.
    Miss,
    /// The reply, which was appended.
    Hit {
        /// The answer ends soon and is asked for often: it is time for this one caller to ask for it anew.
        prefetch: bool,
    },
    /// An answer that held once. Nothing was appended: it is for [`Cache::get_stale`], when asking has failed
    /// or takes too long.
    Stale,
}

/// What came and went so far. [`Stats`](super::Stats) count what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answers and failures remembered.
    pub insertions: u64,
    /// Answers and failures that had to go for want of room.
    pub evictions: u64,
}

/// Answers by question. Shared by reference.
pub struct Cache {
    /// A power of two of them; none when the cache is off.
    shards: Arc<[Mutex<Shard>]>,
    /// The most octets that it takes.
    bytes: usize,
    seed: [u8; 16],
    times: Times,
    /// Whether each hit finds the addresses in another order.
    rotates: bool,
}

impl Cache {
    /// An empty cache that will take at most `bytes` octets; with 0 it is off. Nobody who asks may know the
    /// `seed`.
    pub fn new(bytes: usize, seed: [u8; 16], times: Times) -> Self {
        let wanted = (bytes / MIN_SHARD).clamp(1, MAX_SHARDS);
        let count = if bytes == 0 { 0 } else { 1 << wanted.ilog2() };
        let shard = |_| Mutex::new(Shard::new(bytes / count));
        Self {
            shards: (0..count).map(shard).collect(),
            bytes,
            seed,
            times: times.sane(),
            rotates: false,
        }
    }

    /// The same, and if `rotates`, each answer with several addresses of one name begins with the next of them each time.
    #[must_use]
    pub fn with_rotation(self, rotates: bool) -> Self {
        Self { rotates, ..self }
    }

    /// A cache with the same answers that takes at most `bytes` octets and remembers by these `times`. Where there was none, or would be
    /// too little for its parts, it is empty.
    #[must_use]
    pub fn changed(&self, bytes: usize, times: Times) -> Self {
        let count = self.shards.len();
        if bytes != self.bytes && (count == 0 || bytes < count * MIN_SHARD) {
            return Self::new(bytes, self.seed, times).with_rotation(self.rotates);
        }
        if bytes != self.bytes {
            self.all()
                .for_each(|mut shard| shard.set_bound(bytes / count));
        }
        Self {
            shards: self.shards.clone(),
            bytes,
            seed: self.seed,
            times: times.sane(),
            rotates: self.rotates,
        }
    }

    /// What a query is remembered under, whose answer comes from the upstreams with the fingerprint `route`; `None` if it is none of the
    /// cache's business.
    pub fn key<'a>(
        &self,
        message: &'a [u8],
        query: &Query,
        route: u32,
        subnet: ClientSubnet,
    ) -> Option<Key<'a>> {
        Key::of(message, query, (route, subnet), self.seed)
    }

    /// Looks for the answer to a query. If there is one that holds, appends it to `out` as `reply` wants it.
    ///
    /// `payload` is the UDP size that we offer, `now` the boot clock.
    pub fn get(
        &self,
        key: &Key<'_>,
        reply: &Recipient<'_>,
        payload: u16,
        now: Time,
        out: &mut Vec<u8>,
    ) -> Found {
        let Some(mut shard) = self.lock(key) else {
            return Found::Miss;
        };
        let Some((slot, entry)) = shard.get(key) else {
            return Found::Miss;
        };
        match entry.state(now, &self.times) {
            state @ (State::Fresh | State::Standing) => {
                let prefetch = state == State::Fresh && entry.hit(now);
                self.rotate(entry);
                entry.write(reply, payload, now, &self.times, out);
                shard.ask(slot);
                Found::Hit { prefetch }
            }
            State::Stale => Found::Stale,
            State::Gone => {
                shard.remove(slot);
                Found::Miss
            }
        }
    }

    /// Appends whatever there is with data, be it out of date: asking has failed, or takes too long (RFC 8767
    /// §5). Says whether there was something.
    pub fn get_stale(
        &self,
        key: &Key<'_>,
        reply: &Recipient<'_>,
        payload: u16,
        now: Time,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(mut shard) = self.lock(key) else {
            return false;
        };
        let Some((slot, entry)) = shard.get(key) else {
            return false;
        };
        if !entry.has_data(now, &self.times) {
            return false;
        }
        // It is fresh if another worker was luckier.
        self.rotate(entry);
        entry.write(reply, payload, now, &self.times, out);
        shard.ask(slot);
        true
    }

    /// Whether [`Cache::get_stale`] has something.
    pub fn has_data(&self, key: &Key<'_>, now: Time) -> bool {
        self.lock(key).is_some_and(|mut shard| {
            let entry = shard.get(key);
            entry.is_some_and(|(_, entry)| entry.has_data(now, &self.times))
        })
    }

    /// Learns from an upstream's answer to a query. One to another question is not looked at.
    pub fn put(
        &self,
        key: &Key<'_>,
        (message, query): (&[u8], &Query),
        (answer_bytes, answer): (&[u8], &Response),
        now: Time,
    ) {
        if self.shards.is_empty() {
            return;
        }
        let asked = |at| wire::same_question(message, &query.question, answer_bytes, at);
        if !answer.question.as_ref().is_none_or(asked) {
            return;
        }
        match wire::cacheability(answer_bytes, answer) {
            Cacheability::Data { lifetime, negative } if is_complete(query, answer) => {
                let Times {
                    min,
                    max,
                    max_negative,
                    ..
                } = self.times;
                let most = if negative { max_negative.min(max) } else { max };
                let min = min.min(most);
                let lifetime = lifetime.clamp(min, most);
                // Whoever remembers a negative answer in turn shall not do so for longer than we do.
                let max_ttl = if negative { lifetime } else { max };
                match CachedResponse::data(message, query, answer_bytes, answer, (min, max_ttl)) {
                    Some(kept) if lifetime > 0 => {
                        self.store(key, Entry::data(kept, key.bits(), lifetime, now));
                    }
                    _ => self.forget(key),
                }
            }
            Cacheability::Data { .. } | Cacheability::MustNotCache => self.forget(key),
            Cacheability::Failure => {
                let kept = CachedResponse::error(message, query, answer_bytes, answer);
                if response::meaning(answer_bytes, answer).is_final() {
                    // What was true once would cover up that it does not validate any more, or that it is blocked.
                    self.forget(key);
                }
                self.fail(key, kept, now);
            }
            Cacheability::Unusable => {}
        }
    }

    /// Learns that no upstream had an answer to a query, because of `why` (RFC 9520). It is answered with this code.
    pub fn put_failure(
        &self,
        key: &Key<'_>,
        (message, query): (&[u8], &Query),
        (rcode, why): (Rcode, Ede<'_>),
        now: Time,
    ) {
        if !self.shards.is_empty() {
            self.fail(
                key,
                CachedResponse::failure(message, query, rcode, why),
                now,
            );
        }
    }

    /// All answers that hold now as octets, for [`Cache::import`] in another process: at most `limit` octets, else `None`.
    ///
    /// Answers that only held once and failures are left out.
    pub fn export(&self, limit: usize, now: Time) -> Option<Vec<u8>> {
        let mut dump = Dump::new(&self.times, now);
        for shard in self.all() {
            for (entry, asked) in shard.entries() {
                if entry.is_data() && entry.state(now, &self.times) == State::Fresh {
                    dump.add(entry, asked);
                }
                // More is not even collected.
                if dump.len() > limit {
                    return None;
                }
            }
        }
        (dump.len() <= limit).then(|| dump.close())
    }

    /// Takes the answers of a dump that [`Cache::export`] made, as far as they hold now; says how many those are. An error leaves the cache
    /// as it is. What it knows already is newer, and stays.
    pub fn import(&self, dump: &[u8], now: Time) -> Result<usize, ImportError> {
        if dump.len() > self.bytes {
            return Err(ImportError::TooLarge);
        }
        let mut taken = 0;
        for (entry, asked) in dump::read(dump, &self.times, now)? {
            let holds = entry.state(now, &self.times) == State::Fresh;
            let question = entry.question().to_vec();
            let key = Key::restore(&question, entry.bits, self.seed);
            if let Some(mut shard) = self.lock(&key).filter(|_| holds)
                && shard.find(&key).is_none()
            {
                shard.put(&key, entry);
                if let Some(slot) = shard.find(&key).filter(|_| asked) {
                    shard.ask(slot);
                }
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// Octets in use, at most what the cache was made with.
    pub fn bytes(&self) -> usize {
        self.all().map(|shard| shard.bytes()).sum()
    }

    /// Answers and failures that are remembered.
    pub fn len(&self) -> usize {
        self.all().map(|shard| shard.len()).sum()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for shard in self.all() {
            sum.insertions += shard.counts.insertions;
            sum.evictions += shard.counts.evictions;
        }
        sum
    }

    /// For an answer that is given now: one that is only looked at would skip an address.
    fn rotate(&self, entry: &mut Entry) {
        if self.rotates {
            entry.rotate();
        }
    }

    fn store(&self, key: &Key<'_>, entry: Entry) {
        if let Some(mut shard) = self.lock(key) {
            shard.put(key, entry);
        }
    }

    /// There is a new answer that may not be remembered: what was true once is not any more.
    fn forget(&self, key: &Key<'_>) {
        if let Some(mut shard) = self.lock(key)
            && let Some(slot) = shard.find(key)
        {
            shard.remove(slot);
        }
    }

    /// A failure never takes the place of data that can still be served (RFC 8767 §4). Those stand instead, and
    /// asking is not repeated for as long as the failure would have been remembered.
    fn fail(&self, key: &Key<'_>, kept: Option<CachedResponse>, now: Time) {
        let (Some(kept), Some(mut shard)) = (kept, self.lock(key)) else {
            return;
        };
        let lifetime = self.times.failure;
        let found = shard.find(key).and_then(|slot| shard.entry(slot));
        match found.filter(|entry| entry.has_data(now, &self.times)) {
            Some(entry) => entry.stand(now + Duration::from_secs(lifetime.into())),
            None => shard.put(key, Entry::failure(kept, key.bits(), lifetime, now)),
        }
    }

    /// The shard of a key. The lower half of the hash is the table's in it.
    fn lock(&self, key: &Key<'_>) -> Option<MutexGuard<'_, Shard>> {
        let upper = (key.hash() >> 32) as usize;
        let shard = self.shards.get(upper & self.shards.len().wrapping_sub(1))?;
        Some(lock(shard))
    }

    fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }
}

/// Whether an answer has all that was asked for. One without an OPT record is from a server without EDNS, and
/// whoever set DO may get more from another.
fn is_complete(query: &Query, answer: &Response) -> bool {
    answer.opt.is_some() || query.opt.is_none_or(|opt| !opt.dnssec_ok)
}
