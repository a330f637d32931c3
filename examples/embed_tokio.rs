//! dotward inside an application that runs on tokio: `embed` is all that it takes. The rest plays the application, its
//! client and a TLS resolver, all on loopback.

#[path = "../tests/support"]
#[expect(
    dead_code,
    reason = "the helpers are the tests' own; this example uses some of them"
)]
mod support {
    pub mod authority;
    pub mod client;
    pub mod codes;
    pub mod handshake;
    pub mod journal;
    pub mod link;
    pub mod messages;
    pub mod reading;
    pub mod script;
    pub mod upstream;
}

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use dotward::config::{Roots, Upstream};
use dotward::engine::Stats;
use dotward::serve::Command;
use dotward::transports::tokio::Tokio;
use dotward::transports::{Protocols, SCHEMES};
use dotward::{Config, Control, Shared, Sockets, serve};
use support::authority::Authority;
use support::client::UdpClient;
use support::codes::A;
use support::upstream::DotServer;
use tokio::task::{JoinHandle, spawn_blocking};

/// Serves on the application's own runtime. The future is `Send`: it is one task among the application's others, on any thread.
fn embed(config: Config, control: &Control) -> Result<(SocketAddr, JoinHandle<Stats>), Failure> {
    let runtime = Tokio::default();
    let sockets = Sockets::bind(&runtime, config.listen(), config.modes(), false)?;
    let address = *sockets.addresses().first().ok_or("nowhere to listen")?;
    let protocols = Protocols::new(&runtime, &config)?;
    let shared = Arc::new(Shared::new(config, random()?)?);
    let commands = control.subscribe();
    let serving = serve(runtime, protocols, sockets, shared, random()?, commands);
    Ok((address, tokio::spawn(serving)))
}

type Failure = Box<dyn Error + Send + Sync>;

/// Octets that nobody can guess.
fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map(|()| octets)
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(application())
}

async fn application() -> Result<(), Failure> {
    let authority = Authority::new();
    let server = DotServer::with(authority.good()).start();
    let config = Config::builder()
        .listen(["127.0.0.1:0".parse()?])
        .upstreams([Upstream::parse(&server.spec(), SCHEMES)?])
        .roots(Roots::Pem(authority.pem().into_bytes()))
        .build()?;

    let control = Control::new();
    let (address, serving) = embed(config, &control)?;

    let asking = move || {
        let asked = support::messages::query("www.example", A).build();
        UdpClient::new(address).ask(&asked)
    };
    let got = support::reading::read(&spawn_blocking(asking).await?);
    println!(
        "asked dotward on {address}: RCODE {}, {} record(s)",
        got.rcode(),
        got.answer.len()
    );

    control.send(Command::Drain);
    let stats = serving.await?;
    println!(
        "it forwarded {} question(s) on {} TLS connection(s)",
        stats.sent,
        server.seen().handshakes.len()
    );
    if (got.rcode(), got.answer.len(), stats.answered) == (0, 1, 1) {
        Ok(())
    } else {
        Err("the answer is not what the resolver said".into())
    }
}

#[test]
fn an_application_gets_its_answer() {
    main().unwrap();
}
