//! A warning of upstreams whose connections are to be kept apart, and can be linked all the same.

use crate::config::{Socks5, Upstream};

/// What links the connections of this upstream.
pub(super) fn linkable(upstream: &Upstream) -> Vec<String> {
    let (label, mut lines) = (upstream.label(), Vec::new());
    let Some(Socks5 {
        proxy,
        isolate: true,
    }) = upstream.socks5()
    else {
        return lines;
    };
    if !proxy.ip().is_loopback() {
        lines.push(format!(
            "upstream {label}: its proxy {proxy} is not on this machine, and what is sent to a proxy is not encrypted: whoever is on the way sees by \
             the usernames which connections are for the same domain"
        ));
    }
    if upstream.client_files().is_some() {
        lines.push(format!(
            "upstream {label}: the client certificate tells it that the connections that isolate keeps apart are one client's"
        ));
    }
    lines
}

#[cfg(all(test, feature = "isolate"))]
mod tests {
    use super::*;
    use crate::config::SCHEMES;

    fn said(parameters: &str) -> Vec<String> {
        let spec = format!("192.0.2.1#a.test?{parameters}");
        linkable(&Upstream::parse(&spec, SCHEMES).unwrap())
    }

    #[test]
    fn what_links_connections_is_told() {
        assert_eq!(said("socks5=192.0.2.9"), [""; 0]);
        assert_eq!(said("socks5=127.0.0.1&isolate=true"), [""; 0]);
        let [path, certificate] =
            &said("socks5=192.0.2.9&isolate=true&client-certificate=/a.pem")[..]
        else {
            panic!("two warnings")
        };
        assert!(path.contains("its proxy 192.0.2.9:1080 is not on this machine"));
        assert!(certificate.contains("the client certificate tells it"));
    }
}
