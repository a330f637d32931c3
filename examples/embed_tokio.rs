//! dotward inside an application that runs on tokio: `embed` is all that it takes. The rest plays the application, its client and a
//! resolver, all on loopback.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use dotward::config::Upstream;
use dotward::engine::Stats;
use dotward::serve::Command;
use dotward::transports::tokio::Tokio;
use dotward::transports::{Protocols, SCHEMES};
use dotward::{Config, Control, Options, Sockets, serve};
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
    thread::spawn(move || resolve(&listener));
    let config = Config::builder()
        .listen(["127.0.0.1:0".parse()?])
        .upstreams([Upstream::parse(&upstream, SCHEMES)?])
        .build()?;

    let control = Control::new();
    let (address, serving) = embed(config, &control)?;

    let client = UdpSocket::bind("127.0.0.1:0").await?;
    client.send_to(QUERY, address).await?;
    let mut response = [0; 512];
    let len = timeout(CLIENT_TIMEOUT, client.recv(&mut response)).await??;
    println!("dotward on {address} responded with {len} octets");

    control.send(Command::Drain);
    let stats = serving.await?;
    println!("it forwarded {} query(s)", stats.sent);
    if response[..len].ends_with(&ADDRESS) && stats.answered == 1 {
        Ok(())
    } else {
        Err("the response is not what the resolver sent".into())
    }
}

/// `www.example`, A, IN: id 7, RD, one question.
const QUERY: &[u8] =
    b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01";
/// The address of every name.
const ADDRESS: [u8; 4] = [192, 0, 2, 1];
/// How long a response may take on a very busy machine.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A resolver for one connection, one query at a time, until the other end closes.
fn resolve(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    loop {
        let mut prefix = [0; 2];
        stream.read_exact(&mut prefix)?;
        let mut message = vec![0; u16::from_be_bytes(prefix).into()];
        stream.read_exact(&mut message)?;
        // The question as it came, without OPT; QR, RD, RA; one answer, whose name points at the question's.
        message.truncate(QUERY.len());
        message.splice(2..12, [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        message.extend_from_slice(b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04");
        message.extend_from_slice(&ADDRESS);
        let len = u16::try_from(message.len()).map_err(io::Error::other)?;
        stream.write_all(&len.to_be_bytes())?;
        stream.write_all(&message)?;
    }
}

#[test]
fn an_application_gets_its_response() {
    main().unwrap();
}
