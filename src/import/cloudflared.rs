//! The `proxy-dns` of cloudflared, which it no longer has: a command line, as in a script, a unit or a file of variables, or its config.yml.

use super::draft::Draft;
use super::error::ImportError;
use super::server::Server;
use super::source::Source;
use super::text::{address, listen, with_port};
use super::yaml;

/// What it forwarded to when nothing else was said.
const USUAL: [&str; 2] = ["https://1.1.1.1/dns-query", "https://1.0.0.1/dns-query"];

/// What was said, whichever way.
#[derive(Default)]
struct Said {
    upstreams: Vec<(usize, String)>,
    bootstrap: Vec<(usize, String)>,
    address: Option<(usize, String)>,
    port: Option<(usize, String)>,
}

impl Said {
    /// A setting by the name that its option has. `false` if it is not known.
    fn set(&mut self, line: usize, name: &str, value: &str, draft: &mut Draft) -> bool {
        let values = || {
            let parts = value.split(',').map(str::trim);
            parts
                .filter(|part| !part.is_empty())
                .map(|part| (line, part.to_owned()))
        };
        match name {
            "upstream" => self.upstreams.extend(values()),
            "bootstrap" => self.bootstrap.extend(values()),
            "address" => self.address = Some((line, value.to_owned())),
            "port" => self.port = Some((line, value.to_owned())),
            "max-upstream-conns" => draft.left_out(
                line,
                name,
                value,
                "dotward opens as many connections as the queries in flight take",
            ),
            "metrics" => draft.left_out(
                line,
                name,
                value,
                "admin serves metrics, on port 9553 unless another one is given",
            ),
            _ => return false,
        }
        true
    }
}

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let mut said = Said::default();
    let is_config = source.lines().any(|(_, line)| {
        let key = line.split(':').next().unwrap_or_default();
        line.contains(':') && key.starts_with("proxy-dns") && !key.contains(' ')
    });
    if is_config {
        config(source, &mut said, draft)?;
    } else {
        command_line(source, &mut said, draft)?;
    }
    write(source, said, draft)
}

fn config(source: &Source<'_>, said: &mut Said, draft: &mut Draft) -> Result<(), ImportError> {
    let root = yaml::read(source)?;
    for entry in root.entries() {
        let name = match entry.key.as_str() {
            "proxy-dns" => {
                if entry.node.switch() != Some(true) {
                    draft.remark(entry.line, "proxy-dns was not on");
                }
                continue;
            }
            key => key.strip_prefix("proxy-dns-").unwrap_or(key),
        };
        for item in entry.node.items() {
            let value = item.brief();
            if !said.set(item.line, name, &value, draft) {
                draft.left_out(item.line, &entry.key, &value, "it is not of proxy-dns");
            }
        }
    }
    Ok(())
}

/// The words of a script, a unit or a file of variables. No value has a space in it, so that quotation marks only divide words, as the brackets of
/// a list do.
fn words(source: &Source<'_>) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (line, text) in source.lines() {
        if text.trim_start().starts_with('#') {
            continue;
        }
        let text = text.trim_end().trim_end_matches('\\');
        for word in
            text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | ';'))
        {
            if word.starts_with('#') {
                break;
            }
            let word = word.trim_matches(',');
            if !word.is_empty() {
                words.push((line, word.to_owned()));
            }
        }
    }
    words
}

fn command_line(
    source: &Source<'_>,
    said: &mut Said,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    let mut words = words(source).into_iter().peekable();
    while let Some((line, word)) = words.next() {
        let (is_option, name, own) = match word.strip_prefix("--").or(word.strip_prefix('-')) {
            Some(option) => match option.split_once('=') {
                Some((name, value)) => (true, name.to_owned(), value.to_owned()),
                None => (true, option.to_owned(), String::new()),
            },
            None => match word.split_once(['=', ':']) {
                Some((name, value)) => match name.strip_prefix("TUNNEL_DNS_") {
                    Some(name) => {
                        let name = name.to_ascii_lowercase().replace('_', "-");
                        (false, name, value.to_owned())
                    }
                    None => continue,
                },
                None => continue,
            },
        };
        let is_known = [
            "upstream",
            "bootstrap",
            "address",
            "port",
            "max-upstream-conns",
            "metrics",
        ];
        if !is_known.contains(&name.as_str()) {
            if is_option && !name.is_empty() {
                draft.left_out(line, &word, "", "it is not of proxy-dns");
            }
            continue;
        }
        let value = match own {
            own if own.is_empty() => words.next_if(|(_, next)| !next.starts_with('-')),
            own => Some((line, own)),
        };
        let Some((line, value)) = value else {
            return Err(source.error(line, format_args!("{word} has no value")));
        };
        said.set(line, &name, &value, draft);
    }
    Ok(())
}

fn write(source: &Source<'_>, said: Said, draft: &mut Draft) -> Result<(), ImportError> {
    let port: u16 = match &said.port {
        None => 53,
        Some((line, port)) => port
            .parse()
            .map_err(|_| source.error(*line, format_args!("{port:?} is no port")))?,
    };
    let (line, host) = said.address.unwrap_or((0, "localhost".to_owned()));
    let hosts = match host.as_str() {
        "localhost" => vec!["127.0.0.1".to_owned()],
        host => address(host).into_iter().collect(),
    };
    if hosts.is_empty() {
        draft.unreadable(line, "address", &host);
    }
    let line = said.port.map_or(line, |(line, _)| line);
    for host in hosts {
        let at = if port == 53 {
            host
        } else {
            with_port(&host, port)
        };
        draft.add(line, "listen", at);
    }
    let mut upstreams = said.upstreams;
    if upstreams.is_empty() {
        upstreams = USUAL.map(|uri| (0, uri.to_owned())).to_vec();
        draft.remark(
            0,
            "no upstream is named: these are the ones that cloudflared had then",
        );
    }
    if upstreams.len() > 1 {
        draft.set(0, "policy", "round-robin");
    }
    for (line, uri) in upstreams {
        match Some(uri.as_str())
            .filter(|uri| uri.starts_with("https://"))
            .and_then(|uri| Server::from_uri(line, uri))
        {
            Some(server) => draft.serve(server),
            None => draft.refuse(line, &uri, "it is no https:// URI"),
        }
    }
    for (line, text) in said.bootstrap {
        match listen(&text) {
            Some(at) => draft.add(line, "bootstrap", at),
            None => draft.left_out(line, "bootstrap", &text, "bootstrap takes addresses of resolvers, which are asked without encryption for the names of upstreams alone"),
        }
    }
    Ok(())
}
