//! A server to forward to, as the other program knows it.

use super::remark::Remark;
use super::text::{address, quoted, quoted_list, split_port, with_port};
use crate::config::{Scheme, Upstream, providers};

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
    /// DNS over QUIC (RFC 9250).
    Quic,
    /// DNS over TCP, without encryption.
    Tcp,
    /// DNS over UDP, without encryption.
    Udp,
}

/// All schemes, whether or not this build has them: what it lacks is found when the whole is checked.
const SCHEMES: [(Protocol, Scheme); 5] = [
    (Protocol::Tls, scheme("tls", 853, true)),
    (Protocol::Https, scheme("https", 443, true)),
    (Protocol::Quic, scheme("quic", 853, true)),
    (Protocol::Tcp, scheme("tcp", 53, false)),
    (Protocol::Udp, scheme("udp", 53, false)),
];

const fn scheme(name: &'static str, port: u16, encrypted: bool) -> Scheme {
    Scheme {
        name,
        port,
        encrypted,
    }
}

impl Protocol {
    fn scheme(self) -> Scheme {
        let mut all = SCHEMES.into_iter();
        let found = all.find(|(protocol, _)| *protocol == self);
        found.map_or(SCHEMES[0].1, |(_, scheme)| scheme)
    }

    pub(super) fn is_encrypted(self) -> bool {
        self.scheme().encrypted
    }
}

/// One server, which dotward can forward to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) line: usize,
    pub(super) protocol: Protocol,
    /// An IP address, perhaps with its interface, or a host name.
    host: String,
    is_address: bool,
    /// If it is not the usual one.
    port: Option<u16>,
    /// What its certificate must be for, if that is not the host.
    name: Option<String>,
    path: Option<String>,
    pub(super) pins: Vec<String>,
    pub(super) socks5: Option<String>,
    /// What is different, above it.
    pub(super) remarks: Vec<Remark>,
}

impl Server {
    /// A host, and perhaps a port behind it. `None` if it is neither an address nor a name.
    pub(super) fn new(line: usize, protocol: Protocol, host: &str) -> Option<Self> {
        let (host, port) = split_port(host)?;
        let ip = address(host);
        let is_name = |host: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !host.is_empty() && host.chars().all(fits)
        };
        let server = Self {
            line,
            protocol,
            is_address: ip.is_some(),
            host: match ip {
                Some(ip) => ip,
                None if is_name(host) => host.trim_end_matches('.').to_owned(),
                None => return None,
            },
            port: None,
            name: None,
            path: None,
            pins: Vec::new(),
            socks5: None,
            remarks: Vec::new(),
        };
        Some(server.on_port(port))
    }

    /// An `https://` URI, perhaps without its scheme.
    pub(super) fn from_uri(line: usize, uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("https://").unwrap_or(uri);
        let at = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(at)?;
        let server = Self::new(line, Protocol::Https, host)?;
        Some(server.with_path(path))
    }

    pub(super) fn on_port(mut self, port: Option<u16>) -> Self {
        let port = port.or(self.port);
        self.port = port.filter(|port| *port != self.protocol.scheme().port);
        self
    }

    /// With a certificate for this name.
    pub(super) fn named(mut self, name: Option<&str>) -> Self {
        let name = name.map(|name| name.trim_end_matches('.'));
        self.name = name
            .filter(|name| !name.is_empty() && *name != self.host)
            .map(str::to_owned);
        self
    }

    pub(super) fn with_path(mut self, path: &str) -> Self {
        let own = !path.is_empty() && path != "/";
        self.path = own.then(|| path.to_owned());
        self
    }

    pub(super) fn is_address(&self) -> bool {
        self.is_address
    }

    /// As one would write it on the command line, without parameters.
    pub(super) fn spec(&self) -> String {
        let host = match self.port {
            Some(port) => with_port(&self.host, port),
            None if self.host.contains(':') && self.protocol != Protocol::Tls => {
                format!("[{}]", self.host)
            }
            None => self.host.clone(),
        };
        let scheme = match self.protocol {
            Protocol::Tls if self.is_address => String::new(),
            protocol => format!("{}://", protocol.scheme().name),
        };
        // The name of a host is what its certificate is for; a URI without a path has the usual one.
        let path = self.path.as_deref().unwrap_or("");
        let name = self.name.as_deref();
        let name = name.map_or_else(String::new, |name| format!("#{name}"));
        format!("{scheme}{host}{path}{name}")
    }

    /// What dotward verifies of it.
    pub(super) fn verified(&self) -> String {
        let pins = match self.pins.len() {
            0 => "",
            _ => "the pinned keys and ",
        };
        match &self.name {
            Some(name) => format!("{pins}that the certificate is valid for {name}"),
            None if self.is_address && !self.pins.is_empty() => "the pinned keys".to_owned(),
            None if self.is_address => {
                let bare = self.host.split('%').next().unwrap_or_default();
                let known = bare.parse().ok().and_then(providers::with_address);
                let known = known.map_or_else(
                    || "if it has one for a name alone, write ADDRESS#NAME".to_owned(),
                    |known| {
                        let name = known.server_name;
                        format!(
                            "{} there has the name {name}, too: {bare}#{name}",
                            known.name
                        )
                    },
                );
                format!("that the certificate is valid for the address {bare} ({known})")
            }
            None => format!("{pins}that the certificate is valid for {}", self.host),
        }
    }

    /// Says that the other program did not authenticate it, and why.
    pub(super) fn note_unverified(&mut self, why: &str) {
        let text = format!(
            "{why}, so that whoever is on the way could answer in its place; dotward verifies {}, and sends no query otherwise",
            self.verified()
        );
        self.remarks.push(Remark::new(self.line, &text));
    }

    pub(super) fn remark(&mut self, text: &str) {
        self.remarks.push(Remark::new(self.line, text));
    }

    /// As an item of a list in the file.
    pub(super) fn item(&self) -> String {
        let spec = quoted(&self.spec());
        let mut keys = Vec::new();
        match self.pins.as_slice() {
            [] => {}
            [pin] => keys.push(format!("pin-sha256 = {}", quoted(pin))),
            pins => keys.push(format!("pin-sha256 = {}", quoted_list(pins))),
        }
        keys.extend(
            self.socks5
                .iter()
                .map(|proxy| format!("socks5 = {}", quoted(proxy))),
        );
        if !self.protocol.is_encrypted() {
            keys.push("allow-plaintext = true".to_owned());
        }
        if keys.is_empty() {
            return spec;
        }
        format!("{{ address = {spec}, {} }}", keys.join(", "))
    }

    /// Why dotward cannot use it.
    pub(super) fn refused(&self) -> Option<String> {
        if !self.is_address && self.name.is_some() {
            return Some(format!(
                "its certificate is for another name ({}) than its host, which dotward verifies only with an address: write ADDRESS#NAME",
                self.name.as_deref().unwrap_or_default()
            ));
        }
        if self.spec().contains('?') {
            return Some("a ? in its path is not the path's in dotward".to_owned());
        }
        let pins = self.pins.iter().map(|pin| ("pin-sha256", pin.as_str()));
        let socks5 = self.socks5.iter().map(|proxy| ("socks5", proxy.as_str()));
        let parameters: Vec<_> = pins.chain(socks5).collect();
        let schemes = SCHEMES.map(|(_, scheme)| scheme);
        // Interfaces are looked up when the whole is checked.
        let spec = match self.host.split_once('%') {
            Some((bare, _)) => self.spec().replacen(&self.host, bare, 1),
            None => self.spec(),
        };
        let read = Upstream::parse_with(&spec, &parameters, &schemes);
        read.err().map(|error| error.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(protocol: Protocol, host: &str) -> Server {
        Server::new(7, protocol, host).unwrap()
    }

    #[test]
    fn a_server_is_written_as_dotward_reads_it() {
        use Protocol::*;
        for (server, expected) in [
            (server(Tls, "9.9.9.9"), "9.9.9.9"),
            (
                server(Tls, "9.9.9.9:853").named(Some("dns.quad9.net.")),
                "9.9.9.9#dns.quad9.net",
            ),
            (
                server(Tls, "2620:fe::fe").on_port(Some(8853)),
                "[2620:fe::fe]:8853",
            ),
            (server(Tls, "dns.quad9.net"), "tls://dns.quad9.net"),
            (
                server(Tls, "dns.quad9.net:853").named(Some("dns.quad9.net")),
                "tls://dns.quad9.net",
            ),
            (server(Udp, "192.0.2.1"), "udp://192.0.2.1"),
            (server(Tcp, "fd00::1"), "tcp://[fd00::1]"),
            (server(Quic, "192.0.2.1:8853"), "quic://192.0.2.1:8853"),
            (
                Server::from_uri(1, "https://1.1.1.1/dns-query").unwrap(),
                "https://1.1.1.1/dns-query",
            ),
            (
                Server::from_uri(1, "https://dns.test:8443/q").unwrap(),
                "https://dns.test:8443/q",
            ),
            (
                Server::from_uri(1, "https://dns.test/").unwrap(),
                "https://dns.test",
            ),
        ] {
            assert_eq!(server.spec(), expected);
            assert_eq!(server.refused(), None, "{expected}");
        }
        for wrong in ["", "a b", "192.0.2.1:99999", "\"", "a/b", "::g"] {
            assert_eq!(Server::new(1, Tls, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_dotward_cannot_use_is_refused_with_the_reason() {
        let other = server(Protocol::Tls, "dns.test").named(Some("other.test"));
        assert!(other.refused().unwrap().contains("ADDRESS#NAME"));
        let wrong = server(Protocol::Tls, "192.0.2.1:53");
        assert!(wrong.refused().unwrap().contains("port 53"));
        let mut pinned = server(Protocol::Tls, "192.0.2.1");
        pinned.pins.push("short".to_owned());
        assert!(pinned.refused().unwrap().contains("base64"));
    }

    #[test]
    fn parameters_stand_in_a_table() {
        let mut pinned = server(Protocol::Tls, "192.0.2.1");
        pinned
            .pins
            .push("MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=".to_owned());
        pinned.socks5 = Some("127.0.0.1:9050".to_owned());
        assert_eq!(
            pinned.item(),
            r#"{ address = "192.0.2.1", pin-sha256 = "MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=", socks5 = "127.0.0.1:9050" }"#
        );
        let plain = server(Protocol::Udp, "192.0.2.1");
        assert_eq!(
            plain.item(),
            r#"{ address = "udp://192.0.2.1", allow-plaintext = true }"#
        );
    }

    #[test]
    fn what_will_be_verified_is_said() {
        let mut server = server(Protocol::Tls, "9.9.9.9");
        server.note_unverified("no name was given");
        let told = server.remarks[0].told("f");
        assert!(
            told.starts_with("f:7: no name was given, so that "),
            "{told}"
        );
        assert!(told.contains("valid for the address 9.9.9.9"), "{told}");
        assert!(told.contains("9.9.9.9#dns.quad9.net"), "{told}");
    }
}
