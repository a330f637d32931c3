//! A builder, which makes a [`Config`] only of values that are valid together.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use super::checks::{named_upstreams, routes_fit, upstreams_fit};
use super::error::invalid;
use super::identity::different;
use super::{
    AccessList, Captive, ClientSubnet, Config, ConfigError, Domain, Hosts, Limits, Listen, Modes,
    NetworkResolver, Policy, Roots, Route, ServerCertificate, SplitKey, TtlBounds, Upstream,
    lacking,
};

/// The settings of a [`Config`]. One that is not set has its default. Each is described at the method or field that reads it.
#[derive(Clone, Debug)]
#[must_use = "settings have no effect without `build`"]
pub struct ConfigBuilder {
    config: Config,
    driver_resolves: bool,
}

/// Makes a setter from the name of a setting, the type of its value, and its field.
macro_rules! setters {
    ($( $(#[$doc:meta])* $name:ident($value:ty) => $($field:ident).+; )*) => {
        impl ConfigBuilder { $(
            $(#[$doc])*
            pub fn $name(mut self, value: $value) -> Self {
                self.config.$($field).+ = value.into();
                self
            }
        )* }
    };
}

setters! {
    /// [`Config::listen`]: at least one.
    listen(impl Into<Vec<Listen>>) => listen;
    /// [`Config::certificate`].
    certificate(ServerCertificate) => certificate;
    /// [`Config::listener_name`]: at most [`Config::MAX_LISTENER_NAME`] characters.
    listener_name(Domain) => listener_name;
    /// [`Config::modes`].
    modes(Modes) => modes;
    /// [`Config::upstreams`]: 1 to [`Config::MAX_UPSTREAMS`].
    upstreams(impl Into<Vec<Upstream>>) => upstreams;
    /// [`Config::policy`].
    policy(Policy) => policy;
    /// [`Config::split_upstreams`], within [`Config::SPLIT_UPSTREAMS`].
    split_upstreams(usize) => split_upstreams;
    /// [`Config::split_key`].
    split_key(SplitKey) => split_key;
    /// [`Config::hedge`].
    hedge(bool) => hedge;
    /// [`Config::bootstrap`].
    bootstrap(impl Into<Vec<SocketAddr>>) => bootstrap;
    /// [`Config::captive`].
    captive(Option<Captive>) => captive;
    /// [`Config::roots`].
    roots(Roots) => tls.roots;
    /// [`Config::key_log`].
    key_log(bool) => tls.key_log;
    /// [`Config::timeout`], within [`Config::TIMEOUTS`].
    timeout(Duration) => timeout;
    /// [`Config::cache_bytes`].
    cache_bytes(usize) => cache_bytes;
    /// [`Config::record_bytes`], within [`Config::RECORDS`], or 0.
    record_bytes(usize) => record_bytes;
    /// [`Config::workers`], within [`Config::WORKERS`].
    workers(NonZeroUsize) => workers;
    /// [`Config::keep_scheduling`].
    keep_scheduling(bool) => host.keep_scheduling;
    /// [`Config::ignore_network_changes`].
    ignore_network_changes(bool) => host.ignore_network_changes;
    /// [`LocalNames::forward_special`](super::LocalNames::forward_special).
    forward_special_names(bool) => local_names.forward_special;
    /// [`LocalNames::show_version`](super::LocalNames::show_version).
    show_version(bool) => local_names.show_version;
    /// [`Config::routes`]: at most [`Config::MAX_ROUTES`], no domain in two of them, and at most [`Config::MAX_UPSTREAMS`] different
    /// upstreams in all.
    routes(impl Into<Vec<Route>>) => routes;
    /// [`Config::hosts`].
    hosts(Hosts) => hosts;
    /// [`TtlBounds::min`], within [`TtlBounds::MINS`].
    min_ttl(Duration) => ttl.min;
    /// [`TtlBounds::max`], within [`TtlBounds::MAXES`].
    max_ttl(Duration) => ttl.max;
    /// [`TtlBounds::stale`], within [`TtlBounds::STALES`].
    serve_stale(Duration) => ttl.stale;
    /// [`Config::rotate`].
    rotate(bool) => rotate;
    /// [`Config::padding`], within [`Config::PADDINGS`].
    padding(Option<NonZeroU16>) => padding;
    /// [`Config::client_subnet`].
    client_subnet(ClientSubnet) => client_subnet;
    /// [`Config::allow`].
    allow(AccessList) => allow;
    /// [`Limits::in_flight`], within [`Limits::COUNTS`].
    max_in_flight(usize) => limits.in_flight;
    /// [`Limits::in_flight_per_client`], within [`Limits::COUNTS`].
    max_in_flight_per_client(usize) => limits.in_flight_per_client;
    /// [`Limits::link_in_flight`], within [`Limits::COUNTS`].
    max_link_in_flight(usize) => limits.link_in_flight;
    /// [`Limits::tcp_connections`], within [`Limits::COUNTS`].
    max_tcp_connections(usize) => limits.tcp_connections;
    /// [`Limits::tcp_per_client`], within [`Limits::COUNTS`].
    max_tcp_per_client(usize) => limits.tcp_per_client;
    /// [`Limits::tcp_in_flight`], within [`Limits::COUNTS`].
    max_tcp_in_flight(usize) => limits.tcp_in_flight;
    /// [`Limits::tcp_idle`], within [`Limits::TCP_IDLES`].
    tcp_idle(Duration) => limits.tcp_idle;
    /// [`Limits::queue_bytes`]: at least [`Limits::MIN_QUEUE`] for each worker.
    queue_bytes(usize) => limits.queue_bytes;
    /// [`Limits::udp_payload`], within [`Limits::UDP_PAYLOADS`].
    udp_payload(u16) => limits.udp_payload;
}

impl Default for ConfigBuilder {
    fn default() -> Self {
        Self::from(Config::default())
    }
}

impl From<Config> for ConfigBuilder {
    fn from(config: Config) -> Self {
        Self {
            driver_resolves: false,
            config,
        }
    }
}

impl ConfigBuilder {
    /// Upstreams given by name need no bootstrap resolver, because the program that drives the [`Forwarder`](crate::Forwarder) finds their
    /// addresses itself ([`Action::Resolve`](crate::engine::Action::Resolve)), and those that another resolver designates.
    pub fn driver_resolves_names(mut self) -> Self {
        self.driver_resolves = true;
        self
    }

    /// The configuration. An error names the first setting that is invalid, alone or beside another.
    pub fn build(mut self) -> Result<Config, ConfigError> {
        self.listeners_fit()?;
        routes_fit(&self.config)?;
        upstreams_fit(&self.config, self.driver_resolves)?;
        self.values_are_in_range()?;
        if self.config.splits()
            && let Err(why) = Policy::Split.is_built_in()
        {
            return Err(ConfigError::new("policy", &Policy::Split, why));
        }
        self.captive_fits()?;
        let config = &mut self.config;
        config.all_upstreams = different(named_upstreams(&config.upstreams, &config.routes));
        Ok(self.config)
    }

    fn listeners_fit(&self) -> Result<(), ConfigError> {
        let listen = &self.config.listen;
        if listen.is_empty() {
            return invalid("listen", &"", &"at least one address is needed");
        }
        for (index, one) in listen.iter().enumerate() {
            if listen.iter().take(index).any(|other| other.collides(one)) {
                return invalid(one.setting(), &one.addr(), &"is given twice");
            }
            if let Some(wide) = listen.iter().find(|other| other.covers(one)) {
                let wide = wide.addr();
                let reason = format_args!(
                    "is part of {wide}, which is all addresses of this host: leave one of them out"
                );
                return invalid(one.setting(), &one.addr(), &reason);
            }
        }
        let encrypted = self.config.listen_encrypted().next();
        if let (Some(one), None) = (encrypted, &self.config.certificate) {
            let over = one.encryption().name();
            let reason = format!("clients over {over} must be shown a certificate: name its file");
            let error = ConfigError::new(one.setting(), &one.addr(), reason);
            return Err(error.with_remedy("certificate"));
        }
        if let Some(name) = self.config.listener_name.as_ref() {
            let most = Config::MAX_LISTENER_NAME;
            if name.name().is_empty() {
                return invalid(
                    "listener_name",
                    name,
                    &"the root is the name of no resolver",
                );
            }
            if name.labels_from_top().take(2).eq(["arpa", "resolver"]) {
                let reason = "is reserved (RFC 9462 section 4): take a name of your own";
                return invalid("listener_name", name, &reason);
            }
            if name.name().len() > most {
                let reason = format_args!(
                    "has more than {most} characters, so that no name can stand before it"
                );
                return invalid("listener_name", name, &reason);
            }
        }
        Ok(())
    }

    fn captive_fits(&self) -> Result<(), ConfigError> {
        let Some(captive) = &self.config.captive else {
            return Ok(());
        };
        let (time, range) = (captive.time, &Captive::TIMES);
        let written = format!("allow-plaintext-for {}", time_text(time));
        if cfg!(not(feature = "captive")) {
            return invalid("captive", &written, &lacking("captive"));
        }
        if !range.contains(&time) {
            let (least, most) = (time_text(*range.start()), time_text(*range.end()));
            let reason = format_args!("is not for {least} to {most}");
            return invalid("captive", &written, &reason);
        }
        let own = captive.resolvers.iter().find_map(|one| match one {
            NetworkResolver::Address(address) => {
                let mut listen = self.config.listen.iter();
                listen
                    .any(|listen| listen.receives(*address))
                    .then_some(address)
            }
            NetworkResolver::System | NetworkResolver::File(_) => None,
        });
        match own {
            Some(own) => invalid("captive_resolver", own, &"is where dotward itself listens"),
            None => Ok(()),
        }
    }

    fn values_are_in_range(&self) -> Result<(), ConfigError> {
        let Config { limits, ttl, .. } = &self.config;
        let workers = self.config.workers.get();
        for (setting, time, range) in [
            ("timeout", self.config.timeout, &Config::TIMEOUTS),
            ("min_ttl", ttl.min, &TtlBounds::MINS),
            ("max_ttl", ttl.max, &TtlBounds::MAXES),
            ("serve_stale", ttl.stale, &TtlBounds::STALES),
            ("tcp_idle", limits.tcp_idle, &Limits::TCP_IDLES),
        ] {
            if !range.contains(&time) {
                let (least, most) = (time_text(*range.start()), time_text(*range.end()));
                let reason = format_args!("is not from {least} to {most}");
                return invalid(setting, &format_args!("{time:?}"), &reason);
            }
        }
        if ttl.min > ttl.max {
            let reason = format!("is more than the maximum, which is {}", time_text(ttl.max));
            let min = format!("{:?}", ttl.min);
            return Err(ConfigError::new("min_ttl", &min, reason).with_remedy("max_ttl"));
        }
        for (setting, number, range) in [
            ("workers", workers, &Config::WORKERS),
            (
                "split_upstreams",
                self.config.split_upstreams,
                &Config::SPLIT_UPSTREAMS,
            ),
            (
                "udp_payload",
                limits.udp_payload.into(),
                &Limits::UDP_PAYLOADS,
            ),
            (
                "padding",
                self.config
                    .padding
                    .map_or(*Config::PADDINGS.start(), |block| block.get().into()),
                &Config::PADDINGS,
            ),
            ("max_in_flight", limits.in_flight, &Limits::COUNTS),
            (
                "max_in_flight_per_client",
                limits.in_flight_per_client,
                &Limits::COUNTS,
            ),
            ("max_link_in_flight", limits.link_in_flight, &Limits::COUNTS),
            (
                "max_tcp_connections",
                limits.tcp_connections,
                &Limits::COUNTS,
            ),
            ("max_tcp_per_client", limits.tcp_per_client, &Limits::COUNTS),
            ("max_tcp_in_flight", limits.tcp_in_flight, &Limits::COUNTS),
        ] {
            if !range.contains(&number) {
                let (start, end) = (range.start(), range.end());
                let reason = format_args!("is not a number from {start} to {end}");
                return invalid(setting, &number, &reason);
            }
        }
        let octets = self.config.record_bytes;
        if octets > 0 && !Config::RECORDS.contains(&octets) {
            let (least, most) = (Config::RECORDS.start(), Config::RECORDS.end());
            let reason = format_args!("is neither 0 nor a number from {least} to {most}");
            return invalid("record_size", &octets, &reason);
        }
        let (octets, least) = (limits.queue_bytes, Limits::MIN_QUEUE);
        if octets / workers < least && octets != Limits::QUEUE {
            let reason =
                format_args!("is too little: each of {workers} workers needs {least} octets");
            return invalid("queue_size", &octets, &reason);
        }
        Ok(())
    }
}

/// A time as people write it, and as the program reads it: in days or hours if it is a whole number of these.
pub(crate) fn time_text(time: Duration) -> String {
    for (seconds, unit) in [(86_400, "d"), (3_600, "h")] {
        let count = time.as_secs() / seconds;
        if count > 0 && time == Duration::from_secs(count * seconds) {
            return format!("{count}{unit}");
        }
    }
    if time.is_zero() {
        return "0".to_owned();
    }
    format!("{time:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SCHEMES;
    use crate::config::{DNS_PORT, Host, server_address};

    /// Builds a configuration from lists separated by blanks.
    fn config(listen: &str, upstreams: &str, bootstrap: &str) -> Result<Config, ConfigError> {
        let listen = listen.split_whitespace().map(|text| text.parse().unwrap());
        let upstreams = upstreams.split_whitespace();
        let upstreams = upstreams.map(|spec| Upstream::parse(spec, SCHEMES).unwrap());
        let bootstrap = bootstrap.split_whitespace();
        let bootstrap = bootstrap.map(|text| server_address(text, DNS_PORT).unwrap());
        Config::builder()
            .listen(listen.collect::<Vec<_>>())
            .upstreams(upstreams.collect::<Vec<_>>())
            .bootstrap(bootstrap.collect::<Vec<_>>())
            .build()
    }

    fn error(listen: &str, upstreams: &str, bootstrap: &str) -> String {
        config(listen, upstreams, bootstrap)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn addresses_that_fit_together_are_taken() {
        let config = config(
            "127.0.0.1:5300 [::1]:5300",
            "quad9 tls://dns.google",
            "192.0.2.1",
        )
        .unwrap();
        assert_eq!(
            (
                config.listen.len(),
                config.upstreams.len(),
                config.bootstrap.len()
            ),
            (2, 2, 1)
        );
    }

    #[test]
    fn nothing_is_given_twice() {
        // fault 86
        assert_eq!(
            error("127.0.0.1 127.0.0.1:53", "quad9", ""),
            r#"listen "127.0.0.1:53": is given twice"#
        );
        assert_eq!(
            error("127.0.0.1", "quad9 google quad9", ""),
            r#"upstream "quad9": is given twice"#
        );
        let same = error("127.0.0.1", "quad9 9.9.9.9#DNS.quad9.net", "");
        assert_eq!(same, r#"upstream "9.9.9.9#DNS.quad9.net": is given twice"#);
        assert!(
            error("127.0.0.1", "tls://a.test tls://A.test.", "192.0.2.1")
                .contains("is given twice")
        );
        assert_eq!(
            error("127.0.0.1", "quad9", "192.0.2.1 192.0.2.1:53"),
            r#"bootstrap "192.0.2.1:53": is given twice"#
        );
        // One address may serve under several names: each is a different account or filter.
        assert!(config("127.0.0.1", "192.0.2.1#a.test 192.0.2.1#b.test", "").is_ok());
    }

    #[test]
    fn what_is_over_tls_takes_a_certificate_and_an_address_of_its_own() {
        let [plain, tls] = ["127.0.0.1:853"; 2].map(|text| text.parse::<Listen>().unwrap());
        let tls = tls.over_tls();
        let error = |config: ConfigBuilder| config.build().unwrap_err().to_string();
        let without = error(Config::builder().listen([tls]));
        let expected =
            r#"listen_tls "127.0.0.1:853": clients over TLS must be shown a certificate"#;
        assert!(without.starts_with(expected), "{without}");
        let shown = ServerCertificate::new(Vec::new(), None);
        let with = Config::builder().certificate(shown);
        assert!(with.clone().listen([tls]).build().is_ok());
        let twice = error(with.listen([plain, tls]));
        assert_eq!(twice, r#"listen_tls "127.0.0.1:853": is given twice"#);
    }

    #[test]
    fn something_is_needed() {
        assert!(error("", "quad9", "").starts_with("listen"));
        assert!(error("127.0.0.1", "", "").starts_with("upstream"));
    }

    #[test]
    fn an_upstream_is_not_the_forwarder_itself() {
        // fault 52
        let reason = "127.0.0.1:853 is where dotward itself listens, so queries would loop";
        let expected = format!(r#"upstream "127.0.0.1#a.test": {reason}"#);
        assert_eq!(error("127.0.0.1:853", "127.0.0.1#a.test", ""), expected);
        assert_eq!(error("0.0.0.0:853", "127.0.0.1#a.test", ""), expected);
        assert!(error("[::]:853", "[::1]#a.test", "").contains("would loop"));
        assert!(error("127.0.0.1", "tcp://127.0.0.1", "").contains("would loop"));
        assert!(error("127.0.0.1", "udp://127.0.0.1", "").contains("would loop"));
        assert!(config("127.0.0.1:5300", "127.0.0.1#a.test", "").is_ok());
    }

    #[test]
    fn the_bootstrap_is_there_and_is_not_the_forwarder_itself() {
        // fault 51, req 85
        let missing = error("127.0.0.1", "tls://dns.quad9.net", "");
        assert!(
            missing.starts_with(r#"upstream "tls://dns.quad9.net": is a name"#),
            "{missing}"
        );
        assert!(missing.contains("bootstrap resolver") && !missing.contains("--"));
        let circular = error("0.0.0.0", "tls://dns.quad9.net", "127.0.0.1");
        assert!(
            circular.starts_with(r#"bootstrap "127.0.0.1:53": is where dotward itself listens"#),
            "{circular}"
        );
    }

    type Change = fn(ConfigBuilder, usize) -> ConfigBuilder;

    fn wrong(change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> String {
        let built = change(Config::builder()).build();
        built.unwrap_err().to_string()
    }

    fn upstreams(count: u8) -> Vec<Upstream> {
        let one = |n: u8| {
            let upstream = Upstream::from(crate::config::providers::DEFAULT);
            let address = SocketAddr::from(([192, 0, 2, n], 853));
            let upstream = upstream.with_label(&format!("u{n}"));
            upstream.with_addresses(address, &[])
        };
        (1..=count).map(one).collect()
    }

    #[test]
    fn no_value_is_out_of_its_bounds() {
        assert!(Config::builder().build().is_ok());
        let soon = Duration::from_millis(99);
        assert_eq!(
            wrong(|c| c.timeout(soon)),
            r#"timeout "99ms": is not from 100ms to 60s"#
        );
        assert_eq!(
            wrong(|c| c.workers(NonZeroUsize::new(65).unwrap())),
            r#"workers "65": is not a number from 1 to 64"#
        );
        assert_eq!(
            wrong(|c| c.tcp_idle(soon)),
            r#"tcp_idle "99ms": is not from 1s to 1h"#
        );
        assert_eq!(
            wrong(|c| c.udp_payload(511)),
            r#"udp_payload "511": is not a number from 512 to 4096"#
        );
        let counts: [(&str, Change); 6] = [
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
        for (setting, change) in counts {
            for count in [0, 65_536] {
                let expected = format!(r#"{setting} "{count}": is not a number from 1 to 65535"#);
                assert_eq!(wrong(|c| change(c, count)), expected);
            }
        }
    }

    #[test]
    fn there_are_one_to_64_upstreams() {
        // fault 54
        assert!(wrong(|c| c.upstreams([])).contains("at least one upstream"));
        let most = Config::builder().upstreams(upstreams(64)).build();
        assert_eq!(most.unwrap().upstreams().len(), 64);
        assert_eq!(
            wrong(|c| c.upstreams(upstreams(65))),
            r#"upstream "u65": is one too many: there can be 64 upstreams"#
        );
    }

    #[test]
    fn a_driver_may_find_addresses_itself() {
        let host = Host::new("dns.test", 853).unwrap();
        let named = Config::builder().upstreams([upstreams(1).remove(0).with_host(host)]);
        let error = named.clone().build().unwrap_err();
        assert_eq!(error.remedy, Some("bootstrap"));
        assert!(named.driver_resolves_names().build().is_ok());
    }

    #[test]
    fn a_wildcard_covers_the_addresses_of_its_family_and_port() {
        // fault 87: the second socket could not be bound, because the first one has its address.
        for (listen, part, all) in [
            ("0.0.0.0 127.0.0.1", "127.0.0.1:53", "0.0.0.0:53"),
            (
                "192.0.2.1:5300 0.0.0.0:5300",
                "192.0.2.1:5300",
                "0.0.0.0:5300",
            ),
            ("[::]:5300 [::1]:5300", "[::1]:5300", "[::]:5300"),
        ] {
            let expected = format!(
                "listen {part:?}: is part of {all}, which is all addresses of this host: leave one of them out"
            );
            assert_eq!(error(listen, "quad9", ""), expected);
        }
        for listen in [
            "0.0.0.0 [::]",
            "0.0.0.0 [::1]",
            "0.0.0.0:5300 127.0.0.1:5301",
            "0.0.0.0:0 127.0.0.1:0",
            "127.0.0.1 192.0.2.1",
        ] {
            assert!(config(listen, "quad9", "").is_ok(), "{listen}");
        }
    }
}
