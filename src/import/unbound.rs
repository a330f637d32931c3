//! unbound.conf: its forward zones, and what of `server:` dotward has as well (unbound.conf(5)).

use super::draft::Draft;
use super::error::ImportError;
use super::server::{Protocol, Server};
use super::source::Source;
use super::text::{address, octets, switch, time, with_port};
use std::net::IpAddr;
use std::time::Duration;

/// One word, and whether it stood in quotation marks.
struct Token {
    line: usize,
    text: String,
    is_quoted: bool,
}

impl Token {
    /// Whether it is the name of an attribute or of a clause.
    fn key(&self) -> Option<&str> {
        let key = self.text.strip_suffix(':').filter(|_| !self.is_quoted)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_key = !key.is_empty() && key.chars().all(fits);
        is_key.then_some(key)
    }
}

/// An attribute and its values, or a clause, which has none.
struct Attribute {
    line: usize,
    key: String,
    values: Vec<String>,
}

impl Attribute {
    fn value(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    fn is_yes(&self) -> bool {
        switch(self.value()) == Some(true)
    }
}

/// The attributes of one clause.
#[derive(Default)]
struct Clause {
    line: usize,
    name: String,
    attributes: Vec<Attribute>,
}

impl Clause {
    fn last<'c>(&'c self, key: &'c str) -> Option<&'c Attribute> {
        self.all(key).last()
    }

    fn all<'c>(&'c self, key: &'c str) -> impl Iterator<Item = &'c Attribute> {
        let all = self.attributes.iter();
        all.filter(move |attribute| attribute.key == key)
    }

    fn is_yes(&self, keys: &[&str]) -> bool {
        let mut last = keys.iter().filter_map(|key| self.last(key));
        last.any(Attribute::is_yes)
    }
}

fn tokens(source: &Source<'_>) -> Result<Vec<Token>, ImportError> {
    let mut tokens = Vec::new();
    for (line, text) in source.lines() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            if first == '#' {
                break;
            }
            let is_quoted = first == '"' || first == '\'';
            let (word, behind) = if is_quoted {
                let inner = rest.get(1..).unwrap_or_default();
                inner.split_once(first).ok_or_else(|| {
                    source.error(
                        line,
                        "a quotation mark is opened, and not closed in this line",
                    )
                })?
            } else {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                rest.split_at_checked(end).unwrap_or((rest, ""))
            };
            tokens.push(Token {
                line,
                text: word.to_owned(),
                is_quoted,
            });
            rest = behind.trim_start();
        }
    }
    Ok(tokens)
}

/// A word that ends with a colon is a clause if another one follows, and else an attribute.
fn clauses(source: &Source<'_>) -> Result<Vec<Clause>, ImportError> {
    let mut clauses = vec![Clause::default()];
    let mut tokens = tokens(source)?.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let Some(key) = token.key() else {
            let what = format!(
                "{:?} does not belong to an attribute of unbound.conf",
                token.text
            );
            return Err(source.error(token.line, what));
        };
        let mut values = Vec::new();
        while let Some(value) = tokens.next_if(|next| next.key().is_none()) {
            values.push(value.text);
        }
        if values.is_empty() {
            clauses.push(Clause {
                line: token.line,
                name: key.to_owned(),
                attributes: Vec::new(),
            });
        } else if let Some(clause) = clauses.last_mut() {
            clause.attributes.push(Attribute {
                line: token.line,
                key: key.to_owned(),
                values,
            });
        }
    }
    Ok(clauses)
}

/// How unbound authenticates the servers that it forwards to.
struct Trust {
    /// Servers of all zones are reached over TLS.
    everywhere: bool,
    /// Without authorities nothing is verified.
    has_authorities: bool,
}

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let clauses = clauses(source)?;
    let of_server = || clauses.iter().filter(|clause| clause.name == "server");
    let any = |keys: &[&str]| of_server().any(|clause| clause.is_yes(keys));
    let bundle = |key: &str| of_server().any(|clause| clause.last(key).is_some());
    let trust = Trust {
        everywhere: any(&["tls-upstream", "ssl-upstream"]),
        has_authorities: bundle("tls-cert-bundle")
            || bundle("ssl-cert-bundle")
            || any(&["tls-win-cert", "tls-system-cert"]),
    };
    for clause in &clauses {
        match clause.name.as_str() {
            "" | "server" => server(clause, draft),
            "forward-zone" => forward_zone(clause, &trust, draft),
            "stub-zone" => draft.left_out(
                clause.line,
                "stub-zone:",
                clause.last("name").map_or("", Attribute::value),
                "its servers are authoritative ones, and dotward asks resolvers; [[route]] names some for a domain",
            ),
            name => draft.unknown(clause.line, &format!("{name}:"), ""),
        }
    }
    Ok(())
}

fn forward_zone(clause: &Clause, trust: &Trust, draft: &mut Draft) {
    let Some(name) = clause.last("name") else {
        return draft.remark(
            clause.line,
            "this forward-zone has no name, and is left out",
        );
    };
    let own = ["forward-tls-upstream", "forward-ssl-upstream"];
    let is_said = own.iter().any(|key| clause.last(key).is_some());
    let encrypted = clause.is_yes(&own) || !is_said && trust.everywhere;
    let is_tcp = clause.is_yes(&["forward-tcp-upstream"]);
    let protocol = match (encrypted, is_tcp) {
        (true, _) => Protocol::Tls,
        (false, true) => Protocol::Tcp,
        (false, false) => Protocol::Udp,
    };
    let mut servers = Vec::new();
    for attribute in &clause.attributes {
        let (line, key, value) = (attribute.line, attribute.key.as_str(), attribute.value());
        match key {
            "name" | "forward-tcp-upstream" => {}
            _ if own.contains(&key) => {}
            "forward-addr" | "forward-host" => match forward(line, protocol, value) {
                Some((mut server, is_named)) => {
                    if !encrypted {
                        Draft::note_plaintext(&mut server);
                    } else if !is_named {
                        server.note_unverified("no #NAME stood behind it");
                    } else if !trust.has_authorities {
                        server.note_unverified(
                            "unbound had no tls-cert-bundle, without which it verifies nothing",
                        );
                    }
                    servers.push(server);
                }
                None => draft.refuse(line, value, "it is not ADDRESS[@PORT][#NAME]"),
            },
            "forward-first" if attribute.is_yes() => {
                draft.left_out(line, key, value, "when the servers fail, unbound resolved names by itself, without encryption; dotward answers SERVFAIL");
            }
            "forward-first" => {}
            "forward-no-cache" if !attribute.is_yes() => {}
            _ => draft.unknown(line, key, value),
        }
    }
    match name.value() {
        "." => {
            for server in servers {
                draft.serve(server);
            }
        }
        zone => draft.route(clause.line, &[zone.to_owned()], servers, None),
    }
}

/// `HOST[@PORT][#NAME]`, and whether there is a name.
fn forward(line: usize, protocol: Protocol, text: &str) -> Option<(Server, bool)> {
    let (rest, name) = match text.split_once('#') {
        Some((rest, name)) => (rest, Some(name).filter(|name| !name.is_empty())),
        None => (text, None),
    };
    let (host, port) = match rest.split_once('@') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (rest, None),
    };
    let server = Server::new(line, protocol, host)?.on_port(port);
    let is_named = name.is_some();
    let name = name.filter(|_| protocol.is_encrypted());
    Some((server.named(name), is_named))
}

#[expect(clippy::too_many_lines, reason = "one arm for each attribute")]
fn server(clause: &Clause, draft: &mut Draft) {
    let port = clause.last("port").map_or("53", Attribute::value);
    let of_tls = ["tls-port", "ssl-port"];
    let tls_port = of_tls.iter().find_map(|key| clause.last(key));
    let tls_port = tls_port.map_or("853", Attribute::value);
    for attribute in &clause.attributes {
        let (line, key, value) = (attribute.line, attribute.key.as_str(), attribute.value());
        let seconds = || value.parse().ok().map(Duration::from_secs).map(time);
        match key {
            "include" | "include-toplevel" => {
                draft.left_out(line, key, value, "other files are not read: import it, too");
            }
            "port" | "tls-port" | "ssl-port" | "tls-upstream" | "ssl-upstream" => {}
            "interface" | "ip-address" => {
                let (host, own) = value.split_once('@').unwrap_or((value, port));
                let at = address(host).zip(own.parse::<u16>().ok());
                match at {
                    Some((host, port)) if own == tls_port => {
                        let text = if port == 853 {
                            host
                        } else {
                            with_port(&host, port)
                        };
                        draft.add(line, "listen-tls", text);
                    }
                    Some((host, 53)) => draft.add(line, "listen", host),
                    Some((host, port)) => draft.add(line, "listen", with_port(&host, port)),
                    None => draft.left_out(
                        line,
                        key,
                        value,
                        "dotward listens on addresses, not on interfaces",
                    ),
                }
            }
            "tls-service-pem" | "ssl-service-pem" => draft.set(line, "certificate", value),
            "tls-service-key" | "ssl-service-key" => draft.set(line, "certificate-key", value),
            "tls-cert-bundle" | "ssl-cert-bundle" => authorities(line, value, draft),
            "tls-system-cert" | "tls-win-cert" => {
                if attribute.is_yes() {
                    draft.set(line, "ca-file", "system");
                }
            }
            "num-threads" => match value.parse::<u64>() {
                Ok(0 | 1) => {}
                Ok(threads) => draft.set(line, "workers", threads),
                Err(_) => draft.unreadable(line, key, value),
            },
            "msg-cache-size" | "rrset-cache-size" => cache_size(clause, line, draft),
            "cache-min-ttl" => match seconds() {
                Some(time) => draft.set(line, "min-ttl", time),
                None => draft.unreadable(line, key, value),
            },
            "cache-max-ttl" => match seconds() {
                Some(time) => draft.set(line, "max-ttl", time),
                None => draft.unreadable(line, key, value),
            },
            "serve-expired" => {
                if !attribute.is_yes() {
                    draft.set(line, "serve-stale", "off");
                }
            }
            "serve-expired-ttl" => match value.parse() {
                _ if !clause.is_yes(&["serve-expired"]) => {}
                // Without a limit.
                Ok(0) => draft.set(line, "serve-stale", "7d"),
                Ok(limit) => draft.set(line, "serve-stale", time(Duration::from_secs(limit))),
                Err(_) => draft.unreadable(line, key, value),
            },
            "pad-queries" if attribute.is_yes() => {}
            "pad-queries" => draft.set(line, "padding", "off"),
            "pad-queries-block-size" => match value.parse::<u64>() {
                Ok(block) => draft.set(line, "padding", block),
                Err(_) => draft.unreadable(line, key, value),
            },
            "access-control" => access(attribute, draft),
            "local-zone" => local_zone(attribute, draft),
            "local-data" => local_data(attribute, draft),
            "do-not-query-localhost"
            | "chroot"
            | "username"
            | "directory"
            | "pidfile"
            | "use-syslog"
            | "logfile"
            | "log-time-ascii" => {
                draft.left_out(
                    line,
                    key,
                    value,
                    "dotward logs to standard error, and its service manager sees to the rest",
                );
            }
            "auto-trust-anchor-file"
            | "trust-anchor"
            | "trust-anchor-file"
            | "trusted-keys-file"
            | "root-hints"
            | "module-config"
            | "val-log-level"
            | "harden-dnssec-stripped" => {
                draft.left_out(line, key, value, "dotward forwards, and neither resolves nor validates by itself; choose an upstream that validates");
            }
            _ => draft.unknown(line, key, &attribute.values.join(" ")),
        }
    }
}

/// Authorities of the system are known by the usual places of their file.
fn authorities(line: usize, value: &str, draft: &mut Draft) {
    const OF_SYSTEM: [&str; 5] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
        "/usr/local/share/certs/ca-root-nss.crt",
    ];
    if OF_SYSTEM.contains(&value) {
        draft.set(line, "ca-file", "system");
    } else if !value.is_empty() {
        draft.set(line, "ca-file", value);
    }
}

/// unbound has two caches, for messages and for the records in them; dotward has one.
fn cache_size(clause: &Clause, line: usize, draft: &mut Draft) {
    let sizes = ["msg-cache-size", "rrset-cache-size"];
    let sizes = sizes.iter().filter_map(|key| clause.last(key));
    let sizes: Option<Vec<u64>> = sizes.map(|size| octets(size.value())).collect();
    match sizes {
        Some(sizes) => {
            let sum = sizes.into_iter().fold(0, u64::saturating_add);
            draft.set(line, "cache-size", sum);
        }
        None => draft.remark(
            line,
            "this size of a cache is not carried over: it cannot be read",
        ),
    }
}

fn access(attribute: &Attribute, draft: &mut Draft) {
    let line = attribute.line;
    match attribute.values.as_slice() {
        [network, action] if action == "allow" || action == "allow_snoop" || action == "allow_setrd" => {
            let fits = network.parse::<crate::config::Cidr>().is_ok();
            if fits {
                draft.add(line, "allow-net", network.clone());
            } else {
                draft.unreadable(line, "access-control", network);
            }
        }
        values => draft.left_out(
            line,
            "access-control",
            &values.join(" "),
            "allow-net lists who is served, and nobody else is; a part of such a network cannot be excepted",
        ),
    }
}

fn local_zone(attribute: &Attribute, draft: &mut Draft) {
    let line = attribute.line;
    let word = match attribute.values.as_slice() {
        [zone, kind] => match kind.as_str() {
            "always_nxdomain" | "static" => Some((zone, "nxdomain")),
            "refuse" | "always_refuse" => Some((zone, "refuse")),
            _ => None,
        },
        _ => None,
    };
    match word {
        Some((zone, word)) => draft.answer_instead(line, std::slice::from_ref(zone), word),
        None => draft.left_out(
            line,
            "local-zone",
            &attribute.values.join(" "),
            "[[route]] has to = \"nxdomain\", \"refuse\" and \"local\" for a domain",
        ),
    }
}

/// A record of the user's own: an address of a name.
fn local_data(attribute: &Attribute, draft: &mut Draft) {
    let text = attribute.values.join(" ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (name, rest) = words.split_first().unwrap_or((&"", &[]));
    let mut rest = rest.iter().filter(|word| {
        let is_ttl = word.chars().all(|c| c.is_ascii_digit());
        !is_ttl && !word.eq_ignore_ascii_case("IN")
    });
    let kind = rest.next().map(|kind| kind.to_ascii_uppercase());
    let ip = rest.next().and_then(|text| text.parse::<IpAddr>().ok());
    match (kind.as_deref(), ip) {
        (Some("A" | "AAAA"), Some(ip)) => draft.host(attribute.line, name, ip),
        _ => draft.left_out(
            attribute.line,
            "local-data",
            &text,
            "[hosts] has addresses of names, and no other records",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_port_and_name() {
        for (text, expected, named) in [
            ("9.9.9.9@853#dns.quad9.net", "9.9.9.9#dns.quad9.net", true),
            (
                "2620:fe::fe@8853#dns.quad9.net",
                "[2620:fe::fe]:8853#dns.quad9.net",
                true,
            ),
            ("9.9.9.9", "9.9.9.9", false),
            ("9.9.9.9#", "9.9.9.9", false),
            ("dns.test@853#dns.test", "tls://dns.test", true),
        ] {
            let (server, is_named) = forward(1, Protocol::Tls, text).unwrap();
            assert_eq!((server.spec().as_str(), is_named), (expected, named));
        }
        assert!(forward(1, Protocol::Tls, "9.9.9.9@x").is_none());
    }
}
