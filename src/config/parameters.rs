//! The parameters of an upstream, which stand behind `?` in it: how it is authenticated and reached.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::text::server_address;
use super::{Scheme, hint};

/// The port of SOCKS (RFC 1928).
const SOCKS_PORT: u16 = 1_080;

/// The SHA-256 digest of the public key in a certificate, its `SubjectPublicKeyInfo` (RFC 7858 section 4.2, RFC 7469 section 2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin([u8; 32]);

impl Pin {
    /// A digest that was computed.
    pub fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl FromStr for Pin {
    type Err = String;

    /// Reads base64 (RFC 4648 section 4), as in `kdig +tls-pin` and the configuration of stubby. In front of it may stand `sha256/`, as
    /// `dotward check --probe` prints it, or `sha256//`, as in `curl --pinnedpubkey`; around it quotation marks (RFC 7858 appendix A).
    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let bare = bare.unwrap_or(text);
        let digest = |text: &str| {
            let octets = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
            octets.try_into().map(Self).ok()
        };
        // A digest may itself begin with a slash: only one of these forms has the right length.
        let forms = ["", "sha256/", "sha256//"].into_iter();
        let mut digests = forms.filter_map(|prefix| digest(bare.strip_prefix(prefix)?));
        digests.next().ok_or_else(|| {
            "is not the base64 of a SHA-256 digest, which is 44 characters and ends with ="
                .to_owned()
        })
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What happens when an upstream cannot be authenticated (RFC 8310 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// No query is sent to it.
    #[default]
    Strict,
    /// Queries are sent all the same, encrypted. Whoever is on the way can take the upstream's place and read them. What it says of DNSSEC is not passed on (AD is cleared).
    Opportunistic,
}

/// The certificate by which this host authenticates itself to an upstream, with its private key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientCertificate {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl ClientCertificate {
    /// The contents of two PEM files (RFC 7468): the certificate with those of the authorities between it and the root, and its private
    /// key. Whether they can be read and belong together shows when a transport is made.
    pub fn new(chain: Vec<u8>, key: Vec<u8>) -> Self {
        Self { chain, key }
    }

    /// The certificates.
    pub fn chain(&self) -> &[u8] {
        &self.chain
    }

    /// The private key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

/// A SOCKS5 proxy (RFC 1928) through which an upstream is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Socks5 {
    /// The address of the proxy.
    pub proxy: SocketAddr,
    /// Whether the queries of each registrable domain have connections of their own, each with a username of its own at the proxy: Tor
    /// sends these over different circuits.
    pub isolate: bool,
}

/// All parameters of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Parameters {
    /// In order, none twice.
    pub(super) pins: Vec<Pin>,
    pub(super) profile: Profile,
    /// The files, and what was in them once they were read.
    pub(super) client_files: Option<(String, String)>,
    pub(super) client_certificate: Option<ClientCertificate>,
    pub(super) early_data: bool,
    pub(super) socks5: Option<Socks5>,
}

/// The names of all parameters.
pub(crate) const NAMES: [&str; 7] = [
    "pin-sha256",
    "profile",
    "client-certificate",
    "client-key",
    "early-data",
    "socks5",
    "isolate",
];

/// The names and values in `NAME=VALUE` with `&` between them.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text.split('&');
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

impl Parameters {
    /// Reads names and values, each value any text, of an upstream with these schemes. An error is the reason alone.
    pub(super) fn read<'p>(
        pairs: impl Iterator<Item = (&'p str, &'p str)>,
        schemes: &[&Scheme],
    ) -> Result<Self, String> {
        let (mut read, mut given) = (Self::default(), Vec::new());
        let (mut certificate, mut key) = (None, None);
        let (mut proxy, mut isolate) = (None, false);
        for (name, value) in pairs {
            let wrong = |why: String| format!("{name} {value:?} {why}");
            for scheme in schemes {
                has_meaning(name, scheme)?;
            }
            // The first of them that is verified is used: none is before its handshake is over.
            if schemes.len() > 1 && name == "early-data" {
                return Err(
                    "early-data is for an upstream of one protocol: write one, or leave early-data out"
                        .to_owned(),
                );
            }
            if name != "pin-sha256" && given.contains(&name) {
                return Err(format!("{name} is given twice"));
            }
            given.push(name);
            match name {
                "pin-sha256" => read.pins.push(value.parse().map_err(wrong)?),
                "profile" => read.profile = profile(value).map_err(wrong)?,
                "client-certificate" => certificate = Some(file(value).map_err(wrong)?),
                "client-key" => key = Some(file(value).map_err(wrong)?),
                "early-data" => read.early_data = switch(value).map_err(wrong)?,
                "socks5" => {
                    let read = proxy_address(value);
                    proxy = Some(read.map_err(|why| format!("{name}: {why}"))?);
                }
                "isolate" => isolate = switch(value).map_err(wrong)?,
                other => return Err(unknown(other)),
            }
        }
        read.pins.sort_unstable();
        read.pins.dedup();
        read.client_files = match (certificate, key) {
            (None, Some(_)) => return Err("client-key needs client-certificate".to_owned()),
            // Both may be in one file.
            (certificate, key) => certificate.map(|chain| (chain.clone(), key.unwrap_or(chain))),
        };
        if isolate && !cfg!(feature = "isolate") {
            return Err(
                "this build cannot isolate: leave isolate out, or build with the feature isolate"
                    .to_owned(),
            );
        }
        if isolate && proxy.is_none() {
            return Err(
                "isolate needs socks5: it is the proxy that keeps the connections apart".to_owned(),
            );
        }
        if isolate && read.early_data {
            return Err(
                "early-data is not for connections that isolate keeps apart: leave one of them out"
                    .to_owned(),
            );
        }
        read.socks5 = proxy.map(|proxy| Socks5 { proxy, isolate });
        if read.profile == Profile::Opportunistic && !read.pins.is_empty() {
            return Err(
                "profile=opportunistic lets any server answer, so pin-sha256 has no effect: leave one of them out".to_owned(),
            );
        }
        Ok(read)
    }
}

impl Parameters {
    /// The names of those in which these differ from others.
    pub(super) fn differing(&self, others: &Self) -> Vec<&'static str> {
        let proxy = |of: &Self| of.socks5.map(|socks5| socks5.proxy);
        let isolates = |of: &Self| of.socks5.is_some_and(|socks5| socks5.isolate);
        let chain = |of: &Self| of.client_files.as_ref().map(|files| files.0.clone());
        let key = |of: &Self| of.client_files.as_ref().map(|files| files.1.clone());
        let shown = |of: &Self| of.client_certificate.as_ref().map(|one| one.chain.clone());
        let private = |of: &Self| of.client_certificate.as_ref().map(|one| one.key.clone());
        let chains_differ = chain(self) != chain(others) || shown(self) != shown(others);
        let keys_differ = key(self) != key(others) || private(self) != private(others);
        let differ = [
            self.pins != others.pins,
            self.profile != others.profile,
            chains_differ,
            keys_differ,
            self.early_data != others.early_data,
            proxy(self) != proxy(others),
            isolates(self) != isolates(others),
        ];
        let named = NAMES.into_iter().zip(differ);
        named
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

/// Whether a parameter can be obeyed with this scheme. An error says what to write instead.
fn has_meaning(name: &str, scheme: &Scheme) -> Result<(), String> {
    let scheme = match scheme.name {
        "udp" if matches!(name, "socks5" | "isolate") => {
            return Err(format!(
                "{name} is not for udp://: a SOCKS5 proxy is used for TCP connections alone: write tcp:// or tls://"
            ));
        }
        "quic" if name == "socks5" => {
            return Err(
                "socks5 is not for quic://: a SOCKS5 proxy is used for TCP connections alone: write tls://"
                    .to_owned(),
            );
        }
        "https" | "quic" if name == "isolate" => {
            return Err(
                "isolate is for tls:// alone: write tls://, or leave isolate out".to_owned(),
            );
        }
        "https" if name == "early-data" => {
            return Err(
                "early-data is for tls:// and quic:// alone: write one of them, or leave early-data out"
                    .to_owned(),
            );
        }
        _ if scheme.encrypted || name == "socks5" || !NAMES.contains(&name) => return Ok(()),
        "tcp" if name == "isolate" => {
            return Err(
                "isolate is not for tcp://: without encryption the proxy sees the domains: write tls://, or leave isolate out"
                    .to_owned(),
            );
        }
        other => other,
    };
    Err(format!(
        "{scheme}:// does not encrypt, so {name} has no meaning there: leave it out, or use tls://"
    ))
}

fn profile(text: &str) -> Result<Profile, String> {
    match text {
        "strict" => Ok(Profile::Strict),
        "opportunistic" => Ok(Profile::Opportunistic),
        other => {
            let hint = hint(other, ["strict", "opportunistic"].into_iter());
            Err(format!("is neither strict nor opportunistic{hint}"))
        }
    }
}

/// The address of a proxy. Behind an at sign there may be a port, as in the addresses of upstreams, and no address.
fn proxy_address(text: &str) -> Result<SocketAddr, String> {
    let behind = text.rsplit_once('@').map(|(_, behind)| behind);
    if behind.is_some_and(|behind| behind.contains(|c: char| !c.is_ascii_digit())) {
        return Err(
            "a username and a password are not supported: write the address of a proxy without a login"
                .to_owned(),
        );
    }
    server_address(text, SOCKS_PORT)
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| "is neither true nor false".to_owned())
}

fn file(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is no file".to_owned());
    }
    Ok(text.to_owned())
}

fn unknown(name: &str) -> String {
    let hint = hint(name, NAMES.into_iter());
    let all = NAMES.join(", ");
    format!("has no parameter {name:?}; those are {all}{hint}")
}

#[cfg(test)]
mod tests {
    use super::super::SCHEMES;
    use super::*;

    const PIN: &str = "MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";

    fn read(text: &str) -> Result<Parameters, String> {
        Parameters::read(pairs(text), &[&SCHEMES[0]])
    }

    #[test]
    fn every_parameter_is_read() {
        let both = format!("pin-sha256={PIN}&pin-sha256={PIN}");
        let pins = read(&both).unwrap().pins;
        assert_eq!(pins, [PIN.parse().unwrap()]);
        assert_eq!(pins[0].to_string(), PIN);
        let all = read("client-certificate=/a.pem&client-key=/k&socks5=127.0.0.1:9050").unwrap();
        let expected = Some(("/a.pem".into(), "/k".into()));
        assert_eq!(all.client_files, expected);
        let expected = Socks5 {
            proxy: "127.0.0.1:9050".parse().unwrap(),
            isolate: false,
        };
        assert_eq!(all.socks5, Some(expected));
        let socks = read("socks5=[::1]").unwrap().socks5.unwrap();
        assert_eq!((socks.proxy.port(), socks.isolate), (1080, false));
        let as_unbound = read("socks5=127.0.0.1@9050").unwrap().socks5;
        assert_eq!(as_unbound, all.socks5);
        assert!(read("early-data=true").unwrap().early_data);
        assert!(!read("early-data=false").unwrap().early_data);
        assert!(!read("profile=strict").unwrap().early_data);
        let one_file = read("client-certificate=/a.pem").unwrap().client_files;
        assert_eq!(one_file, Some(("/a.pem".into(), "/a.pem".into())));
        let profile = |text| read(text).unwrap().profile;
        assert_eq!(profile("profile=opportunistic"), Profile::Opportunistic);
        assert_eq!(profile("profile=strict"), Profile::Strict);
    }

    #[test]
    fn a_pin_is_read_as_other_programs_write_it() {
        let slash = "/K3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        for pin in [PIN, slash] {
            for text in [
                format!("sha256/{pin}"),
                format!("sha256//{pin}"),
                format!("\"{pin}\""),
                format!("\"sha256/{pin}\""),
            ] {
                let read = text.parse::<Pin>().map(|pin| pin.to_string());
                assert_eq!(read.as_deref(), Ok(pin), "{text}");
            }
        }
        for wrong in ["sha1/", "\"", "sha256", "sha256///"] {
            assert!(format!("{wrong}{PIN}").parse::<Pin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn isolation_takes_the_feature() {
        let isolated = read("socks5=127.0.0.1:9050&isolate=true");
        if cfg!(feature = "isolate") {
            assert!(isolated.unwrap().socks5.unwrap().isolate);
            let error = read("isolate=true").unwrap_err();
            assert!(error.starts_with("isolate needs socks5"), "{error}");
            let error = read("socks5=127.0.0.1&isolate=true&early-data=true").unwrap_err();
            assert!(error.ends_with("leave one of them out"), "{error}");
        } else {
            let error = isolated.unwrap_err();
            assert!(error.contains("build with the feature isolate"), "{error}");
        }
    }

    #[test]
    fn a_proxy_is_not_for_every_scheme() {
        let [_, tcp, udp, https, quic] = SCHEMES else {
            panic!("five schemes")
        };
        let refused = |text, scheme| Parameters::read(pairs(text), &[scheme]).unwrap_err();
        for text in ["socks5=192.0.2.1", "isolate=true"] {
            let why = refused(text, udp);
            assert!(why.contains("is not for udp://"), "{why}");
            assert!(why.ends_with("write tcp:// or tls://"), "{why}");
        }
        assert!(Parameters::read(pairs("socks5=192.0.2.1"), &[tcp]).is_ok());
        let why = refused("socks5=192.0.2.1&isolate=true", tcp);
        assert!(why.starts_with("isolate is not for tcp://"), "{why}");
        assert!(Parameters::read(pairs("socks5=192.0.2.1"), &[https]).is_ok());
        let why = refused("socks5=192.0.2.1&isolate=true", https);
        assert!(why.starts_with("isolate is for tls:// alone"), "{why}");
        let why = refused("early-data=true", https);
        assert!(why.starts_with("early-data is for tls:// and"), "{why}");
        for text in ["socks5=192.0.2.1", "isolate=true"] {
            assert!(refused(text, quic).contains("tls://"));
        }
        assert!(Parameters::read(pairs("early-data=true"), &[quic]).is_ok());
    }

    #[test]
    fn mistakes_are_named() {
        // fault 86
        let error = |text: &str| read(text).unwrap_err();
        for (text, reason) in [
            ("", r#"has no parameter """#),
            (
                "pin-sha265=x",
                r#"has no parameter "pin-sha265"; those are pin-sha256,"#,
            ),
            ("pin-sha256=AAAA", "is not the base64 of a SHA-256 digest"),
            ("profile=oportunistic", "did you mean opportunistic?"),
            ("profile=strict&profile=strict", "profile is given twice"),
            (
                "early-data=yes",
                r#"early-data "yes" is neither true nor false"#,
            ),
            (
                "early-data=true&early-data=true",
                "early-data is given twice",
            ),
            ("client-key=/k", "client-key needs client-certificate"),
            ("client-certificate=", "is no file"),
            ("socks5=localhost", "is not an IP address"),
            (
                "socks5=user:pw@127.0.0.1:1080",
                "socks5: a username and a password are not supported",
            ),
            ("socks5=user@[::1]", "are not supported"),
            ("isolate=yes", r#"isolate "yes" is neither true nor false"#),
        ] {
            assert!(error(text).contains(reason), "{text}: {}", error(text));
        }
        let both = format!("profile=opportunistic&pin-sha256={PIN}");
        assert!(error(&both).contains("has no effect"));
        let plain = |text| Parameters::read(pairs(text), &[&SCHEMES[1]]);
        let reason = plain("profile=strict").unwrap_err();
        assert!(reason.starts_with("tcp:// does not encrypt"), "{reason}");
    }

    #[test]
    fn a_key_is_not_shown() {
        let certificate = ClientCertificate::new(b"public".to_vec(), b"secret".to_vec());
        assert_eq!(format!("{certificate:?}"), "ClientCertificate");
    }
}
