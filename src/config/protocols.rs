//! The protocols by which one upstream is reached, and how people write several of them.

use super::scheme::Scheme;
use super::text::port;
use super::{TLS_PORT, hint, lacking};

/// The scheme of DNS over HTTPS, whose upstreams have a path.
pub(super) const HTTPS: &str = "https";
/// The scheme of DNS over QUIC.
pub(super) const QUIC: &str = "quic";
/// The word for resolvers that another one designates, in the place of a scheme.
pub(super) const DDR: &str = "ddr";
/// The schemes by which those are reached, in the order of trying where nothing says which comes first: DNS over QUIC takes the fewest round
/// trips, and DNS over HTTPS the most octets.
pub(super) const DESIGNATED: [&str; 3] = [QUIC, "tls", HTTPS];
/// The path that most servers have (RFC 8484 section 4.1.1 shows it).
pub(super) const USUAL_PATH: &str = "/dns-query";
/// What a URI template has behind the path (RFC 8484 section 3), as servers are announced. It stands for nothing in a request by POST.
pub(super) const TEMPLATE: &str = "{?dns}";

/// A protocol by which an upstream of several protocols is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol {
    scheme: &'static str,
    port: u16,
    path: Option<String>,
}

impl Protocol {
    /// By this scheme on its usual port, and with the usual path if the scheme has one.
    pub(crate) fn usual(scheme: &Scheme) -> Self {
        Self {
            scheme: scheme.name,
            port: scheme.port,
            path: (scheme.name == HTTPS).then(|| USUAL_PATH.to_owned()),
        }
    }

    /// DNS over TLS on its usual port.
    pub(crate) fn tls() -> Self {
        Self {
            scheme: "tls",
            port: TLS_PORT,
            path: None,
        }
    }

    /// The same on this port.
    #[must_use]
    pub(crate) fn on_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The same with this path, if it has one at all.
    #[must_use]
    pub(crate) fn with_path(self, path: Option<String>) -> Self {
        let path = self.path.and(path);
        Self { path, ..self }
    }

    /// The name of its [`Scheme`].
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of its URI, where it is spoken over HTTP (RFC 8484 section 3).
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
}

/// Reads what precedes `://`, where this stands behind it: the name of a scheme, or several with `+` between them, each perhaps with a port of its own. The protocols are
/// in this order; none for a single scheme, whose port stands behind the host.
pub(super) fn read<'s>(
    text: &str,
    behind: &str,
    schemes: &'s [Scheme],
) -> Result<(&'s Scheme, Vec<Protocol>), String> {
    let mut parts = text.split('+');
    let (first, others) = (parts.next().unwrap_or_default(), parts.clone().count());
    if others == 0 {
        if let Some((name, digits)) = first.split_once(':')
            && let Ok(scheme) = find(name, "", schemes)
        {
            let (name, digits) = (scheme.name, port(digits)?);
            return Err(format!(
                "with one protocol the port stands behind the host: write {name}://HOST:{digits}"
            ));
        }
        return Ok((find(first, behind, schemes)?, Vec::new()));
    }
    let mut protocols: Vec<Protocol> = Vec::new();
    for part in text.split('+') {
        let (name, digits) = part
            .split_once(':')
            .map_or((part, None), |(name, digits)| (name, Some(digits)));
        if name.eq_ignore_ascii_case(DDR) {
            return Err(
                "ddr:// finds the protocols of a resolver by itself, so no other stands beside it"
                    .to_owned(),
            );
        }
        let scheme = find(name, "", schemes)?;
        let name = scheme.name;
        if !scheme.encrypted {
            return Err(format!(
                "{name}:// does not encrypt, so it is not one of several protocols: write {name}:// alone, or leave it out"
            ));
        }
        if protocols.iter().any(|known| known.scheme == name) {
            return Err(format!("{name} is given twice"));
        }
        let usual = Protocol::usual(scheme);
        protocols.push(match digits {
            Some(digits) => usual.on_port(port(digits)?),
            None => usual,
        });
    }
    Ok((
        find(first.split(':').next().unwrap_or_default(), "", schemes)?,
        protocols,
    ))
}

/// What others call a scheme: that, the scheme, and what is to be known beside it.
const OTHER_NAMES: [(&str, &str, &str); 6] = [
    ("dot", "tls", ""),
    ("doh", HTTPS, ""),
    ("h2", HTTPS, ""),
    ("h3", HTTPS, " (dotward speaks HTTP/2 there, and no HTTP/3)"),
    ("http", HTTPS, " (no query is sent by HTTP without TLS)"),
    ("doq", QUIC, ""),
];
/// Schemes that not every build has, and their features.
const OPTIONAL: [(&str, &str); 2] = [(HTTPS, "doh"), (QUIC, "doq")];

/// The scheme of this name. `text` is what follows the name, for what to write instead.
pub(super) fn find<'s>(
    name: &str,
    text: &str,
    schemes: &'s [Scheme],
) -> Result<&'s Scheme, String> {
    let is_meant = |known: &str| known.eq_ignore_ascii_case(name);
    schemes
        .iter()
        .find(|scheme| is_meant(scheme.name))
        .ok_or_else(|| {
            if let Some((scheme, feature)) = OPTIONAL.iter().find(|(scheme, _)| is_meant(scheme)) {
                return format!("{scheme}:// {}", lacking(feature));
            }
            if let Some((other, scheme, remark)) =
                OTHER_NAMES.iter().find(|(other, ..)| is_meant(other))
            {
                let text = text.escape_debug();
                return format!("{other}:// is no scheme: write {scheme}://{text}{remark}");
            }
            let known = schemes.iter().map(|scheme| scheme.name);
            let designated = !designated(schemes).is_empty();
            let known = known.chain(designated.then_some(DDR));
            let shown: Vec<String> = known.clone().map(|name| format!("{name}://")).collect();
            format!(
                "there is no scheme {}:// in this program; it knows {}{}",
                name.escape_debug(),
                shown.join(", "),
                hint(name, known)
            )
        })
}

/// Those of the schemes by which designated resolvers are reached, in the order of trying. None where DNS over TLS is not among them, without
/// which no resolver is looked for.
pub(super) fn designated(schemes: &[Scheme]) -> Vec<&Scheme> {
    let there = |name: &str| schemes.iter().find(|scheme| scheme.name == name);
    if there("tls").is_none() {
        return Vec::new();
    }
    DESIGNATED.into_iter().filter_map(there).collect()
}

/// What is wrong with a port behind the host of an upstream with several protocols.
pub(super) fn port_of_which(digits: &str, protocols: &[Protocol]) -> String {
    let names: Vec<&str> = protocols.iter().map(Protocol::scheme).collect();
    let (first, rest) = names.split_first().unwrap_or((&"tls", &[]));
    let rest: Vec<&str> = [""].iter().chain(rest).copied().collect();
    let rest = rest.join("+");
    format!(
        "has several protocols, so that the port {digits} could be meant for any: write it behind the name of its protocol, as in {first}:{digits}{rest}://HOST"
    )
}

/// The path of a URI template that is relative to its server (RFC 9461 section 5). `None` if it is another one than this program can use.
pub(crate) fn path_of_template(template: &str) -> Option<String> {
    let path = template.replacen(TEMPLATE, "", 1);
    let is_usable = path.len() < template.len() && path.starts_with('/');
    (is_usable && wrong_in_path(&path).is_none()).then_some(path)
}

/// The first character that no path has (RFC 3986 section 3.3).
pub(super) fn wrong_in_path(path: &str) -> Option<char> {
    let is_of_paths =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    path.chars()
        .find(|c| !c.is_ascii() || !is_of_paths(*c as u8))
}

#[cfg(test)]
mod tests {
    use super::super::SCHEMES;
    use super::*;

    #[test]
    fn only_a_relative_template_with_the_variable_has_a_path() {
        assert_eq!(
            path_of_template("/dns-query{?dns}").as_deref(),
            Some("/dns-query")
        );
        assert_eq!(path_of_template("/{?dns}").as_deref(), Some("/"));
        for template in [
            "",
            "/dns-query",
            "dns-query{?dns}",
            "https://dns.test/q{?dns}",
            "/q{?dns,x}",
            "/{user}/q{?dns}",
            "/q{?dns}{?dns}",
            "/ü{?dns}",
        ] {
            assert_eq!(path_of_template(template), None, "{template}");
        }
    }

    #[test]
    fn without_tls_no_resolver_is_designated() {
        assert!(designated(&SCHEMES[1..]).is_empty());
        let names: Vec<&str> = designated(SCHEMES).iter().map(|one| one.name).collect();
        assert_eq!(names, DESIGNATED);
    }
}
