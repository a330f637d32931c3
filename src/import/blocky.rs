//! config.yml of blocky: <https://0xerr0r.github.io/blocky/latest/configuration/>.

use super::draft::Draft;
use super::error::ImportError;
use super::node::{Entry, Node, Value};
use super::server::{Protocol, Server};
use super::source::Source;
use super::text::{listen, time, with_port};
use super::yaml;
use std::net::IpAddr;
use std::time::Duration;

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let root = yaml::read(source)?;
    for entry in root.entries() {
        let node = &entry.node;
        match entry.key.as_str() {
            "upstreams" => upstreams(node, draft),
            // As it was called before version 0.22.
            "upstream" => groups(node, draft),
            "upstreamTimeout" => timeout(entry, draft),
            "conditional" => conditional(node, draft),
            "customDNS" => custom(node, draft),
            "bootstrapDns" => bootstrap(node, draft),
            "ports" => ports(node, draft),
            "port" => listeners("listen", node, draft),
            "certFile" => draft.set(entry.line, "certificate", node.brief()),
            "keyFile" => draft.set(entry.line, "certificate-key", node.brief()),
            "caching" => caching(node, draft),
            "blocking" => draft.left_out(
                entry.line,
                "blocking",
                "",
                "dotward has no block lists; [[route]] with to = \"nxdomain\" blocks a domain",
            ),
            "prometheus" => draft.left_out(
                entry.line,
                "prometheus",
                "",
                "admin serves metrics, on port 9553 unless another one is given",
            ),
            "queryLog" => draft.left_out(
                entry.line,
                "queryLog",
                "",
                "query-log has lines of JSON; it is off unless it is set",
            ),
            "logLevel" => level(entry, draft),
            "log" => {
                for inner in node.entries() {
                    if inner.key == "level" {
                        level(inner, draft);
                    } else {
                        draft.unknown(
                            inner.line,
                            &format!("log: {}", inner.key),
                            &inner.node.brief(),
                        );
                    }
                }
            }
            _ => draft.unknown(entry.line, &entry.key, &node.brief()),
        }
    }
    Ok(())
}

fn upstreams(node: &Node, draft: &mut Draft) {
    for entry in node.entries() {
        let (line, value) = (entry.line, entry.node.brief());
        match entry.key.as_str() {
            "groups" => groups(&entry.node, draft),
            "timeout" => timeout(entry, draft),
            "strategy" => match value.as_str() {
                // Without one it is parallel_best, which asks the better of two that are drawn.
                "parallel_best" => draft.set(line, "policy", "fastest"),
                "random" => draft.set(line, "policy", "round-robin"),
                "strict" => draft.set(line, "policy", "failover"),
                _ => draft.unknown(line, "strategy", &value),
            },
            key => draft.unknown(line, &format!("upstreams: {key}"), &value),
        }
    }
    if node.get("strategy").is_none() {
        draft.set(node.line, "policy", "fastest");
    }
}

/// Servers by groups of clients, of which `default` is for those that are in none.
fn groups(node: &Node, draft: &mut Draft) {
    for group in node.entries() {
        if group.key != "default" {
            draft.left_out(
                group.line,
                "the group",
                &group.key,
                "dotward has one list of upstreams for all clients",
            );
            continue;
        }
        for item in group.node.items() {
            match item.text() {
                Some(text) => {
                    if let Some(server) = upstream(item.line, text, draft) {
                        draft.serve(server);
                    }
                }
                None => draft.refuse(item.line, &item.brief(), "it is no text"),
            }
        }
    }
}

/// `[NET:]HOST[:PORT][/PATH][#NAME]`.
fn upstream(line: usize, text: &str, draft: &mut Draft) -> Option<Server> {
    let (rest, name) = match text.split_once('#') {
        Some((rest, name)) => (rest, Some(name)),
        None => (text, None),
    };
    let prefixed = |prefix: &str| rest.strip_prefix(prefix);
    let server = if let Some(host) = prefixed("tcp-tls:") {
        Server::new(line, Protocol::Tls, host)
    } else if rest.starts_with("https:") {
        let uri = rest.replacen("https:", "", 1);
        Server::from_uri(line, uri.trim_start_matches('/'))
    } else if let Some(host) = prefixed("quic:").or_else(|| prefixed("doq:")) {
        Server::new(line, Protocol::Quic, host)
    } else {
        let host = prefixed("tcp+udp:").or_else(|| prefixed("udp:"));
        Server::new(line, Protocol::Udp, host.unwrap_or(rest))
    };
    let Some(mut server) = server else {
        draft.refuse(line, text, "it is not [NET:]HOST[:PORT][/PATH][#NAME]");
        return None;
    };
    if server.protocol.is_encrypted() {
        server = server.named(name);
    } else {
        Draft::note_plaintext(&mut server);
    }
    Some(server)
}

fn timeout(entry: &Entry, draft: &mut Draft) {
    match duration(&entry.node.brief(), 1) {
        Some(limit) => draft.set(entry.line, "timeout", time(limit)),
        None => draft.unreadable(entry.line, &entry.key, &entry.node.brief()),
    }
}

/// A length of time as Go writes it; a number alone is of so many seconds.
fn duration(text: &str, unit: u64) -> Option<Duration> {
    match text.parse::<u64>() {
        Ok(count) => Some(Duration::from_secs(count.checked_mul(unit)?)),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}

fn conditional(node: &Node, draft: &mut Draft) {
    for entry in node.entries() {
        if entry.key != "mapping" {
            draft.unknown(
                entry.line,
                &format!("conditional: {}", entry.key),
                &entry.node.brief(),
            );
            continue;
        }
        for mapping in entry.node.entries() {
            let text = mapping.node.brief();
            let mut servers = Vec::new();
            for text in text
                .split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty())
            {
                servers.extend(upstream(mapping.line, text, draft));
            }
            // Names of one label.
            if mapping.key == "." {
                draft.left_out(
                    mapping.line,
                    "conditional: .",
                    &text,
                    "dotward has no route for all names of a single label",
                );
                continue;
            }
            // A resolver that is the first to answer counts there.
            let policy = Some("fastest");
            draft.route(
                mapping.line,
                std::slice::from_ref(&mapping.key),
                servers,
                policy,
            );
        }
    }
}

fn custom(node: &Node, draft: &mut Draft) {
    for entry in node.entries() {
        if entry.key != "mapping" {
            draft.unknown(
                entry.line,
                &format!("customDNS: {}", entry.key),
                &entry.node.brief(),
            );
            continue;
        }
        for mapping in entry.node.entries() {
            for text in mapping.node.brief().split(',').map(str::trim) {
                match text.parse::<IpAddr>() {
                    Ok(ip) => draft.host(mapping.line, mapping.key.trim_start_matches("*."), ip),
                    Err(_) => draft.unreadable(mapping.line, &mapping.key, text),
                }
            }
        }
        draft.remark(entry.line, "customDNS answers for the names below each of these, too; [hosts] answers for these alone");
    }
}

fn bootstrap(node: &Node, draft: &mut Draft) {
    for item in node.items() {
        let (text, ips) = match &item.value {
            Value::Map(_) => (
                item.text_of("upstream").unwrap_or_default(),
                item.get("ips"),
            ),
            _ => (item.text().unwrap_or_default(), None),
        };
        let bare = text
            .strip_prefix("tcp+udp:")
            .or_else(|| text.strip_prefix("udp:"));
        match listen(bare.unwrap_or(text)) {
            Some(at) => draft.add(item.line, "bootstrap", at),
            None => draft.left_out(
                item.line,
                "bootstrapDns",
                &format!("{text} {}", ips.map(Node::brief).unwrap_or_default()),
                "bootstrap takes addresses of resolvers, which are asked without encryption for the names of upstreams alone; an upstream with an address needs none",
            ),
        }
    }
}

fn ports(node: &Node, draft: &mut Draft) {
    for entry in node.entries() {
        match entry.key.as_str() {
            "dns" => listeners("listen", &entry.node, draft),
            "tls" => listeners("listen-tls", &entry.node, draft),
            "https" => listeners("listen-https", &entry.node, draft),
            "http" => draft.left_out(
                entry.line,
                "ports: http",
                &entry.node.brief(),
                "admin serves metrics and a page",
            ),
            key => draft.unknown(entry.line, &format!("ports: {key}"), &entry.node.brief()),
        }
    }
}

/// Ports, or addresses with ports, in a list or with commas between them. A port alone is one of all addresses.
fn listeners(key: &'static str, node: &Node, draft: &mut Draft) {
    for item in node.items() {
        for text in item.brief().split(',').map(str::trim) {
            let bare = text.trim_start_matches(':');
            if let Ok(port) = bare.parse::<u16>() {
                draft.add(item.line, key, with_port("0.0.0.0", port));
                draft.add(item.line, key, with_port("::", port));
            } else {
                match listen(text) {
                    Some(at) => draft.add(item.line, key, at),
                    None => draft.unreadable(item.line, "ports", text),
                }
            }
        }
    }
}

fn caching(node: &Node, draft: &mut Draft) {
    for entry in node.entries() {
        let (line, value) = (entry.line, entry.node.brief());
        // A number alone is of so many minutes.
        let read = duration(&value, 60);
        match (entry.key.as_str(), read) {
            ("maxTime", _) if value.starts_with('-') => draft.set(line, "cache-size", 0_u64),
            ("minTime" | "maxTime", Some(limit)) if limit.is_zero() => {}
            ("minTime", Some(limit)) => draft.set(line, "min-ttl", time(limit)),
            ("maxTime", Some(limit)) => draft.set(line, "max-ttl", time(limit)),
            ("minTime" | "maxTime", None) => draft.unreadable(line, &entry.key, &value),
            (key, _) => draft.unknown(line, &format!("caching: {key}"), &value),
        }
    }
}

fn level(entry: &Entry, draft: &mut Draft) {
    let level = match entry.node.brief().as_str() {
        "trace" | "debug" => "debug",
        "info" => "info",
        "warn" => "warn",
        "error" | "fatal" => "error",
        other => return draft.unreadable(entry.line, "level", other),
    };
    draft.set(entry.line, "log", level);
}
