//! One upstream, and the forms in which people write it.

use std::net::{IpAddr, SocketAddr};

use super::parameters::{ClientCertificate, Parameters, Pin, Profile, Socks5, pairs};
use super::protocols::{
    self, DDR, HTTPS, Protocol, QUIC, TEMPLATE, USUAL_PATH, designated, port_of_which,
    wrong_in_path,
};
use super::providers::{self, Provider};
use super::scheme::Scheme;
use super::text::{host_name, port, server_address, split_port};
use super::{ConfigError, DNS_PORT, TLS_PORT};

/// A resolver to forward to, by one protocol or by several, at one or more addresses that are equally good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    label: String,
    /// The first, if there are several.
    scheme: &'static str,
    /// In the order of trying; empty if it has one alone. The addresses have the port of the first.
    protocols: Vec<Protocol>,
    server_name: Option<String>,
    /// The user said what the certificate must be for, so that it is not the address by default.
    is_named: bool,
    location: Location,
    /// Of its URI, where it has one, and one protocol alone.
    path: Option<String>,
    parameters: Parameters,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Location {
    /// Never empty.
    Addresses(Vec<SocketAddr>),
    Host(Host),
    /// Where the resolver at this address says.
    DesignatedBy(SocketAddr),
}

/// A server that is known by name only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// A host by its name (RFC 1123 section 2.1) and the port to connect to. An error says why this is no host name.
    pub fn new(name: &str, port: u16) -> Result<Self, ConfigError> {
        let name = host_name(name).map_err(|why| ConfigError::new("upstream", name, why))?;
        Ok(Self { name, port })
    }

    /// The host name in lower case, without a final dot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port to connect to at the addresses of the host.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Upstream {
    /// Reads an upstream in one of these forms, where `schemes` are those that are known:
    ///
    /// - a provider's name, such as `cloudflare`;
    /// - `IP[:PORT]#NAME`: DNS over TLS (RFC 7858), with a certificate for `NAME`; also `IP@PORT#NAME`, as in the configuration of unbound;
    /// - `IP[:PORT]`: the same, with a certificate for the address itself (RFC 8310 section 8.1);
    /// - `tls://` before one of the last two, or `tls://NAME[:PORT]`, whose addresses a bootstrap resolver finds;
    /// - `https://NAME[:PORT][/PATH]` or `https://IP[:PORT][/PATH][#NAME]`: DNS over HTTPS (RFC 8484), with `/dns-query` for the path;
    /// - `quic://NAME[:PORT]` or `quic://IP[:PORT][#NAME]`: DNS over QUIC (RFC 9250);
    /// - several of these schemes, as in `quic+tls://` or `tls:8853+https://`: the same server by several protocols, in the order of trying; a port
    ///   that is not the usual one stands behind the name of its protocol;
    /// - `ddr://IP[:PORT]`: the encrypted resolver that the one at this address designates (RFC 9462), with a certificate for the address;
    /// - `tcp://IP[:PORT]`: DNS over TCP (RFC 7766), without encryption;
    /// - `udp://IP[:PORT]`: DNS over UDP, and over TCP where that is needed, without encryption.
    ///
    /// Behind any of them may follow `?NAME=VALUE`, and more of these after `&`:
    ///
    /// - `pin-sha256=BASE64`: [`Upstream::pins`], may be repeated;
    /// - `profile=opportunistic`: [`Upstream::profile`];
    /// - `client-certificate=FILE` and `client-key=FILE`: [`Upstream::client_files`];
    /// - `early-data=true`: [`Upstream::early_data`];
    /// - `socks5=IP[:PORT]` and `isolate=true`: [`Upstream::socks5`].
    ///
    /// An error says what is wrong, and suggests the provider, scheme or parameter that is probably meant.
    pub fn parse(spec: &str, schemes: &[Scheme]) -> Result<Self, ConfigError> {
        Self::parse_with(spec, &[], schemes)
    }

    /// As [`Upstream::parse`], with further parameters by name and value. These values are any text: `&` and `#` have no meaning in them.
    pub(crate) fn parse_with(
        spec: &str,
        parameters: &[(&str, &str)],
        schemes: &[Scheme],
    ) -> Result<Self, ConfigError> {
        let read = read(spec, parameters, schemes);
        read.map_err(|reason| ConfigError::new("upstream", spec, reason))
    }

    /// An upstream at these addresses, of which there is at least one.
    pub(crate) fn known(
        label: &str,
        scheme: &'static str,
        server_name: Option<String>,
        addresses: Vec<SocketAddr>,
    ) -> Self {
        Self {
            label: label.to_owned(),
            scheme,
            protocols: Vec::new(),
            is_named: server_name.is_some(),
            server_name,
            location: Location::Addresses(addresses),
            path: None,
            parameters: Parameters::default(),
        }
    }

    /// The same resolver under another label.
    #[must_use]
    pub fn with_label(self, label: &str) -> Self {
        let label = label.to_owned();
        Self { label, ..self }
    }

    /// The same resolver at these addresses.
    #[must_use]
    pub fn with_addresses(self, first: SocketAddr, others: &[SocketAddr]) -> Self {
        let location = Location::Addresses([&[first], others].concat());
        Self { location, ..self }
    }

    /// The same resolver at the addresses of this host, which have still to be found.
    #[must_use]
    pub fn with_host(self, host: Host) -> Self {
        let location = Location::Host(host);
        Self { location, ..self }
    }

    /// The same resolver, to which this host authenticates itself.
    #[must_use]
    pub fn with_client_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.parameters.client_certificate = Some(certificate);
        self
    }

    /// The upstream as the user named it, such as `cloudflare` or `9.9.9.9#dns.quad9.net`, without its parameters.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The name of its [`Scheme`]: of the first one, if it has several.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The protocols by which it is reached, in the order of trying. Empty if there is one alone: that of [`Upstream::scheme`].
    pub fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// The protocols by which a resolver is looked for that another one designates, on their usual ports.
    pub(crate) fn usual_protocols(&self) -> Vec<Protocol> {
        if self.protocols.is_empty() {
            vec![Protocol::tls()]
        } else {
            self.protocols.clone()
        }
    }

    /// The names of all its schemes, in the order of trying.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> {
        let single = self.protocols.is_empty().then_some(self.scheme);
        single
            .into_iter()
            .chain(self.protocols.iter().map(Protocol::scheme))
    }

    /// Its schemes as the user writes them, such as `quic+tls`.
    pub fn schemes_text(&self) -> String {
        self.schemes().collect::<Vec<_>>().join("+")
    }

    /// The same resolver by one of its protocols alone, and this address of it on the port of that protocol.
    pub fn by(&self, protocol: &Protocol, addr: SocketAddr) -> (Self, SocketAddr) {
        let on_port = |addr: SocketAddr| with_port(addr, protocol.port());
        let location = match &self.location {
            Location::Addresses(all) => {
                Location::Addresses(all.iter().copied().map(on_port).collect())
            }
            Location::Host(host) => Location::Host(Host {
                name: host.name.clone(),
                port: protocol.port(),
            }),
            Location::DesignatedBy(_) => Location::Addresses(vec![on_port(addr)]),
        };
        // A proxy that finds the address is connected to on its own port.
        let is_of_proxy = self.host().is_some() && self.socks5().is_some();
        let addr = if is_of_proxy { addr } else { on_port(addr) };
        let one = Self {
            label: self.label.clone(),
            scheme: protocol.scheme(),
            protocols: Vec::new(),
            server_name: self.server_name.clone(),
            is_named: self.is_named,
            location,
            path: protocol.path().map(str::to_owned),
            parameters: self.parameters.clone(),
        };
        (one, addr)
    }

    /// The same resolver as it is designated at this address: by these protocols.
    pub(crate) fn designated_at(&self, addr: SocketAddr, protocols: &[Protocol]) -> Self {
        match protocols {
            [] => self.clone(),
            [single] => self.by(single, addr).0,
            [first, ..] => Self {
                scheme: first.scheme(),
                protocols: protocols.to_vec(),
                ..self.clone()
            },
        }
    }

    /// Its addresses on the ports of all its protocols.
    pub(crate) fn addresses_by_all(&self) -> impl Iterator<Item = SocketAddr> {
        let all = self.addresses().iter().copied();
        all.flat_map(|addr| {
            let by = self.protocols.iter();
            let by = by.map(move |protocol| with_port(addr, protocol.port()));
            let single = self.protocols.is_empty().then_some(addr);
            single.into_iter().chain(by)
        })
    }

    /// What its certificate must be for (RFC 8310 section 8): a host name in lower case, or an IP address. `None` where nothing is
    /// authenticated.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The path of its URI, where it is reached over HTTP (RFC 8484 section 3), and in no other way: each [`Protocol`] has its own.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The public keys of which one must be in its chain of certificates (RFC 7858 section 4.2); none: any. In order.
    pub fn pins(&self) -> &[Pin] {
        &self.parameters.pins
    }

    /// Whether its certificate must be valid for [`Upstream::server_name`] and lead to a trusted root. Not if it is given by address and
    /// pins alone, or opportunistic.
    pub fn needs_name(&self) -> bool {
        self.profile() == Profile::Strict && (self.is_named || self.pins().is_empty())
    }

    /// Whether it gets queries when it cannot be authenticated. Default: no.
    pub fn profile(&self) -> Profile {
        self.parameters.profile
    }

    /// The files that hold its client certificate and the private key; both may be the same. Whoever makes the configuration reads them:
    /// [`Upstream::with_client_certificate`].
    pub fn client_files(&self) -> Option<(&str, &str)> {
        let files = self.parameters.client_files.as_ref();
        files.map(|(certificate, key)| (certificate.as_str(), key.as_str()))
    }

    /// By what this host authenticates itself to it, if it asks. Default: nothing.
    pub fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.parameters.client_certificate.as_ref()
    }

    /// Whether queries may leave with the first flight of a resumed connection (RFC 8446 section 2.3), where an observer can repeat them
    /// (appendix E.5). Default: no.
    pub fn early_data(&self) -> bool {
        self.parameters.early_data
    }

    /// The proxy through which it is connected to, and in no other way. Default: none.
    pub fn socks5(&self) -> Option<Socks5> {
        self.parameters.socks5
    }

    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Its addresses, ports included. Empty where they have still to be found: see [`Upstream::host`] and [`Upstream::designated_by`].
    pub fn addresses(&self) -> &[SocketAddr] {
        match &self.location {
            Location::Addresses(addresses) => addresses,
            Location::Host(_) | Location::DesignatedBy(_) => &[],
        }
    }

    /// The host whose addresses a bootstrap resolver has to find, or the proxy of [`Upstream::socks5`].
    pub fn host(&self) -> Option<&Host> {
        match &self.location {
            Location::Host(host) => Some(host),
            Location::Addresses(_) | Location::DesignatedBy(_) => None,
        }
    }

    /// The resolver that is asked, without encryption, where this one is (RFC 9462). Nothing else is asked there.
    pub fn designated_by(&self) -> Option<SocketAddr> {
        match &self.location {
            Location::DesignatedBy(resolver) => Some(*resolver),
            Location::Addresses(_) | Location::Host(_) => None,
        }
    }

    /// The host, if its addresses have to be found here. Its proxy finds them if it has one.
    pub(crate) fn host_to_find(&self) -> Option<&Host> {
        self.host().filter(|_| self.socks5().is_none())
    }

    /// The addresses by which it is connected to: its own, or that of the proxy that alone finds its own. Empty where a look-up has still to
    /// find them.
    pub(crate) fn addresses_to_use(&self) -> Vec<SocketAddr> {
        match (self.host(), self.socks5()) {
            (Some(_), Some(socks5)) => vec![socks5.proxy],
            _ => self.addresses().to_vec(),
        }
    }

    /// Whether its connection is several to the outside, one for each registrable domain.
    pub(crate) fn is_isolating(&self) -> bool {
        self.socks5().is_some_and(|socks5| socks5.isolate)
    }

    /// Whether a look-up has to find its addresses, and finds for both the same ones.
    pub(crate) fn is_looked_up_as(&self, other: &Self) -> bool {
        let is_looked_up = |one: &Self| one.addresses_to_use().is_empty();
        is_looked_up(self) && is_looked_up(other) && self.location == other.location
    }

    /// Whether both are the same server: they share the scheme, the name, and at least one address.
    pub(super) fn is_same_server(&self, other: &Self) -> bool {
        let mut addresses = self.addresses().iter();
        let shares_address = addresses.any(|address| other.addresses().contains(address));
        self.scheme == other.scheme
            && self.protocols == other.protocols
            && self.server_name == other.server_name
            && self.path == other.path
            && (shares_address || (self.addresses().is_empty() && self.location == other.location))
    }
}

/// The same address on another port.
fn with_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}

impl From<&Provider> for Upstream {
    fn from(provider: &Provider) -> Self {
        let addresses = provider.ips().map(|ip| SocketAddr::new(ip, TLS_PORT));
        let server_name = Some(provider.server_name.to_owned());
        Self::known(provider.name, "tls", server_name, addresses.collect())
    }
}

/// Separates the path from what stands before it, where the scheme has one.
fn split_path(place: &str, has_path: bool) -> Result<(&str, Option<String>), String> {
    let at = place.find('/').unwrap_or(place.len());
    if !has_path {
        return if at < place.len() {
            Err("a path is for https:// alone".to_owned())
        } else {
            Ok((place, None))
        };
    }
    let (place, path) = place.split_at(at);
    let path = if path.is_empty() { USUAL_PATH } else { path };
    if let Some(wrong) = wrong_in_path(path) {
        return Err(format!("the path {path:?} has the character {wrong:?}"));
    }
    Ok((place, Some(path.to_owned())))
}

/// Reads what follows `ddr://`. The certificate must be valid for the address itself (RFC 9462 section 4.2).
fn read_designating(
    spec: &str,
    text: &str,
    schemes: &[&Scheme],
    parameters: Parameters,
) -> Result<Upstream, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains('#') {
        return Err(
            "the certificate must be for the address itself, so #NAME has no meaning behind ddr://"
                .to_owned(),
        );
    }
    if parameters.profile != Profile::Strict {
        return Err(
            "profile=opportunistic is not for ddr://: anybody on the path could name another server"
                .to_owned(),
        );
    }
    if parameters.socks5.is_some() {
        return Err(
            "socks5 is not for ddr://: the resolver would be asked beside the proxy: write IP#NAME or tls://NAME".to_owned(),
        );
    }
    let resolver = server_address(text, DNS_PORT)
        .map_err(|why| format!("ddr:// needs the IP address of a resolver: {why}"))?;
    if resolver.port() == TLS_PORT {
        return Err(
            "port 853 is for DNS over TLS only; the discovery is asked without encryption"
                .to_owned(),
        );
    }
    let usual = schemes.iter().map(|scheme| Protocol::usual(scheme));
    let protocols = usual.filter(|_| schemes.len() > 1).collect();
    Ok(Upstream {
        label: spec.to_owned(),
        scheme: schemes.first().map_or("tls", |scheme| scheme.name),
        protocols,
        server_name: Some(resolver.ip().to_string()),
        // Pins alone do not do: the address is what ties the server to the resolver that was asked.
        is_named: true,
        location: Location::DesignatedBy(resolver),
        path: None,
        parameters,
    })
}

/// Only an explicit scheme lets a bare word be a host name.
fn read(
    spec: &str,
    more_parameters: &[(&str, &str)],
    schemes: &[Scheme],
) -> Result<Upstream, String> {
    let spec = &*spec.replacen(TEMPLATE, "", 1);
    let (spec, parameters) = spec
        .split_once('?')
        .map_or((spec, None), |(spec, parameters)| (spec, Some(parameters)));
    let (before, text) = spec.split_once("://").unwrap_or(("tls", spec));
    let is_designated = before.eq_ignore_ascii_case(DDR);
    let names = if is_designated { "tls" } else { before };
    let (scheme, protocols) = protocols::read(names, text, schemes)?;
    let written = parameters.into_iter().flat_map(pairs);
    let used: Vec<&Scheme> = if protocols.is_empty() {
        vec![scheme]
    } else {
        let of = |protocol: &Protocol| protocols::find(protocol.scheme(), "", schemes);
        protocols.iter().map(of).collect::<Result<_, _>>()?
    };
    if let Some((before, name)) = parameters.and_then(|text| text.rsplit_once('#')) {
        return Err(name_is_behind(spec, before, name, &used));
    }
    let given: Vec<(&str, &str)> = written.chain(more_parameters.iter().copied()).collect();
    let parameters = Parameters::read(given.iter().copied(), &used)?;
    if is_designated {
        // Only the protocols with which everything can be obeyed that is asked for. DNS over TLS is among them.
        let obeys = |scheme: &&Scheme| Parameters::read(given.iter().copied(), &[*scheme]).is_ok();
        let mut used: Vec<&Scheme> = designated(schemes).into_iter().filter(obeys).collect();
        if Parameters::read(given.iter().copied(), &used).is_err() {
            used = vec![scheme];
        }
        return read_designating(spec, text, &used, parameters);
    }
    if let Some(provider) = providers::find(spec) {
        return Ok(Upstream {
            parameters,
            ..provider.into()
        });
    }
    let explicit = text.len() < spec.len();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    let (place, name) = text
        .split_once('#')
        .map_or((text, None), |(place, name)| (place, Some(name)));
    if name.is_some() && !scheme.encrypted {
        return Err(format!(
            "{}:// authenticates no server, so #NAME has no meaning there",
            scheme.name
        ));
    }
    let has_path = used.iter().any(|scheme| scheme.name == HTTPS);
    let (place, path) = split_path(place, has_path)?;
    let (host, digits) = split_port(place)?;
    if let (Some(digits), false) = (digits, protocols.is_empty()) {
        return Err(port_of_which(digits, &protocols));
    }
    let first_port = protocols.first().map_or(scheme.port, Protocol::port);
    let is_address = place.starts_with('[') || host.contains(':') || looks_numeric(host);
    let is_named = name.is_some() || !is_address;
    let (port, server_name, location) = if is_address {
        let address = server_address(place, first_port)?;
        let server_name = match name {
            Some(name) => authentication_name(name)?,
            None => address.ip().to_string(),
        };
        let location = Location::Addresses(vec![address]);
        (address.port(), server_name, location)
    } else {
        let port = digits.map_or(Ok(first_port), port)?;
        if !explicit {
            return Err(unknown_provider(host, place));
        } else if !scheme.encrypted {
            return Err(format!("{}:// needs an IP address", scheme.name));
        } else if let Some(provider) = providers::find(host) {
            return Err(is_provider(provider, before));
        } else if name.is_some() {
            let reason = "#NAME may follow an IP address only: a host name is itself the name in the certificate";
            return Err(reason.to_owned());
        }
        let name = host_name(host)?;
        let host = Host {
            name: name.clone(),
            port,
        };
        (port, name, Location::Host(host))
    };
    check_port(port, scheme)?;
    for (protocol, scheme) in protocols.iter().zip(&used) {
        check_port(protocol.port(), scheme)?;
    }
    let with_path = |protocol: Protocol| protocol.with_path(path.clone());
    let protocols: Vec<Protocol> = protocols.into_iter().map(with_path).collect();
    let path = path.filter(|_| protocols.is_empty());
    Ok(Upstream {
        label: spec.to_owned(),
        scheme: scheme.name,
        protocols,
        server_name: scheme.encrypted.then_some(server_name),
        is_named,
        location,
        path,
        parameters,
    })
}

/// Digits and dots are an IP address, even if a mistyped one, and never a host name.
fn looks_numeric(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn unknown_provider(word: &str, place: &str) -> String {
    if word.contains('.') {
        if let Err(why) = host_name(word) {
            return why;
        }
        return format!(
            "is a host name: write IP#{word}, or tls://{place} together with a bootstrap resolver"
        );
    }
    let hint = providers::closest(word).map_or_else(
        || "`dotward providers` lists those it knows".to_owned(),
        |provider| format!("did you mean {}?", provider.name),
    );
    format!("there is no provider of this name; {hint}")
}

/// What is wrong with these parameters, or else that the name stands behind them.
fn name_is_behind(spec: &str, parameters: &str, name: &str, used: &[&Scheme]) -> String {
    match Parameters::read(pairs(parameters), used) {
        Err(why) => why,
        Ok(_) => {
            format!("#NAME stands before the parameters: write {spec}#{name}?{parameters}")
        }
    }
}

/// What to write in the place of the name of a provider behind these schemes.
fn is_provider(provider: &Provider, schemes: &str) -> String {
    let (name, server_name) = (provider.name, provider.server_name);
    let ip = provider.addresses.first().copied().unwrap_or("IP");
    format!("{name} is a provider: write {schemes}://{ip}#{server_name}, or {name}")
}

/// The name in a certificate: a host name, or an IP address (RFC 8310 section 8.1).
fn authentication_name(name: &str) -> Result<String, String> {
    name.parse::<IpAddr>()
        .map_or_else(|_| host_name(name), |ip| Ok(ip.to_string()))
}

/// RFC 7858 section 3.1: no unencrypted DNS on the port of DNS over TLS, and no TLS on the port of unencrypted DNS.
fn check_port(port: u16, scheme: &Scheme) -> Result<(), String> {
    match (port, scheme.encrypted) {
        (DNS_PORT, true) => {
            let (service, port) = match scheme.name {
                HTTPS => ("HTTPS", scheme.port),
                QUIC => ("QUIC", scheme.port),
                _ => ("TLS", TLS_PORT),
            };
            Err(format!(
                "port 53 is for unencrypted DNS; DNS over {service} is on port {port}"
            ))
        }
        (TLS_PORT, false) => Err("port 853 is for DNS over TLS only".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The same in every build, whatever its features.
    pub(crate) const SCHEMES: &[Scheme] = &[
        Scheme {
            name: "tls",
            port: 853,
            encrypted: true,
        },
        Scheme {
            name: "tcp",
            port: 53,
            encrypted: false,
        },
        Scheme {
            name: "udp",
            port: 53,
            encrypted: false,
        },
        Scheme {
            name: "https",
            port: 443,
            encrypted: true,
        },
        Scheme {
            name: "quic",
            port: 853,
            encrypted: true,
        },
    ];

    fn upstream(spec: &str) -> Upstream {
        Upstream::parse(spec, SCHEMES).unwrap()
    }

    fn error(spec: &str) -> String {
        let error = Upstream::parse(spec, SCHEMES).unwrap_err();
        assert_eq!((error.setting, error.value.as_str()), ("upstream", spec));
        error.reason
    }

    #[test]
    fn every_form_with_an_address_is_read() {
        for (spec, address, name) in [
            ("9.9.9.9#dns.quad9.net", "9.9.9.9:853", "dns.quad9.net"),
            (
                "9.9.9.9:8853#Dns.Quad9.Net.",
                "9.9.9.9:8853",
                "dns.quad9.net",
            ),
            (
                "[2620:fe::fe]:8853#dns.quad9.net",
                "[2620:fe::fe]:8853",
                "dns.quad9.net",
            ),
            (
                "[2620:fe::fe]#dns.quad9.net",
                "[2620:fe::fe]:853",
                "dns.quad9.net",
            ),
            (
                "2620:fe::fe#dns.quad9.net",
                "[2620:fe::fe]:853",
                "dns.quad9.net",
            ),
            (
                "tls://9.9.9.9#dns.quad9.net",
                "9.9.9.9:853",
                "dns.quad9.net",
            ),
            (
                "tls://[2620:fe::fe]:853#dns.quad9.net",
                "[2620:fe::fe]:853",
                "dns.quad9.net",
            ),
            // As in the configuration of unbound.
            ("9.9.9.9@853#dns.quad9.net", "9.9.9.9:853", "dns.quad9.net"),
            (
                "2620:fe::fe@8853#dns.quad9.net",
                "[2620:fe::fe]:8853",
                "dns.quad9.net",
            ),
            (
                "TLS://9.9.9.9#dns.quad9.net",
                "9.9.9.9:853",
                "dns.quad9.net",
            ),
            ("9.9.9.9", "9.9.9.9:853", "9.9.9.9"),
            ("tls://9.9.9.9:8853", "9.9.9.9:8853", "9.9.9.9"),
            ("tls://2620:fe:0::fe", "[2620:fe::fe]:853", "2620:fe::fe"),
            ("10.0.0.1#9.9.9.9", "10.0.0.1:853", "9.9.9.9"),
        ] {
            let addresses = vec![address.parse().unwrap()];
            let expected = Upstream {
                is_named: spec.contains('#'),
                ..Upstream::known(spec, "tls", Some(name.to_owned()), addresses)
            };
            assert_eq!(upstream(spec), expected);
        }
    }

    #[test]
    fn a_name_is_left_to_the_bootstrap() {
        for (spec, port) in [
            ("tls://DNS.quad9.net", 853),
            ("tls://dns.quad9.net:8853", 8853),
        ] {
            let upstream = upstream(spec);
            assert_eq!(
                upstream.host(),
                Host::new("dns.quad9.net", port).ok().as_ref()
            );
            assert_eq!(upstream.server_name(), Some("dns.quad9.net"));
            assert!(upstream.addresses().is_empty());
        }
    }

    #[test]
    fn the_uri_of_a_server_has_a_path() {
        for (spec, at, name, path) in [
            (
                "https://Dns.Quad9.Net/dns-query",
                Err(443),
                "dns.quad9.net",
                "/dns-query",
            ),
            (
                "HTTPS://dns.quad9.net",
                Err(443),
                "dns.quad9.net",
                "/dns-query",
            ),
            (
                "https://dns.quad9.net:8443/",
                Err(8443),
                "dns.quad9.net",
                "/",
            ),
            (
                "https://dns.test/a/B-c~%20",
                Err(443),
                "dns.test",
                "/a/B-c~%20",
            ),
            ("https://dns.test/q{?dns}", Err(443), "dns.test", "/q"),
            (
                "https://9.9.9.9/dns-query#dns.quad9.net",
                Ok("9.9.9.9:443"),
                "dns.quad9.net",
                "/dns-query",
            ),
            (
                "https://9.9.9.9#dns.quad9.net",
                Ok("9.9.9.9:443"),
                "dns.quad9.net",
                "/dns-query",
            ),
            (
                "https://9.9.9.9:8443/x",
                Ok("9.9.9.9:8443"),
                "9.9.9.9",
                "/x",
            ),
            (
                "https://[2620:fe::fe]/dns-query",
                Ok("[2620:fe::fe]:443"),
                "2620:fe::fe",
                "/dns-query",
            ),
        ] {
            let upstream = upstream(spec);
            let label = spec.replace(TEMPLATE, "");
            assert_eq!((upstream.scheme(), upstream.label()), ("https", &*label));
            assert_eq!(upstream.server_name(), Some(name), "{spec}");
            assert_eq!(upstream.path(), Some(path), "{spec}");
            match at {
                Ok(at) => assert_eq!(upstream.addresses(), [at.parse().unwrap()], "{spec}"),
                Err(port) => assert_eq!(upstream.host().map(Host::port), Some(port), "{spec}"),
            }
        }
        let [one, other] = ["https://9.9.9.9/a", "https://9.9.9.9/b"].map(upstream);
        assert!(!one.is_same_server(&other) && one.is_same_server(&one));
        let tls = upstream("tls://9.9.9.9");
        assert_eq!(tls.path(), None);
        let pin = "MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        let pinned = upstream(&format!("https://9.9.9.9/q?pin-sha256={pin}"));
        assert_eq!((pinned.path(), pinned.pins().len()), (Some("/q"), 1));
        for (spec, reason) in [
            ("https://", "is empty"),
            ("https:///dns-query", "the name is empty"),
            ("https://dns.test/a b", "has the character ' '"),
            ("https://dns.test/{name}", "has the character '{'"),
            ("https://dns.test/ü", "has the character 'ü'"),
            (
                "https://dns.test:53/dns-query",
                "DNS over HTTPS is on port 443",
            ),
            (
                "https://dns.test/dns-query#dns.test",
                "#NAME may follow an IP address only",
            ),
            ("tls://dns.test/dns-query", "a path is for https:// alone"),
        ] {
            let error = error(spec);
            assert!(error.contains(reason), "{spec}: {error}");
        }
    }

    #[test]
    fn a_server_of_quic_has_no_path() {
        for (spec, at, name) in [
            ("quic://dns.test", Err(853), "dns.test"),
            ("quic://dns.test:8853", Err(8853), "dns.test"),
            (
                "quic://94.140.14.14#dns.test",
                Ok("94.140.14.14:853"),
                "dns.test",
            ),
            (
                "quic://94.140.14.14",
                Ok("94.140.14.14:853"),
                "94.140.14.14",
            ),
            (
                "quic://[2001:db8::1]:784#dns.test",
                Ok("[2001:db8::1]:784"),
                "dns.test",
            ),
        ] {
            let upstream = upstream(spec);
            assert_eq!((upstream.scheme(), upstream.label()), ("quic", spec));
            assert_eq!(upstream.server_name(), Some(name), "{spec}");
            assert_eq!(upstream.path(), None);
            match at {
                Ok(at) => assert_eq!(upstream.addresses(), [at.parse().unwrap()], "{spec}"),
                Err(port) => assert_eq!(upstream.host().map(Host::port), Some(port), "{spec}"),
            }
        }
        assert!(error("quic://dns.test/dns-query").contains("a path is for https:// alone"));
        assert!(error("quic://dns.test:53").contains("DNS over QUIC is on port 853"));
    }

    #[test]
    fn a_resolver_may_designate_another_one() {
        // req 89
        let pin = "ddr://192.0.2.1?pin-sha256=MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        for (spec, resolver, name) in [
            ("ddr://192.0.2.1", "192.0.2.1:53", "192.0.2.1"),
            (pin, "192.0.2.1:53", "192.0.2.1"),
            ("DDR://192.0.2.1:5300", "192.0.2.1:5300", "192.0.2.1"),
            ("ddr://192.0.2.1@5300", "192.0.2.1:5300", "192.0.2.1"),
            ("ddr://[2001:db8:0::1]", "[2001:db8::1]:53", "2001:db8::1"),
            ("ddr://2001:db8::1", "[2001:db8::1]:53", "2001:db8::1"),
            ("ddr://[::ffff:192.0.2.1]", "192.0.2.1:53", "192.0.2.1"),
            ("ddr://[fe80::1%2]:5300", "[fe80::1%2]:5300", "fe80::1"),
        ] {
            let upstream = upstream(spec);
            assert_eq!(upstream.designated_by(), resolver.parse().ok(), "{spec}");
            assert_eq!(upstream.schemes_text(), "quic+tls+https");
            assert_eq!(upstream.server_name(), Some(name));
            assert_eq!((upstream.addresses(), upstream.host()), (&[][..], None));
            assert!(upstream.needs_name());
        }
        // What only one protocol can do leaves the others out, and a build may have one alone.
        let early = upstream("ddr://192.0.2.1?early-data=true");
        let only_tls = Upstream::parse("ddr://192.0.2.1", &SCHEMES[..3]).unwrap();
        for one in [&early, &only_tls] {
            assert_eq!(
                (one.schemes_text().as_str(), one.protocols()),
                ("tls", &[][..])
            );
        }
        let [one, other] = ["ddr://192.0.2.1", "ddr://192.0.2.2"].map(upstream);
        assert!(one.is_same_server(&upstream("ddr://192.0.2.1:53")) && !one.is_same_server(&other));
        assert!(!one.is_same_server(&upstream("tls://192.0.2.1")));
    }

    // req 111
    #[test]
    fn a_server_may_have_several_protocols() {
        let told = |upstream: &Upstream| {
            let told = upstream.protocols().iter().map(|protocol| {
                let (scheme, port) = (protocol.scheme(), protocol.port());
                format!("{scheme} {port} {}", protocol.path().unwrap_or("-"))
            });
            told.collect::<Vec<_>>().join(", ")
        };
        for (spec, expected, name) in [
            (
                "quic+tls+https://Dns.test/q",
                "quic 853 -, tls 853 -, https 443 /q",
                "dns.test",
            ),
            (
                "https+tls://192.0.2.1#dns.test",
                "https 443 /dns-query, tls 853 -",
                "dns.test",
            ),
            (
                "TLS:8853+https:8443://[2001:db8::1]/q",
                "tls 8853 -, https 8443 /q",
                "2001:db8::1",
            ),
        ] {
            let upstream = upstream(spec);
            assert_eq!(told(&upstream), expected, "{spec}");
            assert_eq!((upstream.label(), upstream.path()), (spec, None));
            assert_eq!(upstream.server_name(), Some(name));
            assert!(upstream.needs_name());
        }
        let several = upstream(
            "https:8443+tls://192.0.2.1/q#dns.test?pin-sha256=MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=",
        );
        let addr = several.addresses()[0];
        assert_eq!((several.scheme(), addr.port()), ("https", 8443));
        let all: Vec<u16> = several.addresses_by_all().map(|addr| addr.port()).collect();
        assert_eq!(all, [8443, 853]);
        // By one of them it is what it would be with that alone.
        let by = |at: usize| several.by(&several.protocols()[at], addr);
        let ((https, at_https), (tls, at_tls)) = (by(0), by(1));
        assert_eq!((at_https.port(), at_tls.port()), (8443, 853));
        assert_eq!((https.scheme(), https.path()), ("https", Some("/q")));
        let alone = "192.0.2.1#dns.test?pin-sha256=MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        assert_eq!(tls, upstream(alone).with_label(several.label()));
        assert!(!several.is_same_server(&upstream(alone)) && several.is_same_server(&several));
        let named = upstream("tls+https:8443://dns.test?socks5=192.0.2.9:9050");
        let proxy = named.addresses_to_use()[0];
        let (https, at) = named.by(&named.protocols()[1], proxy);
        assert_eq!((https.host().map(Host::port), at), (Some(8443), proxy));
    }

    // req 111, fault 86
    #[test]
    fn mistakes_with_several_protocols_are_named() {
        for (spec, reason) in [
            (
                "quic+tls://192.0.2.1:8853",
                "has several protocols, so that the port 8853 could be meant for any: write it behind the name of its protocol, as in \
                 quic:8853+tls://HOST",
            ),
            ("https+tls://dns.test:443/q", "as in https:443+tls://HOST"),
            (
                "tls:8853://192.0.2.1",
                "with one protocol the port stands behind the host: write tls://HOST:8853",
            ),
            (
                "https:443:443://1.1.1.1",
                "the port \"443:443\" is not a number",
            ),
            ("tls:853:853+https://1.1.1.1", "the port \"853:853\" is not"),
            (
                "quic+tls://9.9.9.9/dns-query",
                "a path is for https:// alone",
            ),
            (
                "tls+https://quad9",
                "quad9 is a provider: write tls+https://9.9.9.9#dns.quad9.net, or quad9",
            ),
            ("tls:x+https://dns.test", r#"the port "x" is not a number"#),
            ("tls+tls://dns.test", "tls is given twice"),
            (
                "tls+tcp://192.0.2.1",
                "tcp:// does not encrypt, so it is not one of several",
            ),
            (
                "ddr+tls://192.0.2.1",
                "finds the protocols of a resolver by itself",
            ),
            (
                "tls+ddr://192.0.2.1",
                "finds the protocols of a resolver by itself",
            ),
            ("tls+htps://dns.test", "did you mean https?"),
            ("+tls://dns.test", "there is no scheme ://"),
            ("tls:53+https://dns.test", "DNS over TLS is on port 853"),
            ("quic+tls://dns.test/q", "a path is for https:// alone"),
            (
                "quic+tls://192.0.2.1?socks5=127.0.0.1",
                "socks5 is not for quic://",
            ),
            (
                "https+tls://192.0.2.1?early-data=true",
                "early-data is for tls:// and quic:// alone",
            ),
        ] {
            let error = error(spec);
            assert!(error.contains(reason), "{spec}: {error}");
        }
        let without_doq = Upstream::parse("quic+tls://192.0.2.1", &SCHEMES[..3]).unwrap_err();
        assert!(
            without_doq.reason.contains("takes the feature doq"),
            "{without_doq}"
        );
    }

    #[test]
    fn conventional_dns_has_no_name() {
        let udp = upstream("udp://192.0.2.1");
        assert_eq!((udp.scheme(), udp.server_name()), ("udp", None));
        assert_eq!(udp.addresses(), ["192.0.2.1:53".parse().unwrap()]);
        let plain = upstream("tcp://192.0.2.1");
        assert_eq!(
            (plain.scheme(), plain.server_name(), plain.host()),
            ("tcp", None, None)
        );
        assert_eq!(plain.addresses(), ["192.0.2.1:53".parse().unwrap()]);
        assert_eq!(
            upstream("tcp://[2001:db8::1]:5300").addresses(),
            ["[2001:db8::1]:5300".parse().unwrap()]
        );
    }

    #[test]
    fn a_provider_brings_name_and_addresses() {
        let quad9 = upstream("quad9");
        assert_eq!((quad9.label(), quad9.scheme()), ("quad9", "tls"));
        assert_eq!(quad9.server_name(), Some("dns.quad9.net"));
        assert_eq!(
            quad9.addresses().first(),
            Some(&"9.9.9.9:853".parse().unwrap())
        );
        assert_eq!(upstream("Quad9"), quad9);
    }

    #[test]
    fn ports_keep_to_their_protocol() {
        // req 73
        for spec in [
            "9.9.9.9:53#dns.quad9.net",
            "tls://9.9.9.9:53",
            "tls://dns.quad9.net:53",
            "[2620:fe::fe]:53#a.test",
        ] {
            assert_eq!(
                error(spec),
                "port 53 is for unencrypted DNS; DNS over TLS is on port 853"
            );
        }
        assert_eq!(
            error("tcp://9.9.9.9:853"),
            "port 853 is for DNS over TLS only"
        );
    }

    #[test]
    fn unknown_providers_and_schemes_are_named() {
        // fault 86
        assert_eq!(
            error("clodflare"),
            "there is no provider of this name; did you mean cloudflare?"
        );
        assert_eq!(
            error("resolver"),
            "there is no provider of this name; `dotward providers` lists those it knows"
        );
        assert!(
            error("dns.quad9.net")
                .contains("write IP#dns.quad9.net, or tls://dns.quad9.net together with")
        );
        assert!(error("dns.quad9.net:853").contains("or tls://dns.quad9.net:853"));
        assert_eq!(
            error("sdns://dns.google"),
            "there is no scheme sdns:// in this program; it knows tls://, tcp://, udp://, https://, quic://, ddr://"
        );
        assert!(error("tlss://dns.google").ends_with("; did you mean tls?"));
        for (spec, told) in [
            (
                "dot://dns.google",
                "dot:// is no scheme: write tls://dns.google",
            ),
            ("doh://dns.google/q", "write https://dns.google/q"),
            ("DoQ://dns.test:853", "write quic://dns.test:853"),
            (
                "h3://dns.google",
                "write https://dns.google (dotward speaks HTTP/2",
            ),
            (
                "http://192.0.2.1/q#a.test",
                "write https://192.0.2.1/q#a.test (no query",
            ),
        ] {
            assert!(error(spec).contains(told), "{spec}: {}", error(spec));
        }
        // req 106
        for (spec, feature) in [("https://dns.test", "doh"), ("QUIC://dns.test", "doq")] {
            let error = Upstream::parse(spec, SCHEMES.get(..3).unwrap()).unwrap_err();
            let told = format!("takes the feature {feature}, which this build of dotward lacks");
            assert!(error.reason.contains(&told), "{error}");
            let remedy = format!("`cargo build --release --features {feature}`");
            assert!(error.reason.contains(&remedy), "{error}");
        }
        let without_tls = Upstream::parse("quad9", SCHEMES.get(1..).unwrap()).unwrap_err();
        assert!(
            without_tls.reason.contains("no scheme tls://"),
            "{without_tls}"
        );
    }

    #[test]
    fn mistakes_are_named() {
        // fault 86
        for (spec, reason) in [
            ("", "is empty"),
            ("tls://", "is empty"),
            ("9.9.9.9:0#dns.quad9.net", r#"the port "0" is not"#),
            ("9.9.9.9:99999#dns.quad9.net", r#"the port "99999" is not"#),
            ("tls://dns.quad9.net:x", r#"the port "x" is not"#),
            ("9.9.9.9#", "the name is empty"),
            ("9.9.9.9#a..b", "is not a host name"),
            ("9.9.9.9#dns.quad9.net#x", "is not a host name"),
            (
                "9.9.9.256#dns.quad9.net",
                r#""9.9.9.256" is not an IP address"#,
            ),
            ("9.9.9#dns.quad9.net", r#""9.9.9" is not an IP address"#),
            ("[2620:fe::fe#dns.quad9.net", "[ is not closed"),
            ("tls://[dns.quad9.net]", "is not an IP address"),
            (
                "tls://dns.quad9.net#dns.quad9.net",
                "#NAME may follow an IP address only",
            ),
            ("tls://dns_quad9 net", "is not a host name"),
            ("tcp://192.0.2.1#a.test", "authenticates no server"),
            ("tcp://a.test", "needs an IP address"),
            ("udp://192.0.2.1#a.test", "authenticates no server"),
            ("udp://a.test", "needs an IP address"),
            ("0.0.0.0#a.test", "not the address of one server"),
            ("ddr://", "is empty"),
            ("ddr://dns.test", "needs the IP address of a resolver"),
            ("ddr://0.0.0.0", "not the address of one server"),
            ("ddr://192.0.2.1#dns.test", "must be for the address itself"),
            ("ddr://192.0.2.1:853", "port 853 is for DNS over TLS only"),
            ("ddr://192.0.2.1?profile=opportunistic", "is not for ddr://"),
            ("ddr://192.0.2.1?socks5=127.0.0.1:9050", "is not for ddr://"),
        ] {
            let error = error(spec);
            assert!(error.contains(reason), "{spec}: {error}");
        }
    }

    #[test]
    fn parameters_follow_any_form() {
        let pin = "MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        let pinned = |form: &str| upstream(&format!("{form}?pin-sha256={pin}"));
        for (form, needs_name) in [
            ("9.9.9.9#dns.quad9.net", true),
            ("9.9.9.9#9.9.9.9", true),
            ("tls://dns.quad9.net", true),
            ("quad9", true),
            ("9.9.9.9", false),
            ("tls://[2620:fe::fe]:8853", false),
        ] {
            let upstream = pinned(form);
            assert_eq!(upstream.label(), form);
            assert_eq!(upstream.pins(), [pin.parse().unwrap()], "{form}");
            assert_eq!(upstream.needs_name(), needs_name, "{form}");
        }
        assert!(upstream("9.9.9.9").needs_name());
        let opportunistic = upstream("9.9.9.9#dns.quad9.net?profile=opportunistic");
        assert_eq!(opportunistic.profile(), Profile::Opportunistic);
        assert!(!opportunistic.needs_name());
        assert_eq!(
            error("9.9.9.9?profile=strict#dns.quad9.net"),
            "#NAME stands before the parameters: write 9.9.9.9#dns.quad9.net?profile=strict"
        );
        assert!(error("https://9.9.9.9/q?x=y#dns.quad9.net").contains("has no parameter \"x\""));
        assert!(error("quad9?").starts_with(r#"has no parameter """#));
    }

    #[test]
    fn every_row_is_an_upstream_that_authenticates() {
        // req 74, req 75
        for provider in providers::PROVIDERS {
            let upstream = Upstream::from(provider);
            assert_eq!(
                (upstream.scheme(), upstream.label()),
                ("tls", provider.name)
            );
            assert_eq!(upstream.server_name(), Some(provider.server_name));
            assert!(!upstream.addresses().is_empty());
        }
    }
}
