//! `measure CANDIDATE OPERATION TIMES`: does one operation between a client with that provider and a server in memory, and prints the CPU time
//! of the client's part in microseconds for each time. Without arguments it prints the candidates and the operations.
//!
//! The server is the same for all: ring, with X25519MLKEM768 by fips203. Under callgrind, `--toggle-collect=*::client_turn` counts the client.

mod candidates;
#[path = "../../../tests/support/hybrid.rs"]
mod server;

use rustix::time::{ClockId, clock_gettime};
use rustls::client::Resumption;
use rustls::crypto::ring::Ticketer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
};
use std::cell::Cell;
use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NAME: &str = "dns.example.net";
const OPERATIONS: [&str; 3] = ["full", "resumed", "query"];
/// Octets of a padded query and of a padded response (RFC 8467 section 4.1), with their length prefix.
const QUERY: [u8; 130] = [7; 130];
const RESPONSE: [u8; 470] = [9; 470];

thread_local! {
    /// The CPU time of the client so far.
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        now.tv_nsec.try_into().unwrap_or(0),
    )
}

/// What the client does, and nothing else, passes through here.
#[inline(never)]
fn client_turn(turn: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let before = cpu_time();
    let done = turn();
    SPENT.set(SPENT.get() + cpu_time().saturating_sub(before));
    done
}

/// The octets of the other end are processed.
fn client_reads(client: &mut ClientConnection, mut wire: &[u8]) -> Result<()> {
    while !wire.is_empty() {
        client.read_tls(&mut wire)?;
        client.process_new_packets()?;
    }
    Ok(())
}

fn server_reads(server: &mut ServerConnection, mut wire: &[u8]) -> Result<()> {
    while !wire.is_empty() {
        server.read_tls(&mut wire)?;
        server.process_new_packets()?;
    }
    Ok(())
}

fn all_of(
    mut write: impl FnMut(&mut Vec<u8>) -> io::Result<usize>,
    wire: &mut Vec<u8>,
) -> io::Result<()> {
    while write(wire)? > 0 {}
    Ok(())
}

struct Stand {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Stand {
    fn new(provider: rustls::crypto::CryptoProvider, resumes: bool) -> Result<Self> {
        let own = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
        let certificate = own.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let mut server = ServerConfig::builder_with_provider(Arc::new(server::provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())?;
        server.ticketer = Ticketer::new()?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate)?;
        let mut client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resumes {
            client.resumption = Resumption::disabled();
        }
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// One handshake, with the tickets behind it.
    fn connect(&self) -> Result<(ClientConnection, ServerConnection)> {
        let mut server = ServerConnection::new(self.server.clone())?;
        let (mut client, mut wire, mut back) = (None, Vec::new(), Vec::new());
        let name = NAME.try_into()?;
        client_turn(&mut || {
            let client = client.insert(ClientConnection::new(
                self.client.clone(),
                Clone::clone(&name),
            )?);
            client.write_tls(&mut wire)?;
            Ok(())
        })?;
        let mut client = client.ok_or("there is no client")?;
        while !wire.is_empty() {
            server_reads(&mut server, &wire)?;
            all_of(|wire| server.write_tls(wire), &mut back)?;
            wire.clear();
            client_turn(&mut || {
                client_reads(&mut client, &back)?;
                while client.wants_write() {
                    client.write_tls(&mut wire)?;
                }
                Ok(())
            })?;
            back.clear();
        }
        Ok((client, server))
    }
}

/// A query and its response in a record each, on a connection that is there.
fn exchange(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
    times: u32,
) -> Result<()> {
    // So many at once, that the clock's own cost does not show.
    const BATCH: u32 = 16;
    let (mut wire, mut back, mut asked, mut got) = (Vec::new(), Vec::new(), QUERY, RESPONSE);
    for _ in 0..times.div_ceil(BATCH) {
        client_turn(&mut || {
            for _ in 0..BATCH {
                client.writer().write_all(&QUERY)?;
                client.write_tls(&mut wire)?;
            }
            Ok(())
        })?;
        server_reads(server, &wire)?;
        wire.clear();
        for _ in 0..BATCH {
            server.reader().read_exact(&mut asked)?;
            server.writer().write_all(&RESPONSE)?;
            all_of(|wire| server.write_tls(wire), &mut back)?;
        }
        client_turn(&mut || {
            client_reads(client, &back)?;
            for _ in 0..BATCH {
                client.reader().read_exact(&mut got)?;
            }
            Ok(())
        })?;
        back.clear();
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, operation, times] = &arguments[..] else {
        let names: Vec<&str> = candidates::CANDIDATES
            .iter()
            .map(|(name, _)| *name)
            .collect();
        println!("{}\n{}", names.join(" "), OPERATIONS.join(" "));
        return Ok(());
    };
    let found = candidates::CANDIDATES.iter().find(|(own, _)| own == name);
    let (_, provider) = found.ok_or("no such candidate")?;
    let (operation, times): (&str, u32) = (operation, times.parse()?);
    if !OPERATIONS.contains(&operation) {
        return Err("no such operation".into());
    }
    let stand = Stand::new(provider(), operation != "full")?;
    // The first handshake is in full, and has costs that later ones have not.
    let (mut client, mut server) = stand.connect()?;
    let group = client
        .negotiated_key_exchange_group()
        .map(rustls::crypto::SupportedKxGroup::name);
    let suite = client.negotiated_cipher_suite().map(|suite| suite.suite());
    eprintln!("{group:?} {suite:?}");
    SPENT.set(Duration::ZERO);
    if operation == "query" {
        exchange(&mut client, &mut server, times)?;
    } else {
        let expected = if operation == "full" {
            HandshakeKind::Full
        } else {
            HandshakeKind::Resumed
        };
        for _ in 0..times {
            let (client, _) = stand.connect()?;
            if client.handshake_kind() != Some(expected) {
                return Err("another kind of handshake".into());
            }
        }
    }
    println!(
        "{:.3}",
        SPENT.get().as_secs_f64() * 1e6 / f64::from(times.max(1))
    );
    Ok(())
}
