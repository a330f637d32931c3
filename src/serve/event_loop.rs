//! The event loop: wait until something is ready, tell the core, carry out what it wants.
//!
//! One iteration: read the connections to upstreams, send the responses, take the clients' queries, write once to each connection,
//! acknowledge. Each step is bounded; what reaches its bound is ready again at once, after the others had their turn. Clients' connections,
//! of which there may be thousands that always have more, share a bound in time.

use super::asking::Asking;
use super::captive::Checks;
use super::control::{Command, Message, Messages};
use super::core::Core;
use super::handover::Handover;
use super::host_networks::HostNetworks;
use super::inspect::record_failures;
use super::lookups::Lookups;
use super::missing_addresses::MissingAddresses;
use super::network::Paths;
use super::options::Options;
use super::query_log::QueryLog;
use super::shutdown::{Phase, Trigger};
use super::sockets::Sockets;
use super::sources::{Alarm, ClientKey, Kind, Source, Sources};
use super::tcp::TcpClients;
use super::udp::UdpSockets;
use super::upstream_connections::UpstreamConnections;
use crate::config::Config;
use crate::engine::{Cache, Forwarder, Output, Stats, Time};
use crate::runtime::Runtime;
use crate::transport::Transport;
use rand_chacha::rand_core::Rng;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Iterations until the runtime gets its turn, for other work on its thread.
const MAX_ITERATIONS: usize = 8;

/// Time for the connections of clients in one iteration. The others wait meanwhile, and a UDP socket's buffer holds a few hundred datagrams.
const MAX_TURN: Duration = Duration::from_millis(2);

/// The time that the connections of clients have in one iteration. It begins when the first of them is served.
#[derive(Default)]
struct Turn {
    ends: Option<Time>,
}

impl Turn {
    fn is_over(&mut self, now: Time) -> bool {
        now >= *self.ends.get_or_insert(now + MAX_TURN)
    }
}

/// Forwards what comes in at `sockets` over `transport`, until a command ends it ([`Options::control`]). Returns what was counted.
///
/// The future is `Send` where the runtime's and the transport's types are. Dropping it closes everything at once.
pub fn serve<R: Runtime, T: Transport>(
    runtime: R,
    transport: T,
    sockets: Sockets<R>,
    options: Options,
) -> impl Future<Output = Stats> {
    let mut event_loop = EventLoop::new(runtime, transport, sockets, options);
    async move {
        poll_fn(|cx| event_loop.poll(cx)).await;
        event_loop.stats()
    }
}

/// One event loop, to be polled until it has ended: what [`serve`] does.
pub struct EventLoop<R: Runtime, T: Transport> {
    pub(super) number: usize,
    pub(super) config: Config,
    pub(super) cache: Arc<Cache>,
    pub(super) runtime: R,
    pub(super) transport: T,
    commands: Messages,
    commands_source: Source,
    sources: Sources,
    ready: Vec<Kind>,
    alarm: Alarm<R>,
    pub(super) core: Core,
    pub(super) udp: UdpSockets<R>,
    pub(super) tcp: TcpClients<R>,
    pub(super) upstreams: UpstreamConnections<T>,
    pub(super) lookups: Lookups<R>,
    pub(super) checks: Checks<R>,
    pub(super) asking: Asking,
    pub(super) missing: MissingAddresses,
    pub(super) host_networks: HostNetworks,
    pub(super) paths: Paths,
    pub(super) phase: Phase,
    pub(super) handover: Handover,
    pub(super) query_log: Option<QueryLog>,
    /// Responses that it had no room for.
    pub(super) unlogged: u64,
}

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// A loop over these sockets. It takes commands from now on.
    pub fn new(runtime: R, transport: T, sockets: Sockets<R>, options: Options) -> Self {
        let Options { shared, control } = options;
        let (number, mut random) = shared.begin();
        let mut core_seed = [0; 32];
        random.fill_bytes(&mut core_seed);
        let (config, cache) = (shared.config.clone(), shared.cache.clone());
        let handover = shared.loops_in_step.join();
        let logs_for_all = number == 1;
        let now = runtime.now();
        let mut forwarder = Forwarder::new(&config, cache.clone(), core_seed);
        forwarder.share_captive_mode(&shared.captive);
        let sources = Sources::default();
        let (commands, query_log) = control.subscribe();
        let mut out = Output::new();
        out.note_answered(query_log.is_some());
        record_failures(&mut forwarder, &config, number);
        Self {
            number,
            missing: MissingAddresses::new(&sockets, logs_for_all, now.mono),
            host_networks: HostNetworks::new(config.allow().clone(), logs_for_all),
            core: Core {
                forwarder,
                out,
                now,
            },
            udp: UdpSockets::new(sockets.datagrams, &sources),
            tcp: TcpClients::new(sockets.listeners, shared, &sources),
            paths: Paths::new(control.watched()),
            commands,
            query_log,
            unlogged: 0,
            commands_source: sources.add(Kind::Control),
            alarm: Alarm::new(&sources),
            upstreams: UpstreamConnections::new(&sources),
            checks: Checks::new(&random, &sources),
            lookups: Lookups::new(random, &sources),
            asking: Asking::default(),
            handover,
            config,
            cache,
            runtime,
            transport,
            sources,
            ready: Vec::new(),
            phase: Phase::Serving,
        }
    }

    /// Serves, until a command ends it.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sources.register(cx.waker());
        for _ in 0..MAX_ITERATIONS {
            let mut ready = std::mem::take(&mut self.ready);
            self.sources.take_ready(&mut ready);
            self.core.now = self.runtime.now();
            if !ready.is_empty() || self.tcp.has_postponed() {
                self.iterate(&ready);
            }
            self.ready = ready;
            if self.phase == Phase::Ended {
                return Poll::Ready(());
            }
            self.set_alarm();
            if self.tcp.has_postponed() {
                break;
            }
            if !self.sources.any_ready() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Deals with all that is ready.
    fn iterate(&mut self, ready: &[Kind]) {
        for kind in ready {
            match *kind {
                Kind::Upstream(key) => self.upstreams.ready(key, &mut self.core),
                Kind::Lookup(upstream) => self.lookups.ready(upstream, &mut self.core),
                Kind::Check(place) => self.checks.ready(place, &mut self.core),
                _ => {}
            }
            self.carry_out_if_full();
        }
        self.carry_out();
        let now = self.core.now;
        self.update_networks();
        let mut turn = Turn::default();
        for key in self.tcp.take_postponed() {
            self.serve_client(key, &mut turn);
        }
        for kind in ready {
            match *kind {
                Kind::Udp(index) if !self.phase.reads() => self.udp.flush(index),
                Kind::Udp(index) => {
                    if self.udp.ready(index, &mut self.core) {
                        self.advance(Trigger::Queries);
                    }
                }
                Kind::TcpListener(index) => self.tcp.accept(index, now.mono),
                Kind::TcpClient(key) => self.serve_client(key, &mut turn),
                Kind::Control => self.take_commands(),
                Kind::Alarm => self.alarm.poll(),
                Kind::Upstream(_) | Kind::Lookup(_) | Kind::Check(_) => {}
            }
            self.carry_out_if_full();
        }
        self.time();
        self.carry_out();
        self.upstreams.acknowledge(&self.core);
        self.finish();
    }

    /// Reads and writes a client's connection, or has it wait for the next iteration if this one has taken long enough.
    fn serve_client(&mut self, key: ClientKey, turn: &mut Turn) {
        if turn.is_over(self.runtime.now().mono) {
            self.tcp.postpone(key);
        } else {
            self.tcp.ready(key, &mut self.core);
            self.carry_out_if_full();
        }
    }

    /// Does what is due.
    fn time(&mut self) {
        let now = self.core.now;
        let alarm = self.core.forwarder.next_alarm();
        if alarm.is_some_and(|at| at <= now.mono) {
            self.core.forwarder.time(now, &mut self.core.out);
        }
        self.upstreams.time(now.mono);
        self.tcp.time(now.mono);
        let (runtime, config) = (&self.runtime, &self.config);
        self.udp.time(runtime, config, now.mono);
        self.close_settled();
        let (runtime, config) = (&self.runtime, &self.config);
        let bound = self.missing.time(runtime, config, now.mono);
        self.serve_at(bound);
    }

    /// Closes sockets that take no more queries and have sent what they had to.
    pub(super) fn close_settled(&mut self) {
        // What is in `out` is yet to be sent.
        if self.core.out.is_empty() {
            let forwarder = &self.core.forwarder;
            let is_awaited = |socket| forwarder.is_awaited_at(socket);
            self.udp.close_settled(is_awaited);
        }
    }

    /// Serves at these sockets, too.
    pub(super) fn serve_at(&mut self, bound: Sockets<R>) {
        for socket in bound.datagrams {
            self.udp.add(socket);
        }
        for listener in bound.listeners {
            self.tcp.listen(listener);
        }
    }

    /// Has the networks of this host on the access list, where that is to follow them.
    pub(super) fn update_networks(&mut self) {
        let (denied, now) = (self.core.forwarder.stats().denied, self.core.now.mono);
        if let Some(allow) = self.host_networks.update(&self.runtime, denied, now) {
            self.core.forwarder.set_allow(allow);
        }
    }

    /// One worker of several logs what concerns all.
    pub(super) fn logs_for_all(&self) -> bool {
        self.number == 1
    }

    fn take_commands(&mut self) {
        loop {
            let mut cx = self.commands_source.context();
            let Poll::Ready(Some(message)) = self.commands.poll_next(&mut cx) else {
                return;
            };
            match message {
                Message::Command(Command::Drain) => self.advance(Trigger::Drain),
                Message::Command(Command::HandOver) => self.advance(Trigger::HandOver),
                Message::Command(Command::Stop) => self.advance(Trigger::Stop),
                Message::Command(Command::Report) => self.report(),
                Message::Reload(reload) => self.reconfigure(&reload),
                Message::Measure(to) => self.measure(&to),
                Message::Prepare => self.prepare(),
                Message::RememberFailures => self.core.forwarder.remember_failures(),
                Message::Explain(query, to) => self.explain(&query, &to),
                Message::Why(id, to) => self.why(id, &to),
                Message::Ask(query, to) => self.ask(&query, to),
                Message::ShowCache(to) => drop(to.send(self.cache.clone())),
                Message::NetworkChanged => self.network_changed(),
                Message::LogQueries(log) => self.log_queries(log),
                // It was answered when it was received.
                Message::Probe => {}
            }
        }
    }

    /// Sets the timer to the first thing that has to be done.
    fn set_alarm(&mut self) {
        let wanted = [
            self.core.forwarder.next_alarm(),
            self.udp.next_alarm(),
            self.tcp.next_alarm(),
            self.upstreams.next_alarm(),
            self.missing.next_alarm(),
            self.phase.next_alarm(self.core.now.mono),
        ];
        if let Some(at) = wanted.into_iter().flatten().min() {
            self.alarm.set(at, &self.runtime);
        }
    }
}
