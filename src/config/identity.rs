//! What makes an upstream the one that it is, whatever it is called.

use super::parameters::Parameters;
use super::{Protocol, Upstream};
use std::net::SocketAddr;

/// The way to an upstream: two with the same one are one server, with the same connections. The order of addresses makes no difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    scheme: &'static str,
    protocols: Vec<Protocol>,
    server_name: Option<String>,
    host: Option<(String, u16)>,
    designated_by: Option<SocketAddr>,
    addresses: Vec<SocketAddr>,
    path: Option<String>,
    needs_name: bool,
    parameters: Parameters,
}

impl Identity {
    /// That of this upstream.
    pub(crate) fn of(upstream: &Upstream) -> Self {
        let mut addresses = upstream.addresses().to_vec();
        addresses.sort_unstable();
        addresses.dedup();
        Self {
            scheme: upstream.scheme(),
            protocols: upstream.protocols().to_vec(),
            server_name: upstream.server_name().map(str::to_owned),
            host: upstream
                .host()
                .map(|host| (host.name().to_owned(), host.port())),
            designated_by: upstream.designated_by(),
            addresses,
            path: upstream.path().map(str::to_owned),
            needs_name: upstream.needs_name(),
            parameters: upstream.parameters().clone(),
        }
    }

    /// Who it is, as octets that do not change from one build to the next. Parameters say how it is spoken to, and make nobody else of it.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let host = self.host.as_ref();
        let host = host.map_or_else(String::new, |(name, port)| format!("{name}:{port}"));
        let name = self.server_name.as_deref().unwrap_or_default();
        let addresses = self.addresses.iter().map(ToString::to_string);
        let parts = [self.scheme.to_owned(), name.to_owned(), host].into_iter();
        let lines = parts.chain(addresses).chain(self.path.clone());
        let protocols = self.protocols.iter().map(|protocol| {
            let (scheme, port) = (protocol.scheme(), protocol.port());
            format!("{scheme} {port} {}", protocol.path().unwrap_or_default())
        });
        let lines: Vec<String> = lines.chain(protocols).collect();
        lines.join("\n").into_bytes()
    }
}

/// Those of these upstreams that are different, each where it is first.
pub(super) fn different<'u>(upstreams: impl Iterator<Item = &'u Upstream>) -> Vec<Upstream> {
    let (mut all, mut known) = (Vec::new(), Vec::new());
    for upstream in upstreams {
        let identity = Identity::of(upstream);
        if !known.contains(&identity) {
            known.push(identity);
            all.push(upstream.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Host;
    use std::collections::BTreeSet;

    fn upstream(scheme: &'static str, name: &str, addresses: &[&str]) -> Upstream {
        let addresses = addresses.iter().map(|addr| addr.parse().unwrap());
        Upstream::known("label", scheme, Some(name.to_owned()), addresses.collect())
    }

    #[test]
    fn neither_the_label_nor_the_order_of_addresses_makes_another_server() {
        let one = upstream("tls", "a.test", &["192.0.2.1:853", "192.0.2.2:853"]);
        let same = upstream("tls", "a.test", &["192.0.2.2:853", "192.0.2.1:853"]);
        let host = |name, port| same.clone().with_host(Host::new(name, port).unwrap());
        let others = [
            upstream("tls", "a.test", &["192.0.2.1:853"]),
            upstream("tls", "b.test", &["192.0.2.1:853", "192.0.2.2:853"]),
            upstream("other", "a.test", &["192.0.2.1:853", "192.0.2.2:853"]),
            host("a.test", 853),
            host("a.test", 8853),
            host("b.test", 853),
        ];
        let spec = |spec: &str| Upstream::parse(spec, super::super::SCHEMES).unwrap();
        let pinned = "?pin-sha256=MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        let address = spec("192.0.2.1");
        for other in [
            "192.0.2.1?profile=opportunistic",
            "192.0.2.1?socks5=127.0.0.1:9050",
            &format!("192.0.2.1{pinned}"),
        ] {
            assert_ne!(Identity::of(&address), Identity::of(&spec(other)));
        }
        let same = same.with_label("another label");
        assert_eq!(Identity::of(&one), Identity::of(&same));
        let all: Vec<_> = [&one, &same].into_iter().chain(&others).collect();
        let octets: BTreeSet<_> = all.iter().map(|one| Identity::of(one).octets()).collect();
        assert_eq!(octets.len(), 7);
        assert!(octets.contains(&b"tls\na.test\n\n192.0.2.1:853"[..]));
        let different = different(all.into_iter());
        assert_eq!(different.len(), 7);
        assert_eq!((&different[0], &different[1]), (&one, &others[0]));
    }
}
