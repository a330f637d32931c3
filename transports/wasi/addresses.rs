//! Addresses and errors of `wasi:sockets`, to and from those of the standard library.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use wasip2::io::streams::StreamError;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};

/// Which kind of socket takes this address.
pub fn family(addr: SocketAddr) -> IpAddressFamily {
    match addr {
        SocketAddr::V4(_) => IpAddressFamily::Ipv4,
        SocketAddr::V6(_) => IpAddressFamily::Ipv6,
    }
}

/// An address for the host.
pub fn to_wasi(addr: SocketAddr) -> IpSocketAddress {
    match addr {
        SocketAddr::V4(v4) => IpSocketAddress::Ipv4(Ipv4SocketAddress {
            port: v4.port(),
            address: v4.ip().octets().into(),
        }),
        SocketAddr::V6(v6) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: v6.port(),
            flow_info: v6.flowinfo(),
            address: v6.ip().segments().into(),
            scope_id: v6.scope_id(),
        }),
    }
}

/// An address from the host.
pub fn from_wasi(addr: IpSocketAddress) -> SocketAddr {
    match addr {
        IpSocketAddress::Ipv4(v4) => {
            let ip = Ipv4Addr::from(<[u8; 4]>::from(v4.address));
            SocketAddr::new(ip.into(), v4.port)
        }
        IpSocketAddress::Ipv6(v6) => {
            let ip = Ipv6Addr::from(<[u16; 8]>::from(v6.address));
            SocketAddrV6::new(ip, v6.port, v6.flow_info, v6.scope_id).into()
        }
    }
}

/// An error of a socket.
pub fn error(code: ErrorCode) -> io::Error {
    use io::ErrorKind as Kind;
    let kind = match code {
        ErrorCode::AccessDenied => {
            // The kind lets the caller add what it knows about ports; the text says what is special here.
            let why = "the host denies it; has the component got network access? (wasmtime run -S inherit-network)";
            return io::Error::new(Kind::PermissionDenied, why);
        }
        ErrorCode::NotSupported => Kind::Unsupported,
        ErrorCode::InvalidArgument => Kind::InvalidInput,
        ErrorCode::OutOfMemory | ErrorCode::NewSocketLimit => Kind::OutOfMemory,
        ErrorCode::Timeout => Kind::TimedOut,
        ErrorCode::WouldBlock => Kind::WouldBlock,
        ErrorCode::AddressNotBindable => Kind::AddrNotAvailable,
        ErrorCode::AddressInUse => Kind::AddrInUse,
        ErrorCode::RemoteUnreachable => Kind::HostUnreachable,
        ErrorCode::ConnectionRefused => Kind::ConnectionRefused,
        ErrorCode::ConnectionReset => Kind::ConnectionReset,
        ErrorCode::ConnectionAborted => Kind::ConnectionAborted,
        _ => return io::Error::other(code.message()),
    };
    kind.into()
}

/// An error of a stream.
pub fn stream_error(error: &StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(why) => io::Error::other(why.to_debug_string()),
    }
}
