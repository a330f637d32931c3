//! A SOCKS5 proxy (RFC 1928, RFC 1929) that does as the test says, and remembers what it was asked for.

use super::journal::DEADLINE;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The username that it gave, if it offered one.
    pub username: Option<String>,
    /// `ADDRESS:PORT` or `NAME:PORT`.
    pub destination: String,
}

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Connects to the upstream, wherever it was asked to connect to.
    Connect,
    /// Replies with this code.
    Refuse(u8),
    /// Never replies.
    Nothing,
    /// Sends this in the place of its first message.
    Say(&'static [u8]),
    /// Accepts only the method that was not offered.
    AcceptNothing,
}

type DoesOf = dyn Fn(&Asked) -> Does + Send + Sync;

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    open: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
}

/// A running proxy. Dropping it ends its connections and joins its threads.
pub struct Socks {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Socks {
    /// A proxy that does the same with every request.
    pub fn start(upstream: SocketAddr, does: Does) -> Self {
        Self::deciding(upstream, move |_| does)
    }

    /// A proxy that decides by the request. What it says in the place of a message it decides without one.
    pub fn deciding(
        upstream: SocketAddr,
        does: impl Fn(&Asked) -> Does + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let (of_thread, does): (_, Arc<DoesOf>) = (Arc::clone(&shared), Arc::new(does));
        let thread = thread::spawn(move || {
            let mut served = Vec::new();
            for socket in listener.incoming() {
                if of_thread.over.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(socket) = socket else { continue };
                let (shared, does) = (Arc::clone(&of_thread), Arc::clone(&does));
                served.push(thread::spawn(move || {
                    // How a conversation ends is for the client to see.
                    let _ = shared.serve(&socket, upstream, &*does);
                    let _ = socket.shutdown(Shutdown::Both);
                }));
            }
            of_thread.end();
            for thread in served {
                // A panic has been printed.
                let _ = thread.join();
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// What it was asked for so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }
}

impl Shared {
    /// Ends this socket with the proxy.
    fn keep(&self, socket: &TcpStream) -> io::Result<()> {
        lock(&self.open).push(socket.try_clone()?);
        Ok(())
    }

    fn end(&self) {
        for socket in lock(&self.open).drain(..) {
            // It may have ended before.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn serve(&self, client: &TcpStream, upstream: SocketAddr, does: &DoesOf) -> io::Result<()> {
        self.keep(client)?;
        let mut client = client.try_clone()?;
        client.set_nodelay(true)?;
        let nobody = Asked {
            username: None,
            destination: String::new(),
        };
        let [version, methods] = read(&mut client)?;
        assert_eq!(version, 5);
        let mut offered = vec![0; methods.into()];
        client.read_exact(&mut offered)?;
        match does(&nobody) {
            Does::Say(octets) => return client.write_all(octets),
            Does::AcceptNothing => return client.write_all(&[5, 0xff]),
            _ => {}
        }
        assert_eq!(offered.len(), 1, "one method is offered");
        client.write_all(&[5, offered[0]])?;
        let mut username = None;
        if offered == [2] {
            let [version] = read(&mut client)?;
            assert_eq!(version, 1);
            username = Some(text(&mut client)?);
            assert!(!text(&mut client)?.is_empty(), "a password");
            client.write_all(&[1, 0])?;
        }
        let [version, command, _, kind] = read(&mut client)?;
        assert_eq!((version, command), (5, 1));
        let host = match kind {
            1 => IpAddr::from(Ipv4Addr::from(read::<4>(&mut client)?)).to_string(),
            4 => IpAddr::from(Ipv6Addr::from(read::<16>(&mut client)?)).to_string(),
            _ => text(&mut client)?,
        };
        let port = u16::from_be_bytes(read(&mut client)?);
        let asked = Asked {
            username,
            destination: format!("{host}:{port}"),
        };
        lock(&self.asked).push(asked.clone());
        match does(&asked) {
            Does::Refuse(code) => client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]),
            Does::Connect => {
                let mut server = TcpStream::connect_timeout(&upstream, DEADLINE)?;
                self.keep(&server)?;
                server.set_nodelay(true)?;
                client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1])?;
                let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
                let back = thread::spawn(move || relay(&mut from, &mut to));
                relay(&mut client, &mut server);
                // A panic has been printed.
                let _ = back.join();
                Ok(())
            }
            _ => {
                // Until the client, or the test, ends.
                let _ = client.read(&mut [0]);
                Ok(())
            }
        }
    }
}

impl Drop for Socks {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread; if nobody listens any more, it has ended.
        let _ = TcpStream::connect(self.address);
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(
            matches!(joined, Some(Ok(()))) || thread::panicking(),
            "the proxy panicked"
        );
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries octets until either side ends.
fn relay(from: &mut TcpStream, to: &mut TcpStream) {
    // An error ends it like an end.
    let _ = io::copy(from, to);
    let _ = to.shutdown(Shutdown::Write);
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    stream.read_exact(&mut octets)?;
    Ok(octets)
}

/// A text behind its length.
fn text(stream: &mut TcpStream) -> io::Result<String> {
    let [len] = read(stream)?;
    let mut octets = vec![0; len.into()];
    stream.read_exact(&mut octets)?;
    String::from_utf8(octets).map_err(io::Error::other)
}
