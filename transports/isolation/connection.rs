//! One connection to the core, and to the outside one for each registrable domain that is asked for.

mod admission;

use super::domain::{Domain, Lost};
use super::woken::Woken;
use super::{Authenticated, Way};
use crate::engine::Time;
use crate::runtime::Runtime;
use crate::transport::{Authentication, Connection, ConnectionError, Event};
use log::debug;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Domains whose queries were lost since the last response to any, after which all of it is given up.
const MAX_FAILING: usize = 4;

/// The connections of up to 64 domains. With another domain, the one that was quiet for longest is closed; while queries wait for a response
/// on all, those of others wait, too.
pub struct Isolated<R: Runtime> {
    way: Way<R>,
    authenticated: Authenticated,
    description: String,
    /// That of the connection by which the upstream was authenticated.
    certificate_left: Option<Duration>,
    authentication: Option<Authentication>,
    domains: Vec<(Domain<R>, Waker)>,
    woken: Arc<Woken>,
    /// The place that is looked at next.
    turn: usize,
    /// Queries of domains that have no place yet.
    queued: VecDeque<Vec<u8>>,
    lost: VecDeque<(u16, ConnectionError)>,
    /// Nothing works any more.
    ended: Option<ConnectionError>,
    /// The response that was reported last.
    response: Vec<u8>,
    alarm: Option<(Time, R::Sleep)>,
}

impl<R: Runtime> Isolated<R> {
    /// No connection yet.
    pub(super) fn new(way: Way<R>, authenticated: Authenticated) -> Self {
        Self {
            way,
            authenticated,
            description: "authenticated before".to_owned(),
            certificate_left: None,
            authentication: None,
            domains: Vec::new(),
            woken: Arc::default(),
            turn: 0,
            queued: VecDeque::new(),
            lost: VecDeque::new(),
            ended: None,
            response: Vec::new(),
            alarm: None,
        }
    }

    /// The upstream was authenticated by this connection.
    pub(super) fn authenticated(&mut self, by: &impl Connection) {
        self.certificate_left = by.certificate_left();
        self.authentication = by.authentication();
        self.authenticated.insert(&self.way.to, self.way.addr);
        self.description = by.describe();
    }

    /// Queries of a domain are lost. Where nothing else works, all of this ends: a new connection then shows what is wrong with the upstream, or
    /// the proxy.
    fn note(&mut self, lost: Lost) {
        let domains = || self.domains.iter().map(|(domain, _)| domain);
        let failing = domains().filter(|domain| domain.failing).count();
        if domains().all(Domain::is_closed) || failing >= MAX_FAILING {
            self.authenticated.remove(&self.way.to, self.way.addr);
            self.ended = Some(lost.why);
            return;
        }
        let why = lost.why;
        self.lost
            .extend(lost.ids.into_iter().map(|id| (id, why.clone())));
    }

    /// Ends what is idle or silent, and sees to it that this is called again in time.
    fn time(&mut self, cx: &mut Context<'_>, now: Time) {
        let silence = self.way.silence;
        if self.alarm.as_ref().is_some_and(|(at, _)| now >= *at) {
            self.alarm = None;
            let mut all_lost = Vec::new();
            for (place, (domain, waker)) in self.domains.iter_mut().enumerate() {
                match domain.time(&mut Context::from_waker(waker), silence, now) {
                    Ok(false) => continue,
                    Ok(true) => {}
                    Err(lost) => all_lost.push(lost),
                }
                self.woken.mark(place);
            }
            for lost in all_lost {
                self.note(lost);
            }
            // What follows from that is for the next look.
            cx.waker().wake_by_ref();
        }
        let alarms = self.domains.iter();
        let next = alarms
            .filter_map(|(domain, _)| domain.next_alarm(silence))
            .min();
        let Some(next) = next else {
            self.alarm = None;
            return;
        };
        // One that comes too early does no harm, and is cheaper than a new one with every message.
        if self.alarm.as_ref().is_none_or(|(at, _)| next < *at) {
            self.alarm = Some((next, self.way.runtime.sleep_until(next)));
        }
        if let Some((_, sleep)) = &mut self.alarm
            && Pin::new(sleep).poll(cx).is_ready()
        {
            cx.waker().wake_by_ref();
        }
    }

    /// The next response. `Pending` if no domain that was woken has one.
    fn poll_response(&mut self, now: Time) -> Poll<()> {
        while self.ended.is_none() && self.lost.is_empty() {
            let Some(place) = self.woken.take(self.turn) else {
                return Poll::Pending;
            };
            let Some((domain, waker)) = self.domains.get_mut(place) else {
                continue;
            };
            let cx = &mut Context::from_waker(waker);
            match domain.poll_response(cx, &self.way, now, &mut self.response) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    // There may be more.
                    self.woken.mark(place);
                    self.turn = place + 1;
                    let domains = self.domains.iter_mut();
                    domains.for_each(|(domain, _)| domain.failing = false);
                    return Poll::Ready(());
                }
                Poll::Ready(Err(lost)) => {
                    self.woken.mark(place);
                    self.note(lost);
                }
            }
        }
        Poll::Pending
    }
}

impl<R: Runtime> Connection for Isolated<R> {
    fn queue(&mut self, message: &[u8]) {
        if let Some(id) = message.first_chunk().map(|id| u16::from_be_bytes(*id)) {
            // The core has given up what it asked under this id before.
            self.domains
                .iter_mut()
                .for_each(|(domain, _)| domain.forget(id));
        }
        self.queued.push_back(message.to_vec());
        self.admit_queued();
    }

    fn backlog(&self) -> usize {
        let queued: usize = self.queued.iter().map(Vec::len).sum();
        let sending = self.domains.iter().map(|(domain, _)| domain.backlog());
        queued + sending.sum::<usize>()
    }

    /// A connection that is being made is not waited for.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.woken.register(cx.waker());
        let now = self.way.runtime.now().mono;
        let mut all_lost = Vec::new();
        let mut opened = false;
        for (place, (domain, waker)) in self.domains.iter_mut().enumerate() {
            if !self.woken.is_marked(place) {
                continue;
            }
            let was_open = domain.is_open();
            let sent = domain.poll_send(&mut Context::from_waker(waker), &self.way, now);
            opened |= domain.is_open() && !was_open;
            if let Poll::Ready(Err(lost)) = sent {
                all_lost.push(lost);
            }
        }
        for lost in all_lost {
            self.note(lost);
        }
        if opened || self.ended.is_some() || !self.lost.is_empty() {
            // There is something for `poll_next`, which nothing else wakes.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        self.woken.register(cx.waker());
        let now = self.way.runtime.now().mono;
        self.admit_queued();
        let response = self.poll_response(now);
        if let Some(why) = self.ended.take() {
            debug!("{}: given up, because nothing works: {why}", self.way.addr);
            return Poll::Ready(Event::Closed(why));
        }
        if let Some((id, why)) = self.lost.pop_front() {
            // What is left is looked at next.
            return Poll::Ready(Event::Failed { id, why });
        }
        if response.is_ready() {
            return Poll::Ready(Event::Message(&mut self.response));
        }
        self.time(cx, now);
        Poll::Pending
    }

    fn ack_soon(&mut self) {
        self.domains
            .iter_mut()
            .for_each(|(domain, _)| domain.ack_soon());
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut all = Poll::Ready(());
        for (domain, _) in &mut self.domains {
            if domain.poll_close(cx).is_pending() {
                all = Poll::Pending;
            }
        }
        all
    }

    fn describe(&self) -> String {
        format!(
            "{}, each registrable domain by a connection of its own",
            self.description
        )
    }

    fn certificate_left(&self) -> Option<Duration> {
        self.certificate_left
    }

    fn authentication(&self) -> Option<Authentication> {
        self.authentication
    }
}
