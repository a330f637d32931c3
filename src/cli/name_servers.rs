//! The name servers that this host itself uses, as resolv.conf(5) names them: they find the addresses of upstreams given by name, unless
//! others are configured.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};

use super::file::{ReadError, read_limited};
use super::zones::read_zoned;
use crate::config::{ConfigError, DNS_PORT, Listen, server_address};
use crate::transports::{interface_number, is_own_address};

/// The word for them.
pub(super) const SYSTEM: &str = "system";

/// What names them.
pub(super) const FILE: &str = "/etc/resolv.conf";

/// Which servers systemd-resolved forwards to. Its stub may forward to dotward itself, so that a look-up there would wait for itself.
const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";

/// The addresses of the stub of systemd-resolved.
const STUB: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 54)),
];

/// More are not asked by stub resolvers either (MAXNS).
pub(super) const MOST: usize = 3;

/// Larger than any such file that a program writes.
const MOST_OCTETS: u64 = 1 << 20;

/// The name servers, and the file that names them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NameServers {
    pub(super) file: &'static str,
    /// At least one.
    pub(super) servers: Vec<SocketAddr>,
}

/// Why there are none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoServers {
    pub(super) why: String,
    /// Dotward itself is named, and nobody else.
    pub(super) is_dotward: bool,
}

impl NameServers {
    /// Those of the host whose files are below `root`, without those where `listen` receives.
    pub(super) fn read(root: &Path, listen: &[Listen]) -> Result<Self, NoServers> {
        let (mut file, mut servers) = match read_file(root, FILE) {
            Ok(text) => (FILE, named(&text)),
            Err(why) => {
                return Err(NoServers {
                    why: format!("{FILE} cannot be read ({why})"),
                    is_dotward: false,
                });
            }
        };
        if servers.iter().any(|server| STUB.contains(&server.ip()))
            && let Ok(behind) = read_file(root, BEHIND_STUB)
        {
            (file, servers) = (BEHIND_STUB, named(&behind));
        }
        let servers = others(file, servers, |server| {
            let mut listen = listen.iter();
            listen.any(|listen| receives(listen, server, is_own_address))
        })?;
        Ok(Self { file, servers })
    }
}

/// The text of a file of the host whose files are below `root`, where a link means a place of the host, too.
pub(super) fn read_file(root: &Path, file: &str) -> Result<String, ReadError> {
    let file = Path::new(file);
    let folder = file.parent().unwrap_or(file);
    let path = match fs::read_link(below(root, file)) {
        Ok(link) => below(root, &folder.join(link)),
        Err(_) => below(root, file),
    };
    let octets = read_limited(&path, MOST_OCTETS)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// A path of the host, as one below `root`.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    let mut names = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => {
                names.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    root.join(names)
}

/// The servers that are not dotward itself.
fn others(
    file: &str,
    servers: Vec<SocketAddr>,
    is_dotward: impl Fn(SocketAddr) -> bool,
) -> Result<Vec<SocketAddr>, NoServers> {
    let (own, mut others): (Vec<_>, Vec<_>) =
        servers.into_iter().partition(|server| is_dotward(*server));
    if others.is_empty() {
        let own: Vec<String> = own.iter().map(ToString::to_string).collect();
        let why = if own.is_empty() {
            format!("{file} names none")
        } else {
            let own = own.join(", ");
            format!("{file} names none but dotward itself ({own})")
        };
        let is_dotward = !own.is_empty();
        return Err(NoServers { why, is_dotward });
    }
    others.truncate(MOST);
    Ok(others)
}

/// Whether what this host sends to `server` arrives at this listener, also at another address of the host.
pub(super) fn receives(
    listen: &Listen,
    server: SocketAddr,
    is_own_address: impl Fn(IpAddr) -> bool,
) -> bool {
    let loopback: IpAddr = match server.ip() {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let is_wildcard = listen.addr().ip().to_canonical().is_unspecified();
    let alike = SocketAddr::new(loopback, server.port());
    listen.receives(server)
        || (is_wildcard && listen.receives(alike) && is_own_address(server.ip()))
}

/// The servers in the text of a resolv.conf, each once. As for stub resolvers the keyword begins its line, and what is no address is passed
/// over.
pub(super) fn named(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let value = line.strip_prefix("nameserver");
        let value = value.filter(|value| value.starts_with([' ', '\t']));
        let value = value.unwrap_or_default().trim_start();
        let word = value.split([' ', '\t', ';', '#']).next();
        if let Some(server) = word.and_then(server)
            && !servers.contains(&server)
        {
            servers.push(server);
        }
    }
    servers
}

/// An address alone, with the zone of a link-local one; stub resolvers know no port there.
fn server(word: &str) -> Option<SocketAddr> {
    let ip = word.split('%').next()?;
    ip.parse::<IpAddr>().ok()?;
    let parse = |text: &str| {
        let error = |reason: String| ConfigError::new("bootstrap", text, reason);
        server_address(text, DNS_PORT).map_err(error)
    };
    read_zoned("bootstrap", word, interface_number, parse).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_file_is_read() {
        let zoned = interface_number("lo").map(|number| format!("[fe80::1%{number}]:53"));
        let zoned: Vec<&str> = zoned.iter().map(String::as_str).collect();
        for (text, expected) in [
            ("", &[][..]),
            ("nameserver 192.0.2.1\n", &["192.0.2.1:53"]),
            ("nameserver\t192.0.2.1 \r\n", &["192.0.2.1:53"]),
            (
                "search a.test\nnameserver   2001:db8::1\noptions edns0\nnameserver 192.0.2.1",
                &["[2001:db8::1]:53", "192.0.2.1:53"],
            ),
            (
                "nameserver 192.0.2.1\nnameserver 192.0.2.1",
                &["192.0.2.1:53"],
            ),
            // Comments.
            ("# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", &[]),
            (
                "nameserver 192.0.2.1 # the router\nnameserver 192.0.2.2;x\n",
                &["192.0.2.1:53", "192.0.2.2:53"],
            ),
            // Zones.
            ("nameserver fe80::1%2\n", &["[fe80::1%2]:53"]),
            ("nameserver fe80::1%lo\n", &zoned),
            ("nameserver fe80::1%nosuch0\n", &[]),
            // What is no line of a server.
            (" nameserver 192.0.2.1\n", &[]),
            ("nameservers 192.0.2.1\nnameserver192.0.2.1\n", &[]),
            ("nameserver\nnameserver \nnameserver #\n", &[]),
            (
                "nameserver dns.test\nnameserver 192.0.2\nnameserver 192.0.2.1:53\nnameserver [::1]\n",
                &[],
            ),
            ("nameserver 0.0.0.0\nnameserver 224.0.0.1\n", &[]),
            (
                "\u{fffd}\0\nnameserver \u{fffd}\nnameserver 192.0.2.1",
                &["192.0.2.1:53"],
            ),
        ] {
            let servers: Vec<String> = named(text).iter().map(ToString::to_string).collect();
            assert_eq!(servers, expected, "{text:?}");
        }
    }

    #[test]
    fn no_more_are_taken_than_stub_resolvers_take_and_never_dotward_itself() {
        // fault 51
        let all = ["127.0.0.1", "192.0.2.1", "192.0.2.2", "::1", "192.0.2.3"];
        let lines = |ips: &[&str]| -> String {
            let lines = ips.iter().map(|ip| format!("nameserver {ip}\n"));
            lines.collect()
        };
        let is_dotward = |server: SocketAddr| server.ip().is_loopback();
        let of = |ips: &[&str]| {
            let servers = others("FILE", named(&lines(ips)), is_dotward);
            servers
                .map(|servers| servers.iter().map(ToString::to_string).collect::<Vec<_>>())
                .map_err(|none| (none.why, none.is_dotward))
        };
        let expected = ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"];
        assert_eq!(of(&all).unwrap(), expected);
        assert_eq!(
            of(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]).unwrap(),
            expected
        );
        assert_eq!(of(&[]), Err(("FILE names none".to_owned(), false)));
        assert_eq!(
            of(&["::1", "127.0.0.1"]),
            Err((
                "FILE names none but dotward itself ([::1]:53, 127.0.0.1:53)".to_owned(),
                true
            ))
        );
    }

    #[test]
    fn a_wildcard_receives_at_every_address_of_this_host() {
        // fault 51
        for (listen, server, expected) in [
            ("127.0.0.1:53", "127.0.0.1:53", true),
            ("127.0.0.1:53", "127.0.0.53:53", false),
            ("127.0.0.1:5300", "127.0.0.1:53", false),
            ("0.0.0.0:53", "127.0.0.53:53", true),
            ("[::]:53", "127.0.0.1:53", true),
            ("[::]:5300", "127.0.0.1:53", false),
            ("0.0.0.0:53", "192.0.2.1:53", false),
            ("[::]:53", "[2001:db8::1]:53", false),
        ] {
            let listener: Listen = listen.parse().unwrap();
            let received = receives(&listener, server.parse().unwrap(), is_own_address);
            assert_eq!(received, expected, "{listen} {server}");
        }
    }

    #[cfg(feature = "sockets")]
    #[test]
    fn a_wildcard_receives_at_the_address_of_an_interface() {
        // A host without another interface has loopback alone, and then nothing is asserted beyond that.
        let own = nix::ifaddrs::getifaddrs().unwrap();
        let own = own.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
        for ip in own {
            let server = SocketAddr::new(ip.into(), 53);
            let receives = |text: &str| receives(&text.parse().unwrap(), server, is_own_address);
            assert!(
                receives("0.0.0.0") && receives("::") && !receives("0.0.0.0:5300"),
                "{ip}"
            );
            assert!(!receives("192.0.2.77"), "{ip}");
        }
    }
}
