//! QUIC over a UDP socket of a runtime: its datagrams, its timers, and another socket when this one fails.
//!
//! The state machine is that of quinn-proto, which knows neither sockets nor clocks. Nothing is spawned: who owns a link turns it.

use super::settings::Settings;
use crate::engine::Time;
use crate::locks::lock;
use crate::runtime::{Datagram, Datagrams, Ring, Runtime};
use crate::transports::tls::Target;
use bytes::BytesMut;
use quinn_proto::{Connection, ConnectionHandle, DatagramEvent, Endpoint};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Batches of datagrams that are received before what they bring is dealt with.
const MAX_BATCHES: usize = 8;
/// So often in a row the system may report that nobody is there, without a datagram from the other end: a message of ICMP may be forged (RFC
/// 9000 section 21.1).
const MAX_REFUSALS: u32 = 3;
/// For so long there may be no way to the other end, as while this host goes from one network to another.
const PATIENCE: Duration = Duration::from_secs(3);

/// One connection of QUIC and its socket.
pub struct Link<R: Runtime> {
    runtime: R,
    pub to: Target<R>,
    /// The state of the connection.
    pub quic: Connection,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    socket: R::Datagrams,
    ring: Arc<Mutex<Ring>>,
    /// One moment on the clock of QUIC and on that of the runtime.
    began: (Instant, Time),
    alarm: Option<(Instant, R::Sleep)>,
    /// A datagram that the socket has not taken; empty if there is none.
    outgoing: Vec<u8>,
    /// It has failed, and another one is to take its place.
    is_stale: bool,
    /// How often the system said that nobody is there, since the other end was heard.
    refusals: u32,
    /// Since when the socket fails.
    failing_since: Option<Instant>,
    /// When the other end was heard last.
    pub heard_at: Instant,
    is_established: bool,
    /// The server has shown a certificate, and it was found good.
    pub is_verified: bool,
    /// What is wrong with the proof of the server.
    pub refusal: Option<rustls::Error>,
}

impl<R: Runtime> Link<R> {
    /// Begins a handshake. Nothing leaves before the first turn.
    pub fn new(runtime: &R, settings: &Settings, to: Target<R>) -> io::Result<Self> {
        let socket = runtime.datagrams_to(to.addr())?;
        let began = (Instant::now(), runtime.now().mono);
        let mut endpoint = settings.endpoint(runtime.random_seed());
        let client = settings.client(to.settings())?;
        let connected = endpoint.connect(began.0, client, to.addr(), &to.server_name());
        let (handle, quic) = connected.map_err(io::Error::other)?;
        Ok(Self {
            runtime: runtime.clone(),
            to,
            quic,
            endpoint,
            handle,
            socket,
            ring: settings.ring(),
            began,
            alarm: None,
            outgoing: Vec::new(),
            is_stale: false,
            refusals: 0,
            failing_since: None,
            heard_at: began.0,
            is_established: false,
            is_verified: false,
            refusal: None,
        })
    }

    /// The time as QUIC has it.
    pub fn now(&self) -> Instant {
        let (instant, time) = self.began;
        instant + self.runtime.now().mono.since(time)
    }

    /// The handshake is over: from now on the path may change (RFC 9000 section 9).
    pub fn established(&mut self) {
        self.is_established = true;
    }

    /// Octets of a datagram that the system has not taken.
    pub fn backlog(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes the datagrams that have come. An error ends the link.
    pub fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (ring, now) = (self.ring.clone(), self.now());
        let ring = &mut *lock(&ring);
        for _ in 0..MAX_BATCHES {
            match self.socket.poll_recv(cx, ring) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => self.take(ring, now),
                Poll::Ready(Err(error)) => self.failed(error)?,
            }
        }
        // There is more, perhaps.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn take(&mut self, ring: &Ring, now: Instant) {
        let addr = self.to.addr();
        let mut response = Vec::new();
        for (octets, from, _) in ring.iter() {
            // The scope of an IPv6 address is not compared: a socket for one peer gets nothing from others.
            if (from.ip(), from.port()) != (addr.ip(), addr.port()) {
                continue;
            }
            let octets = BytesMut::from(octets);
            let event = self
                .endpoint
                .handle(now, addr, None, None, octets, &mut response);
            // Nobody connects to a client, and a stateless reset of ours would help nobody.
            if let Some(DatagramEvent::ConnectionEvent(_, event)) = event {
                (self.refusals, self.failing_since) = (0, None);
                self.heard_at = now;
                self.quic.handle_event(event);
                match self.to.verdict() {
                    None => {}
                    Some(Ok(())) => self.is_verified = true,
                    Some(Err(error)) => self.refusal = Some(error),
                }
            }
        }
    }

    /// Does what time brings.
    pub fn expire(&mut self) {
        let now = self.now();
        if self.quic.poll_timeout().is_some_and(|at| at <= now) {
            self.quic.handle_timeout(now);
        }
        while let Some(event) = self.quic.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.quic.handle_event(event);
            }
        }
    }

    /// Sends what QUIC has to send now. `Pending` when the socket does not take it. An error ends the link.
    pub fn poll_transmit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The socket was made for the datagram that is to leave.
        let mut is_fresh = false;
        loop {
            if self.outgoing.is_empty() {
                let now = self.now();
                if self
                    .quic
                    .poll_transmit(now, 1, &mut self.outgoing)
                    .is_none()
                {
                    return Poll::Ready(Ok(()));
                }
                is_fresh = false;
            }
            if self.is_stale {
                if let Err(error) = self.rebind() {
                    // It is lost, as on the way. QUIC sends it again.
                    self.outgoing.clear();
                    self.failed(error)?;
                    continue;
                }
                is_fresh = true;
                // Who waits for datagrams has to wait for those of this one.
                cx.waker().wake_by_ref();
            }
            let datagram = Datagram {
                to: self.to.addr(),
                from: None,
                message: &self.outgoing,
            };
            match self.socket.poll_send(cx, &[datagram]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(sent)) if sent.refused == 0 => self.outgoing.clear(),
                Poll::Ready(sent) => {
                    let refused = "the system does not send to this address";
                    let error = sent.err().unwrap_or_else(|| io::Error::other(refused));
                    self.failed(error)?;
                    if self.is_stale && is_fresh {
                        self.outgoing.clear();
                    }
                }
            }
        }
    }

    /// The socket has failed. In a handshake, or when that goes on, this ends the link. Otherwise another socket takes its place if the path is
    /// gone: the address of this host may be another one now (RFC 9000 section 9).
    fn failed(&mut self, error: io::Error) -> io::Result<()> {
        let now = self.now();
        let since = *self.failing_since.get_or_insert(now);
        let is_refusal = error.kind() == io::ErrorKind::ConnectionRefused;
        self.refusals += u32::from(is_refusal);
        self.is_stale |= !is_refusal;
        let is_over = self.refusals > MAX_REFUSALS || now >= since + PATIENCE;
        if is_over || !self.is_established {
            return Err(error);
        }
        Ok(())
    }

    /// The path has changed: goes on over the new one, if it may and can (RFC 9000 section 9).
    pub fn change_path(&mut self) -> bool {
        self.is_established && self.rebind().is_ok()
    }

    /// Goes on over another socket, from another port and perhaps another address.
    fn rebind(&mut self) -> io::Result<()> {
        self.socket = self.runtime.datagrams_to(self.to.addr())?;
        self.is_stale = false;
        self.quic.local_address_changed();
        Ok(())
    }

    /// Waits for the next moment at which time brings something: to QUIC, or this one. `Ready` if that is now.
    pub fn poll_alarm(&mut self, cx: &mut Context<'_>, also: Option<Instant>) -> Poll<()> {
        let next = self.quic.poll_timeout().into_iter().chain(also).min();
        let Some(next) = next else {
            self.alarm = None;
            return Poll::Pending;
        };
        let (alarm_at, mut sleep) = match self.alarm.take() {
            Some((at, sleep)) if at == next => (at, sleep),
            _ => (next, self.runtime.sleep_until(self.time(next))),
        };
        let rings = Pin::new(&mut sleep).poll(cx);
        if rings.is_pending() {
            self.alarm = Some((alarm_at, sleep));
        }
        rings
    }

    /// A moment on the clock of the runtime, at which that of QUIC is not behind it.
    fn time(&self, at: Instant) -> Time {
        let (instant, time) = self.began;
        time + at.saturating_duration_since(instant) + Duration::from_nanos(1)
    }
}
