//! Real sockets for any runtime that has file descriptors: how they are made and tuned.
//!
//! A runtime adds only the waiting. Everything here returns at once.

use super::batches::Batches;
use crate::engine::{Now, Time};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Clients that the kernel keeps for us between two accepts; it cuts this to its own bound (`somaxconn`).
const BACKLOG: i32 = 1024;
/// Room for a burst of questions while the loop is busy; the kernel cuts it to `rmem_max`.
const RECEIVE_BUFFER: usize = 1 << 20;
/// How long the other end may fail to acknowledge what we sent. A path that died is found in seconds, not in the kernel's 15 minutes.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// Keepalive probes begin after so long, so that a path that died while idle is found before the next question.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// The time between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Lost probes until the connection is given up.
const KEEPALIVE_PROBES: u32 = 3;

/// Both clocks since `origin`. Where there is no clock that goes on during suspend, the process's own stands in.
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

/// Since this was asked first in this process: one clock for all loops, whose origins differ, because they share the cache.
#[cfg(any(test, not(target_os = "linux")))]
fn process_time() -> Duration {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}

fn socket(at: SocketAddr, kind: Type, protocol: Protocol, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    if at.is_ipv6() {
        // `::` stands for IPv6 alone, so that `0.0.0.0` can be listened on beside it.
        socket.set_only_v6(true)?;
    }
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A listening socket.
pub fn listen(at: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket = socket(at, Type::STREAM, Protocol::TCP, share)?;
    // Connections of a former run that linger in TIME_WAIT must not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket for datagrams.
pub fn bind(at: SocketAddr, share: bool) -> io::Result<(UdpSocket, Batches)> {
    let socket = socket(at, Type::DGRAM, Protocol::UDP, share)?;
    // A smaller buffer than wished for is no reason not to serve.
    drop(socket.set_recv_buffer_size(RECEIVE_BUFFER));
    socket.bind(&at.into())?;
    let socket = UdpSocket::from(socket);
    let batches = Batches::new(&socket, at.ip().is_unspecified())?;
    Ok((socket, batches))
}

/// Does this error mean that the machine lacks the address, or its whole family?
pub fn is_missing(error: &io::Error) -> bool {
    let no_family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(no_family)
}

/// Options for a connection to an upstream. They make failures show sooner; none is needed to work.
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
        log::debug!("a socket option was refused: {error}");
    }
}

/// Options for a client's connection: answers are written whole, so there is nothing to wait for.
pub fn tune_client(stream: &impl AsFd) {
    if let Err(error) = sockopt::set_tcp_nodelay(stream, true) {
        log::debug!("TCP_NODELAY was refused: {error}");
    }
}

/// Asks the kernel to acknowledge at once what arrives next.
pub fn ack_soon(stream: &impl AsFd) {
    #[cfg(target_os = "linux")]
    if let Err(error) = sockopt::set_tcp_quickack(stream, true) {
        log::debug!("TCP_QUICKACK was refused: {error}");
    }
}

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

    // fault 8: the kernel looks after a path that forgot a connection, busy or idle.
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
