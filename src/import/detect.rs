//! Of which program a file is.

use super::error::ImportError;
use super::source::Source;
use crate::config::hint;
use std::str::FromStr;

macro_rules! formats {
    ($( $Format:ident, $name:literal; )*) => {
        /// A program whose configuration is read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Format { $(
            #[doc = concat!("That of ", $name, ".")]
            $Format,
        )* }

        impl Format {
            /// All of them, with the names by which they are chosen.
            pub const ALL: &[(&str, Self)] = &[ $( ($name, Self::$Format), )* ];
        }
    };
}

formats! {
    Stubby, "stubby";
    Unbound, "unbound";
    Resolved, "systemd-resolved";
    DnscryptProxy, "dnscrypt-proxy";
    Dnsdist, "dnsdist";
    CoreDns, "coredns";
    Blocky, "blocky";
    Cloudflared, "cloudflared";
}

impl Format {
    /// The name of the program.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, format)| *format == self);
        found.map_or("", |(name, _)| name)
    }

    fn names() -> String {
        let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let hint = hint(text, Self::ALL.iter().map(|(name, _)| *name));
            format!("is none of {}{hint}", Self::names())
        })
    }
}

/// The format that the words of a file are of. An error says that there is none, or that there are several.
pub(super) fn detect(source: &Source<'_>) -> Result<Format, ImportError> {
    let mut found = Vec::new();
    for (_, line) in source.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("-- ") {
            continue;
        }
        for format in of_line(line) {
            if !found.contains(&format) {
                found.push(format);
            }
        }
    }
    match found.as_slice() {
        [format] => Ok(*format),
        [] => Err(source.error_of_all(format_args!(
            "this is not known as a file of another program; --from names its format: {}",
            Format::names()
        ))),
        several => {
            let names: Vec<&str> = several.iter().map(|format| format.name()).collect();
            Err(source.error_of_all(format_args!(
                "this may be a file of {}; --from says of which",
                names.join(" or of ")
            )))
        }
    }
}

/// The formats of which a line shows that it is theirs.
fn of_line(line: &str) -> Vec<Format> {
    let key = line.split([':', '=']).next().unwrap_or_default().trim();
    let key = key.trim_matches(['"', '\'']);
    let is_yaml = line.contains(':');
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut found = Vec::new();
    let mut add = |fits: bool, format: Format| found.extend(fits.then_some(format));
    add(
        is_yaml
            && matches!(
                key,
                "upstream_recursive_servers" | "resolution_type" | "dns_transport_list"
            ),
        Format::Stubby,
    );
    add(
        words.iter().any(|word| {
            matches!(
                *word,
                "forward-zone:"
                    | "forward-addr:"
                    | "forward-host:"
                    | "forward-tls-upstream:"
                    | "forward-ssl-upstream:"
            )
        }),
        Format::Unbound,
    );
    add(
        line == "[Resolve]" || line.starts_with("DNSOverTLS="),
        Format::Resolved,
    );
    add(
        line.starts_with("server_names") || line.starts_with("[static") || line.contains("sdns://"),
        Format::DnscryptProxy,
    );
    add(line.contains("newServer"), Format::Dnsdist);
    add(
        words.first() == Some(&"forward") && words.len() > 2
            || words.contains(&"forward") && line.contains('{'),
        Format::CoreDns,
    );
    add(
        is_yaml
            && matches!(
                key,
                "upstreams" | "upstream" | "bootstrapDns" | "customDNS" | "conditional"
            ),
        Format::Blocky,
    );
    add(
        line.contains("proxy-dns")
            || line.contains("TUNNEL_DNS")
            || line.contains("CLOUDFLARED_OPTS"),
        Format::Cloudflared,
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(text: &str) -> Result<Format, String> {
        let source = Source::read("f", text.as_bytes()).unwrap();
        detect(&source).map_err(|error| error.to_string())
    }

    #[test]
    fn a_format_is_known_by_its_words() {
        for (text, expected) in [
            ("upstream_recursive_servers:\n", Format::Stubby),
            ("server:\n  forward-addr: 1.1.1.1\n", Format::Unbound),
            (
                "forward-zone: name: \".\" forward-addr: 1.1.1.1\n",
                Format::Unbound,
            ),
            ("[Resolve]\nDNS=\n", Format::Resolved),
            ("server_names = ['a']\n", Format::DnscryptProxy),
            ("newServer({address='1.1.1.1'})\n", Format::Dnsdist),
            (".:53 {\n forward . tls://1.1.1.1\n}\n", Format::CoreDns),
            (". { forward . 1.1.1.1 }\n", Format::CoreDns),
            ("upstreams:\n  groups:\n", Format::Blocky),
            ("cloudflared proxy-dns --upstream x\n", Format::Cloudflared),
            ("proxy-dns: true\n", Format::Cloudflared),
        ] {
            assert_eq!(detected(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_or_ambiguous_is_said() {
        let none = detected("# forward-zone:\nhello\n").unwrap_err();
        assert!(
            none.contains("--from names its format: stubby, unbound, "),
            "{none}"
        );
        let two = detected("[Resolve]\nserver_names = []\n").unwrap_err();
        assert_eq!(
            two,
            "f: this may be a file of systemd-resolved or of dnscrypt-proxy; --from says of which"
        );
        assert_eq!("coredns".parse(), Ok(Format::CoreDns));
        let wrong = "unbund".parse::<Format>().unwrap_err();
        assert!(
            wrong.starts_with("is none of stubby, ") && wrong.contains("unbound?"),
            "{wrong}"
        );
    }
}
