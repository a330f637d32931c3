//! Warnings of settings that are valid together and are probably a mistake: one line each, at the start and by `dotward check`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::file::RouteTexts;
use super::given::Given;
use super::linkable::linkable;
use super::listener_name::not_covered;
use super::operators::splits_that_protect_little;
use super::options::Options;
use crate::config::providers::{self, Provider};
use crate::config::{Cidr, Config, Listen, Policy, Profile, Route, Target, Upstream};
use crate::transports::SCHEMES;

/// All warnings for this configuration.
pub(super) fn warnings(given: &Given, config: &Config) -> Vec<String> {
    let mut lines = without_effect(given, config);
    for (texts, route) in given.routes.iter().zip(config.routes()) {
        lines.extend(without_effect_in_route(texts, route));
    }
    lines.extend(keys_among_hosts(given));
    lines.extend(unauthenticated(config));
    lines.extend(own_programs_denied(given, config));
    lines.extend(open_resolvers(given, config));
    lines.extend(not_covered(config, given.source("listener_name").is_some()));
    lines.extend(unequal_providers(config.upstreams()));
    lines.extend(splits_that_protect_little(config));
    lines.extend(config.all_upstreams().iter().flat_map(linkable));
    lines
}

/// The address of the metrics, unless it is for this host alone.
pub(super) fn readable_by_others(admin: SocketAddr) -> Option<String> {
    if admin.ip().to_canonical().is_loopback() {
        return None;
    }
    Some(format!(
        "everybody who reaches {admin} can read the metrics (admin), without encryption: let a firewall or 127.0.0.1 see to that"
    ))
}

/// Without a query log it does not matter what that would tell of clients.
pub(super) fn nothing_logged(given: &Given) -> Option<String> {
    let source = given.source("query_log_clients")?;
    Some(format!(
        "{source} has no effect: queries are not logged (query-log)"
    ))
}

/// Nobody asks for records without a control socket.
pub(super) fn nothing_recorded(given: &Given) -> Option<String> {
    let source = given.source("record_size")?;
    Some(format!(
        "{source} has no effect: nobody can ask for records of failures (control-socket)"
    ))
}

/// Options that change nothing beside the others.
fn without_effect(given: &Given, config: &Config) -> Vec<String> {
    let (limits, modes) = (config.limits(), config.modes());
    let of_routes = config.routes().iter().flat_map(upstreams_of);
    let upstreams = || config.upstreams().iter().chain(of_routes.clone());
    let any_named = upstreams().any(|upstream| upstream.host_to_find().is_some());
    let unnamed = if upstreams().any(|upstream| upstream.host().is_some()) {
        "all names are found by proxies"
    } else {
        "no upstream is given by name"
    };
    let any_encrypted = upstreams().any(is_encrypted);
    let all_encrypted = upstreams().all(is_encrypted);
    let single = config.upstreams().len() < 2 && config.policy() != Policy::default();
    let encrypted = config.listen_encrypted().next().is_some();
    let (no_cache, udp_only) = (config.cache_bytes() == 0, !modes.tcp() && !encrypted);
    let reasons: [(bool, &str, &[&str]); 14] = [
        (
            !encrypted,
            "no client is served over TLS or HTTPS: name an address for them, too (listen-tls, listen-https)",
            &["certificate", "certificate_key", "listener_name"],
        ),
        (!any_named, unnamed, &["bootstrap"]),
        (
            !any_encrypted,
            "no upstream uses TLS",
            &["ca_file", "padding"],
        ),
        (
            !any_encrypted && config.key_log(),
            "no upstream uses TLS",
            &["key_log"],
        ),
        (
            all_encrypted,
            "every upstream is encrypted",
            &["allow_plaintext"],
        ),
        (
            config.captive().is_none(),
            "plain text is not allowed (captive)",
            &["captive_resolver"],
        ),
        (single, "there is one upstream to choose from", &["policy"]),
        (
            !config.splits(),
            "no policy is split",
            &["split_upstreams", "split_key_file"],
        ),
        (
            no_cache,
            "the cache is off (cache-size 0)",
            &["min_ttl", "max_ttl", "serve_stale"],
        ),
        (
            no_cache && config.rotate(),
            "the cache is off (cache-size 0)",
            &["rotate"],
        ),
        (
            udp_only,
            "clients are served over UDP only",
            &[
                "tcp_idle",
                "max_tcp_connections",
                "max_tcp_per_client",
                "max_tcp_in_flight",
            ],
        ),
        (
            !modes.udp(),
            "clients are served over TCP only",
            &["udp_payload"],
        ),
        (
            limits.in_flight_per_client > limits.in_flight,
            "the limit on all queries in flight (max-in-flight) is lower",
            &["max_in_flight_per_client"],
        ),
        (
            !udp_only && limits.tcp_per_client > limits.tcp_connections,
            "the limit on all TCP connections (max-tcp-connections) is lower",
            &["max_tcp_per_client"],
        ),
    ];
    let holding = reasons.iter().filter(|(holds, ..)| *holds);
    let idle = holding.flat_map(|(_, why, settings)| settings.iter().map(move |one| (one, why)));
    idle.filter_map(|(setting, why)| {
        let source = given.source(setting)?;
        Some(format!("{source} has no effect: {why}"))
    })
    .collect()
}

/// Keys of a route that change nothing beside its upstreams.
fn without_effect_in_route(texts: &RouteTexts, route: &Route) -> Vec<String> {
    let upstreams = upstreams_of(route);
    let single = upstreams.len() < 2;
    let reasons = [
        (single, "policy", "there is one upstream to choose from"),
        (
            upstreams.iter().all(is_encrypted),
            "allow_plaintext",
            "every upstream of this route is encrypted",
        ),
    ];
    let holding = reasons.iter().filter(|(holds, ..)| *holds);
    holding
        .filter_map(|(_, setting, why)| {
            let origin = &texts.fields.get(setting)?.origin;
            Some(format!("{} has no effect: {why}", origin.name(setting)))
        })
        .collect()
}

/// In TOML each key belongs to the table above it, so that one at the end of a file may become a name of a host.
fn keys_among_hosts(given: &Given) -> Vec<String> {
    let hosts = given.hosts.iter();
    let keys = hosts.filter(|host| Options::KNOWN.iter().any(|known| known.has_key(&host.name)));
    keys.map(|host| {
        format!(
            "{}: {:?} is taken for the name of a host, because it stands below [hosts]; a key stands above the first [table]",
            host.place, host.name
        )
    })
    .collect()
}

/// Upstreams that anybody can stand in for.
fn unauthenticated(config: &Config) -> Vec<String> {
    let all = config.all_upstreams().iter();
    let opportunistic = all.filter(|one| one.profile() == Profile::Opportunistic);
    opportunistic
        .map(|upstream| {
            format!(
                "upstream {}: is not authenticated (profile=opportunistic), so whoever is on the way can answer in its place and read the queries",
                upstream.label()
            )
        })
        .collect()
}

fn is_encrypted(upstream: &Upstream) -> bool {
    let mut schemes = SCHEMES.iter();
    schemes.any(|scheme| scheme.name == upstream.scheme() && scheme.encrypted)
}

fn upstreams_of(route: &Route) -> &[Upstream] {
    match route.target() {
        Target::Upstreams { upstreams, .. } => upstreams,
        Target::Refuse | Target::NxDomain | Target::Local => &[],
    }
}

/// The access list denies programs on this host, which ask from an address of their own.
fn own_programs_denied(given: &Given, config: &Config) -> Option<String> {
    let source = given.source("allow_net")?;
    let own = config
        .listen()
        .iter()
        .map(|listen| match listen.addr().ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    let allow = config.allow();
    // Which networks this host is on is found when it serves; its own addresses are in them.
    let is_of_host = |ip: &IpAddr| allow.follows_host() && !ip.is_loopback();
    let denied: Vec<String> = own
        .filter(|ip| !allow.allows(*ip) && !is_of_host(ip))
        .map(|ip| ip.to_canonical().to_string())
        .collect();
    if denied.is_empty() {
        return None;
    }
    Some(format!(
        "{source} does not allow {}: programs on this host that ask there are refused; add 127.0.0.0/8 and ::1 (or the host's own address) to serve them",
        denied.join(" and ")
    ))
}

/// Clients of the Internet may ask at an address that they can reach.
fn open_resolvers(given: &Given, config: &Config) -> Vec<String> {
    let Some(source) = given.source("allow_net") else {
        return Vec::new();
    };
    let warning = |cidr: &Cidr| {
        let is_v4 = matches!(cidr, Cidr::V4(_));
        let reached = |listen: &&Listen| listen.is_public() && listen.addr().is_ipv4() == is_v4;
        let at = config.listen().iter().find(reached)?.addr();
        // The registries give no owner a larger network.
        let most_of_the_internet = cidr.prefix_len() < if is_v4 { 8 } else { 16 };
        Some(if most_of_the_internet {
            format!(
                "{source} {cidr} makes an open resolver at {at}: anybody who reaches it may ask, and it will be abused to attack others; \
                 allow your own networks only"
            )
        } else {
            format!(
                "{source} {cidr} is a public network, and {at} may be reached from there: an open resolver for whoever is in it; \
                 make sure that it is yours"
            )
        })
    };
    config.allow().public().filter_map(warning).collect()
}

/// Providers that answer the same query differently, so that one undoes what the other does.
fn unequal_providers(upstreams: &[Upstream]) -> Vec<String> {
    let names = upstreams.iter().filter_map(Upstream::server_name);
    let known: Vec<&Provider> = names.filter_map(providers::with_server_name).collect();
    let pair = |of: fn(&Provider) -> bool| {
        let with = known.iter().find(|provider| of(provider))?;
        let without = known.iter().find(|provider| !of(provider))?;
        Some((with.name, without.name))
    };
    let mut lines = Vec::new();
    if let Some((with, without)) = pair(|provider| provider.validates) {
        lines.push(format!(
            "upstreams: {with} validates DNSSEC and {without} does not, so a forged response that one refuses may come from the other; \
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
    fn settings_that_are_meant_give_no_warning() {
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
                "--bootstrap has no effect: no upstream is given by name",
            ),
            (
                "serve --bootstrap 192.0.2.1 --upstream tls://dns.test?socks5=127.0.0.1",
                "--bootstrap has no effect: all names are found by proxies",
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
                "--max-in-flight-per-client has no effect: the limit on all queries in flight (max-in-flight) is lower",
            ),
            (
                "serve --max-tcp-per-client 2000",
                "--max-tcp-per-client has no effect: the limit on all TCP connections (max-tcp-connections) is lower",
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
        // A default above another limit is not the user's choice.
        assert_eq!(warnings("serve --max-in-flight 500"), [""; 0]);
    }

    #[test]
    fn an_upstream_that_is_not_authenticated_is_warned_of() {
        let [warning] = &warnings("serve --upstream 192.0.2.1#a.test?profile=opportunistic")[..]
        else {
            panic!("one warning")
        };
        let expected = "upstream 192.0.2.1#a.test: is not authenticated (profile=opportunistic)";
        assert!(warning.starts_with(expected), "{warning}");
    }

    #[test]
    fn an_access_list_without_this_host_is_warned_of() {
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
