//! stubby.yml: <https://dnsprivacy.org/dns_privacy_daemon_-_stubby/>.

use super::draft::Draft;
use super::error::ImportError;
use super::node::{Entry, Node};
use super::server::{Protocol, Server};
use super::source::Source;
use super::text::{address, listen, time, with_port};
use super::yaml;
use std::time::Duration;

/// What holds for all upstreams.
struct Usage {
    /// It is authenticated, or no query is sent.
    strict: bool,
    encrypted: bool,
    plain: Protocol,
}

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let root = yaml::read(source)?;
    let usage = usage(&root, draft);
    for entry in root.entries() {
        if entry.key == "upstream_recursive_servers" {
            for server in entry.node.items() {
                upstream(server, &usage, draft);
            }
        } else {
            setting(entry, draft);
        }
    }
    Ok(())
}

fn usage(root: &Node, draft: &mut Draft) -> Usage {
    let mut transports: Vec<String> = Vec::new();
    let list = root.get("dns_transport_list");
    for item in list.map_or(&[][..], Node::items) {
        transports.extend(item.text().map(str::to_owned));
    }
    let has = |end: &str| transports.iter().any(|text| text.ends_with(end));
    let (tls, udp) = (has("_TLS"), has("_UDP"));
    // Without a list stubby uses UDP, and TCP for what does not fit.
    let encrypted = tls;
    if let Some(list) = list.filter(|_| tls && (udp || has("_TCP"))) {
        draft.remark(
            list.line,
            "dns_transport_list permits queries without encryption when TLS fails; dotward sends none",
        );
    }
    let authentication = root.text_of("tls_authentication");
    Usage {
        strict: authentication == Some("GETDNS_AUTHENTICATION_REQUIRED"),
        encrypted,
        plain: if udp || list.is_none() {
            Protocol::Udp
        } else {
            Protocol::Tcp
        },
    }
}

fn setting(entry: &Entry, draft: &mut Draft) {
    let (line, key, value) = (entry.line, entry.key.as_str(), entry.node.brief());
    let number = value.parse::<u64>().ok();
    match key {
        "dns_transport_list" | "tls_authentication" => {}
        "resolution_type" if value == "GETDNS_RESOLUTION_STUB" => {}
        "listen_addresses" => {
            for item in entry.node.items() {
                let text = item.brief();
                match listen_address(&text) {
                    Some(listen) => draft.add(item.line, "listen", listen),
                    None => draft.unreadable(item.line, key, &text),
                }
            }
        }
        "tls_query_padding_blocksize" => match number {
            Some(0) => draft.set(line, "padding", "off"),
            // The library's own policy, which is that of RFC 8467, as dotward's default.
            Some(1) => {}
            Some(block) => draft.set(line, "padding", block),
            None => draft.unreadable(line, key, &value),
        },
        "edns_client_subnet_private" => match number {
            Some(1) => draft.set(line, "ecs", "forbid"),
            Some(0) => {}
            _ => draft.unreadable(line, key, &value),
        },
        "round_robin_upstreams" => match number {
            Some(1) => draft.set(line, "policy", "round-robin"),
            Some(0) => {}
            _ => draft.unreadable(line, key, &value),
        },
        "timeout" => match number {
            Some(ms) => draft.set(line, "timeout", time(Duration::from_millis(ms))),
            None => draft.unreadable(line, key, &value),
        },
        "tls_ca_file" => draft.set(line, "ca-file", value),
        "tls_ca_path" => draft.left_out(
            line,
            key,
            &value,
            "ca-file names one file; write the certificates of this folder into one",
        ),
        "idle_timeout" => draft.left_out(
            line,
            key,
            &value,
            "dotward keeps a connection as long as the server wants (RFC 7828)",
        ),
        "dnssec"
        | "dnssec_return_status"
        | "dnssec_return_only_secure"
        | "dnssec_return_all_statuses"
        | "trust_anchors_backoff_time"
        | "dnssec_trust_anchors" => {
            draft.left_out(
                line,
                key,
                &value,
                "dotward validates no signatures; choose an upstream that does",
            );
        }
        "tls_min_version" | "tls_max_version" | "tls_ciphersuites" | "tls_cipher_list"
        | "tls_curves_list" => {
            draft.left_out(
                line,
                key,
                &value,
                "dotward speaks TLS 1.3 and 1.2, with the ciphers of its TLS library",
            );
        }
        "tls_connection_retries" | "tls_backoff_time" => {
            draft.left_out(
                line,
                key,
                &value,
                "dotward has its own pauses between attempts",
            );
        }
        _ => draft.unknown(line, key, &value),
    }
}

/// `IP@PORT`, in which the port may be left out.
fn listen_address(text: &str) -> Option<String> {
    match text.split_once('@') {
        Some((host, port)) => Some(with_port(&address(host)?, port.parse().ok()?)),
        None => listen(text),
    }
}

fn upstream(node: &Node, usage: &Usage, draft: &mut Draft) {
    let Some(host) = node.text_of("address_data").or(node.text()) else {
        return draft.refuse(node.line, &node.brief(), "it has no address_data");
    };
    // The transport of all servers is the same.
    let (protocol, port_key) = if usage.encrypted {
        (Protocol::Tls, "tls_port")
    } else {
        (usage.plain, "port")
    };
    let server = address(host).and_then(|host| Server::new(node.line, protocol, &host));
    let Some(mut server) = server else {
        return draft.refuse(node.line, host, "address_data is no IP address");
    };
    for entry in node.entries() {
        let (line, value) = (entry.line, entry.node.brief());
        match entry.key.as_str() {
            "address_data" => {}
            "tls_auth_name" => server = server.named(Some(&value)),
            key if key == port_key => match value.parse() {
                Ok(port) => server = server.on_port(Some(port)),
                Err(_) => {
                    return draft.refuse(line, host, &format!("{key} {value} is no port"));
                }
            },
            "tls_port" | "port" => {}
            "tls_pubkey_pinset" => {
                for pin in entry.node.items() {
                    match (pin.text_of("digest"), pin.text_of("value")) {
                        (Some("sha256") | None, Some(value)) => {
                            let pin = value.trim().to_owned();
                            if !server.pins.contains(&pin) {
                                server.pins.push(pin);
                            }
                        }
                        _ => return draft.refuse(pin.line, host, "a pin is no sha256 digest"),
                    }
                }
            }
            "tsig_algorithm" | "tsig_name" | "tsig_secret" => {
                return draft.refuse(line, host, "dotward signs no queries (TSIG)");
            }
            key => draft.unknown(line, key, &value),
        }
    }
    let has_credential = node.get("tls_auth_name").is_some() || !server.pins.is_empty();
    if !protocol.is_encrypted() {
        server.pins.clear();
        server = server.named(None);
        Draft::note_plaintext(&mut server);
    } else if !usage.strict {
        server.note_unverified("tls_authentication did not require that it is authenticated");
    } else if !has_credential {
        server.note_unverified("it has neither tls_auth_name nor tls_pubkey_pinset");
    }
    draft.serve(server);
}
