//! resolved.conf of systemd: resolved.conf(5).

use super::draft::Draft;
use super::error::ImportError;
use super::server::{Protocol, Server};
use super::source::Source;
use super::text::{listen, split_port, switch};

/// A key and its value, which may have had several lines.
struct Entry {
    line: usize,
    key: String,
    value: String,
}

fn entries(source: &Source<'_>, draft: &mut Draft) -> Result<Vec<Entry>, ImportError> {
    let (mut section, mut entries) = (String::new(), Vec::<Entry>::new());
    let mut lines = source.lines();
    while let Some((line, text)) = lines.next() {
        let text = text.trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            name.clone_into(&mut section);
            if section != "Resolve" {
                draft.remark(line, &format!("[{section}] is not read: only [Resolve] is"));
            }
            continue;
        }
        // A backslash at the end joins the next line; comments between them do not end that.
        let mut whole = text.to_owned();
        while let Some(before) = whole.strip_suffix('\\') {
            whole = before.trim_end().to_owned() + " ";
            let next = lines.find(|(_, next)| !next.trim_start().starts_with(['#', ';']));
            whole.push_str(next.map_or("", |(_, next)| next.trim()));
        }
        let Some((key, value)) = whole.split_once('=') else {
            return Err(source.error(
                line,
                format_args!("{text:?} is neither [Section] nor Key=Value"),
            ));
        };
        if section == "Resolve" {
            entries.push(Entry {
                line,
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
            });
        } else if section.is_empty() {
            return Err(source.error(line, "no [Resolve] stands above this"));
        }
    }
    Ok(entries)
}

/// What `DNSOverTLS` says.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Strict,
    Opportunistic,
    Off,
}

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let entries = entries(source, draft)?;
    let last = |key: &str| entries.iter().rfind(|entry| entry.key == key);
    let mode = match last("DNSOverTLS") {
        None => Mode::Off,
        Some(entry) if entry.value.eq_ignore_ascii_case("opportunistic") => Mode::Opportunistic,
        Some(entry) => match switch(&entry.value) {
            Some(true) => Mode::Strict,
            Some(false) => Mode::Off,
            None => {
                let what = format!(
                    "DNSOverTLS={}: is none of yes, opportunistic and no",
                    entry.value
                );
                return Err(source.error(entry.line, what));
            }
        },
    };
    let own = words(&entries, "DNS");
    let fallback = words(&entries, "FallbackDNS");
    let (servers, unused) = if own.is_empty() {
        (fallback, Vec::new())
    } else {
        (own, fallback)
    };
    for (line, text) in servers {
        server(line, &text, mode, draft);
    }
    for (line, text) in unused {
        draft.left_out(
            line,
            "FallbackDNS",
            &text,
            "it is only asked where there is no other server; append it to upstream if it is to be",
        );
    }
    let domains = words(&entries, "Domains");
    for (line, text) in domains {
        let why = match text.strip_prefix('~') {
            Some(".") => continue,
            Some(_) => {
                "all names are forwarded to the servers above; [[route]] names others for a domain"
            }
            None => "dotward completes no names; the search list stays in /etc/resolv.conf",
        };
        draft.left_out(line, "Domains", &text, why);
    }
    for entry in &entries {
        setting(entry, draft);
    }
    Ok(())
}

/// The words of all lines with this key. An empty one takes back those before.
fn words(entries: &[Entry], key: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| entry.key == key) {
        if entry.value.is_empty() {
            found.clear();
        }
        let words = entry.value.split_whitespace();
        found.extend(words.map(|word| (entry.line, word.to_owned())));
    }
    found
}

/// `IP[:PORT][%INTERFACE][#NAME]`.
fn server(line: usize, text: &str, mode: Mode, draft: &mut Draft) {
    let (rest, name) = match text.split_once('#') {
        Some((rest, name)) => (rest, Some(name)),
        None => (text, None),
    };
    // The interface stands behind the port here.
    let (rest, zone) = match rest.split_once('%') {
        Some((rest, zone)) => (rest, Some(zone)),
        None => (rest, None),
    };
    let protocol = match mode {
        Mode::Off => Protocol::Udp,
        Mode::Strict | Mode::Opportunistic => Protocol::Tls,
    };
    let read = split_port(rest).and_then(|(host, port)| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_link_local = bare.to_ascii_lowercase().starts_with("fe80:");
        let host = match zone.filter(|_| is_link_local) {
            Some(zone) => format!("{bare}%{zone}"),
            None => bare.to_owned(),
        };
        Server::new(line, protocol, &host).map(|server| server.on_port(port))
    });
    let Some(mut server) = read.filter(Server::is_address) else {
        return draft.refuse(line, text, "it is not ADDRESS[:PORT][%INTERFACE][#NAME]");
    };
    if mode != Mode::Off {
        server = server.named(name);
    }
    match mode {
        // Without a name the certificate has to be for the address, there as here.
        Mode::Strict => {}
        Mode::Opportunistic => server.note_unverified(
            "DNSOverTLS=opportunistic did not verify its certificate, and sent queries without encryption where TLS failed",
        ),
        Mode::Off => Draft::note_plaintext(&mut server),
    }
    draft.serve(server);
}

fn setting(entry: &Entry, draft: &mut Draft) {
    let (line, key, value) = (entry.line, entry.key.as_str(), entry.value.as_str());
    match key {
        "DNS" | "FallbackDNS" | "Domains" | "DNSOverTLS" => {}
        _ if value.is_empty() => {}
        "Cache" => match switch(value) {
            Some(false) => draft.set(line, "cache-size", 0_u64),
            Some(true) => {}
            None => draft.unknown(line, "Cache", value),
        },
        "DNSStubListenerExtra" => {
            let bare = value.trim_start_matches("udp:").trim_start_matches("tcp:");
            match listen(bare) {
                Some(at) if bare == value => draft.add(line, "listen", at),
                Some(at) => {
                    draft.add(line, "listen", at);
                    draft.remark(line, &format!("{key}={value}: dotward serves UDP and TCP there; the command udp or tcp serves one of them"));
                }
                None => draft.unreadable(line, key, value),
            }
        }
        "DNSStubListener" => draft.left_out(line, key, value, "dotward listens on 127.0.0.1 and ::1 unless listen says otherwise, and not on 127.0.0.53"),
        "ReadEtcHosts" => {
            if switch(value) == Some(true) {
                draft.set(line, "hosts-file", "/etc/hosts");
            }
        }
        "DNSSEC" => draft.left_out(line, key, value, "dotward validates no signatures; choose an upstream that does"),
        "LLMNR" | "MulticastDNS" => draft.left_out(line, key, value, "dotward does not ask the local network; systemd-resolved can run beside it for that"),
        _ => draft.unknown(line, key, value),
    }
}
