//! Sockets for any runtime that has file descriptors: how they are made, and their options.
//!
//! Nothing here waits. That is the task of a runtime.

use crate::config::{Config, Listen, Modes, is_missing};
use crate::engine::{Now, Time};
use crate::serve::bind_advice;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Connections that the kernel queues between two accepts; it reduces this to its own limit (`somaxconn`).
const BACKLOG: i32 = 1024;
/// Octets of buffer for a burst of queries while the loop is busy; the kernel reduces it to `rmem_max`.
const RECEIVE_BUFFER: usize = 1 << 20;
/// How long sent octets may stay unacknowledged. A broken path is found in seconds instead of the kernel's 15 minutes.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// Idle time before keepalive probes, so that a broken path is found before the next query.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// The time between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Probes without a reply until the connection ends.
const KEEPALIVE_PROBES: u32 = 3;

/// Both clocks since `origin`. Where no clock advances during suspend, that of the process stands in.
pub fn now(origin: Instant) -> Now {
    let since = |from: Duration| Time::ZERO + from;
    let mono = since(origin.elapsed());
    #[cfg(target_os = "linux")]
    let boot = {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        since(Duration::new(
            u64::try_from(boot.tv_sec).unwrap_or_default(),
            u32::try_from(boot.tv_nsec).unwrap_or_default(),
        ))
    };
    #[cfg(not(target_os = "linux"))]
    let boot = since(process_time());
    Now { mono, boot }
}

/// The time since the first call in this process: one clock for all loops, which share the cache and differ in their origins.
#[cfg(any(test, not(target_os = "linux")))]
fn process_time() -> Duration {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}

/// Makes a socket for this address, which is to be bound by the caller.
fn socket(at: SocketAddr, kind: SocketType, share: bool) -> io::Result<OwnedFd> {
    let family = if at.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let socket = net::socket(family, kind, None).map_err(|error| match error {
        // The standard library has no kind of its own for it.
        Errno::AFNOSUPPORT => io::Error::new(io::ErrorKind::Unsupported, error),
        error => error.into(),
    })?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    if at.is_ipv6() {
        // `::` means IPv6 only, so that `0.0.0.0` can be bound beside it.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if share {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    Ok(socket)
}

/// A listening socket.
pub fn listen(at: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket = socket(at, SocketType::STREAM, share)?;
    // Connections of an earlier run that are in TIME_WAIT must not keep the port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &at)?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// A UDP socket.
pub fn bind(at: SocketAddr, share: bool) -> io::Result<UdpSocket> {
    let socket = socket(at, SocketType::DGRAM, share)?;
    if let Err(error) = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER) {
        log::debug!("SO_RCVBUF could not be set: {error}; the socket has a smaller buffer");
    }
    net::bind(&socket, &at)?;
    Ok(UdpSocket::from(socket))
}

/// A UDP socket for one peer: it receives from nobody else, and reports that nobody is there.
pub fn datagrams_to(peer: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(peer, SocketType::DGRAM, false)?;
    net::connect(&socket, &peer)?;
    Ok(UdpSocket::from(socket))
}

/// Whether the addresses can be listened on that a configuration has beside those of the one `before`, which are in use. Sockets of `dropped` addresses
/// may still be open here; they make way, too.
pub fn can_listen(before: &Config, dropped: &[SocketAddr], config: &Config) -> Result<(), String> {
    let share = config.workers().get() > 1;
    for wanted in config.listen() {
        let addr = wanted.addr();
        // What is in use here makes way for what takes its place.
        let in_use = before.listen().iter();
        if in_use
            .map(Listen::addr)
            .chain(dropped.iter().copied())
            .any(|used| used.port() == addr.port())
        {
            continue;
        }
        let udp = || bind(addr, share).map(drop);
        let tcp = || listen(addr, share).map(drop);
        let tried = match wanted.modes(config.modes()) {
            Modes::UdpAndTcp => udp().and_then(|()| tcp()),
            Modes::Udp => udp(),
            Modes::Tcp => tcp(),
        };
        if let Err(error) = tried
            && !is_missing(&error)
        {
            return Err(bind_advice(addr, &error));
        }
    }
    Ok(())
}

/// Sets the options of a connection to an upstream. They reveal failures sooner; a connection works without them.
pub fn tune_link(stream: &impl AsFd) {
    let tuned = [
        sockopt::set_tcp_nodelay(stream, true),
        sockopt::set_socket_keepalive(stream, true),
        sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE),
        sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL),
        sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES),
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_user_timeout(stream, USER_TIMEOUT.as_millis() as u32),
    ];
    for error in tuned.into_iter().filter_map(Result::err) {
        log::debug!("an option of a connection to an upstream could not be set: {error}");
    }
}

/// Sets the options of a client connection: responses are written whole, so Nagle's algorithm would only delay them.
pub fn tune_client(stream: &impl AsFd) {
    if let Err(error) = sockopt::set_tcp_nodelay(stream, true) {
        log::debug!("TCP_NODELAY could not be set: {error}");
    }
}

/// Sends the FIN: nothing more will be written.
pub fn shutdown(stream: &impl AsFd) -> io::Result<()> {
    match net::shutdown(stream, net::Shutdown::Write) {
        // The peer has reset the connection.
        Err(Errno::NOTCONN) => Ok(()),
        done => Ok(done?),
    }
}

/// Asks the kernel to acknowledge at once what arrives next.
#[cfg(target_os = "linux")]
pub fn ack_soon(stream: &impl AsFd) {
    if let Err(error) = sockopt::set_tcp_quickack(stream, true) {
        log::debug!("TCP_QUICKACK could not be set: {error}");
    }
}

/// Only Linux has such an option.
#[cfg(not(target_os = "linux"))]
pub fn ack_soon(_stream: &impl AsFd) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_that_began_at_different_times_have_one_boot_clock() {
        let began = Instant::now();
        let (first, before) = (process_time(), now(began).boot);
        let later = began.checked_sub(Duration::from_secs(60)).unwrap_or(began);
        let (second, after) = (process_time(), now(later).boot);
        assert!(first <= second && second < first + Duration::from_secs(30));
        assert!(before <= after && after < before + Duration::from_secs(30));
    }

    // fault 8: the kernel detects a path that lost its state of a connection, busy or idle.
    #[test]
    fn a_link_gives_a_dead_path_up() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let link = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(sockopt::socket_keepalive(&link), Ok(false));
        tune_link(&link);
        assert_eq!(sockopt::tcp_nodelay(&link), Ok(true));
        assert_eq!(sockopt::socket_keepalive(&link), Ok(true));
        assert_eq!(sockopt::tcp_keepidle(&link), Ok(KEEPALIVE_IDLE));
        assert_eq!(sockopt::tcp_keepintvl(&link), Ok(KEEPALIVE_INTERVAL));
        assert_eq!(sockopt::tcp_keepcnt(&link), Ok(KEEPALIVE_PROBES));
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&link), Ok(3_000));
    }
}
