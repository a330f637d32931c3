//! The shell's side of the links: dialling, sending, reading, closing.

use super::sources::SourceKey;
use crate::engine::{Forwarder, LinkKey, Now, Output, Time};
use crate::transport::{Connection, Event, Transport};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Answers taken from a link in one pass, so that clients and other links get their turn.
const MAX_ANSWERS: usize = 256;
/// Octets that wait for an upstream to read them, from which on a link takes no more: thousands of usual questions, several of the
/// largest.
const MAX_BACKLOG: usize = 256 * 1024;
/// How long the farewell may take.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// With more questions in flight than this, answers come so fast that acknowledging each would cost more than it gains.
const ACK_SOON_BELOW: usize = 8;

/// What a link is doing, with what is needed for it.
pub enum State<T: Transport> {
    Dialing(Pin<Box<T::Connect>>),
    Up(T::Connection),
    Closing(T::Connection, Time),
    Gone,
}

/// A link, or what shall become one.
pub struct Slot<T: Transport> {
    pub source: SourceKey,
    pub state: State<T>,
    /// Wants to be flushed in this pass.
    pub queued: bool,
}

/// Whether a question has become part of what a link has to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    Taken,
    /// The other end does not read.
    Full,
}

/// Whether the slot is still of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Keep,
    /// There is more to read at once.
    Again,
    Remove,
}

impl<T: Transport> Slot<T> {
    pub fn dialing(dial: T::Connect, source: SourceKey) -> Self {
        Self {
            source,
            state: State::Dialing(Box::pin(dial)),
            queued: false,
        }
    }

    /// It was woken: whatever happened goes to the core. `label` is for the log.
    pub fn ready(
        &mut self,
        key: LinkKey,
        waker: &Waker,
        core: &mut Forwarder,
        now: Now,
        out: &mut Output,
    ) -> Fate {
        let mut cx = Context::from_waker(waker);
        if let State::Dialing(dial) = &mut self.state {
            match dial.as_mut().poll(&mut cx) {
                Poll::Pending => return Fate::Keep,
                Poll::Ready(Err(why)) => {
                    core.dial_failed(key, &why, now, out);
                    return Fate::Remove;
                }
                Poll::Ready(Ok(link)) => {
                    core.link_up(key, &link.describe(), now, out);
                    self.state = State::Up(link);
                }
            }
        }
        match &mut self.state {
            State::Up(link) => read::<T>(link, key, &mut cx, core, now, out),
            State::Closing(link, _) => match link.poll_close(&mut cx) {
                Poll::Ready(()) => Fate::Remove,
                Poll::Pending => Fate::Keep,
            },
            State::Dialing(_) | State::Gone => Fate::Keep,
        }
    }

    /// Hands a question on. It leaves at the next flush.
    pub fn queue(&mut self, message: &[u8]) -> Queued {
        let State::Up(link) = &mut self.state else {
            return Queued::Taken;
        };
        if link.backlog() >= MAX_BACKLOG {
            return Queued::Full;
        }
        link.queue(message);
        self.queued = true;
        Queued::Taken
    }

    /// Sends what is queued.
    pub fn flush(
        &mut self,
        key: LinkKey,
        waker: &Waker,
        core: &mut Forwarder,
        now: Now,
        out: &mut Output,
    ) -> Fate {
        self.queued = false;
        let State::Up(link) = &mut self.state else {
            return Fate::Keep;
        };
        match link.poll_flush(&mut Context::from_waker(waker)) {
            Poll::Ready(Err(why)) => {
                core.link_down(key, &why, now, out);
                Fate::Remove
            }
            Poll::Ready(Ok(())) | Poll::Pending => Fate::Keep,
        }
    }

    /// At the end of a pass in which the link was woken and nothing was written to it: many servers hold the next answer back
    /// until the last one is acknowledged, and the kernel would wait up to 40 ms with that.
    pub fn ack_soon(&mut self, in_flight: usize) {
        if let State::Up(link) = &mut self.state
            && (1..=ACK_SOON_BELOW).contains(&in_flight)
        {
            link.ack_soon();
        }
    }

    /// When a farewell has taken too long.
    pub fn closes_at(&self) -> Option<Time> {
        match self.state {
            State::Closing(_, until) => Some(until),
            _ => None,
        }
    }

    /// Says goodbye. A dial is just dropped.
    pub fn close(&mut self, waker: &Waker, now: Time) -> Fate {
        let until = now + CLOSE_TIMEOUT;
        let state = std::mem::replace(&mut self.state, State::Gone);
        let State::Up(mut link) = state else {
            return Fate::Remove;
        };
        if link.poll_close(&mut Context::from_waker(waker)).is_ready() {
            return Fate::Remove;
        }
        self.state = State::Closing(link, until);
        Fate::Keep
    }
}

fn read<T: Transport>(
    link: &mut T::Connection,
    key: LinkKey,
    cx: &mut Context<'_>,
    core: &mut Forwarder,
    now: Now,
    out: &mut Output,
) -> Fate {
    // It may have been woken because there is room to write again.
    if let Poll::Ready(Err(why)) = link.poll_flush(cx) {
        core.link_down(key, &why, now, out);
        return Fate::Remove;
    }
    for _ in 0..MAX_ANSWERS {
        if out.is_full() {
            return Fate::Again;
        }
        match link.poll_next(cx) {
            Poll::Pending => return Fate::Keep,
            Poll::Ready(Event::Message(message)) => core.answer(key, message, now, out),
            Poll::Ready(Event::Closed(why)) => {
                core.link_down(key, &why, now, out);
                return Fate::Remove;
            }
        }
    }
    Fate::Again
}
