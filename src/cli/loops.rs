//! Queries that would come back to dotward at another address of this host, where a listener on the unspecified address receives them. What
//! can be told without the addresses of this host is checked with the rest of the configuration.

use super::name_servers::receives;
use crate::config::{Config, ConfigError};
use std::net::{IpAddr, SocketAddr};

/// What is asked at an address where dotward itself listens, if anything is.
pub(super) fn find_loop(
    config: &Config,
    is_own_address: impl Fn(IpAddr) -> bool,
) -> Option<ConfigError> {
    let is_received = |addr: &SocketAddr| {
        let mut listen = config.listen().iter();
        listen.any(|listen| receives(listen, *addr, &is_own_address))
    };
    if let Some(addr) = config.bootstrap().iter().find(|addr| is_received(addr)) {
        let reason =
            "is an address of this host, where dotward itself listens, so it would wait for itself";
        return Some(ConfigError::new("bootstrap", addr, reason));
    }
    config.all_upstreams().iter().find_map(|upstream| {
        let proxy = upstream.socks5().map(|socks5| socks5.proxy);
        if let Some(proxy) = proxy.filter(|proxy| is_received(proxy)) {
            let reason = format!(
                "its proxy {proxy} is an address of this host, where dotward itself listens, so it would wait for itself"
            );
            return Some(ConfigError::new("upstream", upstream.label(), reason));
        }
        let designated_by = upstream.designated_by();
        let mut addresses = upstream.addresses_by_all().chain(designated_by);
        let addr = addresses.find(|addr| is_received(addr))?;
        let reason = format!(
            "{addr} is an address of this host, where dotward itself listens, so queries would loop"
        );
        Some(ConfigError::new("upstream", upstream.label(), reason))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listen, SCHEMES, Upstream};

    /// What is said of this configuration on a host that has `192.0.2.77` and `2001:db8::77`.
    fn said(listen: &str, upstream: &str, bootstrap: &str) -> Option<String> {
        let own: [IpAddr; 2] = ["192.0.2.77", "2001:db8::77"].map(|ip| ip.parse().unwrap());
        let config = Config::builder()
            .listen([listen.parse::<Listen>().unwrap()])
            .upstreams([Upstream::parse(upstream, SCHEMES).unwrap()])
            .bootstrap([bootstrap.parse().unwrap()]);
        let found = find_loop(&config.build().unwrap(), |ip| own.contains(&ip));
        found.map(|error| error.to_string())
    }

    // fault 51, fault 52
    #[test]
    fn a_wildcard_receives_what_is_asked_at_an_address_of_this_host() {
        let (elsewhere, named) = ("192.0.2.1:53", "tls://dns.test");
        for listen in ["0.0.0.0", "[::]"] {
            assert_eq!(
                said(listen, named, "192.0.2.77:53").as_deref(),
                Some(
                    r#"bootstrap "192.0.2.77:53": is an address of this host, where dotward itself listens, so it would wait for itself"#
                ),
                "{listen}"
            );
            for upstream in ["ddr://192.0.2.77", "tcp://192.0.2.77", "udp://192.0.2.77"] {
                assert_eq!(
                    said(listen, upstream, elsewhere),
                    Some(format!(
                        "upstream {upstream:?}: 192.0.2.77:53 is an address of this host, where dotward itself listens, so queries would loop"
                    ))
                );
            }
            assert_eq!(said(listen, "ddr://192.0.2.77:5300", elsewhere), None);
            assert_eq!(said(listen, "ddr://192.0.2.78", elsewhere), None);
            let proxied = |proxy: &str| {
                let spec = format!("tcp://192.0.2.1?socks5={proxy}");
                said(listen, &spec, elsewhere)
            };
            let found = proxied("192.0.2.77:53").unwrap_or_default();
            assert!(found.contains("its proxy 192.0.2.77:53 is"), "{found}");
            assert_eq!(proxied("192.0.2.77:1080"), None);
        }
        assert!(said("[::]", named, "[2001:db8::77]:53").is_some());
        assert_eq!(said("0.0.0.0", named, "[2001:db8::77]:53"), None);
        assert_eq!(said("0.0.0.0:5300", named, "192.0.2.77:53"), None);
        assert_eq!(said("127.0.0.1", named, "192.0.2.77:53"), None);
    }
}
