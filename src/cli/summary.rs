//! What the program would do, in a block that people can read: what `dotward check` prints.

use std::fmt::{self, Write as _};

use super::parameters::parameters;
use super::settings::Settings;
use super::units::counted;
use crate::config::{
    ClientSubnet, Config, Encryption, Limits, Listen, Policy, Route, Target, Upstream, time_text,
};

/// More routes than these are counted and not listed.
const MOST_ROUTES: usize = 20;
/// More upstreams with parameters than these are counted and not listed.
const MOST_UPSTREAMS: usize = 20;

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        for (what, text) in [
            (
                "file",
                self.file.clone().unwrap_or_else(|| "none".to_owned()),
            ),
            (
                "listen",
                format!(
                    "{} over {}",
                    listen(config, Encryption::None),
                    config.modes()
                ),
            ),
            ("", encrypted(config, Encryption::Tls)),
            ("", encrypted(config, Encryption::Https)),
            ("clients", clients(config)),
            ("upstreams", upstreams(config.upstreams(), config.policy())),
            ("", more_of_upstreams(self)),
        ] {
            row(f, what, &text)?;
        }
        write_parameters(f, config.all_upstreams())?;
        row(f, "queries", &queries(config))?;
        for (index, route) in config.routes().iter().take(MOST_ROUTES).enumerate() {
            row(f, if index == 0 { "routes" } else { "" }, &describe(route))?;
        }
        if let Some(more @ 1..) = config.routes().len().checked_sub(MOST_ROUTES) {
            row(f, "", &format!("and {more} more"))?;
        }
        let hosts = config.hosts().len();
        if hosts > 0 {
            row(f, "hosts", &counted(hosts, "name"))?;
        }
        if let Some(captive) = config.captive() {
            let time = time_text(captive.time);
            let text = format!("portal checks in the clear, for {time} on each network");
            row(f, "captive", &text)?;
        }
        row(f, "cache", &cache(config))?;
        for (index, bound) in bounds(config).iter().enumerate() {
            row(f, if index == 0 { "bounds" } else { "" }, bound)?;
        }
        if let Some(admin) = self.admin {
            row(f, "metrics", &format!("at http://{admin}/metrics"))?;
        }
        if let Some(socket) = &self.control_socket {
            let records = match self.config.record_bytes() {
                0 => "no records of failures".to_owned(),
                octets => format!("records of failures {}", size(octets)),
            };
            let at = socket.display();
            row(f, "control", &format!("by the socket {at}, {records}"))?;
        }
        if let Some(to) = &self.query_log {
            row(f, "query log", &to.to_string())?;
        }
        let workers = counted(config.workers().get(), "worker");
        row(
            f,
            "runs",
            &format!(
                "on {}, {workers}, log {} as {}",
                self.runtime, self.log, self.log_format
            )
            .to_lowercase(),
        )
    }
}

fn row(f: &mut fmt::Formatter<'_>, what: &str, text: &str) -> fmt::Result {
    if text.is_empty() {
        return Ok(());
    }
    writeln!(f, "  {what:<11}{text}")
}

fn listen(config: &Config, encryption: Encryption) -> String {
    let listen = |listen: &Listen| {
        let optional = if listen.is_required() {
            ""
        } else {
            " (where there is IPv6)"
        };
        format!("{}{optional}", listen.addr())
    };
    let all = config.listen().iter();
    let all = all.filter(|listen| listen.encryption() == encryption);
    all.map(listen).collect::<Vec<_>>().join(" and ")
}

fn encrypted(config: &Config, by: Encryption) -> String {
    match listen(config, by) {
        none if none.is_empty() => none,
        listen => {
            let name = config.listener_name();
            let name = name.map_or_else(String::new, |name| format!(", as {name}"));
            format!("{listen} over {}{name}", by.name())
        }
    }
}

fn clients(config: &Config) -> String {
    let mut all: Vec<String> = config
        .allow()
        .prefixes()
        .iter()
        .map(ToString::to_string)
        .collect();
    if config.allow().follows_host() {
        all.push("the networks of this host".to_owned());
    }
    all.join(", ")
}

fn upstreams(upstreams: &[Upstream], policy: Policy) -> String {
    let labels: Vec<&str> = upstreams.iter().map(Upstream::label).collect();
    if policy.follows_the_list() {
        labels.join(", then ")
    } else {
        format!("{} ({policy})", labels.join(" or "))
    }
}

fn more_of_upstreams(settings: &Settings) -> String {
    let config = &settings.config;
    let mut parts = Vec::new();
    if config.hedge() {
        parts.push("late queries are sent twice".to_owned());
    }
    parts.extend(config.roots().described());
    let mut all_upstreams = config.all_upstreams().iter();
    let any_named = all_upstreams.any(|upstream| upstream.host_to_find().is_some());
    if !config.bootstrap().is_empty() && any_named {
        let all: Vec<String> = config.bootstrap().iter().map(ToString::to_string).collect();
        let file = settings.bootstrap_file;
        let file = file.map_or_else(String::new, |file| format!(" ({file})"));
        parts.push(format!("names found by {}{file}", all.join(" and ")));
    }
    parts.join("; ")
}

/// How upstreams are authenticated and reached, of which the configuration says more than where they are.
fn write_parameters(f: &mut fmt::Formatter<'_>, upstreams: &[Upstream]) -> fmt::Result {
    let told = upstreams.iter().map(|one| (one.label(), parameters(one)));
    let told: Vec<_> = told.filter(|(_, parts)| !parts.is_empty()).collect();
    for (label, parts) in told.iter().take(MOST_UPSTREAMS) {
        row(f, "", &format!("{label}: {}", parts.join(", ")))?;
    }
    if let Some(more @ 1..) = told.len().checked_sub(MOST_UPSTREAMS) {
        row(f, "", &format!("and {more} more with parameters"))?;
    }
    Ok(())
}

/// What is done to the queries that are sent to upstreams.
fn queries(config: &Config) -> String {
    let padding = config.padding().map_or_else(
        || "not padded".to_owned(),
        |octets| format!("padded to a multiple of {octets} octets"),
    );
    let subnet = match config.client_subnet() {
        ClientSubnet::Keep => "passed on",
        ClientSubnet::Strip => "removed",
        ClientSubnet::Forbid => "removed and forbidden",
    };
    format!("{padding} over TLS, client subnet (ECS) {subnet}")
}

fn describe(route: &Route) -> String {
    let domains: Vec<String> = route.domains().iter().map(ToString::to_string).collect();
    let what = match route.target() {
        Target::Upstreams {
            upstreams: to,
            policy,
        } => upstreams(to, *policy),
        Target::Refuse => "REFUSED".to_owned(),
        Target::NxDomain => "NXDOMAIN".to_owned(),
        Target::Local => "answered here".to_owned(),
    };
    format!("{}: {what}", domains.join(", "))
}

fn cache(config: &Config) -> String {
    let ttl = config.ttl();
    if config.cache_bytes() == 0 {
        return "off".to_owned();
    }
    let mut text = format!(
        "{} for {} to {}",
        size(config.cache_bytes()),
        time_text(ttl.min),
        time_text(ttl.max)
    );
    // Writing to a string does not fail.
    let _ = if ttl.stale.is_zero() {
        write!(text, ", nothing stale is served")
    } else {
        write!(text, ", stale for up to {}", time_text(ttl.stale))
    };
    text
}

fn bounds(config: &Config) -> [String; 4] {
    let Limits {
        in_flight,
        in_flight_per_client,
        link_in_flight,
        tcp_connections,
        tcp_per_client,
        tcp_in_flight,
        tcp_idle,
        queue_bytes,
        udp_payload,
    } = config.limits();
    [
        format!(
            "{} for a response, {} of memory beside the cache",
            time_text(config.timeout()),
            size(*queue_bytes)
        ),
        format!(
            "{in_flight} queries in flight per worker, {in_flight_per_client} per client, {link_in_flight} per upstream connection"
        ),
        format!(
            "{tcp_connections} TCP connections, {tcp_per_client} per client, {tcp_in_flight} queries in flight on each, {} idle",
            time_text(*tcp_idle)
        ),
        format!("{udp_payload} octets in a UDP response"),
    ]
}

fn size(octets: usize) -> String {
    for (shift, unit) in [(20, "MiB"), (10, "KiB")] {
        if octets >= 1 << shift && octets.trailing_zeros() >= shift {
            return format!("{} {unit}", octets >> shift);
        }
    }
    format!("{octets} octets")
}
