//! The core's driver: queries and what comes from upstreams in, actions out, and one timer.
#![forbid(unsafe_code)]

use crate::forwarding::freshness;
use crate::reactor::{Reactor, Watch};
use crate::requests::Answer;
use crate::settings;
use crate::upstreams::{Connecting, Link, Upstreams};
use dotward::config::{Host, Upstream};
use dotward::engine::{
    Action, Cache, Client, ConnectionKey, Forwarder, Now, Output, Time, Times, Via,
};
use dotward::transport::Event;
use slotmap::SecondaryMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use wasip2::clocks::monotonic_clock;
use wasip2::random::random::get_random_u64;

/// Octets of memory for answers.
const CACHE: usize = 16 << 20;
/// The address that stands for "where the name leads": the host connects to names, and looks them up itself. It is one that no
/// upstream has (RFC 5737).
const BY_NAME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// For how long that holds.
const DAY: Duration = Duration::from_secs(86_400);
/// Whoever the host lets in may ask. The core knows them by an address that may, too.
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 443);

/// A forwarder at work.
pub struct Resolver {
    reactor: Reactor,
    core: Forwarder,
    upstreams: Vec<Upstream>,
    ways: Upstreams,
    /// What the core wants.
    out: Output,
    connections: SecondaryMap<ConnectionKey, State>,
    /// Goes off when the core has something to do.
    timer: Option<(Time, Watch)>,
    /// How many have asked.
    clients: u64,
}

enum State {
    Connecting(Connecting),
    /// `true`: the core has not heard yet that the handshake is over.
    Up(Link, bool),
}

impl Resolver {
    /// Reads the settings, and starts. An error says what is wrong.
    pub fn new() -> Result<Self, String> {
        let (config, upstreams) = settings::read(|name| std::env::var(name).ok())?;
        let (reactor, ways) = Upstreams::new(&config, &upstreams)?;
        let cache = Arc::new(Cache::new(CACHE, random(), Times::default()));
        Ok(Self {
            reactor,
            core: Forwarder::new(&config, cache, random()),
            upstreams,
            ways,
            out: Output::new(),
            connections: SecondaryMap::new(),
            timer: None,
            clients: 0,
        })
    }

    /// Answers a DNS message, or says that it is no query. What is under way beside it goes on with the next one.
    pub fn answer(&mut self, message: &[u8]) -> Option<Answer> {
        self.clients += 1;
        let via = Via::Stream(self.clients);
        let client = Client { addr: CLIENT, via };
        let reactor = self.reactor.clone();
        let mut is_asked = false;
        reactor.block_on(poll_fn(|cx| {
            // What happened to connections since the last query comes first, so that a dead one gets no query.
            if !std::mem::replace(&mut is_asked, true) {
                let earlier = self.turn(cx, None);
                debug_assert!(earlier.is_none(), "nobody else waits");
                if !self.core.query(message, client, now(), &mut self.out) {
                    return Poll::Ready(None);
                }
            }
            match self.turn(cx, Some(client)) {
                Some(answer) => Poll::Ready(Some(answer)),
                None => Poll::Pending,
            }
        }))
    }

    /// Does all that can be done without waiting. Returns what the client gets.
    fn turn(&mut self, cx: &mut Context<'_>, client: Option<Client>) -> Option<Answer> {
        let mut answer = None;
        loop {
            self.core.time(now(), &mut self.out);
            let did = self.carry_out(client, &mut answer);
            let moved = self.poll_connections(cx);
            let due = self.is_due(cx);
            if !(did || moved || due) {
                return answer;
            }
        }
    }

    /// Does what the core wants. Did it want anything?
    fn carry_out(&mut self, client: Option<Client>, answer: &mut Option<Answer>) -> bool {
        let mut out = std::mem::take(&mut self.out);
        for action in out.actions() {
            match *action {
                Action::Reply {
                    client: to,
                    ref message,
                } if Some(to) == client => {
                    let message = out.message(message).to_vec();
                    let freshness = freshness(&message);
                    *answer = Some(Answer { message, freshness });
                }
                // Each client waits until it has its reply, so that there is no other.
                Action::Reply { .. } => {}
                Action::Send {
                    connection,
                    ref message,
                    ..
                } => {
                    if let Some(State::Up(link, _)) = self.connections.get_mut(connection) {
                        link.queue(out.message(message));
                    }
                }
                Action::Connect {
                    connection,
                    upstream,
                    addr,
                } => {
                    let known = self.upstreams.get(upstream).map(|to| (upstream, to));
                    if let Some((number, to)) = known {
                        let connecting = self.ways.connect(number, to, addr);
                        (self.connections).insert(connection, State::Connecting(connecting));
                    }
                }
                Action::Resolve { upstream } => {
                    let host = self.upstreams.get(upstream).and_then(Upstream::host);
                    let place = SocketAddr::new(BY_NAME, host.map_or(0, Host::port));
                    (self.core).resolved(upstream, Ok((vec![place], DAY)), now(), &mut self.out);
                }
                Action::Close { connection } => {
                    self.connections.remove(connection);
                }
            }
        }
        let did = !out.is_empty();
        if self.out.is_empty() {
            // Its memory is used again.
            out.clear();
            self.out = out;
        }
        did
    }

    /// Goes on with every connection. Did anything happen that the core has heard of?
    fn poll_connections(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        let keys: Vec<ConnectionKey> = self.connections.keys().collect();
        for key in keys {
            while let Some(state) = self.connections.get_mut(key) {
                let polled = state.poll(key, cx, &mut self.core, &mut self.out);
                if polled == Polled::Ended {
                    self.connections.remove(key);
                }
                if polled == Polled::Pending {
                    break;
                }
                moved = true;
            }
        }
        moved
    }

    /// Has the core something to do by now? Otherwise the timer is set to when it will.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.core.next_alarm() else {
            self.timer = None;
            return false;
        };
        if at <= now().mono {
            return true;
        }
        if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
            let timer = monotonic_clock::subscribe_instant(at.as_nanos());
            self.timer = Some((at, self.reactor.watch(timer)));
        }
        let timer = self.timer.as_ref();
        timer.is_some_and(|(_, watch)| watch.poll_ready(cx).is_ready())
    }
}

/// What came of polling a connection.
#[derive(PartialEq, Eq)]
enum Polled {
    Pending,
    More,
    Ended,
}

impl State {
    fn poll(
        &mut self,
        key: ConnectionKey,
        cx: &mut Context<'_>,
        core: &mut Forwarder,
        out: &mut Output,
    ) -> Polled {
        let now = now();
        let (link, is_new) = match self {
            Self::Up(link, is_new) => (link, is_new),
            Self::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => return Polled::Pending,
                Poll::Ready(Ok(link)) => {
                    if link.is_early() {
                        core.early(key, now, out);
                    }
                    *self = Self::Up(link, true);
                    return Polled::More;
                }
                Poll::Ready(Err(why)) => {
                    core.connect_failed(key, &why, now, out);
                    return Polled::Ended;
                }
            },
        };
        let flushed = link.poll_flush(cx);
        if *is_new {
            // How a handshake fails is for it to say, and not for what was sent early.
            match link.poll_handshake(cx) {
                Poll::Pending => return Polled::Pending,
                Poll::Ready(Err(why)) => {
                    core.connect_failed(key, &why, now, out);
                    return Polled::Ended;
                }
                Poll::Ready(Ok(())) => {
                    *is_new = false;
                    core.limited(key, link.limits(), now, out);
                    core.connected(key, &link.describe(), now, out);
                    return Polled::More;
                }
            }
        }
        if let Poll::Ready(Err(why)) = flushed {
            core.connection_lost(key, &why, now, out);
            return Polled::Ended;
        }
        match link.poll_next(cx) {
            Poll::Pending => return Polled::Pending,
            Poll::Ready(Event::Message(message)) => core.answer(key, message, now, out),
            Poll::Ready(Event::Failed { id, why }) => core.query_lost(key, id, &why, now, out),
            Poll::Ready(Event::Limits(limits)) => core.limited(key, limits, now, out),
            Poll::Ready(Event::Closed(why)) => {
                core.connection_lost(key, &why, now, out);
                return Polled::Ended;
            }
            // There is nothing else in this version of dotward.
            Poll::Ready(_) => {}
        }
        Polled::More
    }
}

/// There is one clock: what is remembered ages by it, too.
fn now() -> Now {
    let mono = Time::from_nanos(monotonic_clock::now());
    Now { mono, boot: mono }
}

/// Octets that nobody can guess.
fn random<const COUNT: usize>() -> [u8; COUNT] {
    let mut octets = [0; COUNT];
    for eight in octets.chunks_mut(8) {
        let random = get_random_u64().to_ne_bytes();
        for (to, from) in eight.iter_mut().zip(random) {
            *to = from;
        }
    }
    octets
}
