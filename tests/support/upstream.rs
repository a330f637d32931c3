//! A scripted DNS-over-TLS server on loopback, with a thread per connection and a journal of all it saw.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::authority::{Authority, Leaf, NAME};
use super::journal::{Journal, Seen};
use super::link::{Link, Shared};
use super::script::{Conduct, Received, Step, answers};

type ConductOf = dyn Fn(usize) -> Conduct + Send + Sync;

/// A server under construction: TLS 1.2 and 1.3, ALPN "dot", every query answered well.
pub struct Builder {
    leaf: Leaf,
    dialect: Dialect,
    conduct: Arc<ConductOf>,
    script: Box<super::script::Script>,
}

/// How a server speaks TLS, whatever its certificate.
struct Dialect {
    versions: &'static [&'static SupportedProtocolVersion],
    protocols: Vec<Vec<u8>>,
    tickets: usize,
    /// The most octets of early data.
    early_data: u32,
    /// The authorities of the certificates that clients must have, if they must.
    clients_of: Option<RootCertStore>,
}

/// A server that runs, or is stopped with its port kept closed. Dropping it joins every thread.
pub struct DotServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    dialect: Dialect,
    conduct: Arc<ConductOf>,
    connections: Arc<AtomicUsize>,
    state: Option<State>,
}

enum State {
    Running {
        stop: Arc<AtomicBool>,
        thread: JoinHandle<()>,
        /// Bound to the same port, so that nobody else gets it when the listener is closed.
        next: TcpListener,
    },
    /// A socket that is bound and does not listen: connections are refused and nobody else gets the port.
    Stopped(TcpListener),
}

/// A connection's thread, and the connection as long as it lives.
type Served = (Weak<Link>, JoinHandle<()>);

impl Builder {
    /// Offers these TLS versions alone.
    pub fn versions(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.dialect.versions = versions;
        self
    }

    /// Knows these protocols for ALPN; with none, the extension is ignored.
    pub fn protocols(mut self, protocols: &[&str]) -> Self {
        self.dialect.protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        self
    }

    /// Sends so many session tickets after each handshake of TLS 1.3.
    pub fn tickets(mut self, tickets: usize) -> Self {
        self.dialect.tickets = tickets;
        self
    }

    /// Takes so many octets of early data from clients that resume a session.
    pub fn early_data(mut self, octets: u32) -> Self {
        self.dialect.early_data = octets;
        self
    }

    /// Wants a certificate of this authority from each client.
    pub fn clients_of(mut self, authority: &Authority) -> Self {
        self.dialect.clients_of = Some(authority.roots());
        self
    }

    /// Chooses what is done with a connection, by its number.
    pub fn conduct(mut self, conduct: impl Fn(usize) -> Conduct + Send + Sync + 'static) -> Self {
        self.conduct = Arc::new(conduct);
        self
    }

    /// Chooses what is done about a query.
    pub fn script(
        mut self,
        script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        self.script = Box::new(script);
        self
    }

    /// Starts on a port of the kernel's choice.
    pub fn start(self) -> DotServer {
        let mut server = self.stopped();
        server.start();
        server
    }

    /// Keeps a port, which refuses connections until [`DotServer::start`].
    pub fn stopped(self) -> DotServer {
        let tls = self.dialect.config(&self.leaf);
        let placeholder = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = placeholder.local_addr().expect("an address");
        DotServer {
            address,
            shared: Arc::new(Shared {
                tls: Mutex::new(tls),
                script: self.script,
                journal: Journal::default(),
            }),
            dialect: self.dialect,
            conduct: self.conduct,
            connections: Arc::default(),
            state: Some(State::Stopped(placeholder)),
        }
    }
}

impl Dialect {
    fn config(&self, leaf: &Leaf) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let clients = match &self.clients_of {
            Some(roots) => {
                let roots = Arc::new(roots.clone());
                WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                    .build()
                    .expect("roots for clients")
            }
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .expect("versions that ring knows")
            .with_client_cert_verifier(clients)
            .with_single_cert(leaf.chain(), leaf.key())
            .expect("a certificate with its key");
        tls.alpn_protocols.clone_from(&self.protocols);
        tls.send_tls13_tickets = self.tickets;
        tls.max_early_data_size = self.early_data;
        Arc::new(tls)
    }
}

impl DotServer {
    /// Begins a server that shows this certificate.
    pub fn with(leaf: Leaf) -> Builder {
        Builder {
            leaf,
            dialect: Dialect {
                versions: rustls::ALL_VERSIONS,
                protocols: vec![b"dot".to_vec()],
                tickets: 2,
                early_data: 0,
                clients_of: None,
            },
            conduct: Arc::new(|_| Conduct::Tls),
            script: Box::new(answers),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How `--upstream` names it: the address and the authentication name of good certificates.
    pub fn spec(&self) -> String {
        format!("{}#{NAME}", self.address)
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.journal.read()
    }

    /// The query that it has seen last.
    pub fn last_query(&self) -> Received {
        let seen = self.seen().queries.pop();
        seen.expect("the upstream was asked")
    }

    /// Waits until it has seen what `condition` asks for.
    pub fn wait(&self, what: &str, condition: impl Fn(&Seen) -> bool) -> Seen {
        self.shared.journal.wait(what, condition)
    }

    /// Shows another certificate from now on, and forgets every session, as after a restart with new keys.
    pub fn show(&self, leaf: &Leaf) {
        let mut tls = self
            .shared
            .tls
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *tls = self.dialect.config(leaf);
    }

    /// Takes so much early data from now on, and knows the sessions of before.
    pub fn take_early_data(&self, octets: u32) {
        let mut tls = self
            .shared
            .tls
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut changed = ServerConfig::clone(&tls);
        changed.max_early_data_size = octets;
        *tls = Arc::new(changed);
    }

    /// Listens, if it does not.
    pub fn start(&mut self) {
        self.state = match self.state.take() {
            Some(State::Stopped(socket)) => {
                // Before the first listens: after that the system would refuse a second one.
                let next = bind(self.address);
                rustix::net::listen(&socket, 1024).expect("the upstream's port listens");
                let stop = Arc::new(AtomicBool::new(false));
                let acceptor = Acceptor {
                    listener: socket,
                    stop: Arc::clone(&stop),
                    shared: Arc::clone(&self.shared),
                    conduct: Arc::clone(&self.conduct),
                    connections: Arc::clone(&self.connections),
                };
                Some(State::Running {
                    stop,
                    thread: std::thread::spawn(move || acceptor.run()),
                    next,
                })
            }
            other => other,
        };
    }

    /// Closes every connection and refuses new ones, if it runs.
    pub fn stop(&mut self) {
        self.state = match self.state.take() {
            Some(State::Running { stop, thread, next }) => {
                halt(self.address, &stop, thread);
                Some(State::Stopped(next))
            }
            other => other,
        };
    }
}

impl Drop for DotServer {
    fn drop(&mut self) {
        if let Some(State::Running { stop, thread, .. }) = self.state.take() {
            halt(self.address, &stop, thread);
        }
    }
}

struct Acceptor {
    listener: TcpListener,
    stop: Arc<AtomicBool>,
    shared: Arc<Shared>,
    conduct: Arc<ConductOf>,
    connections: Arc<AtomicUsize>,
}

impl Acceptor {
    fn run(self) {
        let served: Mutex<Vec<Served>> = Mutex::default();
        for socket in self.listener.incoming() {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let Ok(socket) = socket else { continue };
            // Best effort: small answers go out at once, as from any server.
            let _ = socket.set_nodelay(true);
            let number = self.connections.fetch_add(1, Ordering::SeqCst);
            self.shared.journal.write(|seen| seen.accepted += 1);
            let conduct = (self.conduct)(number);
            let link = Link::new(number, socket, Arc::clone(&self.shared));
            let weak = Arc::downgrade(&link);
            let thread = std::thread::spawn(move || link.serve(conduct));
            let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
            served.retain(|(_, thread)| !thread.is_finished());
            served.push((weak, thread));
        }
        drop(self.listener);
        for (link, thread) in served.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if let Some(link) = link.upgrade() {
                link.close();
            }
            // A script that panicked has failed its test already.
            let _ = thread.join();
        }
    }
}

/// Wakes the accepting thread by a connection to itself and joins it.
fn halt(address: SocketAddr, stop: &AtomicBool, thread: JoinHandle<()>) {
    stop.store(true, Ordering::SeqCst);
    // If this fails, then because the listener is gone, and the thread with it.
    let _ = TcpStream::connect(address);
    // A panic of that thread has been printed; dropping must not panic again.
    let _ = thread.join();
}

/// A socket that is bound, and does not listen yet.
fn bind(address: SocketAddr) -> TcpListener {
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("a socket");
    sockopt::set_socket_reuseaddr(&socket, true).expect("SO_REUSEADDR");
    rustix::net::bind(&socket, &address)
        .unwrap_or_else(|error| panic!("binding {address}: {error}"));
    socket.into()
}
