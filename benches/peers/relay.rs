//! A relay that makes loopback as slow as a distance: whatever comes from either side leaves that much later on the other.
//!
//! A connection's first octets wait for one round trip more, since the kernel's own handshake over loopback takes no time.
//! A closing of either side is passed on after the same delay.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Octets per read: the largest TLS record fits.
const CHUNK: usize = 1 << 14;
/// Chunks under way in one direction; beyond, the sender is held back, as by a full pipe.
const UNDER_WAY: usize = 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: relay LISTEN TO MILLISECONDS (of each direction)";
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or(usage);
    let listener = TcpListener::bind(next()?)?;
    let to: SocketAddr = next()?.parse()?;
    let delay = Duration::from_secs_f64(next()?.parse::<f64>()? / 1000.0);
    for client in listener.incoming() {
        let client = client?;
        // A target that is down is its client's affair: the connection is closed.
        if let Err(error) = TcpStream::connect(to).and_then(|server| join(&client, &server, delay))
        {
            eprintln!("relay: {to}: {error}");
        }
    }
    Ok(())
}

/// Relays in both directions, on threads of their own, until both are closed.
fn join(client: &TcpStream, server: &TcpStream, delay: Duration) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let connected = Instant::now() + 2 * delay;
    for (from, to) in [(client, server), (server, client)] {
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (sender, receiver) = sync_channel(UNDER_WAY);
        thread::spawn(move || take(from, connected, delay, &sender));
        thread::spawn(move || give(to, &receiver));
    }
    Ok(())
}

/// Notes for all that comes when it is due on the other side. Nothing more comes when the channel closes.
fn take(
    mut from: TcpStream,
    connected: Instant,
    delay: Duration,
    sender: &SyncSender<(Instant, Vec<u8>)>,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let got = from.read(&mut chunk).unwrap_or(0);
        let due = Instant::now().max(connected) + delay;
        let octets = chunk.get(..got).unwrap_or_default().to_vec();
        if sender.send((due, octets)).is_err() || got == 0 {
            return;
        }
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>) {
    for (due, octets) in receiver {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if octets.is_empty() || to.write_all(&octets).is_err() {
            break;
        }
    }
    // If the other end has closed already, there is nothing left to close.
    drop(to.shutdown(Shutdown::Write));
}
