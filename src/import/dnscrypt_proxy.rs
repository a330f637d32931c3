//! dnscrypt-proxy.toml: what is reached by DNS over HTTPS, TLS or QUIC.

use super::draft::Draft;
use super::error::ImportError;
use super::node::{Entry, Node, Value};
use super::server::Server;
use super::source::Source;
use super::stamp;
use super::text::{listen, time, with_port};
use super::toml;
use std::time::Duration;

/// Well-known names of the public list, which dnscrypt-proxy downloads, as servers with the same name in their certificates.
const PUBLIC: [(&str, &str, &str); 8] = [
    (
        "cloudflare",
        "https://1.0.0.1/dns-query",
        "dns.cloudflare.com",
    ),
    (
        "cloudflare-security",
        "https://1.0.0.2/dns-query",
        "security.cloudflare-dns.com",
    ),
    (
        "cloudflare-family",
        "https://1.0.0.3/dns-query",
        "family.cloudflare-dns.com",
    ),
    ("google", "https://8.8.8.8/dns-query", "dns.google"),
    (
        "quad9-doh-ip4-port443-filter-pri",
        "https://9.9.9.9/dns-query",
        "dns.quad9.net",
    ),
    (
        "quad9-doh-ip4-port443-nofilter-pri",
        "https://9.9.9.10/dns-query",
        "dns10.quad9.net",
    ),
    (
        "adguard-dns-doh",
        "https://94.140.14.14/dns-query",
        "dns.adguard-dns.com",
    ),
    (
        "adguard-dns-unfiltered-doh",
        "https://94.140.14.140/dns-query",
        "unfiltered.adguard-dns.com",
    ),
];

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let root = toml::read(source)?;
    let proxy = proxy(&root, draft);
    for mut server in servers(&root, draft) {
        server.socks5.clone_from(&proxy);
        draft.serve(server);
    }
    for entry in root.entries() {
        setting(entry, draft);
    }
    Ok(())
}

fn servers(root: &Node, draft: &mut Draft) -> Vec<Server> {
    let stamps = root.get("static");
    let mut found = Vec::new();
    let names = root.get("server_names");
    if let Some(names) = names.filter(|names| !names.items().is_empty()) {
        for item in names.items() {
            let name = item.brief();
            let own = stamps.and_then(|stamps| stamps.get(&name));
            if let Some(stamp) = own.and_then(|own| own.get("stamp")) {
                found.extend(stamped(stamp, &name, draft));
            } else if let Some(server) = public(item.line, &name) {
                found.push(server);
            } else {
                draft.refuse(item.line, &name, "its address stands in a list that dnscrypt-proxy downloads: put its stamp under [static], or its URI into upstream");
            }
        }
    } else {
        // All servers that fit are used then, of which only those with a stamp are known here.

        for entry in stamps.map_or(&[][..], Node::entries) {
            if let Some(stamp) = entry.node.get("stamp") {
                found.extend(stamped(stamp, &entry.key, draft));
            }
        }
        draft.remark(0, "server_names lists no servers, so that dnscrypt-proxy chose among those of a list that it downloads; only those under [static] are carried over");
    }
    found
}

/// The server of a stamp.
fn stamped(stamp: &Node, name: &str, draft: &mut Draft) -> Option<Server> {
    match stamp::read(stamp.line, &stamp.brief()) {
        Ok(stamp) => {
            let mut server = stamp.server;
            Draft::note_plaintext(&mut server);
            if stamp.has_hashes {
                server.remark("its stamp has digests of authorities' certificates, of which one had to be in the chain; dotward verifies the name by all authorities that it trusts: --ca-file or pin-sha256 narrow that down");
            }
            Some(server)
        }
        Err(why) => {
            draft.refuse(stamp.line, name, &why);
            None
        }
    }
}

fn public(line: usize, name: &str) -> Option<Server> {
    let row = PUBLIC.iter().find(|(known, ..)| *known == name);
    let (_, uri, name) = row?;
    let mut server = Server::from_uri(line, uri)?.named(Some(name));
    server.remark("this is the server that the public list has under this name");
    Some(server)
}

/// The proxy for what goes over TCP.
fn proxy(root: &Node, draft: &mut Draft) -> Option<String> {
    let node = root.get("proxy")?;
    let text = node.text()?;
    let bare = text.strip_prefix("socks5://")?;
    let at = listen(bare);
    if at.is_none() {
        draft.left_out(node.line, "proxy", text, "socks5 takes an address and a port, and no name or password: until it is given, servers are connected to directly");
    }
    at
}

#[expect(clippy::too_many_lines, reason = "one arm for each key")]
fn setting(entry: &Entry, draft: &mut Draft) {
    let (line, key, value) = (entry.line, entry.key.as_str(), entry.node.brief());
    let number = value.parse::<u64>().ok();
    let seconds = |draft: &mut Draft, key: &'static str| match number {
        Some(seconds) => draft.set(line, key, time(Duration::from_secs(seconds))),
        None => draft.unreadable(line, &entry.key, &value),
    };
    match key {
        "server_names" | "static" => {}
        "proxy" if value.starts_with("socks5://") => {}
        "listen_addresses" => {
            for item in entry.node.items() {
                let text = item.brief();
                match listen_address(&text) {
                    Some(at) => draft.add(item.line, "listen", at),
                    None => draft.unreadable(item.line, key, &text),
                }
            }
        }
        "bootstrap_resolvers" | "fallback_resolvers" | "fallback_resolver" => {
            for item in entry.node.items() {
                let text = item.brief();
                match listen(&text) {
                    Some(at) => draft.add(item.line, "bootstrap", at),
                    None => draft.unreadable(item.line, key, &text),
                }
            }
        }
        "lb_strategy" => {
            let policy = match value.as_str() {
                "first" | "fastest" | "p2" => "fastest",
                "random" | "ph" => "round-robin",
                _ => return draft.unknown(line, key, &value),
            };
            draft.set(line, "policy", policy);
        }
        "timeout" => match number {
            Some(ms) => draft.set(line, "timeout", time(Duration::from_millis(ms))),
            None => draft.unreadable(line, key, &value),
        },
        "cache" => {
            if entry.node.switch() == Some(false) {
                draft.set(line, "cache-size", 0_u64);
            }
        }
        "cache_size" => draft.left_out(
            line,
            key,
            &value,
            "it counts responses; cache-size counts octets",
        ),
        "cache_min_ttl" => seconds(draft, "min-ttl"),
        "cache_max_ttl" => seconds(draft, "max-ttl"),
        "dnscrypt_servers"
        | "doh_servers"
        | "odoh_servers"
        | "ipv4_servers"
        | "ipv6_servers"
        | "require_dnssec"
        | "require_nolog"
        | "require_nofilter"
        | "disabled_server_names"
        | "sources" => {
            draft.left_out(
                line,
                key,
                &value,
                "dotward downloads no lists of servers to choose from",
            );
        }
        "force_tcp" => draft.left_out(
            line,
            key,
            &value,
            "encrypted servers are always reached over TCP, or by QUIC",
        ),
        "forwarding_rules" => draft.left_out(
            line,
            key,
            &value,
            "that file is not read; [[route]] names the servers of a domain",
        ),
        "cloaking_rules" => draft.left_out(
            line,
            key,
            &value,
            "that file is not read; [hosts] and hosts-file have names of your own",
        ),
        "blocked_names" | "blocked_ips" | "allowed_names" | "allowed_ips" => {
            draft.left_out(
                line,
                key,
                &value,
                "dotward has no block lists; [[route]] with to = \"nxdomain\" blocks a domain",
            );
        }
        "query_log" | "nx_log" => {
            let file = entry.node.text_of("file");
            draft.left_out(
                line,
                key,
                file.unwrap_or(""),
                "query-log has lines of JSON; it is off unless it is set",
            );
        }
        _ => {
            // A table is named by its own settings.
            if let Value::Map(_) = entry.node.value {
                for inner in entry.node.entries() {
                    draft.unknown(
                        inner.line,
                        &format!("[{key}] {}", inner.key),
                        &inner.node.brief(),
                    );
                }
            } else {
                draft.unknown(line, key, &value);
            }
        }
    }
}

/// An address; a port alone is on all of them.
fn listen_address(text: &str) -> Option<String> {
    if let Some(port) = text.strip_prefix(':') {
        return Some(with_port("0.0.0.0", port.parse().ok()?));
    }
    listen(text)
}
