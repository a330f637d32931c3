//! What can be obeyed, and is hardly meant: one line for each, written at the start and by `--check`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::given::Given;
use crate::config::{Cidr, Config, Listen, Policy, Upstream};
use crate::providers::{self, Provider};
use crate::transports::SCHEMES;

/// All lines for this configuration, which is sound.
pub(super) fn advice(given: &Given, config: &Config) -> Vec<String> {
    let mut lines = without_effect(given, config);
    lines.extend(locked_out(given, config));
    lines.extend(open_to_all(given, config));
    lines.extend(mixed(config.upstreams()));
    lines
}

/// Options that change nothing beside the others.
fn without_effect(given: &Given, config: &Config) -> Vec<String> {
    let (limits, modes) = (config.limits(), config.modes());
    let by_name = config
        .upstreams()
        .iter()
        .any(|upstream| upstream.host().is_some());
    let encrypted = |upstream: &Upstream| {
        let scheme = SCHEMES
            .iter()
            .find(|scheme| scheme.name == upstream.scheme());
        scheme.is_some_and(|scheme| scheme.encrypted)
    };
    let any_tls = config.upstreams().iter().any(encrypted);
    let all_tls = config.upstreams().iter().all(encrypted);
    let udp_only = (!modes.tcp(), "clients are served over UDP only");
    let tcp_only = (!modes.udp(), "clients are served over TCP only");
    let no_cache = (config.cache_bytes() == 0, "the cache is off (cache-size 0)");
    let rows = [
        (
            "bootstrap",
            (!by_name, "no upstream is given by its name alone"),
        ),
        ("ca_file", (!any_tls, "no upstream shows a certificate")),
        ("allow_plaintext", (all_tls, "every upstream is encrypted")),
        (
            "policy",
            (
                config.upstreams().len() < 2 && config.policy() != Policy::Failover,
                "there is one upstream to choose from",
            ),
        ),
        ("min_ttl", no_cache),
        ("max_ttl", no_cache),
        ("serve_stale", no_cache),
        ("rotate", (config.rotate() && no_cache.0, no_cache.1)),
        ("tcp_idle", udp_only),
        ("max_tcp_connections", udp_only),
        ("max_tcp_per_client", udp_only),
        ("max_tcp_in_flight", udp_only),
        ("udp_payload", tcp_only),
        (
            "max_in_flight_per_client",
            (
                limits.in_flight_per_client > limits.in_flight,
                "the bound on all questions in flight (max-in-flight) is lower",
            ),
        ),
        (
            "max_tcp_per_client",
            (
                modes.tcp() && limits.tcp_per_client > limits.tcp_connections,
                "the bound on all TCP clients (max-tcp-connections) is lower",
            ),
        ),
    ];
    let idle = rows.into_iter().filter(|(_, (idle, _))| *idle);
    idle.filter_map(|(option, (_, why))| {
        let place = given.place(option)?;
        Some(format!("{place} has no effect: {why}"))
    })
    .collect()
}

/// Programs on this host that ask at an address of their own, as the line that the start prints does.
fn locked_out(given: &Given, config: &Config) -> Option<String> {
    let place = given.place("allow_net")?;
    let asks_from = |listen: &Listen| match listen.addr().ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let own = config.listen().iter().map(asks_from);
    let denied: Vec<String> = own
        .filter(|ip| !config.allow().allows(*ip))
        .map(|ip| ip.to_canonical().to_string())
        .collect();
    if denied.is_empty() {
        return None;
    }
    Some(format!(
        "{place} does not allow {}: programs on this host that ask there are refused; add 127.0.0.0/8 and ::1 (or the host's own address) if they shall be served",
        denied.join(" and ")
    ))
}

/// Clients of the Internet that may ask where they can.
fn open_to_all(given: &Given, config: &Config) -> Vec<String> {
    let Some(place) = given.place("allow_net") else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for cidr in config.allow().public() {
        let reached = |listen: &&Listen| {
            listen.is_public() && listen.addr().is_ipv4() == matches!(cidr, Cidr::V4(_))
        };
        let Some(listen) = config.listen().iter().find(reached) else {
            continue;
        };
        let at = listen.addr();
        lines.push(if is_most_of_the_internet(cidr) {
            format!(
                "{place} {cidr} makes an open resolver at {at}: anybody who reaches it may ask, and it will be abused to attack others; \
                 allow your own networks only"
            )
        } else {
            format!(
                "{place} {cidr} is a public network, and {at} may be reached from there: an open resolver for whoever is in it; \
                 make sure that it is yours"
            )
        });
    }
    lines
}

/// Whether it is too large for a network of one owner: the registries give out nothing larger.
fn is_most_of_the_internet(cidr: &Cidr) -> bool {
    let largest = match cidr {
        Cidr::V4(_) => 8,
        Cidr::V6(_) => 16,
    };
    cidr.prefix_len() < largest
}

/// Providers that give different answers to one question, of which the next one undoes what the first one does.
fn mixed(upstreams: &[Upstream]) -> Vec<String> {
    let known: Vec<&Provider> = upstreams.iter().filter_map(providers::of).collect();
    let pair = |of: fn(&Provider) -> bool| {
        let with = known.iter().find(|provider| of(provider))?;
        let without = known.iter().find(|provider| !of(provider))?;
        Some((with.name, without.name))
    };
    let mut lines = Vec::new();
    if let Some((with, without)) = pair(|provider| provider.validates) {
        lines.push(format!(
            "upstreams: {with} validates DNSSEC and {without} does not, so a forged answer that one refuses may come from the other; \
             choose providers that both do"
        ));
    }
    if let Some((with, without)) = pair(|provider| provider.filters) {
        lines.push(format!(
            "upstreams: {with} filters names and {without} does not, so a name that one blocks may be answered by the other; \
             choose providers that both do, or neither"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};
    use std::ffi::OsString;

    fn warnings_of(line: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let arguments = line.split_whitespace().map(OsString::from);
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        match parse(arguments, variables).unwrap() {
            Command::Serve(settings) => settings.warnings,
            other => panic!("{line} does not serve: {other:?}"),
        }
    }

    fn warnings(line: &str) -> Vec<String> {
        warnings_of(line, &[])
    }

    #[test]
    fn nothing_is_said_of_what_is_meant() {
        for line in [
            "serve",
            "udp --udp-payload 1232 --max-in-flight 100",
            "tcp --tcp-idle 5s --max-tcp-connections 50",
            "serve --upstream quad9 --upstream cloudflare-security",
            "serve --upstream cloudflare,google,adguard-unfiltered --policy fastest --hedge",
            "serve --upstream tls://dns.quad9.net --bootstrap 192.0.2.1",
            "serve --upstream tcp://192.0.2.1 --allow-plaintext",
            "serve --upstream 192.0.2.1#a.test,quad9",
            "serve --listen 0.0.0.0 --allow-net 127.0.0.0/8,192.168.1.0/24",
            "serve --allow-net 0.0.0.0/0,::/0",
            "serve --listen 10.0.0.1 --allow-net 10.0.0.0/24,203.0.113.0/24",
            "serve --listen [::] --allow-net 0.0.0.0/0,::1",
        ] {
            assert_eq!(warnings(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn an_option_without_effect_is_named_with_its_reason() {
        for (line, expected) in [
            (
                "serve --bootstrap 192.0.2.1",
                "--bootstrap has no effect: no upstream is given by its name alone",
            ),
            (
                "serve --rotate --cache-size 0",
                "--rotate has no effect: the cache is off (cache-size 0)",
            ),
            (
                "serve --serve-stale 1d --cache-size 0",
                "--serve-stale has no effect: the cache is off (cache-size 0)",
            ),
            (
                "udp --tcp-idle 5s",
                "--tcp-idle has no effect: clients are served over UDP only",
            ),
            (
                "udp --max-tcp-per-client 5",
                "--max-tcp-per-client has no effect: clients are served over UDP only",
            ),
            (
                "tcp --udp-payload 512",
                "--udp-payload has no effect: clients are served over TCP only",
            ),
            (
                "serve --max-in-flight-per-client 3000",
                "--max-in-flight-per-client has no effect: the bound on all questions in flight (max-in-flight) is lower",
            ),
            (
                "serve --max-tcp-per-client 2000",
                "--max-tcp-per-client has no effect: the bound on all TCP clients (max-tcp-connections) is lower",
            ),
            (
                "serve --allow-plaintext",
                "--allow-plaintext has no effect: every upstream is encrypted",
            ),
            (
                "serve --policy fastest",
                "--policy has no effect: there is one upstream to choose from",
            ),
        ] {
            assert_eq!(warnings(line), [expected], "{line}");
        }
        let variable = [("DOTWARD_TCP_IDLE", "5s")];
        let expected = "DOTWARD_TCP_IDLE has no effect: clients are served over UDP only";
        assert_eq!(warnings_of("udp", &variable), [expected]);
        // A default that is above another bound was nobody's choice.
        assert_eq!(warnings("serve --max-in-flight 500"), [""; 0]);
    }

    #[test]
    fn whoever_locks_this_host_out_is_told() {
        for line in [
            "serve --allow-net 192.168.1.0/24",
            "serve --listen 0.0.0.0 --allow-net 192.168.1.0/24",
        ] {
            let [warning] = &warnings(line)[..] else {
                panic!("{line}")
            };
            assert!(
                warning.starts_with("--allow-net does not allow 127.0.0.1"),
                "{warning}"
            );
        }
        let [warning] = &warnings("serve --listen 10.0.0.1 --allow-net 127.0.0.1")[..] else {
            panic!("one warning")
        };
        assert!(
            warning.contains("does not allow 10.0.0.1: programs on this host"),
            "{warning}"
        );
    }

    #[test]
    fn an_open_resolver_is_warned_of() {
        for (line, part) in [
            (
                "serve --listen 0.0.0.0 --allow-net 0.0.0.0/0",
                "--allow-net 0.0.0.0/0 makes an open resolver at 0.0.0.0:53",
            ),
            (
                "serve --listen [::] --allow-net ::/0",
                "--allow-net ::/0 makes an open resolver at [::]:53",
            ),
            (
                "serve --listen 203.0.113.7 --allow-net 0.0.0.0/1,128.0.0.0/1",
                "--allow-net 0.0.0.0/1 makes an open resolver",
            ),
            (
                "serve --listen 0.0.0.0 --allow-net 127.0.0.0/8,203.0.113.0/24",
                "--allow-net 203.0.113.0/24 is a public network",
            ),
        ] {
            let said = warnings(line);
            assert!(
                said.iter().any(|warning| warning.contains(part)),
                "{line}: {said:?}"
            );
        }
    }

    #[test]
    fn providers_that_undo_each_other_are_warned_of() {
        let [validation] = &warnings("serve --upstream google,quad9-unfiltered")[..] else {
            panic!("one warning")
        };
        assert!(
            validation
                .starts_with("upstreams: google validates DNSSEC and quad9-unfiltered does not"),
            "{validation}"
        );
        let [filter] = &warnings("serve --upstream quad9 --upstream 1.1.1.1#one.one.one.one")[..]
        else {
            panic!("one warning")
        };
        assert!(
            filter.starts_with("upstreams: quad9 filters names and cloudflare does not"),
            "{filter}"
        );
    }
}
