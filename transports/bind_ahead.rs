//! Binding for all workers before any of them starts, so that the sockets can be left to the next process.

use super::sockets;
use crate::config::Config;
use crate::serve::BoundSockets;
use std::io;
use std::net::SocketAddr;

/// Binds those of the configured addresses that are `wanted` and that `bound` lacks: one socket for each worker. What cannot be bound is left to the workers, which
/// say why, or try again. An address whose port the system chooses is left to them, too: another process would get another port.
pub fn bind_ahead(config: &Config, wanted: impl Fn(SocketAddr) -> bool, bound: &mut BoundSockets) {
    let workers = config.workers().get();
    for one in config.listen() {
        let (addr, modes) = (one.addr(), one.modes(config.modes()));
        if addr.port() == 0 || !wanted(addr) {
            continue;
        }
        let has_udp = bound.datagrams().iter().any(|(at, _)| *at == addr);
        if modes.udp() && !has_udp {
            each(workers, addr, sockets::bind, |socket| {
                bound.add_datagrams(socket)
            });
        }
        let has_tcp = bound.listeners().iter().any(|(at, _)| *at == addr);
        if modes.tcp() && !has_tcp {
            each(workers, addr, sockets::listen, |socket| {
                bound.add_listener(socket)
            });
        }
    }
}

/// Binds an address for so many workers.
fn each<S>(
    workers: usize,
    addr: SocketAddr,
    bind: impl Fn(SocketAddr, bool) -> io::Result<S>,
    mut add: impl FnMut(S) -> io::Result<()>,
) {
    let shared = workers > 1;
    // Another program could share a shared address, too. Binding without sharing finds it.
    if shared && bind(addr, false).is_err() {
        return;
    }
    for _ in 0..workers {
        if let Err(error) = bind(addr, shared).and_then(&mut add) {
            log::debug!("{addr}: not bound ahead: {error}");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Modes;
    use std::net::UdpSocket;
    use std::num::NonZeroUsize;

    fn config(addr: SocketAddr, modes: Modes, workers: usize) -> Config {
        let config = Config::builder().modes(modes).listen([addr.into()]);
        let workers = NonZeroUsize::new(workers).unwrap();
        config.workers(workers).build().unwrap()
    }

    /// An address of this machine that no other test binds, and a port of it that is free.
    fn apart() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.79:0").unwrap();
        socket.local_addr().unwrap()
    }

    #[test]
    fn every_worker_gets_a_socket_and_what_is_bound_stays() {
        let addr = apart();
        let mut bound = BoundSockets::new();
        bind_ahead(&config(addr, Modes::Tcp, 3), |_| true, &mut bound);
        assert_eq!((bound.datagrams().len(), bound.listeners().len()), (0, 3));
        bind_ahead(&config(addr, Modes::UdpAndTcp, 2), |_| true, &mut bound);
        assert_eq!((bound.datagrams().len(), bound.listeners().len()), (2, 3));
    }

    #[test]
    fn an_address_of_another_program_is_left_alone_and_so_is_one_without_a_port() {
        let other = UdpSocket::bind("127.0.0.79:0").unwrap();
        let taken = other.local_addr().unwrap();
        for (addr, workers) in [
            (taken, 1),
            (taken, 2),
            (SocketAddr::from(([127, 0, 0, 79], 0)), 1),
        ] {
            let mut bound = BoundSockets::new();
            bind_ahead(&config(addr, Modes::Udp, workers), |_| true, &mut bound);
            assert!(bound.datagrams().is_empty(), "{addr}");
        }
    }
}
