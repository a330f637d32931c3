//! The options for people, and for the configuration of servers that send them.

use super::encoding::{CODE_V4, CODE_V6, Instance, dhcpv4};
use std::fmt::Write as _;

/// More octets of one option are spread over several by the server (RFC 3396), which dnsmasq does not do for those that it is given.
const MOST_V4: usize = 255;

/// All of it. An error says what is too long.
pub(super) fn lines(instances: &[Instance]) -> Result<String, String> {
    let v4 = dhcpv4(instances);
    let v6: Vec<Vec<u8>> = instances.iter().filter_map(Instance::dhcpv6).collect();
    let mut ra = Vec::new();
    for instance in instances {
        ra.extend(instance.router_advertisement()?);
    }
    let mut text =
        "# Options by which a network tells its devices of encrypted DNS (RFC 9463).\n".to_owned();
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    for instance in instances {
        say(&format!("# {}", described(instance)));
    }
    say(
        "\n# As octets: the data of options of DHCP, and the whole option of router\n# advertisements (its lifetime is 1800 s).",
    );
    if let Some(data) = &v4 {
        say(&format!("DHCPv4 option {CODE_V4}: {}", hex(data, "")));
    }
    for data in &v6 {
        say(&format!("DHCPv6 option {CODE_V6}: {}", hex(data, "")));
    }
    for option in &ra {
        say(&format!("IPv6 RA option: {}", hex(option, "")));
    }
    say(
        "\n# dnsmasq: it knows the options of DHCP only as octets, and that of router\n# advertisements not at all.",
    );
    if let Some(data) = &v4 {
        if data.len() > MOST_V4 {
            say(&format!(
                "# Option {CODE_V4} has {} octets; dnsmasq sends {MOST_V4} at most.",
                data.len()
            ));
        } else {
            say(&format!("dhcp-option={CODE_V4},{}", hex(data, ":")));
        }
    }
    for data in &v6 {
        say(&format!("dhcp-option=option6:{CODE_V6},{}", hex(data, ":")));
    }
    say("\n# Kea 2.6 and later, in \"option-data\" of kea-dhcp4 and of kea-dhcp6:");
    let of_v4 = instances.iter().filter(|one| !one.ipv4.is_empty());
    let of_v4 = of_v4.map(|one| kea(one, &spaced(&one.ipv4)));
    let of_v4 = of_v4.collect::<Vec<_>>().join(" | ");
    if v4.is_some() {
        say(&format!(
            "{{ \"name\": \"v4-dnr\", \"data\": \"{of_v4}\" }}"
        ));
    }
    for one in instances.iter().filter(|one| !one.ipv6.is_empty()) {
        let data = kea(one, &spaced(&one.ipv6));
        say(&format!("{{ \"name\": \"v6-dnr\", \"data\": \"{data}\" }}"));
    }
    say("# Kea before that, as octets:");
    if let Some(data) = &v4 {
        say(&raw_kea(CODE_V4.into(), data));
    }
    for data in &v6 {
        say(&raw_kea(CODE_V6, data));
    }
    say(
        "\n# radvd: no release up to 2.20 knows the option, nor any as octets. On OpenWrt\n# odhcpd (24.10) sends all three; in the section dhcp of /etc/config/dhcp:",
    );
    for instance in instances {
        say(&odhcpd(instance));
    }
    Ok(text)
}

fn described(instance: &Instance) -> String {
    let v4 = instance.ipv4.iter().map(ToString::to_string);
    let v6 = instance.ipv6.iter().map(ToString::to_string);
    let addresses: Vec<String> = v4.chain(v6).collect();
    format!(
        "{} at {}: {}, priority {}",
        instance.name,
        addresses.join(" and "),
        params(instance, ","),
        instance.priority
    )
}

/// The parameters in the form of RFC 9460, with this between the protocols.
fn params(instance: &Instance, between: &str) -> String {
    let mut text = format!("alpn={}", instance.alpn.join(between));
    if let Some(port) = instance.port {
        // Writing to a string does not fail.
        let _ = write!(text, " port={port}");
    }
    if let Some(path) = &instance.path {
        let _ = write!(text, " dohpath={path}");
    }
    text
}

/// As Kea reads it, within a string of JSON: a comma that is none of its own has a backslash.
fn kea(instance: &Instance, addresses: &str) -> String {
    let (priority, name) = (instance.priority, &instance.name);
    let params = params(instance, r"\\,");
    format!("{priority}, {name}., {addresses}, {params}")
}

fn raw_kea(code: u16, data: &[u8]) -> String {
    let data = hex(data, "");
    format!("{{ \"code\": {code}, \"csv-format\": false, \"data\": \"{data}\" }}")
}

fn odhcpd(instance: &Instance) -> String {
    let v6 = instance.ipv6.iter().map(ToString::to_string);
    let v4 = instance.ipv4.iter().map(ToString::to_string);
    let addresses: Vec<String> = v6.chain(v4).collect();
    let (priority, name) = (instance.priority, &instance.name);
    let (addresses, params) = (addresses.join(","), params(instance, ","));
    format!("list dnr '{priority} {name} {addresses} {params}'")
}

fn spaced<T: ToString>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

fn hex(octets: &[u8], between: &str) -> String {
    let digits = octets.iter().map(|octet| format!("{octet:02x}"));
    digits.collect::<Vec<_>>().join(between)
}
