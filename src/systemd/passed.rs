//! The descriptors that were passed to this process, and what each of them is.

use super::matching::{Passed, Protocol};
use rustix::fs::{SealFlags, fcntl_get_seals};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};
use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

/// What is known of a descriptor.
pub enum Descriptor {
    Udp(UdpSocket),
    Tcp(TcpListener),
    /// Memory that nobody can change any more: what an earlier process left.
    Sealed(File),
}

/// All descriptors of `LISTEN_FDS`, with their names. To be called once, before this process opens anything that it keeps.
pub fn descriptors() -> Result<Vec<(String, Descriptor)>, String> {
    let passed = sd_listen_fds::get().map_err(|error| format!("LISTEN_FDS: {error}"))?;
    let mut known = Vec::new();
    for (name, descriptor) in passed {
        let name = name.unwrap_or_else(|| "unknown".to_owned());
        let known_as = inspect(descriptor.into_std())
            .map_err(|why| format!("the service manager passed {name:?}, {why}"))?;
        known.push((name, known_as));
    }
    Ok(known)
}

/// Says what it is, or why it is no use.
fn inspect(descriptor: OwnedFd) -> Result<Descriptor, String> {
    // It fails for a number behind which nothing is open.
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)
        .map_err(|error| format!("which is none: {error}"))?;
    let Ok(kind) = sockopt::socket_type(&descriptor) else {
        return match fcntl_get_seals(&descriptor) {
            Ok(seals) if seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW) => {
                Ok(Descriptor::Sealed(File::from(descriptor)))
            }
            _ => Err("which is no socket".to_owned()),
        };
    };
    let unknown = |error| format!("of which the system tells nothing: {error}");
    let family = sockopt::socket_domain(&descriptor).map_err(unknown)?;
    if ![AddressFamily::INET, AddressFamily::INET6].contains(&family) {
        return Err("which is a socket of another family than IPv4 and IPv6".to_owned());
    }
    let protocol = sockopt::socket_protocol(&descriptor).map_err(unknown)?;
    match (kind, protocol) {
        (SocketType::DGRAM, Some(ipproto::UDP)) => {
            let socket = UdpSocket::from(descriptor);
            if let Ok(peer) = socket.peer_addr() {
                return Err(format!(
                    "which is a UDP socket that is connected to {peer}: it receives from nobody else"
                ));
            }
            is_bound(socket.local_addr().ok())?;
            Ok(Descriptor::Udp(socket))
        }
        (SocketType::STREAM, Some(ipproto::TCP | ipproto::MPTCP)) => {
            if !sockopt::socket_acceptconn(&descriptor).map_err(unknown)? {
                return Err(
                    "which is a TCP socket that does not listen: with Accept=yes each client has one, and dotward needs Accept=no"
                        .to_owned(),
                );
            }
            let socket = TcpListener::from(descriptor);
            is_bound(socket.local_addr().ok())?;
            Ok(Descriptor::Tcp(socket))
        }
        _ => Err("which is neither a UDP nor a TCP socket".to_owned()),
    }
}

fn is_bound(addr: Option<SocketAddr>) -> Result<(), String> {
    match addr {
        Some(addr) if addr.port() != 0 => Ok(()),
        _ => Err("which is a socket that is not bound".to_owned()),
    }
}

impl Descriptor {
    /// As it is matched with the configuration, if it is a socket.
    pub fn passed(&self, name: &str) -> Option<Passed> {
        let (protocol, addr) = match self {
            Self::Udp(socket) => (Protocol::Udp, socket.local_addr()),
            Self::Tcp(socket) => (Protocol::Tcp, socket.local_addr()),
            Self::Sealed(_) => return None,
        };
        Some(Passed {
            name: name.to_owned(),
            protocol,
            addr: addr.ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    const HERE: &str = "127.0.0.1:0";

    fn error(descriptor: impl Into<OwnedFd>) -> String {
        match inspect(descriptor.into()) {
            Ok(_) => String::new(),
            Err(error) => error,
        }
    }

    #[test]
    fn sockets_that_can_be_served_are_known_by_their_address() {
        let udp = UdpSocket::bind(HERE).unwrap();
        let tcp = TcpListener::bind(HERE).unwrap();
        let (udp_at, tcp_at) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        for (descriptor, protocol, addr) in [
            (OwnedFd::from(udp), Protocol::Udp, udp_at),
            (OwnedFd::from(tcp), Protocol::Tcp, tcp_at),
        ] {
            let known = inspect(descriptor).unwrap();
            let expected = Passed {
                name: "x".to_owned(),
                protocol,
                addr,
            };
            assert_eq!(known.passed("x"), Some(expected));
        }
    }

    #[test]
    fn other_descriptors_are_refused_with_the_reason() {
        let listener = TcpListener::bind(HERE).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(error(stream).contains("does not listen"));
        let connected = UdpSocket::bind(HERE).unwrap();
        connected.connect("127.0.0.1:9").unwrap();
        assert!(error(connected).contains("is connected to 127.0.0.1:9"));
        let (one, _) = UnixStream::pair().unwrap();
        assert!(error(one).contains("another family"));
        let (one, _) = UnixDatagram::pair().unwrap();
        assert!(error(one).contains("another family"));
        assert!(error(File::open("/dev/null").unwrap()).contains("no socket"));
        let unbound = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        assert!(error(unbound).contains("not bound"));
    }
}
