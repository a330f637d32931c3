//! Where clients can speak with encryption, and by which protocols: what is told to clients that look for it.

use super::{Config, Domain, Encryption, HTTPS_PORT, Listen, TLS_PORT};
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

/// DNS over HTTPS (RFC 8484), by HTTP/2.
pub(crate) const DOH: EncryptedProtocol = EncryptedProtocol {
    alpn: "h2",
    port: HTTPS_PORT,
    path: Some("/dns-query{?dns}"),
};

/// A place where clients speak one of these protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncryptedListener {
    pub(crate) protocol: &'static EncryptedProtocol,
    /// With the port that the system chose, if it did.
    pub(crate) addr: SocketAddr,
}

/// The encrypted listeners of one protocol and one port.
pub(crate) struct EncryptedService {
    pub(crate) protocol: &'static EncryptedProtocol,
    pub(crate) port: u16,
    /// Those that can be told to others, without repetition.
    pub(crate) addresses: Vec<IpAddr>,
    /// One of the listeners has no address that can be told, and is reached all the same.
    pub(crate) has_others: bool,
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
    fn encrypted_protocol(&self) -> Option<&'static EncryptedProtocol> {
        match self.encryption() {
            Encryption::None => None,
            Encryption::Tls => Some(&DOT),
            Encryption::Https => Some(&DOH),
        }
    }
}

impl Config {
    /// The places where clients speak with encryption.
    pub(crate) fn encrypted_listeners(&self) -> impl Iterator<Item = EncryptedListener> {
        self.listen().iter().filter_map(|listen| {
            let protocol = listen.encrypted_protocol()?;
            let addr = listen.bound();
            Some(EncryptedListener { protocol, addr })
        })
    }

    /// The same, in their order, those with the same protocol and port together.
    ///
    /// One on all addresses of the host is reached at the addresses that the configured hosts have for [`Config::listener_name`].
    pub(crate) fn encrypted_services(&self) -> Vec<EncryptedService> {
        let name = self.listener_name().map(Domain::wire);
        let hosts = name.and_then(|name| self.hosts().addresses(&name));
        let hosts: Vec<IpAddr> = hosts.into_iter().flatten().collect();
        let mut services: Vec<EncryptedService> = Vec::new();
        for listener in self.encrypted_listeners() {
            let (protocol, port) = (listener.protocol, listener.addr.port());
            let is_it = |one: &EncryptedService| (one.protocol, one.port) == (protocol, port);
            if !services.iter().any(is_it) {
                services.push(EncryptedService {
                    protocol,
                    port,
                    addresses: Vec::new(),
                    has_others: false,
                });
            }
            let Some(service) = services.iter_mut().find(|one| is_it(one)) else {
                continue;
            };
            let own = listener.address();
            service.has_others |= own.is_none();
            let of_hosts = hosts.iter().copied().filter(|ip| listener.is_at(*ip));
            for ip in own.into_iter().chain(of_hosts) {
                if !service.addresses.contains(&ip) {
                    service.addresses.push(ip);
                }
            }
        }
        services
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerCertificate;

    /// The encrypted ones of these listeners: one with an exclamation mark is not, and one with an `h` is over HTTPS.
    fn listeners(config: &str) -> Vec<EncryptedListener> {
        let listen = config.split(' ').map(|text| match text.strip_prefix('!') {
            Some(plain) => plain.parse::<Listen>().unwrap(),
            None => match text.strip_prefix('h') {
                Some(https) => Listen::parse_encrypted(https, Encryption::Https).unwrap(),
                None => Listen::parse_encrypted(text, Encryption::Tls).unwrap(),
            },
        });
        let shown = ServerCertificate::new(Vec::new(), None);
        let config = Config::builder()
            .listen(listen.collect::<Vec<_>>())
            .certificate(shown);
        config.build().unwrap().encrypted_listeners().collect()
    }

    // req 115
    #[test]
    fn the_encrypted_listeners_are_those_over_tls_and_https() {
        let found = listeners("!127.0.0.1 192.0.2.1 [::]:8853 h192.0.2.1");
        let place = |one: &EncryptedListener| (one.protocol.alpn, one.addr.to_string());
        let places: Vec<_> = found.iter().map(place).collect();
        let expected = [
            ("dot", "192.0.2.1:853"),
            ("dot", "[::]:8853"),
            ("h2", "192.0.2.1:443"),
        ];
        assert_eq!(
            places,
            expected.map(|(alpn, place)| (alpn, place.to_owned()))
        );
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
