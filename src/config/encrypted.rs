//! Where clients can speak with encryption, and by which protocols: what is told to clients that look for it.

use super::{Config, Listen, TLS_PORT};
use std::net::{IpAddr, SocketAddr};

/// A protocol of encrypted DNS, as clients know it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EncryptedProtocol {
    /// Its name in ALPN.
    pub(crate) alpn: &'static str,
    /// Its usual port.
    pub(crate) port: u16,
    /// The URI template of its requests, relative to the server, if it has requests (RFC 9461 section 5).
    pub(crate) path: Option<&'static str>,
}

/// DNS over TLS (RFC 7858).
pub(crate) const DOT: EncryptedProtocol = EncryptedProtocol {
    alpn: "dot",
    port: TLS_PORT,
    path: None,
};

/// A place where clients speak one of these protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncryptedListener {
    pub(crate) protocol: &'static EncryptedProtocol,
    /// With the port that the system chose, if it did.
    pub(crate) addr: SocketAddr,
}

impl EncryptedListener {
    /// The address, if it is one that can be told to others. All addresses of this host are none, and one that holds on a link is another
    /// one elsewhere.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let ip = self.addr.ip().to_canonical();
        let is_of_a_link = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        (!ip.is_unspecified() && !is_of_a_link).then_some(ip)
    }

    /// Whether it is at this address of the host.
    pub(crate) fn is_at(&self, ip: IpAddr) -> bool {
        match self.addr.ip() {
            IpAddr::V4(own) if own.is_unspecified() => ip.is_ipv4(),
            // It perhaps receives IPv4 as well, as the system decides.
            IpAddr::V6(own) if own.is_unspecified() => true,
            own => own.to_canonical() == ip,
        }
    }
}

impl Listen {
    /// What clients speak there, if that is encrypted. This is the list of such listeners.
    fn encryption(&self) -> Option<&'static EncryptedProtocol> {
        self.is_over_tls().then_some(&DOT)
    }
}

impl Config {
    /// The places where clients speak with encryption.
    pub(crate) fn encrypted_listeners(&self) -> impl Iterator<Item = EncryptedListener> {
        self.listen().iter().filter_map(|listen| {
            let protocol = listen.encryption()?;
            let addr = listen.bound();
            Some(EncryptedListener { protocol, addr })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerCertificate;

    /// The encrypted ones of these listeners; one with an exclamation mark is not.
    fn listeners(config: &str) -> Vec<EncryptedListener> {
        let listen = config.split(' ').map(|text| match text.strip_prefix('!') {
            Some(plain) => plain.parse::<Listen>().unwrap(),
            None => Listen::parse_over_tls(text).unwrap(),
        });
        let shown = ServerCertificate::new(Vec::new(), None);
        let config = Config::builder()
            .listen(listen.collect::<Vec<_>>())
            .certificate(shown);
        config.build().unwrap().encrypted_listeners().collect()
    }

    // req 115
    #[test]
    fn the_encrypted_listeners_are_those_over_tls() {
        let found = listeners("!127.0.0.1 192.0.2.1 [::]:8853");
        let places: Vec<_> = found.iter().map(|one| one.addr.to_string()).collect();
        assert_eq!(places, ["192.0.2.1:853", "[::]:8853"]);
        assert!(found.iter().all(|one| *one.protocol == DOT));
    }

    // req 115
    #[test]
    fn an_address_is_told_unless_it_is_none_or_one_of_a_link() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let told = |text: &str| listeners(text)[0].address();
        assert_eq!(told("192.0.2.1"), Some(ip("192.0.2.1")));
        assert_eq!(told("[::ffff:192.0.2.1]"), Some(ip("192.0.2.1")));
        assert_eq!(told("2001:db8::1"), Some(ip("2001:db8::1")));
        for none in ["0.0.0.0", "[::]", "fe80::1%2"] {
            assert_eq!(told(none), None, "{none}");
        }
        let is_at = |own: &str, at: &str| listeners(own)[0].is_at(ip(at));
        assert!(is_at("0.0.0.0", "192.0.2.1") && !is_at("0.0.0.0", "2001:db8::1"));
        assert!(is_at("[::]", "192.0.2.1") && is_at("[::]", "2001:db8::1"));
        assert!(is_at("192.0.2.1", "192.0.2.1") && !is_at("192.0.2.1", "192.0.2.2"));
    }
}
