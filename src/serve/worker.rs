//! The loop: wait for whoever is ready, tell the core, do what it says.
//!
//! One pass: drain the links, send the clients' answers, drain the clients, one write per link, acknowledge. Every part is
//! bounded; a part that hit its bound wakes itself, so that the others get their turn first.

use super::Sockets;
use super::bootstrap::Lookup;
use super::clients::Clients;
use super::control::Command;
use super::datagrams::Socket;
use super::links::{CLOSE_TIMEOUT, Fate, Queued, Slot};
use super::listening::{Unbound, Wanted};
use super::networks::Networks;
use super::shared::Shared;
use super::sources::{Kind, SourceKey, Sources};
use crate::config::Upstream;
use crate::engine::{Action, Cache, Forwarder, LinkKey, Now, Output, Stats, Time, Via};
use crate::runtime::{Ring, Runtime};
use crate::transport::{ConnectError, Transport};
use futures::stream::{Stream, StreamExt};
use log::{debug, info};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use slotmap::SecondaryMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Passes until the runtime gets its turn, for other work on its thread.
const MAX_PASSES: usize = 8;
/// A drain ends at the latest then; what is unanswered by now would be too late for its client anyhow.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// A drain ends when no question came for so long: what clients had sent before they could know has arrived by then.
const DRAIN_QUIET: Duration = Duration::from_millis(100);

/// How far the loop is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Since when.
    Draining(Time),
    /// Only farewells are left, until then.
    Closing(Time),
}

/// Forwards what comes in at `sockets` until `control` says otherwise. Every random choice follows from `seed`.
///
/// The future is `Send` where the runtime's and the transport's types are.
pub async fn serve<R, T, C>(
    runtime: R,
    transport: T,
    sockets: Sockets<R>,
    shared: Arc<Shared>,
    seed: [u8; 32],
    control: C,
) -> Stats
where
    R: Runtime,
    T: Transport,
    C: Stream<Item = Command> + Unpin,
{
    let mut worker = Worker::new(runtime, transport, sockets, &shared, seed, control);
    poll_fn(|cx| worker.poll(cx)).await;
    worker.stats()
}

/// A look-up under way.
type LookingUp<R> = (SourceKey, Pin<Box<Lookup<R>>>);

/// One loop, to be polled until it is done: what [`serve`] does.
pub struct Worker<R: Runtime, T: Transport, C> {
    number: usize,
    runtime: R,
    transport: T,
    control: C,
    upstreams: Vec<Upstream>,
    bootstrap: Vec<SocketAddr>,
    random: ChaCha8Rng,
    cache: Arc<Cache>,
    pub(super) core: Forwarder,
    pub(super) out: Output,
    sources: Sources,
    ready: Vec<(SourceKey, Kind)>,
    control_source: SourceKey,
    alarm_source: SourceKey,
    /// The one timer, and when it goes off.
    alarm: Option<(Time, R::Sleep)>,
    pub(super) sockets: Vec<Socket<R::Datagrams>>,
    unbound: Unbound,
    networks: Networks,
    ring: Ring,
    pub(super) clients: Clients<R>,
    pub(super) links: SecondaryMap<LinkKey, Slot<T>>,
    /// Links woken in this pass and not written to yet.
    listening: Vec<LinkKey>,
    /// One at most for each upstream.
    pub(super) lookups: Vec<Option<LookingUp<R>>>,
    phase: Phase,
    last_query: Time,
    pub(super) unsent: u64,
}

impl<R: Runtime, T: Transport, C: Stream<Item = Command> + Unpin> Worker<R, T, C> {
    /// A loop over these sockets. Every random choice follows from `seed`.
    pub fn new(
        runtime: R,
        transport: T,
        sockets: Sockets<R>,
        shared: &Arc<Shared>,
        seed: [u8; 32],
        control: C,
    ) -> Self {
        let mut random = ChaCha8Rng::from_seed(seed);
        let mut core_seed = [0; 32];
        random.fill_bytes(&mut core_seed);
        let mut sources = Sources::new();
        let number = shared.number();
        let unbound = Unbound::new(&sockets, number == 1, runtime.now().mono);
        let datagrams = sockets.datagrams.into_iter().enumerate();
        let datagrams = datagrams
            .map(|(index, socket)| Socket::new(socket, sources.add(Kind::Datagrams(index))))
            .collect();
        Self {
            number,
            unbound,
            networks: Networks::new(shared.config.allow().clone(), number == 1),
            cache: shared.cache.clone(),
            core: Forwarder::new(&shared.config, shared.cache.clone(), core_seed),
            clients: Clients::new(sockets.listeners, shared.clone(), &mut sources),
            control_source: sources.add(Kind::Control),
            alarm_source: sources.add(Kind::Alarm),
            runtime,
            transport,
            control,
            upstreams: shared.config.upstreams().to_vec(),
            bootstrap: shared.config.bootstrap().to_vec(),
            random,
            out: Output::new(),
            sources,
            ready: Vec::new(),
            alarm: None,
            sockets: datagrams,
            ring: Ring::new(),
            links: SecondaryMap::new(),
            listening: Vec::new(),
            lookups: shared.config.upstreams().iter().map(|_| None).collect(),
            phase: Phase::Serving,
            last_query: Time::ZERO,
            unsent: 0,
        }
    }

    /// Serves, until `control` ends it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sources.register(cx.waker());
        for _ in 0..MAX_PASSES {
            let mut ready = std::mem::take(&mut self.ready);
            self.sources.take_ready(&mut ready);
            let now = self.runtime.now();
            if !ready.is_empty() {
                self.pass(&ready, now);
            }
            self.ready = ready;
            if self.is_done(now.mono) {
                return Poll::Ready(());
            }
            self.arm(now.mono);
            if !self.sources.any_ready() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One pass over those that are ready.
    fn pass(&mut self, ready: &[(SourceKey, Kind)], now: Now) {
        for (_, kind) in ready {
            match *kind {
                Kind::Link(key) => self.link_ready(key, now),
                Kind::Lookup(upstream) => self.lookup_ready(upstream, now),
                _ => {}
            }
            self.act_if_full(now);
        }
        self.act(now);
        let denied = self.core.stats().denied;
        if let Some(allow) = self.networks.update(&self.runtime, denied, now.mono) {
            self.core.set_allow(allow);
        }
        for (source, kind) in ready {
            match *kind {
                Kind::Datagrams(index) => self.datagrams_ready(index, *source, now),
                Kind::Listener(index) => {
                    self.clients.accept(index, &mut self.sources, now.mono);
                }
                Kind::Connection(key) => {
                    let (sources, core) = (&mut self.sources, &mut self.core);
                    self.clients.ready(key, sources, core, now, &mut self.out);
                }
                Kind::Control => self.control_ready(now),
                Kind::Alarm => self.alarm_ready(),
                Kind::Link(_) | Kind::Lookup(_) => {}
            }
            self.act_if_full(now);
        }
        if self.core.next_alarm().is_some_and(|at| at <= now.mono) {
            self.core.time(now, &mut self.out);
        }
        self.clients.time(&mut self.sources, now.mono);
        self.bind(now);
        self.act(now);
        self.acknowledge();
        self.proceed(now);
    }

    fn link_ready(&mut self, key: LinkKey, now: Now) {
        let Some(slot) = self.links.get_mut(key) else {
            return;
        };
        let waker = self.sources.waker(slot.source);
        match slot.ready(key, &waker, &mut self.core, now, &mut self.out) {
            Fate::Keep => self.listening.push(key),
            Fate::Again => self.sources.mark(slot.source),
            Fate::Remove => self.remove_link(key),
        }
    }

    fn remove_link(&mut self, key: LinkKey) {
        if let Some(slot) = self.links.remove(key) {
            self.sources.remove(slot.source);
        }
    }

    fn datagrams_ready(&mut self, index: usize, source: SourceKey, now: Now) {
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        let waker = self.sources.waker(source);
        socket.retry(&waker, &mut self.unsent);
        let (core, out) = (&mut self.core, &mut self.out);
        let (received, more) = socket.receive(index as u16, &mut self.ring, &waker, core, now, out);
        if received > 0 {
            self.last_query = now.mono;
        }
        if let Some(addr) = socket.given_up() {
            self.unbound.add(Wanted::Datagrams(index, addr), now.mono);
        }
        if more {
            self.sources.mark(source);
        }
    }

    /// Binds what has to be bound later, and polls again the sockets that have rested.
    fn bind(&mut self, now: Now) {
        for (wanted, bound) in self.unbound.time(&self.runtime, now.mono) {
            for socket in bound.datagrams {
                match wanted {
                    Wanted::Datagrams(index, _) => {
                        if let Some(failed) = self.sockets.get_mut(index) {
                            failed.replace(socket);
                            self.sources.mark(failed.source);
                        }
                    }
                    Wanted::Address(_) => {
                        let source = self.sources.add(Kind::Datagrams(self.sockets.len()));
                        self.sockets.push(Socket::new(socket, source));
                    }
                }
            }
            for listener in bound.listeners {
                self.clients.listen(listener, &mut self.sources);
            }
        }
        for socket in &self.sockets {
            if socket.next_alarm().is_some_and(|at| at <= now.mono) {
                self.sources.mark(socket.source);
            }
        }
    }

    fn lookup_ready(&mut self, upstream: usize, now: Now) {
        let Some(Some((source, lookup))) = self.lookups.get_mut(upstream) else {
            return;
        };
        let waker = self.sources.waker(*source);
        let mut cx = Context::from_waker(&waker);
        if let Poll::Ready(found) = lookup.as_mut().poll(&mut cx) {
            self.sources.remove(*source);
            self.lookups[upstream] = None;
            self.core.resolved(upstream, found, now, &mut self.out);
        }
    }

    /// One line for whoever wants to know how it goes. The cache is that of all loops.
    fn report(&self) {
        let held = self.core.held();
        info!(
            "worker {}: {}; in_flight {}, links_up {}, cache_entries {}, cache_octets {}",
            self.number,
            self.stats(),
            held.queries,
            held.up,
            self.cache.len(),
            self.cache.bytes(),
        );
        for (label, stats) in self.core.upstream_stats() {
            info!("worker {}: upstream {label}: {stats}", self.number);
        }
    }

    fn control_ready(&mut self, now: Now) {
        let waker = self.sources.waker(self.control_source);
        let mut cx = Context::from_waker(&waker);
        while let Poll::Ready(Some(command)) = self.control.poll_next_unpin(&mut cx) {
            match (command, self.phase) {
                (Command::Drain, Phase::Serving) => {
                    info!("draining: answering what was accepted, for at most {DRAIN_TIMEOUT:?}");
                    self.phase = Phase::Draining(now.mono);
                    self.unbound.give_up();
                    self.clients.drain(&mut self.sources, now.mono);
                    // Whatever arrived before this moment is taken before the quiet can count.
                    self.last_query = now.mono;
                }
                (Command::Stop, Phase::Serving | Phase::Draining(_)) => self.close(now),
                (Command::Report, _) => self.report(),
                _ => {}
            }
        }
    }

    /// Large answers do not wait for the end of the pass.
    fn act_if_full(&mut self, now: Now) {
        if self.out.is_full() {
            self.act(now);
        }
    }

    /// Does what the core wants, until it wants nothing more.
    fn act(&mut self, now: Now) {
        while !self.out.is_empty() {
            let mut out = std::mem::take(&mut self.out);
            for index in 0..self.sockets.len() {
                let waker = self.sources.waker(self.sockets[index].source);
                self.sockets[index].reply(index as u16, &out, &waker, &mut self.unsent);
            }
            for action in out.actions() {
                self.act_on(action, &out, now);
            }
            self.clients.flush(&mut self.sources, now.mono);
            self.flush_links(now);
            out.clear();
            // Flushing can fail, which makes the core want something; its memory is given back otherwise.
            if self.out.is_empty() {
                self.out = out;
            }
            if self.core.has_more() {
                self.core.time(now, &mut self.out);
            }
        }
    }

    fn act_on(&mut self, action: &Action, out: &Output, now: Now) {
        match action {
            Action::Reply { client, message } => {
                if let Via::Stream(name) = client.via {
                    self.clients
                        .reply(name, out.message(message), &mut self.sources);
                }
            }
            Action::Send { link, id, message } => {
                if let Some(slot) = self.links.get_mut(*link)
                    && slot.queue(out.message(message)) == Queued::Full
                {
                    self.core.question_failed(*link, *id, now, &mut self.out);
                }
            }
            Action::Dial {
                link,
                upstream,
                addr,
            } => {
                if let Some(upstream) = self.upstreams.get(*upstream) {
                    let dial = self.transport.connect(upstream, *addr);
                    let source = self.sources.add(Kind::Link(*link));
                    self.links.insert(*link, Slot::dialing(dial, source));
                }
            }
            Action::Resolve { upstream } => self.resolve(*upstream, now),
            Action::Close { link } => {
                if let Some(slot) = self.links.get_mut(*link) {
                    let waker = self.sources.waker(slot.source);
                    if slot.close(&waker, now.mono) == Fate::Remove {
                        self.remove_link(*link);
                    }
                }
            }
        }
    }

    fn resolve(&mut self, upstream: usize, now: Now) {
        let host = self.upstreams.get(upstream).and_then(|u| u.host().cloned());
        let Some(host) = host else {
            let why = ConnectError::Unresolved("it has no name".into());
            self.core.resolved(upstream, Err(why), now, &mut self.out);
            return;
        };
        let under_way = self.lookups.iter().flatten();
        let mut taken: Vec<u16> = under_way.flat_map(|(_, lookup)| lookup.ids()).collect();
        let ids = [(); 2].map(|()| {
            let mut id = self.random.next_u32() as u16;
            // No two questions share one, whichever look-up they are of.
            while taken.contains(&id) {
                id = id.wrapping_add(1);
            }
            taken.push(id);
            id
        });
        let lookup = Lookup::new(self.runtime.clone(), host, &self.bootstrap, ids);
        let source = self.sources.add(Kind::Lookup(upstream));
        self.lookups[upstream] = Some((source, Box::pin(lookup)));
    }

    fn flush_links(&mut self, now: Now) {
        let mut gone = Vec::new();
        for (key, slot) in &mut self.links {
            if slot.queued {
                let waker = self.sources.waker(slot.source);
                self.listening.retain(|other| *other != key);
                if slot.flush(key, &waker, &mut self.core, now, &mut self.out) == Fate::Remove {
                    gone.push(key);
                }
            }
        }
        for key in gone {
            self.remove_link(key);
        }
    }

    /// Links that were woken and not written to.
    fn acknowledge(&mut self) {
        for key in self.listening.drain(..) {
            if let Some(slot) = self.links.get_mut(key) {
                slot.ack_soon(self.core.in_flight_on(key));
            }
        }
    }

    /// From one phase to the next.
    fn proceed(&mut self, now: Now) {
        let overdue = |slot: &Slot<T>| slot.closes_at().is_some_and(|at| at <= now.mono);
        let overdue = self.links.iter().filter(|(_, slot)| overdue(slot));
        let overdue: Vec<LinkKey> = overdue.map(|(key, _)| key).collect();
        for key in overdue {
            self.remove_link(key);
        }
        if let Phase::Draining(since) = self.phase {
            self.clients
                .close_idle(DRAIN_QUIET, &mut self.sources, now.mono);
            let answered = self.core.in_flight() == 0
                && self.clients.is_empty()
                && self.sockets.iter().all(Socket::is_flushed)
                && now.mono >= self.last_query + DRAIN_QUIET;
            if answered || now.mono >= since + DRAIN_TIMEOUT {
                self.close(now);
            }
        }
    }

    fn close(&mut self, now: Now) {
        self.phase = Phase::Closing(now.mono + CLOSE_TIMEOUT);
        debug!("closing: {:?}", self.core.held());
        self.core.close(now, &mut self.out);
        self.act(now);
        // Whoever is left waits for what others were sent.
        while self.core.in_flight() > 0 {
            self.core.time(now, &mut self.out);
            self.act(now);
        }
    }

    fn is_done(&self, now: Time) -> bool {
        matches!(self.phase, Phase::Closing(until) if self.links.is_empty() || now >= until)
    }

    /// Sets the one timer to the first thing that has to be done. One that goes off too early costs less than setting it anew.
    fn arm(&mut self, now: Time) {
        let phase = match self.phase {
            Phase::Serving => None,
            Phase::Draining(_) => Some(now + DRAIN_QUIET),
            Phase::Closing(until) => Some(until),
        };
        let farewell = self.links.values().filter_map(Slot::closes_at).min();
        let rests = self.sockets.iter().filter_map(Socket::next_alarm).min();
        let wanted = [
            self.core.next_alarm(),
            self.clients.next_alarm(),
            self.unbound.next_alarm(),
            phase,
            farewell,
            rests,
        ];
        let Some(at) = wanted.into_iter().flatten().min() else {
            return;
        };
        if self.alarm.as_ref().is_none_or(|(armed, _)| *armed > at) {
            self.alarm = Some((at, self.runtime.sleep_until(at)));
            self.alarm_ready();
        }
    }

    /// Polls the timer. If it went off, there is another pass.
    fn alarm_ready(&mut self) {
        let waker = self.sources.waker(self.alarm_source);
        let mut cx = Context::from_waker(&waker);
        if let Some((_, sleep)) = &mut self.alarm
            && Pin::new(sleep).poll(&mut cx).is_ready()
        {
            self.alarm = None;
            self.sources.mark(self.alarm_source);
        }
    }
}
