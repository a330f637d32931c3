//! The resolvers that the networks of this host name themselves, as the programs write them down that ask these networks (DHCP, RFC 2132
//! section 3.8; router advertisements, RFC 8106).

use super::interfaces::is_own_address;
use crate::config::{DNS_PORT, server_address};
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// What systemd-networkd got by DHCP, a file for each interface.
const LEASES: &str = "/run/systemd/netif/leases";
/// What `NetworkManager` and systemd-resolved know, without their own stubs. Not /etc/resolv.conf: that may lead to dotward, or to a resolver
/// that somebody has chosen, and not this network.
const FILES: [&str; 2] = [
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/systemd/resolve/resolv.conf",
];
/// Larger than any such file.
const MOST_OCTETS: u64 = 64 << 10;

/// Those in this file, or else those of the first place that names any. Addresses of this host are left out.
pub fn network_resolvers(file: Option<&Path>) -> Vec<SocketAddr> {
    match file {
        Some(file) => in_file(file, is_own_address),
        None => in_places(Path::new(LEASES), FILES.map(Path::new), is_own_address),
    }
}

fn in_places(
    leases: &Path,
    files: [&Path; 2],
    is_own: impl Fn(IpAddr) -> bool + Copy,
) -> Vec<SocketAddr> {
    let leases = fs::read_dir(leases).into_iter().flatten().flatten();
    let mut leases: Vec<PathBuf> = leases.map(|entry| entry.path()).collect();
    leases.sort();
    let by_lease = leases.iter().flat_map(|lease| in_file(lease, is_own));
    let by_lease: Vec<SocketAddr> = by_lease.collect();
    if !by_lease.is_empty() {
        return by_lease;
    }
    let named = files.into_iter().map(|file| in_file(file, is_own));
    named
        .into_iter()
        .find(|named| !named.is_empty())
        .unwrap_or_default()
}

fn in_file(file: &Path, is_own: impl Fn(IpAddr) -> bool) -> Vec<SocketAddr> {
    let mut named = named(&read(file).unwrap_or_default());
    named.retain(|server| {
        let ip = server.ip().to_canonical();
        !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_own(ip))
    });
    named
}

/// The text of a regular file. Nobody is waited for.
fn read(file: &Path) -> Option<String> {
    if !fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut octets = Vec::new();
    let file = File::open(file).ok()?.take(MOST_OCTETS);
    let mut file = file;
    file.read_to_end(&mut octets).ok()?;
    Some(String::from_utf8_lossy(&octets).into_owned())
}

/// The servers in lines such as `nameserver 192.0.2.1` (resolv.conf(5)) and `DNS=192.0.2.1 192.0.2.2` (a lease).
fn named(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().flat_map(|line| {
        let lease = line.trim().strip_prefix("DNS=");
        let of_lease = lease.unwrap_or_default().split_whitespace();
        let mut words = line.split_whitespace();
        let keyword = words.next();
        let of_line = words.next().filter(|_| keyword == Some("nameserver"));
        of_lease.chain(of_line)
    });
    let servers = servers.filter_map(|server| server_address(server, DNS_PORT).ok());
    servers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(servers: &[SocketAddr]) -> Vec<String> {
        servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_kinds_of_files_are_read() {
        let text = "# made by a program\nnameserver 192.0.2.1\n nameserver fe80::1%3\nsearch lan\nnameserver\nDNS=192.0.2.2 2001:db8::2\nNTP=192.0.2.9\nDNS=\nnameserver x\n";
        let expected = [
            "192.0.2.1:53",
            "[fe80::1%3]:53",
            "192.0.2.2:53",
            "[2001:db8::2]:53",
        ];
        assert_eq!(shown(&named(text)), expected);
    }

    // req 138
    #[test]
    fn leases_come_first_and_this_host_is_never_asked() {
        let folder = std::env::temp_dir().join(format!("dotward-leases-{}", std::process::id()));
        let leases = folder.join("leases");
        fs::create_dir_all(&leases).unwrap();
        let [one, other] = ["no-stub", "resolved"].map(|name| folder.join(name));
        fs::write(&one, "nameserver 127.0.0.1\nnameserver 192.0.2.7\n").unwrap();
        fs::write(&other, "nameserver 192.0.2.3\n").unwrap();
        let own: IpAddr = "192.0.2.7".parse().unwrap();
        let found = || shown(&in_places(&leases, [&one, &other], |ip| ip == own));
        assert_eq!(found(), ["192.0.2.3:53"]);
        fs::write(leases.join("2"), "ADDRESS=10.0.0.9\nDNS=10.0.0.1\n").unwrap();
        assert_eq!(found(), ["10.0.0.1:53"]);
        assert!(in_file(&folder, |_| false).is_empty(), "no file");
        fs::remove_dir_all(&folder).unwrap();
    }
}
