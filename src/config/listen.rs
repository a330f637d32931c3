//! Addresses to listen on.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::access::is_public;
use super::text::local_address;
use super::{ConfigError, DNS_PORT, HTTPS_PORT, Modes, TLS_PORT};

/// By what clients encrypt what they send to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encryption {
    /// They do not.
    None,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
}

impl Encryption {
    /// Those that encrypt.
    #[cfg(feature = "cli")]
    pub(crate) const ALL: [Self; 2] = [Self::Tls, Self::Https];

    /// The name of the setting that has its addresses.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::None => "listen",
            Self::Tls => "listen_tls",
            Self::Https => "listen_https",
        }
    }

    /// What it is called in the log and in summaries.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Tls => "TLS",
            Self::Https => "HTTPS",
        }
    }

    /// The port unless one is given.
    fn port(self) -> u16 {
        match self {
            Self::None => DNS_PORT,
            Self::Tls => TLS_PORT,
            Self::Https => HTTPS_PORT,
        }
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    addr: SocketAddr,
    required: bool,
    /// The port that the system chose, where it is to.
    chosen: Option<u16>,
    encryption: Encryption,
}

impl From<SocketAddr> for Listen {
    /// An address without which serving cannot start; with port 0 the system chooses one.
    fn from(addr: SocketAddr) -> Self {
        Self {
            addr,
            required: true,
            chosen: None,
            encryption: Encryption::None,
        }
    }
}

impl Listen {
    /// The default: this host alone, port 53. Serving starts without the IPv6 address, because IPv6 may be off.
    pub fn loopback() -> [Self; 2] {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, DNS_PORT));
        let optional = Self {
            addr: v6,
            required: false,
            chosen: None,
            encryption: Encryption::None,
        };
        [v4.into(), optional]
    }

    /// Reads what `parse` reads, for clients that encrypt so: the port defaults to 853 for TLS (RFC 7858 section 3.1), and to 443 for HTTPS (RFC
    /// 9110 section 4.2.2).
    pub fn parse_encrypted(text: &str, encryption: Encryption) -> Result<Self, ConfigError> {
        let listen = parse(text, encryption.setting(), encryption.port())?;
        Ok(listen.encrypted(encryption))
    }

    /// The same address, where clients speak DNS over TLS (RFC 7858), and nothing else.
    #[must_use]
    pub fn over_tls(self) -> Self {
        self.encrypted(Encryption::Tls)
    }

    /// The same address, where clients speak DNS over HTTPS (RFC 8484), and nothing else.
    #[must_use]
    pub fn over_https(self) -> Self {
        self.encrypted(Encryption::Https)
    }

    fn encrypted(self, encryption: Encryption) -> Self {
        Self { encryption, ..self }
    }

    /// The same at another address.
    pub(crate) fn with_addr(self, addr: SocketAddr) -> Self {
        Self { addr, ..self }
    }

    /// By what clients encrypt there.
    pub fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// Whether clients encrypt there.
    pub fn is_encrypted(&self) -> bool {
        self.encryption != Encryption::None
    }

    /// The transports that are listened for there, where `plain` are those of clients without encryption.
    pub(crate) fn modes(&self, plain: Modes) -> Modes {
        if self.is_encrypted() {
            Modes::Tcp
        } else {
            plain
        }
    }

    /// The name of the setting that it is of.
    pub(crate) fn setting(&self) -> &'static str {
        self.encryption.setting()
    }

    /// Whether this is the same address, and the same is spoken there.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.addr, self.encryption) == (other.addr, other.encryption)
    }

    /// The local address and port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same with the port that the system chose, if it did.
    pub(crate) fn bound(&self) -> SocketAddr {
        let mut addr = self.addr;
        if let Some(port) = self.chosen {
            addr.set_port(port);
        }
        addr
    }

    /// The same, for whose port the system chose this one.
    pub(crate) fn with_chosen(self, port: u16) -> Self {
        let chosen = (self.addr.port() == 0).then_some(port);
        Self { chosen, ..self }
    }

    /// Whether serving cannot start without it.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether both cannot be listened at. With port 0 each gets a port of its own, where not the same is spoken.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self.addr == other.addr && (self.addr.port() != 0 || self.encryption == other.encryption)
    }

    /// Whether this is a wildcard that another listener is a part of.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let (own, theirs) = (self.addr.ip(), other.addr.ip());
        // With port 0 each gets a port of its own.
        let same_port = self.addr.port() == other.addr.port() && self.addr.port() != 0;
        same_port
            && own.is_unspecified()
            && !theirs.is_unspecified()
            && own.is_ipv4() == theirs.is_ipv4()
    }

    /// Whether clients of the Internet may reach this address: it is neither a private nor a local one.
    pub fn is_public(&self) -> bool {
        is_public(&self.addr.ip().to_canonical().into())
    }

    /// Whether what this host sends to `target` may arrive here.
    ///
    /// A listener on the unspecified address receives at all loopback addresses; one on `[::]` perhaps at those of IPv4 too, as the
    /// system decides. The host's other addresses are not known here.
    pub fn receives(&self, target: SocketAddr) -> bool {
        let (own, target_ip) = (self.addr.ip().to_canonical(), target.ip().to_canonical());
        // A packet to the unspecified address goes to the loopback address.
        let stays_here = target_ip.is_loopback() || target_ip.is_unspecified();
        let wildcard = match own {
            IpAddr::V4(own) => own.is_unspecified() && target_ip.is_ipv4(),
            IpAddr::V6(own) => own.is_unspecified(),
        };
        let same = own == target_ip || (own.is_loopback() && target_ip.is_unspecified());
        self.bound().port() == target.port() && (same || (wildcard && stays_here))
    }
}

impl fmt::Display for Listen {
    /// The address as it is configured, and what clients speak there if they encrypt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.encryption {
            Encryption::None => write!(f, "{}", self.addr),
            over => write!(f, "{} ({})", self.addr, over.name()),
        }
    }
}

impl FromStr for Listen {
    type Err = ConfigError;

    /// Reads `IP`, `IP:PORT`, `[IPv6]:PORT` or a bare IPv6 address; the port defaults to 53, and
    /// 0 lets the system choose one.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        parse(text, "listen", DNS_PORT)
    }
}

fn parse(text: &str, setting: &'static str, port: u16) -> Result<Listen, ConfigError> {
    let addr =
        local_address(text, port).map_err(|reason| ConfigError::new(setting, text, reason))?;
    let kind = match addr.ip() {
        ip if ip.is_multicast() => Some("a multicast"),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("the broadcast"),
        _ => None,
    };
    if let Some(kind) = kind {
        let reason = format!("is {kind} address, which cannot be the source of a response");
        return Err(ConfigError::new(setting, text, reason));
    }
    Ok(addr.into())
}

/// Whether a bind failed because the host lacks the address, or its whole family.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Listen {
        text.parse().unwrap()
    }

    fn receives(own: &str, target: &str) -> bool {
        listen(own).receives(target.parse().unwrap())
    }

    #[test]
    fn addresses_come_with_and_without_port() {
        for (text, addr) in [
            ("127.0.0.1", "127.0.0.1:53"),
            ("0.0.0.0:5300", "0.0.0.0:5300"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[::]:5300", "[::]:5300"),
            ("[fe80::1%2]:53", "[fe80::1%2]:53"),
            ("fe80::1%2", "[fe80::1%2]:53"),
        ] {
            assert_eq!(
                listen(text),
                Listen {
                    addr: addr.parse().unwrap(),
                    required: true,
                    chosen: None,
                    encryption: Encryption::None,
                },
                "{text}"
            );
        }
    }

    // req 103, 107
    #[test]
    fn an_address_over_tls_or_https_has_the_port_of_that() {
        for (encryption, addr, shown) in [
            (Encryption::Tls, "192.0.2.1:853", "192.0.2.1:853 (TLS)"),
            (Encryption::Https, "192.0.2.1:443", "192.0.2.1:443 (HTTPS)"),
        ] {
            let read = Listen::parse_encrypted("192.0.2.1", encryption).unwrap();
            assert_eq!(read.addr(), addr.parse().unwrap());
            assert_eq!(read.to_string(), shown);
            assert!(read.is_encrypted() && !read.is_same(&read.addr().into()));
            assert_eq!(read.modes(Modes::Udp), Modes::Tcp);
            let error = Listen::parse_encrypted("224.0.0.1", encryption).unwrap_err();
            let expected = format!("{} \"224.0.0.1\": is a multicast", encryption.setting());
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn the_default_is_this_host_and_ipv6_is_best_effort() {
        // req 27
        let [v4, v6] = Listen::loopback();
        assert_eq!(
            (v4.addr.to_string(), v4.required),
            ("127.0.0.1:53".to_owned(), true)
        );
        assert_eq!(
            (v6.addr.to_string(), v6.required),
            ("[::1]:53".to_owned(), false)
        );
    }

    #[test]
    fn mistakes_are_named() {
        // fault 86
        let error = |text: &str| text.parse::<Listen>().unwrap_err().to_string();
        assert_eq!(
            error("127.0.0.1:65536"),
            r#"listen "127.0.0.1:65536": the port "65536" is not a number from 1 to 65535"#
        );
        assert!(error("127.0.0.1:99999").contains(r#"the port "99999" is not a number"#));
        assert!(error("127.0.0.1:").contains(r#"the port "" is not a number"#));
        assert!(error("localhost").contains(r#""localhost" is not an IP address"#));
        assert!(error("").contains(r#""" is not an IP address"#));
        assert!(error("[::1").contains("[ is not closed"));
        assert!(error("[::1]53").contains("instead of :PORT"));
        assert!(error("[127.0.0.1]:53").contains("brackets are for IPv6"));
        assert!(error("fe80::1%eth0").contains("interface's number"));
        assert!(error("224.0.0.251:5353").contains("multicast"));
        assert!(error("255.255.255.255").contains("the broadcast address"));
    }

    #[test]
    fn a_listener_receives_what_this_host_sends_to_it() {
        // fault 52
        assert!(receives("127.0.0.1:853", "127.0.0.1:853"));
        assert!(!receives("127.0.0.1:853", "127.0.0.1:8853"));
        assert!(!receives("127.0.0.1:853", "127.0.0.2:853"));
        assert!(receives("127.0.0.1:853", "[::ffff:127.0.0.1]:853"));
        assert!(
            receives("0.0.0.0:853", "127.0.0.1:853") && receives("0.0.0.0:853", "127.9.9.9:853")
        );
        assert!(!receives("0.0.0.0:853", "[::1]:853") && !receives("0.0.0.0:853", "9.9.9.9:853"));
        assert!(receives("[::]:853", "[::1]:853") && receives("[::]:853", "127.0.0.1:853"));
        assert!(receives("127.0.0.1:53", "0.0.0.0:53"));
    }
}
