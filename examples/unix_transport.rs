//! A transport that lives outside of dotward: DNS with length prefixes over a Unix socket, to a resolver on the same machine.
//!
//! It uses dotward's public interface alone. `Unix` and `Local` are all of it; the rest plays a resolver and a client on loopback.

mod loopback;

use std::error::Error;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net as blocking;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use async_std::os::unix::net::UnixStream;
use dotward::config::{Modes, Scheme, Upstream};
use dotward::framed::Framed;
use dotward::runtime::{ByteStream, Runtime as _};
use dotward::serve::Command;
use dotward::transport::{ConnectError, Transport};
use dotward::transports::async_std::AsyncStd;
use dotward::{Config, Control, Options, Sockets, serve};
use futures::io::{AsyncRead, AsyncWrite};
use loopback::{ADDRESS, CLIENT_TIMEOUT, QUERY, resolve};

/// Connects to a resolver behind a Unix socket. The file system's permissions decide who may connect, so that nothing is encrypted.
struct Unix {
    path: PathBuf,
}

impl Transport for Unix {
    type Connection = Framed<Local>;
    type Connect = Pin<Box<dyn Future<Output = Result<Self::Connection, ConnectError>> + Send>>;

    /// The address in the configuration is not used. Connecting takes no time that would need a limit.
    fn connect(&self, _to: &Upstream, _addr: SocketAddr) -> Self::Connect {
        let path = self.path.clone();
        Box::pin(async move {
            match UnixStream::connect(path).await {
                Ok(stream) => Ok(Framed::new(Local(stream), "Unix socket".into())),
                Err(error) => Err(ConnectError::Unreachable(error.to_string())),
            }
        })
    }
}

/// A connection. The hook of [`ByteStream`] keeps its default: there is nothing to acknowledge.
struct Local(UnixStream);

impl ByteStream for Local {}

impl AsyncRead for Local {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Local {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// What an upstream of this transport is called in a configuration, and where its port would come from.
const SCHEMES: &[Scheme] = &[Scheme {
    name: "unix",
    port: 53,
    encrypted: false,
}];

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("dotward-{}.socket", std::process::id()));
    let listener = blocking::UnixListener::bind(&path)?;
    thread::spawn(move || resolve(listener.accept()?.0));

    let config = Config::builder()
        .listen(["127.0.0.1:0".parse()?])
        .modes(Modes::Udp)
        .upstreams([Upstream::parse("unix://127.0.0.1", SCHEMES)?])
        .build()?;

    let runtime = AsyncStd::default();
    let sockets = Sockets::bind(&runtime, &config)?;
    let address = *sockets.addresses().first().ok_or("nowhere to listen")?;
    let control = Control::new();
    let options = Options::new(config)?.control(&control);
    let unix = Unix { path: path.clone() };
    let serving = serve(runtime.clone(), unix, sockets, options);
    let proxy = thread::spawn(move || runtime.block_on(serving));

    let response = ask(address)?;
    control.send(Command::Drain);
    let stats = proxy.join().map_err(|_| "dotward panicked")?;
    std::fs::remove_file(path)?;
    println!(
        "dotward on {address} responded with {} octets",
        response.len()
    );
    println!("{} query(s) went through the socket", stats.sent);
    if response.ends_with(&ADDRESS) && stats.answered == 1 {
        Ok(())
    } else {
        Err("the response is not what the resolver sent".into())
    }
}

fn ask(server: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    socket.send_to(QUERY, server)?;
    let mut response = vec![0; 512];
    let len = socket.recv(&mut response)?;
    response.truncate(len);
    Ok(response)
}

#[test]
fn a_query_goes_through_the_socket() {
    main().unwrap();
}
