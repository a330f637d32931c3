//! dotward inside an application that runs on tokio: `embed` is all that it takes. The rest plays the application, its client and a
//! resolver, all on loopback.

mod loopback;

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use dotward::config::Upstream;
use dotward::engine::Stats;
use dotward::serve::Command;
use dotward::transports::tokio::Tokio;
use dotward::transports::{Protocols, SCHEMES};
use dotward::{Config, Control, Options, Sockets, serve};
use loopback::{ADDRESS, CLIENT_TIMEOUT, QUERY, resolve};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

type Failure = Box<dyn Error + Send + Sync>;

/// Serves on the application's own runtime. The future is `Send`: it is one task among the application's others, on any thread.
fn embed(config: Config, control: &Control) -> Result<(SocketAddr, JoinHandle<Stats>), Failure> {
    let runtime = Tokio::default();
    let protocols = Protocols::new(&runtime, &config)?;
    let sockets = Sockets::bind(&runtime, &config)?;
    let address = *sockets.addresses().first().ok_or("nowhere to listen")?;
    let options = Options::new(config)?.control(control);
    let serving = serve(runtime, protocols, sockets, options);
    Ok((address, tokio::spawn(serving)))
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(application())
}

async fn application() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Outside of an example, write a resolver that is reached over TLS, such as `9.9.9.9#dns.quad9.net`.
    let upstream = format!("tcp://{}", listener.local_addr()?);
    thread::spawn(move || resolve(listener.accept()?.0));
    let config = Config::builder()
        .listen(["127.0.0.1:0".parse()?])
        .upstreams([Upstream::parse(&upstream, SCHEMES)?])
        .build()?;

    let control = Control::new();
    let (address, serving) = embed(config, &control)?;

    let client = UdpSocket::bind("127.0.0.1:0").await?;
    client.send_to(QUERY, address).await?;
    let mut response = vec![0; 512];
    let len = timeout(CLIENT_TIMEOUT, client.recv(&mut response)).await??;
    response.truncate(len);
    println!("dotward on {address} responded with {len} octets");

    control.send(Command::Drain);
    let stats = serving.await?;
    println!("it sent {} query(s) to the resolver", stats.sent);
    if response.ends_with(&ADDRESS) && stats.answered == 1 {
        Ok(())
    } else {
        Err("the response is not what the resolver sent".into())
    }
}

#[test]
fn an_application_gets_its_response() {
    main().unwrap();
}
