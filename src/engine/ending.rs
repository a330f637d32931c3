//! A question is over: everybody who waits for it gets what there is. One large answer for many clients leaves in parts, so that the
//! list of what is to be done stays small.

use super::cache::Key;
use super::failure::{Explanation, Failure};
use super::flight::{Flight, FlightKey, Waiter};
use super::forwarder::Forwarder;
use super::output::Output;
use super::quotas;
use super::response;
use super::time::Now;
use crate::wire::{self, Answer};

/// A question that is over, with clients who have not got their answers yet.
pub struct Ending {
    flight: Flight,
    what: What,
}

/// What those who wait for a question get.
enum What {
    Answer(Vec<u8>),
    Failure(Explanation),
}

impl Forwarder {
    /// Relays an answer to everybody who waits. With a key, an answer out of date is better than this one.
    pub(super) fn relay(
        &mut self,
        mut flight: Flight,
        key: Option<Key>,
        (message, answer): (&[u8], &Answer),
        now: Now,
        out: &mut Output,
    ) {
        let payload = self.limits.udp_payload;
        let meaning = response::meaning(message, answer);
        let stale = key.filter(|_| meaning.is_worse_than_stale());
        while let Some(waiter) = flight.next_waiter() {
            if out.is_full() {
                return self.put_off(flight, waiter, What::Answer(message.to_vec()));
            }
            if self.reply_stale(stale.as_ref(), &flight, &waiter, now, out) {
                continue;
            }
            self.stats.answered += 1;
            let reply = waiter.reply(flight.question());
            out.reply(waiter.client, |out| {
                if answer.header.flags.tc() && !waiter.client.is_datagram() {
                    // Whoever asks over a stream cannot ask for more; a silently short answer would be worse.
                    let why = Failure::Truncated.explain(&self.upstreams, 0);
                    failed(&flight, &waiter, &why, payload, out);
                } else {
                    wire::relay_answer(message, answer, &reply, payload, out);
                }
            });
        }
        self.recycle(flight.message);
    }

    /// Answers everybody who waits with what is out of date, or SERVFAIL and a reason.
    pub(super) fn tell_failure(
        &mut self,
        mut flight: Flight,
        key: Option<&Key>,
        why: Explanation,
        now: Now,
        out: &mut Output,
    ) {
        let payload = self.limits.udp_payload;
        while let Some(waiter) = flight.next_waiter() {
            if out.is_full() {
                return self.put_off(flight, waiter, What::Failure(why));
            }
            if self.reply_stale(key, &flight, &waiter, now, out) {
                continue;
            }
            self.stats.failed += 1;
            out.reply(waiter.client, |out| {
                failed(&flight, &waiter, &why, payload, out);
            });
        }
        self.recycle(flight.message);
    }

    /// The driver first has to do what there is; then the rest is answered.
    fn put_off(&mut self, mut flight: Flight, waiter: Waiter, what: What) {
        flight.first = Some(waiter);
        self.endings.push_back(Ending { flight, what });
    }

    /// Answers those who had to wait until there was room.
    pub(super) fn go_on_ending(&mut self, now: Now, out: &mut Output) {
        while !out.is_full()
            && let Some(Ending { flight, what }) = self.endings.pop_front()
        {
            let key = flight.key(&self.cache);
            match what {
                What::Failure(why) => self.tell_failure(flight, key.as_ref(), why, now, out),
                What::Answer(message) => {
                    if let Ok(answer) = wire::answer(&message) {
                        self.relay(flight, key, (&message, &answer), now, out);
                    }
                }
            }
        }
    }

    /// Did clients have to wait until there was room, although their answers are there? Then [`Forwarder::time`] goes on with them, and
    /// nothing more should be read before.
    pub fn has_more(&self) -> bool {
        !self.endings.is_empty()
    }

    /// Clients who wait for that.
    pub(super) fn waiting_in_endings(&self) -> usize {
        let waiting = |ending: &Ending| ending.flight.waiters().count();
        self.endings.iter().map(waiting).sum()
    }

    /// One client's question makes room for another's. Others may wait for the same one.
    pub(super) fn give_up(
        &mut self,
        key: FlightKey,
        number: u64,
        why: Failure,
        now: Now,
        out: &mut Output,
    ) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        let Some(waiter) = flight.take_waiter(number) else {
            return;
        };
        self.quotas.leave(&waiter.client, number, waiter.units);
        let known = flight.key(&self.cache);
        let reply = waiter.reply(flight.question());
        let payload = self.limits.udp_payload;
        let stale = known.is_some_and(|known| {
            out.reply_if_any(waiter.client, |out| {
                self.cache.get_stale(&known, &reply, payload, now.boot, out)
            })
        });
        if stale {
            self.stats.stale += 1;
        } else {
            self.stats.yielded += 1;
            let why = why.explain(&self.upstreams, 0);
            out.reply(waiter.client, |out| {
                failed(flight, &waiter, &why, payload, out);
            });
        }
        if flight.waiters().next().is_none()
            && let Some(flight) = self.remove(key)
        {
            self.recycle(flight.message);
        }
    }

    /// Octets of memory for messages in that.
    pub(super) fn octets_in_endings(&self) -> usize {
        let octets = |ending: &Ending| {
            let answer = match &ending.what {
                What::Answer(message) => message.capacity(),
                What::Failure(_) => 0,
            };
            ending.flight.octets() + answer
        };
        self.endings.iter().map(octets).sum()
    }

    /// Answers everybody who waits with an answer out of date. The question stays in flight, to learn the fresh one.
    pub(super) fn serve_stale(&mut self, key: FlightKey, now: Now, out: &mut Output) {
        let Some(flight) = self.flights.get_mut(key) else {
            return;
        };
        let Some(known) = flight.key(&self.cache) else {
            return;
        };
        let payload = self.limits.udp_payload;
        let mut unserved = Vec::new();
        while let Some(waiter) = flight.next_waiter() {
            if out.is_full() {
                flight.more.push_front(waiter);
                flight.stale_at = Some(now.mono);
                self.timers.set(key, flight.alarm());
                break;
            }
            let reply = waiter.reply(flight.question());
            let served = out.reply_if_any(waiter.client, |out| {
                self.cache.get_stale(&known, &reply, payload, now.boot, out)
            });
            if served {
                self.stats.stale += 1;
                self.quotas
                    .leave(&waiter.client, waiter.number, waiter.units);
            } else {
                unserved.push(waiter);
            }
        }
        for waiter in unserved.into_iter().rev() {
            flight.more.push_front(waiter);
        }
        if flight.waiters().next().is_none() && flight.idle.is_none() {
            let units = quotas::units(flight.message.len());
            flight.idle = Some(self.quotas.rest(key, units));
        }
    }

    /// Answers with what the cache has, be it out of date, if it has anything.
    pub(super) fn reply_stale(
        &mut self,
        key: Option<&Key>,
        flight: &Flight,
        waiter: &Waiter,
        now: Now,
        out: &mut Output,
    ) -> bool {
        let Some(key) = key else {
            return false;
        };
        let payload = self.limits.udp_payload;
        let reply = waiter.reply(flight.question());
        let served = out.reply_if_any(waiter.client, |out| {
            self.cache.get_stale(key, &reply, payload, now.boot, out)
        });
        self.stats.stale += u64::from(served);
        served
    }
}

fn failed(flight: &Flight, waiter: &Waiter, why: &Explanation, payload: u16, out: &mut Vec<u8>) {
    let reply = waiter.reply(flight.question());
    let cd = flight.query.header.flags.cd();
    wire::own_answer(&reply, 0, cd, why.rcode, Some(why.ede()), payload, out);
}
