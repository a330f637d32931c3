//! A server of DNS over QUIC (RFC 9250) on quinn-proto, over any runtime. It does what a test says, and nothing on its own but QUIC.

use dotward::engine::Time;
use dotward::runtime::{Datagram, Datagrams, Ring, Runtime};
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    Connection, ConnectionError, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig,
    Event, HashedConnectionIdGenerator, IdleTimeout, ServerConfig, StreamEvent, StreamId,
    TransportConfig, VarInt, WriteError,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Without a datagram for so long a connection has ended.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A query that was heard: its connection and its stream.
pub type Asked = (ConnectionHandle, StreamId);

/// A server, and all that it has heard.
pub struct QuicServer<R: Runtime> {
    runtime: R,
    socket: R::Datagrams,
    at: SocketAddr,
    config: Arc<EndpointConfig>,
    tls: Arc<rustls::ServerConfig>,
    server: Arc<ServerConfig>,
    endpoint: Endpoint,
    connections: BTreeMap<ConnectionHandle, Connection>,
    began: (Instant, Time),
    alarm: Option<(Instant, R::Sleep)>,
    ring: Ring,
    outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
    bodies: BTreeMap<Asked, Vec<u8>>,
    unsent: BTreeMap<(usize, u64), (Asked, Vec<u8>, bool)>,
    /// Whole queries with the length before them, the oldest first.
    pub heard: VecDeque<(Asked, Vec<u8>)>,
    /// How connections ended.
    pub lost: Vec<ConnectionError>,
    /// From where datagrams came, each once.
    pub peers: Vec<SocketAddr>,
    /// The connections that were accepted since this was read last.
    pub accepted: Vec<ConnectionHandle>,
    /// New connections are refused.
    pub refuses: bool,
    /// New clients have to show that they are where they seem to be.
    pub retries: bool,
    /// Connections on which nothing is heard or said any more.
    silent: BTreeSet<ConnectionHandle>,
}

fn crypto(tls: &Arc<rustls::ServerConfig>) -> Arc<QuicServerConfig> {
    let crypto = QuicServerConfig::try_from(tls.clone());
    Arc::new(crypto.expect("a cipher suite for the first packets"))
}

impl<R: Runtime> QuicServer<R> {
    /// At a port that the system chooses. A client may have so many streams at once.
    pub fn new(runtime: &R, at: SocketAddr, tls: Arc<rustls::ServerConfig>, streams: u32) -> Self {
        Self::with_idle_timeout(runtime, at, tls, streams, IDLE_TIMEOUT)
    }

    /// The same, where a connection has ended after so long without a datagram.
    pub fn with_idle_timeout(
        runtime: &R,
        at: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        streams: u32,
        idle: Duration,
    ) -> Self {
        let socket = runtime.bind(at, false).expect("a socket");
        let at = socket.local_addr().expect("its address");
        let mut config = EndpointConfig::default();
        // With the next endpoint at this socket the ids of connections are those of the same server.
        config.cid_generator(|| Box::new(HashedConnectionIdGenerator::from_key(7)));
        let config = Arc::new(config);
        let server = settings(&tls, streams, idle);
        let seed = runtime.random_seed();
        Self {
            endpoint: Endpoint::new(config.clone(), Some(server.clone()), false, seed),
            runtime: runtime.clone(),
            socket,
            at,
            config,
            tls,
            server,
            connections: BTreeMap::new(),
            began: (Instant::now(), runtime.now().mono),
            alarm: None,
            ring: Ring::new(),
            outgoing: VecDeque::new(),
            bodies: BTreeMap::new(),
            unsent: BTreeMap::new(),
            heard: VecDeque::new(),
            lost: Vec::new(),
            peers: Vec::new(),
            accepted: Vec::new(),
            refuses: false,
            retries: false,
            silent: BTreeSet::new(),
        }
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Forgets its connections, as after a restart.
    pub fn restart(&mut self) {
        let (config, server) = (self.config.clone(), Some(self.server.clone()));
        self.endpoint = Endpoint::new(config, server, false, self.runtime.random_seed());
        self.connections.clear();
        self.heard.clear();
        self.bodies.clear();
        self.silent.clear();
    }

    /// From now on it speaks this version of QUIC alone. It is restarted for that.
    pub fn speak_version(&mut self, version: u32) {
        let mut config = EndpointConfig::clone(&self.config);
        config.supported_versions(vec![version]);
        self.config = Arc::new(config);
        self.restart();
    }

    /// New connections are accepted with these settings.
    pub fn accept_with(&mut self, tls: Arc<rustls::ServerConfig>, streams: u32, idle: Duration) {
        self.server = settings(&tls, streams, idle);
        self.tls = tls;
        let server = self.server.clone();
        self.endpoint.set_server_config(Some(server));
    }

    /// Forgets a connection: what comes on it is of none.
    pub fn forget(&mut self, connection: ConnectionHandle) {
        if self.connections.remove(&connection).is_some() {
            let drained = quinn_proto::EndpointEvent::drained();
            self.endpoint.handle_event(connection, drained);
        }
    }

    /// From now on a connection is silent, and deaf.
    pub fn be_silent(&mut self, connection: ConnectionHandle) {
        self.silent.insert(connection);
    }

    /// Does not want the rest of a query.
    pub fn stop(&mut self, asked: Asked, code: u32) {
        if let Some(connection) = self.connections.get_mut(&asked.0) {
            // It fails if everything has come.
            let _stopped_or_not = connection.recv_stream(asked.1).stop(VarInt::from_u32(code));
        }
    }

    /// Is this connection there?
    pub fn has(&self, connection: ConnectionHandle) -> bool {
        self.connections.contains_key(&connection) && !self.silent.contains(&connection)
    }

    /// Closes one connection.
    pub fn close_one(&mut self, connection: ConnectionHandle, code: u32) {
        let now = self.now();
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.close(now, VarInt::from_u32(code), Vec::new().into());
        }
    }

    /// Knows no session any more that it has made.
    pub fn forget_sessions(&mut self) {
        let mut tls = rustls::ServerConfig::clone(&self.tls);
        tls.session_storage = rustls::server::ServerSessionMemoryCache::new(8);
        self.tls = Arc::new(tls);
        let mut server = ServerConfig::clone(&self.server);
        server.crypto = crypto(&self.tls);
        self.server = Arc::new(server);
        self.endpoint.set_server_config(Some(self.server.clone()));
    }

    /// Changes what a client may have at once, on all connections. Streams that were allowed stay so.
    pub fn allow(&mut self, streams: u32) {
        for connection in self.connections.values_mut() {
            connection.set_max_concurrent_streams(Dir::Bi, VarInt::from_u32(streams));
        }
    }

    /// Sends octets on the stream of a query, and ends it if these are the last.
    pub fn put(&mut self, asked: Asked, octets: &[u8], is_end: bool) {
        let place = (asked.0.0, asked.1.into());
        let rest = self
            .unsent
            .entry(place)
            .or_insert((asked, Vec::new(), false));
        rest.1.extend_from_slice(octets);
        rest.2 |= is_end;
        self.write();
    }

    /// Answers a query with this message.
    pub fn say(&mut self, asked: Asked, message: &[u8]) {
        let length = u16::try_from(message.len()).expect("a message");
        self.put(asked, &[&length.to_be_bytes(), message].concat(), true);
    }

    /// Resets the stream of a query.
    pub fn reset(&mut self, asked: Asked, code: u32) {
        let mut stream = self.connection(asked.0).send_stream(asked.1);
        // It fails if the client has stopped it.
        let _reset_or_stopped = stream.reset(VarInt::from_u32(code));
    }

    /// Closes all connections.
    pub fn close(&mut self, code: u32) {
        let now = self.now();
        for connection in self.connections.values_mut() {
            connection.close(now, VarInt::from_u32(code), b"\x1b[31m"[..].into());
        }
    }

    fn connection(&mut self, of: ConnectionHandle) -> &mut Connection {
        self.connections.get_mut(&of).expect("a connection")
    }

    fn now(&self) -> Instant {
        let (instant, time) = self.began;
        instant + self.runtime.now().mono.since(time)
    }

    fn write(&mut self) {
        self.unsent.retain(|_, (asked, rest, is_end)| {
            let Some(connection) = self.connections.get_mut(&asked.0) else {
                return false;
            };
            let mut stream = connection.send_stream(asked.1);
            while !rest.is_empty() {
                match stream.write(rest) {
                    Ok(written) => drop(rest.drain(..written)),
                    Err(WriteError::Blocked) => return true,
                    // Nobody reads it.
                    Err(WriteError::Stopped(_) | WriteError::ClosedStream) => return false,
                }
            }
            if *is_end {
                let _stopped = stream.finish();
            }
            !*is_end
        });
    }

    /// Does all that QUIC has to do.
    pub fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            self.receive(cx);
            let now = self.now();
            let mut ended = Vec::new();
            for (handle, connection) in &mut self.connections {
                if self.silent.contains(handle) {
                    continue;
                }
                if connection.poll_timeout().is_some_and(|at| at <= now) {
                    connection.handle_timeout(now);
                }
                while let Some(event) = connection.poll_endpoint_events() {
                    if event.is_drained() {
                        ended.push(*handle);
                    }
                    if let Some(event) = self.endpoint.handle_event(*handle, event) {
                        connection.handle_event(event);
                    }
                }
            }
            self.events();
            self.write();
            for (handle, connection) in &mut self.connections {
                if self.silent.contains(handle) {
                    continue;
                }
                let mut octets = Vec::new();
                while let Some(transmit) = connection.poll_transmit(now, 1, &mut octets) {
                    let octets = std::mem::take(&mut octets);
                    self.outgoing.push_back((transmit.destination, octets));
                }
            }
            for handle in ended {
                self.connections.remove(&handle);
            }
            self.send(cx);
            if self.poll_alarm(cx).is_pending() {
                return;
            }
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>) {
        let now = self.now();
        while let Poll::Ready(received) = self.socket.poll_recv(cx, &mut self.ring) {
            if received.is_err() {
                continue;
            }
            for (octets, from, _) in self.ring.iter() {
                let mut response = Vec::new();
                let event =
                    self.endpoint
                        .handle(now, from, None, None, octets.into(), &mut response);
                if !self.peers.contains(&from) {
                    self.peers.push(from);
                }
                match event {
                    Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                        if let Some(connection) = self.connections.get_mut(&handle) {
                            connection.handle_event(event);
                        }
                    }
                    Some(DatagramEvent::NewConnection(incoming)) if self.refuses => {
                        // It is for whom it came from.
                        let _transmit = self.endpoint.refuse(incoming, &mut response);
                        self.outgoing.push_back((from, response));
                    }
                    Some(DatagramEvent::NewConnection(incoming))
                        if self.retries && !incoming.remote_address_validated() =>
                    {
                        let retried = self.endpoint.retry(incoming, &mut response);
                        self.outgoing.extend(retried.ok().map(|_| (from, response)));
                    }
                    Some(DatagramEvent::NewConnection(incoming)) => {
                        let accepted = self.endpoint.accept(incoming, now, &mut response, None);
                        match accepted {
                            Ok((handle, connection)) => {
                                self.connections.insert(handle, connection);
                                self.silent.remove(&handle);
                                self.accepted.push(handle);
                            }
                            Err(error) => {
                                if error.response.is_some() {
                                    self.outgoing.push_back((from, response));
                                }
                            }
                        }
                    }
                    Some(DatagramEvent::Response(_)) => self.outgoing.push_back((from, response)),
                    None => {}
                }
            }
        }
    }

    fn events(&mut self) {
        for (handle, connection) in &mut self.connections {
            while let Some(event) = connection.poll() {
                match event {
                    Event::ConnectionLost { reason } => self.lost.push(reason),
                    Event::Stream(StreamEvent::Opened { dir }) => {
                        while let Some(stream) = connection.streams().accept(dir) {
                            self.bodies.insert((*handle, stream), Vec::new());
                        }
                    }
                    _ => {}
                }
            }
            let streams: Vec<Asked> = self.bodies.keys().copied().collect();
            for asked in streams.into_iter().filter(|asked| asked.0 == *handle) {
                let mut stream = connection.recv_stream(asked.1);
                let Ok(mut chunks) = stream.read(true) else {
                    self.bodies.remove(&asked);
                    continue;
                };
                let body = self.bodies.entry(asked).or_default();
                loop {
                    match chunks.next(usize::MAX) {
                        Ok(Some(chunk)) => body.extend_from_slice(&chunk.bytes),
                        Ok(None) => {
                            let body = self.bodies.remove(&asked).unwrap_or_default();
                            self.heard.push_back((asked, body));
                            break;
                        }
                        Err(_) => break,
                    }
                }
            }
        }
        // Streams ascend as they were opened.
        let queue = self.heard.make_contiguous();
        queue.sort_by_key(|(asked, _)| (asked.0.0, asked.1));
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        while let Some((to, message)) = self.outgoing.front() {
            let datagram = Datagram {
                to: *to,
                from: None,
                message,
            };
            if self.socket.poll_send(cx, &[datagram]).is_pending() {
                return;
            }
            self.outgoing.pop_front();
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let silent = &self.silent;
        let connections = self.connections.iter_mut();
        let connections = connections.filter(|(handle, _)| !silent.contains(handle));
        let timeouts = connections.filter_map(|(_, connection)| connection.poll_timeout());
        let Some(next) = timeouts.min() else {
            self.alarm = None;
            return Poll::Pending;
        };
        if self.alarm.as_ref().is_none_or(|(at, _)| *at != next) {
            let (instant, time) = self.began;
            let at = time + next.saturating_duration_since(instant);
            self.alarm = Some((next, self.runtime.sleep_until(at)));
        }
        let alarm = self
            .alarm
            .as_mut()
            .map(|(_, sleep)| Pin::new(sleep).poll(cx));
        let rings = alarm.unwrap_or(Poll::Pending);
        if rings.is_ready() {
            self.alarm = None;
        }
        rings
    }
}

/// How connections are accepted: a client may have so many streams at once, and a connection has ended after so long without a datagram.
fn settings(tls: &Arc<rustls::ServerConfig>, streams: u32, idle: Duration) -> Arc<ServerConfig> {
    let mut transport = TransportConfig::default();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(streams));
    transport.max_idle_timeout(IdleTimeout::try_from(idle).ok());
    let mut server = ServerConfig::with_crypto(crypto(tls));
    server.transport_config(Arc::new(transport));
    Arc::new(server)
}
