//! Texts of other programs, as they may be shown and written.

use std::net::IpAddr;
use std::time::Duration;

/// The most characters of a text that are shown.
const MOST_SHOWN: usize = 300;

/// A text in one line, without control characters: a line break would end the comment that it stands in.
pub(super) fn shown(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut line: String = text
        .chars()
        .take(MOST_SHOWN)
        .map(|c| if is_hidden(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MOST_SHOWN).is_some() {
        line.push_str(" ...");
    }
    line
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.extend(format!("\\u{:04x}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of TOML in one line.
pub(super) fn quoted_list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A time as dotward reads it.
pub(super) fn time(time: Duration) -> String {
    humantime::format_duration(time)
        .to_string()
        .replace(' ', "")
}

/// An IP address, perhaps with an interface behind `%`, as it is written most shortly.
pub(super) fn address(text: &str) -> Option<String> {
    let text = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let (bare, zone) = match text.split_once('%') {
        Some((bare, zone)) => (bare, Some(zone)),
        None => (text, None),
    };
    let ip: IpAddr = bare.parse().ok()?;
    match zone {
        None => Some(ip.to_string()),
        Some(zone) if ip.is_ipv6() && is_zone(zone) => Some(format!("{ip}%{zone}")),
        Some(_) => None,
    }
}

/// Whether this can be the name of an interface.
fn is_zone(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@:".contains(c);
    !text.is_empty() && text.chars().all(fits)
}

/// An address and a port behind it, of which the first is an IP address.
pub(super) fn with_port(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// What stands before the last colon, and the port behind it. An IPv6 address is not divided unless it stands in brackets. `None` if the port is no
/// number.
pub(super) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if address(text).is_some() {
        return Some((text, None));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
        None => Some((text, None)),
    }
}

/// An address to listen on, and its port if there is one.
pub(super) fn listen(text: &str) -> Option<String> {
    let (host, port) = split_port(text)?;
    let host = address(host)?;
    Some(match port {
        Some(port) => with_port(&host, port),
        None => host,
    })
}

/// Whether a text says yes or no, as most programs write it.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A number of octets, perhaps with a unit, as unbound writes it.
pub(super) fn octets(text: &str) -> Option<u64> {
    let text = text.trim_end_matches(['b', 'B']);
    let (digits, factor) = match text.chars().last()?.to_ascii_lowercase() {
        'k' => (&text[..text.len() - 1], 1 << 10),
        'm' => (&text[..text.len() - 1], 1 << 20),
        'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_ports_and_interfaces() {
        for (text, expected) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("127.0.0.1:5300", Some("127.0.0.1:5300")),
            ("0::1", Some("::1")),
            ("[0::1]", Some("::1")),
            ("[::1]:5300", Some("[::1]:5300")),
            ("fe80::1%eth0", Some("fe80::1%eth0")),
            ("[fe80::1%eth0]:53", Some("[fe80::1%eth0]:53")),
            ("localhost", None),
            ("127.0.0.1:", None),
            ("127.0.0.1:66000", None),
            ("fe80::1%e\"h", None),
        ] {
            assert_eq!(listen(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_shown_stays_in_its_line() {
        assert_eq!(
            shown("a\nlisten = []\u{1b}[0m"),
            "a\u{fffd}listen = []\u{fffd}[0m"
        );
        assert_eq!(shown(&"x".repeat(400)).len(), 304);
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
    }

    #[test]
    fn sizes_and_times_are_read_with_their_units() {
        for (text, expected) in [
            ("4m", Some(4 << 20)),
            ("64k", Some(64 << 10)),
            ("1G", Some(1 << 30)),
            ("4MB", Some(4 << 20)),
            ("100", Some(100)),
            ("m", None),
            ("", None),
        ] {
            assert_eq!(octets(text), expected, "{text}");
        }
        assert_eq!(time(Duration::from_millis(1500)), "1s500ms");
    }
}
