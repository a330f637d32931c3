//! dnsdist.conf, in Lua: the servers that `newServer` makes, and what of the rest dotward has as well.

use super::draft::Draft;
use super::error::ImportError;
use super::lua::{self, Call};
use super::node::{Node, Value};
use super::server::{Protocol, Server};
use super::source::Source;
use super::text::{address, listen, split_port};
use std::collections::BTreeMap;

/// A server, its place in the order, and the pools that it is in.
struct Member {
    server: Server,
    order: u64,
    pools: Vec<String>,
}

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let calls = lua::calls(source)?;
    // The domains of each pool, where a rule says which.
    let mut pools = BTreeMap::<String, Vec<String>>::new();
    let mut members = Vec::new();
    let mut policy = None;
    for call in &calls {
        match call.name.as_str() {
            "newServer" => members.extend(new_server(call, draft)),
            "addAction" => add_action(call, &mut pools, draft),
            "setServerPolicy" => policy = policy_of(call, draft),
            _ => other(call, draft),
        }
    }
    if policy == Some("failover") {
        members.sort_by_key(|member| member.order);
    }
    // Its own default, leastOutstanding, prefers those that answer sooner as well.
    let policy = policy.unwrap_or("fastest");
    draft.set(0, "policy", policy);
    let mut in_pools = BTreeMap::<String, Vec<Server>>::new();
    for member in members {
        if member.pools.is_empty() || member.pools.iter().any(String::is_empty) {
            draft.serve(member.server.clone());
        }
        for pool in member.pools.into_iter().filter(|pool| !pool.is_empty()) {
            in_pools
                .entry(pool)
                .or_default()
                .push(member.server.clone());
        }
    }
    for (pool, servers) in in_pools {
        let line = servers.first().map_or(0, |server| server.line);
        match pools.get(&pool) {
            Some(domains) => draft.route(line, domains, servers, Some(policy)),
            None => draft.left_out(line, "the pool", &pool, "no rule for a suffix of names leads to it; [[route]] names the servers of a domain"),
        }
    }
    Ok(())
}

fn new_server(call: &Call, draft: &mut Draft) -> Option<Member> {
    let line = call.line;
    let Some(table) = call.arguments.first() else {
        draft.refuse(line, "newServer", "it has no arguments");
        return None;
    };
    let host = table.text().or(table.text_of("address"));
    let Some(host) = host else {
        draft.refuse(
            line,
            "newServer",
            "its address cannot be read without running it",
        );
        return None;
    };
    let has_tls = table.text_of("tls").is_some_and(|tls| !tls.is_empty());
    let path = table.text_of("dohPath");
    let protocol = match (has_tls, path) {
        (true, Some(_)) => Protocol::Https,
        (true, None) => Protocol::Tls,
        (false, _) if table.get("tcpOnly").and_then(Node::switch) == Some(true) => Protocol::Tcp,
        (false, _) => Protocol::Udp,
    };
    let server = split_port(host).and_then(|(host, port)| {
        let host = address(host)?;
        Some(Server::new(line, protocol, &host)?.on_port(port))
    });
    let Some(mut server) = server else {
        draft.refuse(line, host, "it is no IP address with a port");
        return None;
    };
    let (mut order, mut pools) = (1, Vec::new());
    let mut is_validated = true;
    let mut name = None;
    for entry in table.entries() {
        let (line, key, value) = (entry.line, entry.key.as_str(), entry.node.brief());
        match key {
            "address" | "tls" | "dohPath" | "tcpOnly" => {}
            "subjectName" => name = Some(value),
            "subjectAddr" => {
                if name.is_none() {
                    name = address(&value);
                }
            }
            "validateCertificates" => is_validated = entry.node.switch() != Some(false),
            "caStore" => draft.set(line, "ca-file", value),
            "order" => order = value.parse().unwrap_or(1),
            "pool" => pools.extend(entry.node.items().iter().map(Node::brief)),
            "useClientSubnet" => {
                if entry.node.switch() == Some(true) {
                    draft.left_out(
                        line,
                        "newServer",
                        key,
                        "dotward adds no client subnet; ecs = \"keep\" leaves one that a query has",
                    );
                }
            }
            "name" | "checkName" | "checkType" | "checkInterval" | "checkTimeout"
            | "maxCheckFailures" | "mustResolve" | "healthCheckMode" | "weight" | "sockets"
            | "retries" => {
                draft.left_out(
                    line,
                    "newServer",
                    key,
                    "dotward sees by the queries themselves whether a server works",
                );
            }
            _ => draft.left_out(
                line,
                "newServer",
                &format!("{key} = {value}"),
                "dotward has no such setting",
            ),
        }
    }
    if protocol.is_encrypted() {
        server = server.named(name.as_deref()).with_path(path.unwrap_or(""));
        if !is_validated {
            server.note_unverified("validateCertificates was false");
        } else if name.is_none() {
            server.note_unverified("it has neither subjectName nor subjectAddr, and a certificate for any name was enough");
        }
    } else {
        Draft::note_plaintext(&mut server);
    }
    Some(Member {
        server,
        order,
        pools,
    })
}

fn policy_of(call: &Call, draft: &mut Draft) -> Option<&'static str> {
    let text = call.arguments.first().map(Node::brief).unwrap_or_default();
    let policy = match text.as_str() {
        "firstAvailable" => Some("failover"),
        "roundrobin" => Some("round-robin"),
        "leastOutstanding" | "wrandom" => Some("fastest"),
        _ => None,
    };
    if policy.is_none() {
        draft.unknown(call.line, "setServerPolicy", &text);
    }
    policy
}

/// A rule that sends some domains to a pool, or answers them.
fn add_action(call: &Call, pools: &mut BTreeMap<String, Vec<String>>, draft: &mut Draft) {
    let domains = call.arguments.first().and_then(suffixes);
    let action = call
        .arguments
        .get(1)
        .and_then(|action| action.entries().first());
    let (Some(domains), Some(action)) = (domains, action) else {
        return draft.left_out(
            call.line,
            "addAction",
            "",
            "only rules for suffixes of names are carried over",
        );
    };
    let argument = action.node.items().first().map(Node::brief);
    match (action.key.as_str(), argument.as_deref()) {
        ("PoolAction", Some(pool)) => {
            pools.entry(pool.to_owned()).or_default().extend(domains);
        }
        ("RCodeAction", Some("DNSRCode.NXDOMAIN" | "3")) => {
            draft.answer_instead(call.line, &domains, "nxdomain");
        }
        ("RCodeAction", Some("DNSRCode.REFUSED" | "5")) => {
            draft.answer_instead(call.line, &domains, "refuse");
        }
        (action, _) => draft.left_out(call.line, "addAction", action, "dotward has no such action"),
    }
}

/// The domains of a rule: a text, a list, or a rule that is made of these.
fn suffixes(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Text(text) => Some(vec![text.clone()]),
        Value::List(items) => items
            .iter()
            .map(|item| item.text().map(str::to_owned))
            .collect(),
        Value::Map(entries) => {
            let rule = entries
                .first()
                .filter(|entry| matches!(&*entry.key, "QNameSuffixRule" | "SuffixMatchNodeRule"))?;
            suffixes(rule.node.items().first()?)
        }
        _ => None,
    }
}

fn other(call: &Call, draft: &mut Draft) {
    let line = call.line;
    let first = call.arguments.first();
    let texts = |node: Option<&Node>| -> Vec<(usize, String)> {
        let items = node.map_or(&[][..], Node::items);
        items.iter().map(|item| (item.line, item.brief())).collect()
    };
    let name = call.name.as_str();
    match name {
        "addLocal" | "setLocal" => match first.and_then(Node::text).and_then(listen) {
            Some(at) => draft.add(line, "listen", at),
            None => draft.unreadable(line, name, ""),
        },
        "addTLSLocal" | "addDOHLocal" => {
            let key = if name == "addTLSLocal" {
                "listen-tls"
            } else {
                "listen-https"
            };
            match first.and_then(Node::text).and_then(listen) {
                Some(at) => draft.add(line, key, at),
                None => draft.unreadable(line, name, ""),
            }
            let files = ["certificate", "certificate-key"];
            for (key, node) in files.into_iter().zip(call.arguments.iter().skip(1)) {
                match node.items() {
                    [file] => draft.set(file.line, key, file.brief()),
                    _ => draft.left_out(line, name, &node.brief(), "dotward shows one certificate"),
                }
            }
        }
        "setACL" | "addACL" => {
            for (line, text) in texts(first) {
                if text.parse::<crate::config::Cidr>().is_ok() {
                    draft.add(line, "allow-net", text);
                } else {
                    draft.unreadable(line, name, &text);
                }
            }
        }
        "newPacketCache" => draft.left_out(
            line,
            name,
            "",
            "it counts responses; cache-size counts octets, and dotward caches by default",
        ),
        "webserver" | "setWebserverConfig" => {
            draft.left_out(line, name, "", "admin serves metrics and a page");
        }
        "controlSocket" | "setKey" => draft.left_out(
            line,
            name,
            "",
            "control-socket has dotward status and others speak to it",
        ),
        _ => {
            let value = first.and_then(Node::text).unwrap_or("");
            draft.left_out(line, name, value, "dotward has no such function");
        }
    }
}
