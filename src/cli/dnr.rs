//! Options by which a network tells its devices of the encrypted listeners (DNR, RFC 9463): what `dotward dnr` prints.

mod encoding;
mod lines;

use super::UsageError;
use super::settings::Settings;
use super::typed::{Shape, Typed};
use crate::config::{Config, DNS_PORT, EncryptedProtocol, Host, TLS_PORT};
use encoding::Instance;
use std::net::IpAddr;

/// The options of the command that are no settings.
pub(super) const SHAPE: Shape = Shape {
    command: "dnr",
    switches: &[],
    values: &["--name", "--port", "--dohpath", "--priority"],
    lists: &["--address", "--alpn"],
    takes_words: false,
};

/// The protocols that can be told of: their names in ALPN, their usual ports, and whether they take a path.
const PROTOCOLS: [(&str, u16, bool); 4] = [
    ("dot", TLS_PORT, false),
    ("doq", TLS_PORT, false),
    ("h2", 443, true),
    ("h3", 443, true),
];

/// The path of most servers (RFC 8484 section 4.1.1 has it in its examples).
const PATH: &str = "/dns-query{?dns}";

/// The most addresses of one resolver, whose octets DHCPv4 counts in one octet (RFC 9463 section 5.1).
const MOST_ADDRESSES: usize = 63;

/// The text: options as octets, and lines for servers that send them.
pub(super) fn dnr(typed: &Typed, settings: &Settings) -> Result<String, UsageError> {
    let instances = instances(typed, &settings.config)?;
    lines::lines(&instances).map_err(UsageError)
}

fn wrong(option: &str, value: &str, why: &str) -> UsageError {
    UsageError(format!("{option} {value:?}: {why}"))
}

/// What is told: what was typed, or else what is configured.
fn instances(typed: &Typed, config: &Config) -> Result<Vec<Instance>, UsageError> {
    let name = match typed.one("--name") {
        Some(text) => {
            let host = Host::new(text, TLS_PORT);
            host.map_err(|why| wrong("--name", text, &why.reason))?
                .name()
                .to_owned()
        }
        None => match config.listener_name() {
            Some(name) if config.encrypted_listeners().next().is_some() => name.name().to_owned(),
            _ => {
                return Err(UsageError(
                    "--name is missing: the name in the certificate, since no encrypted listener with a name is configured"
                        .to_owned(),
                ));
            }
        },
    };
    let addresses: Vec<IpAddr> = typed
        .list("--address")
        .map(address)
        .collect::<Result<_, _>>()?;
    let text = typed.one("--priority").unwrap_or("1");
    let priority: u16 = text
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| wrong("--priority", text, "is not a number from 1 to 65535"))?;
    let is_described = ["--alpn", "--port", "--dohpath"]
        .iter()
        .any(|option| typed.all(option).next().is_some());
    let services = config.encrypted_services();
    let mut instances = Vec::new();
    if is_described || services.is_empty() {
        let (alpn, port, path) = described(typed)?;
        let known = services.iter().flat_map(|service| service.addresses.iter());
        let known = if addresses.is_empty() {
            reachable(known)
        } else {
            addresses
        };
        instances.push(Instance::new(&name, priority, known, alpn, port, path));
    } else {
        for (service, offset) in services.iter().zip(0..) {
            let EncryptedProtocol { alpn, port, path } = service.protocol;
            let known = if addresses.is_empty() {
                reachable(service.addresses.iter())
            } else {
                addresses.clone()
            };
            let priority = priority.saturating_add(offset);
            let port = (service.port != *port).then_some(service.port);
            let alpn = vec![(*alpn).to_owned()];
            let path = path.map(str::to_owned);
            instances.push(Instance::new(&name, priority, known, alpn, port, path));
        }
    }
    for instance in &mut instances {
        instance.without_repeated_addresses();
        if instance.has_no_address() {
            return Err(UsageError(
                "--address is missing: an address of this resolver that devices reach, since no listener has one that is theirs to use"
                    .to_owned(),
            ));
        }
        if instance.most_addresses() > MOST_ADDRESSES {
            let why = format!("--address: {MOST_ADDRESSES} addresses of a kind are the most");
            return Err(UsageError(why));
        }
    }
    Ok(instances)
}

/// Loopback addresses are the device's own.
fn reachable<'a>(addresses: impl Iterator<Item = &'a IpAddr>) -> Vec<IpAddr> {
    addresses.copied().filter(|ip| !ip.is_loopback()).collect()
}

fn address(text: &str) -> Result<IpAddr, UsageError> {
    let wrong = |why: &str| wrong("--address", text, why);
    let ip: IpAddr = text.parse().map_err(|_| match text.split_once('%') {
        Some((ip, _)) => wrong(&format!("write {ip}, without the interface")),
        None => wrong("is not an IP address"),
    })?;
    let ip = ip.to_canonical();
    if ip.is_loopback() {
        return Err(wrong("is a device's own address, not that of a resolver"));
    }
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(wrong("is not the address of one host"));
    }
    Ok(ip)
}

/// Protocols, their port if it is not the usual one, and the path of DNS over HTTPS.
type Described = (Vec<String>, Option<u16>, Option<String>);

fn described(typed: &Typed) -> Result<Described, UsageError> {
    let mut alpn: Vec<&str> = typed.list("--alpn").collect();
    if alpn.is_empty() {
        alpn.push("dot");
    }
    let mut known = Vec::new();
    for (index, name) in alpn.iter().enumerate() {
        let Some(protocol) = PROTOCOLS.iter().find(|(known, ..)| known == name) else {
            let names = PROTOCOLS.map(|(name, ..)| name).join(", ");
            let why = format!("is not a protocol of encrypted DNS; those are {names}");
            return Err(wrong("--alpn", name, &why));
        };
        if alpn.iter().take(index).any(|other| other == name) {
            return Err(wrong("--alpn", name, "is given twice"));
        }
        known.push(protocol);
    }
    let port = match typed.one("--port") {
        None => None,
        Some(text) => {
            let port = text.parse().ok().filter(|port: &u16| *port > 0);
            let why = "is not a number from 1 to 65535";
            let port = port.ok_or_else(|| wrong("--port", text, why))?;
            if port == DNS_PORT {
                let why = "is for DNS without encryption (RFC 7858 section 3.1)";
                return Err(wrong("--port", text, why));
            }
            let usual: Vec<u16> = known.iter().map(|(_, usual, _)| *usual).collect();
            if usual.windows(2).any(|two| two.first() != two.last()) {
                let why = format!(
                    "would be the port of all of {}, whose usual ports differ: print one after the other, with --priority",
                    alpn.join(", ")
                );
                return Err(wrong("--port", text, &why));
            }
            (!usual.contains(&port)).then_some(port)
        }
    };
    let takes_path = known.iter().any(|(.., takes_path)| *takes_path);
    let path = typed.one("--dohpath");
    if let Some(path) = path {
        if !takes_path {
            let why = "is for DNS over HTTPS: name it as well, with --alpn h2";
            return Err(wrong("--dohpath", path, why));
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\,|<>^`".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(is_plain) {
            let why =
                "is not the path of a URI: it begins with / and has neither blanks nor quotes";
            return Err(wrong("--dohpath", path, why));
        }
        if !(path.contains("{?dns}") || path.contains("{&dns}")) {
            let why = "lacks the variable {?dns} (RFC 9461 section 5), as in /dns-query{?dns}";
            return Err(wrong("--dohpath", path, why));
        }
        if path.len() > 255 {
            return Err(wrong("--dohpath", path, "has more than 255 octets"));
        }
    }
    let path = takes_path.then(|| path.unwrap_or(PATH).to_owned());
    let alpn = alpn.into_iter().map(str::to_owned).collect();
    Ok((alpn, port, path))
}

#[cfg(test)]
mod tests;
