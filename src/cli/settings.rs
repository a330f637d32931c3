//! The values of all options as settings: a [`Config`], and what else the program needs to start.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;

use super::UsageError;
use super::admin::{admin, taken_by_clients};
use super::captive::read_captive;
use super::control::control_socket;
use super::file::{Missing, NONE, PEM_OCTETS, read_limited};
use super::given::{Given, Table};
use super::hosts::read_hosts;
use super::listener_name::read_listener_name;
use super::loops::find_loop;
use super::name_servers::{NameServers, NoServers, SYSTEM};
use super::query_log::{self, QueryLogTo};
use super::routes::read_routes;
use super::server_certificate::read_server_certificate;
use super::sources::Sources;
use super::split_key::read_split_key;
use super::units::{duration, octets, switch};
use super::upstreams::{Plaintext, read_upstream};
use super::values::Written;
use super::warnings::{nothing_logged, nothing_recorded, readable_by_others, warnings};
use super::words::{client_subnet, level, log_format, number, padding, runtime};
use super::zones::read_zoned;
use crate::config::{
    AccessList, Cidr, ClientSubnet, Config, ConfigBuilder, ConfigError, DNS_PORT, Encryption,
    Limits, Listen, Modes, Policy, Roots, Route, read_prefix, server_address,
};
use crate::logger::Format;
use crate::transports::{capabilities, check, interface_number, is_own_address, system_roots};

/// The word for the root certificates that are built in.
const BUILT_IN: &str = "built-in";

/// The word for the networks that this host is on, as in BIND.
const HOST_NETWORKS: &str = "localnets";

/// The word for the loopback addresses, of which that of IPv6 need not be there.
const LOOPBACK: &str = "loopback";

/// All that the program needs to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the forwarder does.
    pub config: Config,
    /// The name of the runtime, one of [`RUNTIMES`](crate::transports::RUNTIMES).
    pub runtime: String,
    /// Which lines are logged.
    pub log: LevelFilter,
    /// How lines are written.
    pub log_format: Format,
    /// Where metrics and health are served.
    pub admin: Option<SocketAddr>,
    /// The Unix socket by which the program is controlled.
    pub control_socket: Option<PathBuf>,
    /// Where queries are logged.
    pub query_log: Option<QueryLogTo>,
    /// Settings that are valid and probably a mistake, one line each.
    pub warnings: Vec<String>,
    /// The configuration file, if there is one.
    pub file: Option<String>,
    /// The file of this host that names bootstrap resolvers, if it is needed.
    pub(super) bootstrap_file: Option<&'static str>,
    pub(super) sources: Sources,
}

const SWITCHES: &Table<bool> = &[
    ("hedge", ConfigBuilder::hedge),
    ("key_log", ConfigBuilder::key_log),
    ("rotate", ConfigBuilder::rotate),
    (
        "forward_special_names",
        ConfigBuilder::forward_special_names,
    ),
    ("show_version", ConfigBuilder::show_version),
    ("keep_scheduling", ConfigBuilder::keep_scheduling),
    (
        "ignore_network_changes",
        ConfigBuilder::ignore_network_changes,
    ),
];

const TIMES: &Table<Duration> = &[
    ("timeout", ConfigBuilder::timeout),
    ("min_ttl", ConfigBuilder::min_ttl),
    ("max_ttl", ConfigBuilder::max_ttl),
    ("serve_stale", ConfigBuilder::serve_stale),
    ("tcp_idle", ConfigBuilder::tcp_idle),
];

const SIZES: &Table<usize> = &[
    ("cache_size", ConfigBuilder::cache_bytes),
    ("queue_size", ConfigBuilder::queue_bytes),
    ("record_size", ConfigBuilder::record_bytes),
];

const COUNTS: &Table<usize> = &[
    ("max_in_flight", ConfigBuilder::max_in_flight),
    (
        "max_in_flight_per_client",
        ConfigBuilder::max_in_flight_per_client,
    ),
    ("max_link_in_flight", ConfigBuilder::max_link_in_flight),
    ("max_tcp_connections", ConfigBuilder::max_tcp_connections),
    ("max_tcp_per_client", ConfigBuilder::max_tcp_per_client),
    ("max_tcp_in_flight", ConfigBuilder::max_tcp_in_flight),
];

const WORKERS: &Table<usize> = &[("workers", |config, count| {
    config.workers(NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN))
})];

const PAYLOAD: &Table<usize> = &[("udp_payload", |config, octets| {
    config.udp_payload(octets as u16)
})];

const PADDING: &Table<Option<NonZeroU16>> = &[("padding", ConfigBuilder::padding)];

const CLIENT_SUBNET: &Table<ClientSubnet> = &[("ecs", ConfigBuilder::client_subnet)];

const SPLIT: &Table<usize> = &[("split_upstreams", ConfigBuilder::split_upstreams)];

const POLICY: &Table<Policy> = &[("policy", ConfigBuilder::policy)];

impl Settings {
    /// `missing` says what becomes of a file that is not there and can be made.
    pub(super) fn read(
        modes: Modes,
        given: &Given,
        sources: &Sources,
        missing: Missing,
    ) -> Result<Self, UsageError> {
        let (hosts, mut warnings_of_hosts) = read_hosts(given)?;
        let (certificate, mut remarks_on_certificate) = read_server_certificate(given)?;
        let mut start = Config::builder().modes(modes).hosts(hosts);
        if let Some(name) = read_listener_name(given, certificate.as_ref())? {
            start = start.listener_name(name);
        }
        if let Some(certificate) = certificate {
            start = start.certificate(certificate);
        }
        let (config, bootstrap_file, mut remarks) = config(given, start, sources.root())?;
        let (mut config, mut remarks_on_key) = with_split_key(given, config, missing)?;
        let control_socket = given.one("control_socket", control_socket)?.flatten();
        if control_socket.is_none() {
            // Nobody can ask for them.
            let without = config.into_builder().record_bytes(0).build();
            config = without.map_err(|error| given.usage_error(&error))?;
        }
        let runtime = given.one("runtime", runtime)?.ok_or_else(|| {
            UsageError("this program was built without a runtime and cannot serve".to_owned())
        })?;
        if let Some(can) = capabilities(&runtime) {
            can.allow(&config)
                .map_err(|error| given.usage_error(&error))?;
        }
        let admin = given.one("admin", admin)?.flatten();
        if let Some(error) = admin.and_then(|at| taken_by_clients(at, &config)) {
            return Err(given.usage_error(&error));
        }
        let sink = given.one("query_log", query_log::sink)?.flatten();
        let clients = given.one("query_log_clients", query_log::clients)?;
        let clients = clients.unwrap_or_default();
        let query_log = sink.map(|sink| QueryLogTo { sink, clients });
        // The start runs the same code, so that it does not refuse what passes here.
        let checked = check(&config).map_err(|error| given.usage_error(&error))?;
        remarks.extend(checked);
        let mut warnings = warnings(given, &config);
        warnings.extend(admin.and_then(readable_by_others));
        warnings.extend(query_log.is_none().then(|| nothing_logged(given)).flatten());
        let unrecorded = control_socket.is_none().then(|| nothing_recorded(given));
        warnings.extend(unrecorded.flatten());
        warnings.append(&mut warnings_of_hosts);
        warnings.append(&mut remarks_on_key);
        warnings.append(&mut remarks_on_certificate);
        warnings.extend(
            remarks
                .iter()
                .map(|remark| given.usage_error(remark).to_string()),
        );
        Ok(Self {
            warnings,
            config,
            runtime,
            admin,
            control_socket,
            query_log,
            log: given.one("log", level)?.unwrap_or(LevelFilter::Info),
            log_format: given.one("log_format", log_format)?.unwrap_or_default(),
            file: given.file.clone(),
            bootstrap_file,
            sources: sources.clone(),
        })
    }

    /// The settings that differ from those of the start, and that only a start changes.
    pub fn fixed(&self, started: &Self) -> Vec<String> {
        let runtime = (self.runtime != started.runtime).then_some("runtime");
        let admin = (self.admin != started.admin).then_some("admin");
        let socket = self.control_socket != started.control_socket;
        let socket = socket.then_some("control_socket");
        let log_format = (self.log_format != started.log_format).then_some("log_format");
        let names = self
            .config
            .fixed(&started.config)
            .into_iter()
            .chain(runtime)
            .chain(admin)
            .chain(socket)
            .chain(log_format);
        names.map(|name| name.replace('_', "-")).collect()
    }

    /// Which name servers of this host find the addresses of upstreams, if they do: a line for the log.
    pub fn bootstrap_note(&self) -> Option<String> {
        let file = self.bootstrap_file?;
        let servers: Vec<String> = (self.config.bootstrap().iter())
            .map(ToString::to_string)
            .collect();
        Some(format!(
            "the addresses of upstreams given by name are asked for at {}, without encryption; {file} names these servers (bootstrap)",
            servers.join(", ")
        ))
    }

    /// How many certificates are trusted, if they are not the built-in ones: a line for the log.
    pub fn trust_note(&self) -> Option<String> {
        let trusted = self.config.roots().described()?;
        Some(format!(
            "{trusted}, and none of the built-in ones (ca-file)"
        ))
    }
}

/// The configuration, the file of this host that names bootstrap resolvers for it, and remarks on what was read.
fn config(
    given: &Given,
    config: ConfigBuilder,
    root: Option<&Path>,
) -> Result<(Config, Option<&'static str>, Vec<ConfigError>), UsageError> {
    let (mut config, bootstrap_file) = addresses(given, config, root)?;
    config = given.apply(config, SWITCHES, switch)?;
    config = given.apply(config, TIMES, duration)?;
    config = given.apply(config, SIZES, octets)?;
    config = given.apply(config, COUNTS, |text| number(text, &Limits::COUNTS))?;
    config = given.apply(config, WORKERS, |text| number(text, &Config::WORKERS))?;
    config = given.apply(config, PAYLOAD, |text| number(text, &Limits::UDP_PAYLOADS))?;
    config = given.apply(config, POLICY, str::parse)?;
    config = given.apply(config, PADDING, padding)?;
    config = given.apply(config, CLIENT_SUBNET, client_subnet)?;
    config = given.apply(config, SPLIT, |text| number(text, &Config::SPLIT_UPSTREAMS))?;
    let mut remarks = Vec::new();
    if let Some((roots, told)) = given.all("ca_file", read_roots)?.pop() {
        config = config.roots(roots);
        remarks = told;
    }
    config = config.captive(read_captive(given)?);
    config = config.allow(access_list(given)?);
    let config = config.build().map_err(|error| given.usage_error(&error))?;
    if let Some(error) = find_loop(&config, is_own_address) {
        return Err(given.usage_error(&error));
    }
    Ok((config, bootstrap_file, remarks))
}

/// With the key by which domains are split, if a file has it, and what is to be warned of. The file is made only if it matters.
fn with_split_key(
    given: &Given,
    config: Config,
    missing: Missing,
) -> Result<(Config, Vec<String>), UsageError> {
    let missing = if config.splits() {
        missing
    } else {
        Missing::Ignore
    };
    let read = given.all("split_key_file", |text| read_split_key(&text.text, missing))?;
    let (key, remarks) = read.into_iter().last().unwrap_or_default();
    let source = given.source("split_key_file").unwrap_or_default();
    let remarks = remarks.iter().map(|remark| format!("{source} {remark}"));
    let remarks: Vec<String> = remarks.collect();
    let Some(key) = key else {
        return Ok((config, remarks));
    };
    let config = config.into_builder().split_key(key).build();
    let config = config.map_err(|error| given.usage_error(&error))?;
    Ok((config, remarks))
}

fn addresses(
    given: &Given,
    config: ConfigBuilder,
    root: Option<&Path>,
) -> Result<(ConfigBuilder, Option<&'static str>), UsageError> {
    let listen = given.all("listen", |text| read_listen(&text.text))?;
    let mut listen = listen.concat();
    for by in Encryption::ALL {
        let read = given.all(by.setting(), |text| read_encrypted(&text.text, by))?;
        listen.extend(read.into_iter().flatten());
    }
    let plaintext = Plaintext::read(given)?;
    let upstreams = given.all("upstream", |text| read_upstream(text, &plaintext))?;
    let routes = read_routes(given, &plaintext)?;
    let written = given.all("bootstrap", read_bootstrap)?;
    let mut bootstrap: Vec<SocketAddr> = written.iter().copied().flatten().collect();
    let mut bootstrap_file = None;
    let mut all = upstreams
        .iter()
        .chain(routes.iter().flat_map(Route::upstreams));
    if let (Some(root), true, Some(named)) = (
        root,
        written.contains(&None),
        all.find(|upstream| upstream.host_to_find().is_some()),
    ) {
        match NameServers::read(root, &listen) {
            Ok(NameServers { file, servers }) => {
                let new = servers.into_iter().filter(|new| !bootstrap.contains(new));
                let new: Vec<SocketAddr> = new.collect();
                bootstrap.extend(new);
                bootstrap_file = Some(file);
            }
            Err(NoServers { why, .. }) if bootstrap.is_empty() => {
                let reason = format!(
                    "is a name, and finding its address takes a bootstrap resolver, but {why}: name one, or write IP#NAME"
                );
                let error = ConfigError::new("upstream", named.label(), reason);
                return Err(given.usage_error(&error.with_remedy("bootstrap")));
            }
            Err(_) => {}
        }
    }
    let config = config.listen(listen).upstreams(upstreams);
    Ok((config.bootstrap(bootstrap).routes(routes), bootstrap_file))
}

/// The address of a bootstrap resolver, or nothing for those of this host.
fn read_bootstrap(text: &Written) -> Result<Option<SocketAddr>, ConfigError> {
    if text.text == SYSTEM {
        return Ok(None);
    }
    let parse = |text: &str| {
        let error = |reason: String| ConfigError::new("bootstrap", text, reason);
        server_address(text, DNS_PORT).map_err(error)
    };
    read_zoned("bootstrap", &text.text, interface_number, parse).map(Some)
}

fn read_listen(text: &str) -> Result<Vec<Listen>, ConfigError> {
    if text == LOOPBACK {
        return Ok(Listen::loopback().into());
    }
    let listen = read_zoned("listen", text, interface_number, str::parse::<Listen>)?;
    Ok(vec![listen])
}

/// An address where clients encrypt, or nothing for none.
fn read_encrypted(text: &str, by: Encryption) -> Result<Option<Listen>, ConfigError> {
    if text == NONE {
        return Ok(None);
    }
    let parse = |text: &str| Listen::parse_encrypted(text, by);
    read_zoned(by.setting(), text, interface_number, parse).map(Some)
}

fn access_list(given: &Given) -> Result<AccessList, UsageError> {
    let prefixes: Vec<Option<Cidr>> = given.all("allow_net", |text| match text.text.as_str() {
        HOST_NETWORKS => Ok(None),
        text => read_prefix(text).map(Some),
    })?;
    let list: AccessList = prefixes.iter().copied().flatten().collect();
    Ok(if prefixes.contains(&None) {
        list.with_host_networks()
    } else {
        list
    })
}

/// The trusted certificates, and remarks on what of them could not be read.
fn read_roots(text: &Written) -> Result<(Roots, Vec<ConfigError>), ConfigError> {
    let path = text.text.as_str();
    match path {
        BUILT_IN => return Ok((Roots::BuiltIn, Vec::new())),
        SYSTEM => return system_roots(),
        _ => {}
    }
    let pem = read_limited(Path::new(path), PEM_OCTETS);
    let pem = pem.map_err(|why| ConfigError::new("ca_file", path, why.to_string()))?;
    Roots::from_pem(path, pem).map(|roots| (roots, Vec::new()))
}

#[cfg(test)]
mod tests {
    use crate::config::TtlBounds;
    use std::ffi::OsString;

    use super::super::{Command, parse};
    use super::*;
    use crate::config::Upstream;
    use crate::transports::RUNTIMES;

    fn read(line: &str, variables: &[(&str, &str)]) -> Result<Settings, UsageError> {
        let arguments = ["serve"]
            .into_iter()
            .chain(line.split_whitespace())
            .map(OsString::from);
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        match parse(arguments, variables)? {
            Command::Serve(settings) => Ok(settings),
            other => panic!("{line} does not serve: {other:?}"),
        }
    }

    fn settings(line: &str) -> Settings {
        read(line, &[]).unwrap()
    }

    fn error(line: &str) -> String {
        read(line, &[]).unwrap_err().to_string()
    }

    #[test]
    fn nothing_given_means_the_defaults() {
        let settings = settings("");
        let defaults = Config::default();
        assert_eq!(format!("{:?}", settings.config), format!("{defaults:?}"));
        assert_eq!(
            (settings.runtime.as_str(), settings.log),
            (*RUNTIMES.first().unwrap(), LevelFilter::Info)
        );
    }

    #[cfg(all(feature = "sockets", target_os = "linux"))]
    #[test]
    fn a_zone_may_be_the_name_of_an_interface() {
        let number = interface_number("lo").unwrap();
        let settings = settings(
            "--listen [fe80::1%lo]:5300 --upstream tls://[fe80::2%lo]#a.test --bootstrap fe80::3%lo",
        );
        let config = &settings.config;
        let expected = |ip: &str, port| format!("[{ip}%{number}]:{port}").parse().unwrap();
        assert_eq!(config.listen()[0].addr(), expected("fe80::1", 5300));
        assert_eq!(
            config.upstreams()[0].addresses(),
            [expected("fe80::2", 853)]
        );
        assert_eq!(config.upstreams()[0].label(), "tls://[fe80::2%lo]#a.test");
        assert_eq!(config.bootstrap(), [expected("fe80::3", 53)]);
        assert_eq!(
            error("--listen [fe80::1%nosuch0]:5300"),
            r#"--listen "[fe80::1%nosuch0]:5300": this host has no interface "nosuch0"; `ip link` shows those it has"#
        );
    }

    #[test]
    fn a_summary_says_how_upstreams_are_authenticated_and_reached() {
        let pin = "pin-sha256=MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        let text = settings(&format!(
            "--upstream 192.0.2.1?{pin}&early-data=true --upstream 192.0.2.2#a.test?{pin} \
             --upstream 192.0.2.3?profile=opportunistic \
             --upstream tls://dns.test?socks5=127.0.0.1 --bootstrap 192.0.2.53 --padding off --ecs keep"
        ))
        .to_string();
        for line in [
            "192.0.2.1: verified by 1 pinned key alone, early data",
            "192.0.2.2#a.test: verified by 1 pinned key beside its name",
            "192.0.2.3: not authenticated (opportunistic)",
            "tls://dns.test: through the SOCKS5 proxy 127.0.0.1:1080",
            "not padded over TLS, client subnet (ECS) passed on",
        ] {
            let found = text.lines().any(|found| found.ends_with(line));
            assert!(found, "{line} in:\n{text}");
        }
        // The proxy finds the name.
        assert!(!text.contains("names found by"), "{text}");
        let plain = settings("--upstream quad9").to_string();
        assert!(!plain.contains("quad9: "), "{plain}");
        let queries =
            "queries    padded to a multiple of 128 octets over TLS, client subnet (ECS) removed";
        assert!(plain.contains(queries), "{plain}");
    }

    #[test]
    fn every_option_arrives() {
        let settings = settings(
            "--listen 192.0.2.1:5300 --listen ::1 --upstream quad9 --upstream tcp://192.0.2.9 \
             --allow-plaintext --upstream tls://dns.google --bootstrap 192.0.2.53 \
             --timeout 1500ms --cache-size 0 --queue-size 16M --workers 4 --log DEBUG --log-format json \
             --allow-net 198.51.100.0/24 --max-in-flight 1 --max-in-flight-per-client 7 \
             --max-link-in-flight 2 --max-tcp-connections 3 --max-tcp-per-client 4 \
             --max-tcp-in-flight 5 --tcp-idle 6 --udp-payload 4096 --policy fastest --hedge \
             --keep-scheduling --rotate --key-log --ignore-network-changes",
        );
        let config = &settings.config;
        assert_eq!((config.policy(), config.hedge()), (Policy::Fastest, true));
        assert!(config.keep_scheduling() && config.rotate() && config.key_log());
        assert!(config.ignore_network_changes());
        let text = settings.to_string();
        let expected = "quad9 or tcp://192.0.2.9 or tls://dns.google (fastest)\n             late queries are sent twice; names found by 192.0.2.53:53\n";
        assert!(text.contains(expected), "{text}");
        let listen: Vec<String> = config
            .listen()
            .iter()
            .map(|listen| listen.addr().to_string())
            .collect();
        assert_eq!(listen, ["192.0.2.1:5300", "[::1]:53"]);
        assert!(config.listen().iter().all(Listen::is_required));
        let upstreams: Vec<&str> = config.upstreams().iter().map(Upstream::label).collect();
        assert_eq!(upstreams, ["quad9", "tcp://192.0.2.9", "tls://dns.google"]);
        assert_eq!(config.bootstrap(), ["192.0.2.53:53".parse().unwrap()]);
        assert_eq!(
            (config.timeout(), config.workers().get()),
            (Duration::from_millis(1_500), 4)
        );
        assert!(
            config.allow().allows("198.51.100.7".parse().unwrap())
                && !config.allow().allows("::1".parse().unwrap())
        );
        let limits = Limits {
            in_flight: 1,
            in_flight_per_client: 7,
            link_in_flight: 2,
            tcp_connections: 3,
            tcp_per_client: 4,
            tcp_in_flight: 5,
            tcp_idle: Duration::from_secs(6),
            queue_bytes: 16 << 20,
            udp_payload: 4_096,
        };
        assert_eq!(*config.limits(), limits);
        assert_eq!(settings.log, LevelFilter::Debug);
        assert_eq!(settings.log_format, Format::Json);
    }

    #[test]
    fn values_are_understood_as_people_write_them() {
        let config = |line: &str, variables: &[(&str, &str)]| read(line, variables).unwrap().config;
        assert_eq!(
            config("--timeout 1.5s", &[]).timeout(),
            Duration::from_millis(1_500)
        );
        assert_eq!(config("--cache-size 4M", &[]).cache_bytes(), 4 << 20);
        assert_eq!(config("--cache-size 64KiB", &[]).cache_bytes(), 64 << 10);
        assert_eq!(settings("--log off").log, LevelFilter::Off);
        let hedge = [("DOTWARD_HEDGE", "true")];
        assert!(config("", &hedge).hedge() && !config("--hedge=false", &hedge).hedge());
        let labels = |line: &str| -> Vec<String> {
            let config = config(line, &[]);
            let upstreams = config.upstreams().iter();
            upstreams.map(|one| one.label().to_owned()).collect()
        };
        assert_eq!(labels("--upstream quad9,google"), ["quad9", "google"]);
        let unbound = config("--upstream 9.9.9.9@853#dns.quad9.net", &[]);
        let address = "9.9.9.9:853".parse().unwrap();
        assert_eq!(unbound.upstreams()[0].addresses(), [address]);
        let capitals = config("--upstream TLS://9.9.9.9", &[]);
        assert_eq!(capitals.upstreams()[0].scheme(), "tls");
    }

    #[test]
    fn a_slip_gets_a_suggestion() {
        // fault 86
        for (line, hint) in [
            ("--upstream clodflare", "; did you mean cloudflare?"),
            ("--upstream tsl://9.9.9.9", "; did you mean tls?"),
            ("--policy round_robin", "; did you mean round-robin?"),
            ("--log wran", "; did you mean warn?"),
            ("--runtime async_std", "; did you mean async-std?"),
            ("--runtme async-std", "; did you mean --runtime?"),
            (
                "--listen fe80::1:5300",
                "write [fe80::1]:5300 or [fe80::1:5300]",
            ),
        ] {
            let error = error(line);
            assert!(error.ends_with(hint), "{line}: {error}");
        }
    }

    #[test]
    fn variables_do_the_same() {
        let variables = [
            ("DOTWARD_LISTEN", "127.0.0.1:5300, [::1]:5300"),
            ("DOTWARD_UPSTREAM", "quad9,tcp://192.0.2.9"),
            ("DOTWARD_ALLOW_PLAINTEXT", "true"),
            ("DOTWARD_MAX_TCP_PER_CLIENT", "7"),
            ("DOTWARD_TIMEOUT", "9"),
        ];
        let config = read("--timeout 2s", &variables).unwrap().config;
        assert_eq!((config.listen().len(), config.upstreams().len()), (2, 2));
        assert_eq!(
            (config.limits().tcp_per_client, config.timeout()),
            (7, Duration::from_secs(2))
        );
    }

    #[test]
    fn plaintext_takes_permission() {
        // fault 86, req 74
        let error = error("--upstream quad9 --upstream tcp://192.0.2.9");
        assert!(
            error.starts_with(r#"--upstream "tcp://192.0.2.9": is not encrypted"#),
            "{error}"
        );
        assert!(error.contains("--allow-plaintext"));
        let refused = read(
            "--upstream tcp://192.0.2.9",
            &[("DOTWARD_ALLOW_PLAINTEXT", "false")],
        );
        assert!(refused.is_err());
        assert!(read("--upstream tcp://192.0.2.9 --allow-plaintext", &[]).is_ok());
    }

    #[test]
    fn an_error_names_option_or_variable_and_value() {
        // fault 86
        for (line, start) in [
            (
                "--listen 127.0.0.1:99999",
                r#"--listen "127.0.0.1:99999": the port"#,
            ),
            (
                "--listen ::1 --listen ::1",
                r#"--listen "[::1]:53": is given twice"#,
            ),
            (
                "--upstream clodflare",
                r#"--upstream "clodflare": there is no provider"#,
            ),
            (
                "--upstream quad9 --upstream quad9",
                r#"--upstream "quad9": is given twice"#,
            ),
            (
                "--upstream 9.9.9.9:53#a.test",
                r#"--upstream "9.9.9.9:53#a.test": port 53 is for"#,
            ),
            (
                "--bootstrap resolver",
                r#"--bootstrap "resolver": "resolver" is not an IP"#,
            ),
            (
                "--bootstrap 127.0.0.1",
                r#"--bootstrap "127.0.0.1": is where dotward itself"#,
            ),
            (
                "--timeout 99ms",
                r#"--timeout "99ms": is not from 100ms to 60s"#,
            ),
            ("--timeout soon", r#"--timeout "soon": is not a duration"#),
            (
                "--cache-size -1",
                r#"--cache-size "-1": is not a number of octets"#,
            ),
            (
                "--cache-size 1MB",
                r#"--cache-size "1MB": is not a number of octets"#,
            ),
            (
                "--log loud",
                r#"--log "loud": is not a level; those are off, error, warn, info, debug"#,
            ),
            (
                "--log-format jsno",
                r#"--log-format "jsno": is none of text, json; did you mean json?"#,
            ),
            (
                "--allow-net 10.0.0.1/8",
                r#"--allow-net "10.0.0.1/8": has bits set"#,
            ),
            (
                "--policy random",
                r#"--policy "random": is not a policy; those are failover, round-robin, fastest, split"#,
            ),
            (
                "--runtime none",
                r#"--runtime "none": is not a runtime of this program; it was built with "#,
            ),
            (
                "--tcp-idle 999ms",
                r#"--tcp-idle "999ms": is not from 1s to 1h"#,
            ),
        ] {
            let error = error(line);
            assert!(error.starts_with(start), "{line}: {error}");
        }
    }

    #[test]
    fn a_number_has_its_range() {
        // fault 86
        for (line, start) in [
            (
                "--workers 0",
                r#"--workers "0": is not a number from 1 to 64"#,
            ),
            (
                "--workers 65",
                r#"--workers "65": is not a number from 1 to 64"#,
            ),
            (
                "--max-in-flight 0",
                r#"--max-in-flight "0": is not a number from 1 to 65535"#,
            ),
            (
                "--max-link-in-flight 65536",
                r#"--max-link-in-flight "65536": is not a number"#,
            ),
            (
                "--max-tcp-connections +5",
                r#"--max-tcp-connections "+5": is not a number"#,
            ),
            (
                "--max-tcp-per-client many",
                r#"--max-tcp-per-client "many": is not a number"#,
            ),
            (
                "--max-tcp-in-flight 1.5",
                r#"--max-tcp-in-flight "1.5": is not a number"#,
            ),
            (
                "--udp-payload 511",
                r#"--udp-payload "511": is not a number from 512 to 4096"#,
            ),
            (
                "--udp-payload 4097",
                r#"--udp-payload "4097": is not a number from 512 to 4096"#,
            ),
        ] {
            let error = error(line);
            assert!(error.starts_with(start), "{line}: {error}");
        }
        let error = read("", &[("DOTWARD_WORKERS", "all")])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            r#"DOTWARD_WORKERS "all": is not a number from 1 to 64"#
        );
    }

    #[test]
    fn the_root_file_is_read_at_once() {
        // fault 86
        let directory = std::env::temp_dir().join(format!("dotward-roots-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
        let pem = &params.self_signed(&key).unwrap().pem();
        let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let broken = file("broken", &format!("{pem}{broken}"));
        let (good, empty, other) = (file("good", pem), file("empty", ""), file("other", "a key"));
        let missing = directory.join("missing").to_str().unwrap().to_owned();

        let read = settings(&format!("--ca-file {good}"));
        let [missing, empty, other, broken] = [missing, empty, other, broken].map(|path| {
            let error = error(&format!("--ca-file {path}"));
            error
                .strip_prefix(&format!("--ca-file {path:?}: "))
                .map(str::to_owned)
                .ok_or(error)
        });
        std::fs::remove_dir_all(&directory).unwrap();

        assert_eq!(*read.config.roots(), Roots::Pem(pem.as_bytes().into()));
        let leaf = format!("--ca-file {good:?}: certificate 1 of the file is no authority: ");
        assert!(matches!(&read.warnings[..], [warning] if warning.starts_with(&leaf)));
        // fault 116: this passed, and ended the start with `ca-file ""` and status 1.
        let broken = broken.unwrap();
        assert!(
            broken.starts_with("certificate 2 of the file cannot be read ("),
            "{broken}"
        );
        assert!(missing.unwrap().contains("os error 2"));
        assert_eq!(empty.as_deref(), Ok("the file is empty"));
        assert_eq!(
            other.as_deref(),
            Ok("there is no PEM certificate in the file")
        );
    }

    #[test]
    fn the_cache_keeps_answers_as_long_as_it_is_told() {
        let ttl = |line| settings(line).config.ttl();
        assert_eq!(ttl(""), TtlBounds::default());
        let set = ttl("--min-ttl 60s --max-ttl 1h --serve-stale 3d");
        let seconds = [set.min, set.max, set.stale].map(|time| time.as_secs());
        assert_eq!(seconds, [60, 3_600, 259_200]);
        assert_eq!(ttl("--serve-stale off").stale, Duration::ZERO);
        let above = error("--min-ttl 120s --max-ttl 60s");
        assert!(
            above.starts_with(r#"--min-ttl "120s": is more than the maximum, which is 60s"#),
            "{above}"
        );
        assert_eq!(
            error("--min-ttl 2h"),
            r#"--min-ttl "2h": is not from 0 to 1h"#
        );
        let names = settings("--forward-special-names --show-version")
            .config
            .local_names();
        assert!(names.forward_special && names.show_version);
        let names = settings("").config.local_names();
        assert!(!names.forward_special && !names.show_version);
    }
}
