//! The `Corefile` of `CoreDNS`: what its plugin `forward` forwards to, and what of other plugins dotward has as well.

use super::draft::Draft;
use super::error::ImportError;
use super::server::{Protocol, Server};
use super::source::Source;
use super::text::{address, with_port};
use std::net::IpAddr;

/// No block is deeper than that of a plugin within one of a server.
const MOST_LEVELS: usize = 4;

/// A line of words, with the lines of the block behind it.
#[derive(Clone, Debug)]
struct Directive {
    line: usize,
    words: Vec<String>,
    block: Vec<Directive>,
}

impl Directive {
    fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    fn argument(&self) -> &str {
        self.arguments().first().map_or("", String::as_str)
    }

    fn inner(&self, name: &str) -> Option<&Directive> {
        self.block.iter().rfind(|inner| inner.name() == name)
    }
}

/// The words of a line. A comment ends it; a word in quotation marks may have spaces.
fn words(source: &Source<'_>, line: usize, text: &str) -> Result<Vec<String>, ImportError> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        if first == '#' {
            break;
        }
        if first == '"' {
            let (mut word, mut end) = (String::new(), None);
            let mut chars = rest.char_indices().skip(1);
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => word.extend(chars.next().map(|(_, c)| c)),
                    '"' => {
                        end = Some(at + 1);
                        break;
                    }
                    c => word.push(c),
                }
            }
            let end = end.ok_or_else(|| {
                source.error(
                    line,
                    "a quotation mark is opened, and not closed in this line",
                )
            })?;
            words.push(word);
            rest = rest.get(end..).unwrap_or_default().trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            words.push(word.to_owned());
            rest = behind.trim_start();
        }
    }
    Ok(words)
}

fn directives(source: &Source<'_>) -> Result<Vec<Directive>, ImportError> {
    // Those that are open, from the outermost; the first is the file.
    let mut open = vec![Directive {
        line: 0,
        words: Vec::new(),
        block: Vec::new(),
    }];
    for (line, text) in source.lines() {
        let mut current: Vec<String> = Vec::new();
        for word in words(source, line, text)? {
            match word.as_str() {
                "{" => {
                    if open.len() > MOST_LEVELS {
                        let what = format!("more than {MOST_LEVELS} blocks are within each other");
                        return Err(source.error(line, what));
                    }
                    // The names of a server may stand in the lines above.
                    let words = std::mem::take(&mut current);
                    let words = match open.last_mut() {
                        Some(parent) if words.is_empty() => {
                            parent.block.pop().map_or(words, |above| above.words)
                        }
                        _ => words,
                    };
                    open.push(Directive {
                        line,
                        words,
                        block: Vec::new(),
                    });
                }
                "}" => {
                    push(&mut open, line, std::mem::take(&mut current));
                    if open.len() < 2 {
                        return Err(source.error(line, "a } closes nothing"));
                    }
                    let closed = open.pop();
                    if let (Some(parent), Some(closed)) = (open.last_mut(), closed) {
                        parent.block.push(closed);
                    }
                }
                _ => current.push(word),
            }
        }
        push(&mut open, line, current);
    }
    match open.as_slice() {
        [_] => Ok(open.pop().map_or_else(Vec::new, |file| file.block)),
        [.., last] => Err(source.error(last.line, "a { is not closed")),
        [] => Ok(Vec::new()),
    }
}

fn push(open: &mut [Directive], line: usize, words: Vec<String>) {
    if let Some(parent) = open.last_mut().filter(|_| !words.is_empty()) {
        parent.block.push(Directive {
            line,
            words,
            block: Vec::new(),
        });
    }
}

/// Snippets in the place of the lines that import them. One that imports others has these in it only once.
fn with_snippets(block: &[Directive], snippets: &[Directive], draft: &mut Draft) -> Vec<Directive> {
    let mut all = Vec::new();
    for directive in block {
        if directive.name() != "import" {
            all.push(directive.clone());
            continue;
        }
        let name = format!("({})", directive.argument());
        match snippets.iter().find(|snippet| snippet.name() == name) {
            Some(snippet) if directive.arguments().len() == 1 => {
                all.extend(snippet.block.iter().cloned());
            }
            Some(_) => draft.left_out(
                directive.line,
                "import",
                directive.argument(),
                "a snippet with arguments is not read",
            ),
            None => draft.left_out(
                directive.line,
                "import",
                directive.argument(),
                "other files are not read: import it, too",
            ),
        }
    }
    all
}

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let all = directives(source)?;
    if let Some(line) = all
        .iter()
        .find(|one| one.block.is_empty() && one.name() == "forward")
    {
        // A file of one server may have no braces; what stands in it is the server's.
        return Err(source.error(
            line.line,
            "forward stands in no block: write .:53 { ... } around it",
        ));
    }
    let (snippets, servers): (Vec<Directive>, Vec<Directive>) =
        all.into_iter().partition(|one| one.name().starts_with('('));
    for server in &servers {
        let block = with_snippets(&server.block, &snippets, draft);
        // What is within a snippet is itself not imported again.
        let block = with_snippets(&block, &snippets, draft);
        server_block(server, &block, draft);
    }
    Ok(())
}

/// A zone that a server answers for, how clients speak to it, and its port.
fn zone_of(text: &str) -> (Option<&'static str>, String, Option<u16>) {
    let text = text.trim_end_matches(',');
    let (key, rest) = match text.split_once("://") {
        Some(("tls", rest)) => (Some("listen-tls"), rest),
        Some(("https", rest)) => (Some("listen-https"), rest),
        Some((_, rest)) => (Some("listen"), rest),
        None => (Some("listen"), text),
    };
    match rest.rsplit_once(':') {
        Some((zone, port)) if port.parse::<u16>().is_ok() => {
            let zone = if zone.is_empty() { "." } else { zone };
            (key, zone.to_owned(), port.parse().ok())
        }
        _ => (key, rest.to_owned(), None),
    }
}

fn server_block(server: &Directive, block: &[Directive], draft: &mut Draft) {
    let zones: Vec<_> = server.words.iter().map(|word| zone_of(word)).collect();
    listeners(server.line, &zones, block, draft);
    let domains: Vec<String> = zones.iter().map(|(_, zone, _)| zone.clone()).collect();
    for plugin in block {
        match plugin.name() {
            "forward" => forward(plugin, &domains, draft),
            "bind" => {}
            _ => self::plugin(plugin, draft),
        }
    }
}

/// Where clients are listened for: on all addresses, unless `bind` says which.
fn listeners(
    line: usize,
    zones: &[(Option<&'static str>, String, Option<u16>)],
    block: &[Directive],
    draft: &mut Draft,
) {
    let bind = block.iter().filter(|plugin| plugin.name() == "bind");
    let bound: Vec<(usize, &String)> = bind
        .flat_map(|plugin| plugin.arguments().iter().map(|text| (plugin.line, text)))
        .collect();
    for (key, _, port) in zones {
        let Some(key) = *key else { continue };
        let usual = match key {
            "listen-tls" => 853,
            "listen-https" => 443,
            _ => 53,
        };
        let port = port.unwrap_or(usual);
        let written = |host: &str| {
            if port == usual {
                host.to_owned()
            } else {
                with_port(host, port)
            }
        };
        if bound.is_empty() {
            draft.add(line, key, written("0.0.0.0"));
            draft.add(line, key, written("::"));
        }
        for (line, text) in &bound {
            match address(text) {
                Some(host) => draft.add(*line, key, written(&host)),
                None => draft.left_out(
                    *line,
                    "bind",
                    text,
                    "dotward listens on addresses, not on interfaces",
                ),
            }
        }
    }
}

fn forward(plugin: &Directive, domains: &[String], draft: &mut Draft) {
    let line = plugin.line;
    let Some((from, to)) = plugin.arguments().split_first() else {
        return draft.remark(line, "forward has no arguments, and is left out");
    };
    let options = options(plugin, draft);
    let mut servers = Vec::new();
    for text in to {
        if let Some(server) = upstream(line, text, &options, draft) {
            servers.push(server);
        }
    }
    // It forwards what is below both the server's zones and its own.
    let own = from.trim_end_matches('.');
    let is_all = |zone: &String| zone.trim_end_matches('.').is_empty();
    if own.is_empty() && domains.iter().any(is_all) {
        for server in servers {
            draft.serve(server);
        }
        if let Some(policy) = options.policy {
            draft.set(line, "policy", policy);
        }
    } else {
        let domains = if own.is_empty() {
            domains.to_vec()
        } else {
            vec![from.clone()]
        };
        draft.route(line, &domains, servers, options.policy);
    }
}

/// What the block of `forward` says.
struct Options {
    servername: Option<String>,
    tcp: bool,
    policy: Option<&'static str>,
}

fn options(plugin: &Directive, draft: &mut Draft) -> Options {
    let mut options = Options {
        servername: None,
        tcp: false,
        // Without one, servers are drawn at random.
        policy: Some("round-robin"),
    };
    for inner in &plugin.block {
        let (line, value) = (inner.line, inner.argument());
        match inner.name() {
            "tls_servername" => options.servername = Some(value.to_owned()),
            "force_tcp" => options.tcp = true,
            "policy" => match value {
                "sequential" => options.policy = Some("failover"),
                "random" | "round_robin" => {}
                _ => draft.unknown(line, "policy", value),
            },
            "tls" => match inner.arguments() {
                [] => {}
                [file] => draft.set(line, "ca-file", file.as_str()),
                [_, _] => draft.left_out(
                    line,
                    "tls",
                    &inner.arguments().join(" "),
                    "client-certificate and client-key are keys of an upstream's table",
                ),
                [_, _, file, ..] => {
                    draft.set(line, "ca-file", file.as_str());
                    draft.left_out(line, "tls", &inner.arguments().join(" "), "client-certificate and client-key are keys of an upstream's table; the authority is carried over");
                }
            },
            "except" => {
                for domain in inner.arguments() {
                    draft.answer_instead(line, std::slice::from_ref(domain), "refuse");
                    draft.remark(line, &format!("{domain} was not forwarded, and is refused here; [hosts] or another [[route]] may answer it"));
                }
            }
            "health_check"
            | "max_fails"
            | "expire"
            | "max_idle_conns"
            | "next"
            | "failfast_all_unhealthy_upstreams" => {
                draft.left_out(
                    line,
                    inner.name(),
                    value,
                    "dotward sees by the queries themselves whether a server works",
                );
            }
            "max_concurrent" => match value.parse::<u64>() {
                Ok(count) => draft.set(line, "max-in-flight", count),
                Err(_) => draft.unreadable(line, "max_concurrent", value),
            },
            "prefer_udp" => {}
            name => draft.unknown(line, name, value),
        }
    }
    options
}

fn upstream(line: usize, text: &str, options: &Options, draft: &mut Draft) -> Option<Server> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("dns", text));
    let protocol = match scheme {
        "tls" => Protocol::Tls,
        "dns" if options.tcp => Protocol::Tcp,
        "dns" => Protocol::Udp,
        _ => {
            draft.refuse(
                line,
                text,
                "dotward does not speak this protocol to servers",
            );
            return None;
        }
    };
    // The name of the certificate stands behind a percent sign, as an interface does elsewhere.
    let (host, own) = match rest.rsplit_once('%') {
        Some((host, name)) if protocol == Protocol::Tls => (host, Some(name)),
        _ => (rest, None),
    };
    let server = Server::new(line, protocol, host).filter(Server::is_address);
    let Some(server) = server else {
        let why = if rest.starts_with('/') {
            "the servers of another file are not read; write their addresses"
        } else {
            "it is no address"
        };
        draft.refuse(line, text, why);
        return None;
    };
    // Without a name the certificate has to be for the address, there as here.
    let mut server = if protocol == Protocol::Tls {
        server.named(own.or(options.servername.as_deref()))
    } else {
        server
    };
    Draft::note_plaintext(&mut server);
    Some(server)
}

fn plugin(plugin: &Directive, draft: &mut Draft) {
    let (line, name, value) = (plugin.line, plugin.name(), plugin.argument());
    match name {
        "errors" | "log" | "debug" => draft.left_out(
            line,
            name,
            "",
            "dotward has a log of its own (log), without the names that are asked for",
        ),
        "loop" | "reload" | "ready" | "health" | "loadbalance" | "any" | "bufsize" => draft
            .left_out(
                line,
                name,
                "",
                "dotward has its own way: see docs/import.md",
            ),
        "cache" => match value.parse::<u64>() {
            Ok(seconds) => draft.set(
                line,
                "max-ttl",
                super::text::time(std::time::Duration::from_secs(seconds)),
            ),
            Err(_) => {
                if !value.is_empty() {
                    draft.unreadable(line, name, value);
                }
            }
        },
        "tls" => {
            for (key, file) in ["certificate", "certificate-key"]
                .into_iter()
                .zip(plugin.arguments())
            {
                draft.set(line, key, file.as_str());
            }
        }
        "hosts" => {
            if value.starts_with('/') {
                draft.set(line, "hosts-file", value);
            }
            for entry in &plugin.block {
                let ip: Option<IpAddr> = entry.name().parse().ok();
                match ip {
                    Some(ip) => {
                        for name in entry.arguments() {
                            draft.host(entry.line, name, ip);
                        }
                    }
                    None if entry.name() == "fallthrough" => {}
                    None => draft.unknown(
                        entry.line,
                        &format!("hosts: {}", entry.name()),
                        entry.argument(),
                    ),
                }
            }
        }
        "prometheus" => draft.left_out(
            line,
            name,
            value,
            "admin serves metrics, on port 9553 unless another one is given",
        ),
        "acl" => {
            for inner in &plugin.block {
                let networks = inner
                    .arguments()
                    .iter()
                    .skip_while(|word| *word != "net")
                    .skip(1);
                for network in networks {
                    if inner.name() == "allow" && network.parse::<crate::config::Cidr>().is_ok() {
                        draft.add(inner.line, "allow-net", network.clone());
                    } else if inner.name() == "allow" {
                        draft.unreadable(inner.line, "acl", network);
                    } else {
                        draft.left_out(
                            inner.line,
                            "acl",
                            &inner.words.join(" "),
                            "allow-net lists who is served, and nobody else is",
                        );
                    }
                }
            }
        }
        _ => {
            let detail = plugin.inner("upstream").map_or(value, Directive::argument);
            draft.left_out(line, name, detail, "dotward has nothing like this plugin");
        }
    }
}
