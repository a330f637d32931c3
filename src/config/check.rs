//! Whether a configuration makes sense as a whole. Its parts are public, so this is asked where something is made of it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::{Config, ConfigError, Limits, Listen, TtlBounds, Upstream};

impl Config {
    /// Names the first setting that cannot be obeyed, alone or beside another.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_listeners()?;
        self.check_core()?;
        self.check_ways()?;
        within("workers", &self.workers.get(), &Self::WORKERS)?;
        let limits = &self.limits;
        for (setting, count) in [
            ("max-tcp-connections", limits.tcp_connections),
            ("max-tcp-per-client", limits.tcp_per_client),
            ("max-tcp-in-flight", limits.tcp_in_flight),
        ] {
            within(setting, &count, &Limits::COUNTS)?;
        }
        if !Limits::TCP_IDLES.contains(&limits.tcp_idle) {
            return Err(not_in_time("tcp-idle", limits.tcp_idle, &Limits::TCP_IDLES));
        }
        Ok(())
    }

    /// As [`Config::check`], for what the core obeys: it knows no sockets, and finds no address by itself.
    pub fn check_core(&self) -> Result<(), ConfigError> {
        let upstreams = &self.upstreams;
        if upstreams.is_empty() {
            let reason = "at least one upstream is needed";
            return Err(ConfigError::new("upstream", "", reason));
        }
        if let Some(beyond) = upstreams.get(Self::MAX_UPSTREAMS) {
            let reason = format!(
                "is one too many: there can be {} upstreams",
                Self::MAX_UPSTREAMS
            );
            return Err(ConfigError::new("upstream", &beyond.label, reason));
        }
        if let Some(lost) = upstreams
            .iter()
            .find(|one| one.addresses.is_empty() && one.host.is_none())
        {
            return Err(ConfigError::new(
                "upstream",
                &lost.label,
                "has neither an address nor a host name",
            ));
        }
        if !Self::TIMEOUTS.contains(&self.timeout) {
            return Err(not_in_time("timeout", self.timeout, &Self::TIMEOUTS));
        }
        let ttl = &self.ttl;
        for (setting, time, range) in [
            ("min-ttl", ttl.min, TtlBounds::MINS),
            ("max-ttl", ttl.max, TtlBounds::MAXES),
            ("serve-stale", ttl.stale, TtlBounds::STALES),
        ] {
            if !range.contains(&time) {
                return Err(not_in_time(setting, time, &range));
            }
        }
        if ttl.min > ttl.max {
            let reason = format!("is more than max-ttl, which is {:?}", ttl.max);
            let value = format!("{:?}", ttl.min);
            return Err(ConfigError::new("min-ttl", &value, reason));
        }
        let limits = &self.limits;
        within("max-in-flight", &limits.in_flight, &Limits::COUNTS)?;
        within(
            "max-in-flight-per-client",
            &limits.in_flight_per_client,
            &Limits::COUNTS,
        )?;
        within(
            "max-link-in-flight",
            &limits.link_in_flight,
            &Limits::COUNTS,
        )?;
        let workers = self.workers.get();
        if limits.queue_bytes / workers < Limits::MIN_QUEUE && limits.queue_bytes != Limits::QUEUE {
            let reason = format!(
                "is too little: each of {workers} workers needs {} octets",
                Limits::MIN_QUEUE
            );
            return Err(ConfigError::new("queue-size", &limits.queue_bytes, reason));
        }
        within("udp-payload", &limits.udp_payload, &Limits::UDP_PAYLOADS)
    }

    /// What is written twice is a slip, though it could be obeyed.
    pub(super) fn check_repeats(&self) -> Result<(), ConfigError> {
        if let Some(twice) = repeated(&self.listen, |a, b| a.addr == b.addr) {
            return Err(ConfigError::new("listen", &twice.addr, "is given twice"));
        }
        if let Some(twice) = repeated(&self.upstreams, Upstream::is_same_server) {
            return Err(ConfigError::new("upstream", &twice.label, "is given twice"));
        }
        if let Some(twice) = repeated(&self.bootstrap, |a, b| a == b) {
            return Err(ConfigError::new("bootstrap", twice, "is given twice"));
        }
        Ok(())
    }

    fn check_listeners(&self) -> Result<(), ConfigError> {
        let listen = &self.listen;
        if listen.is_empty() {
            return Err(ConfigError::new(
                "listen",
                "",
                "at least one address is needed",
            ));
        }
        if !self.modes.udp && !self.modes.tcp {
            return Err(ConfigError::new(
                "modes",
                &self.modes,
                "clients can speak neither UDP nor TCP",
            ));
        }
        for wide in listen {
            if let Some(narrow) = listen.iter().find(|narrow| wide.covers(narrow)) {
                let (wide, narrow) = (wide.addr, narrow.addr);
                let reason = format!(
                    "is part of {wide}, which is all addresses of this host: leave one of them out"
                );
                return Err(ConfigError::new("listen", &narrow, reason));
            }
        }
        Ok(())
    }

    /// Upstreams are found, and questions do not come back to the forwarder itself.
    fn check_ways(&self) -> Result<(), ConfigError> {
        let heard_here = |addr: &&SocketAddr| self.listen.iter().any(|listen| listen.hears(**addr));
        for upstream in &self.upstreams {
            if upstream.host.is_some() && self.bootstrap.is_empty() {
                let reason = "is a name, and finding its address takes a bootstrap resolver: name one, or write IP#NAME";
                return Err(
                    ConfigError::new("upstream", &upstream.label, reason).with_remedy("bootstrap")
                );
            }
            if let Some(addr) = upstream.addresses.iter().find(heard_here) {
                let reason = format!(
                    "{addr} is where dotward itself listens, so questions would go in circles"
                );
                return Err(ConfigError::new("upstream", &upstream.label, reason));
            }
        }
        if let Some(addr) = self.bootstrap.iter().find(heard_here) {
            let reason = "is where dotward itself listens, so it would wait for itself";
            return Err(ConfigError::new("bootstrap", addr, reason));
        }
        Ok(())
    }
}

impl Listen {
    /// Whether this is a wildcard that another listener is a part of.
    fn covers(&self, other: &Self) -> bool {
        let (own, theirs) = (self.addr.ip(), other.addr.ip());
        // With port 0 each gets a port of its own.
        let same_port = self.addr.port() == other.addr.port() && self.addr.port() != 0;
        same_port
            && own.is_unspecified()
            && !theirs.is_unspecified()
            && own.is_ipv4() == theirs.is_ipv4()
    }
}

fn within<N: PartialOrd + Display>(
    setting: &'static str,
    number: &N,
    range: &RangeInclusive<N>,
) -> Result<(), ConfigError> {
    if range.contains(number) {
        return Ok(());
    }
    let reason = format!("is not a number from {} to {}", range.start(), range.end());
    Err(ConfigError::new(setting, number, reason))
}

fn not_in_time(
    setting: &'static str,
    time: std::time::Duration,
    range: &RangeInclusive<std::time::Duration>,
) -> ConfigError {
    let reason = format!("is not from {:?} to {:?}", range.start(), range.end());
    ConfigError::new(setting, &format!("{time:?}"), reason)
}

/// The later of the first two items that are the same.
fn repeated<T>(items: &[T], same: impl Fn(&T, &T) -> bool) -> Option<&T> {
    let seen_before =
        |(index, item): &(usize, &T)| items.iter().take(*index).any(|earlier| same(earlier, item));
    items
        .iter()
        .enumerate()
        .find(seen_before)
        .map(|(_, item)| item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DNS_PORT, Modes, Scheme, server_address};
    use std::num::NonZeroUsize;
    use std::time::Duration;

    const BOTH: Modes = Modes {
        udp: true,
        tcp: true,
    };

    /// Builds a configuration from lists separated by blanks.
    fn config(listen: &str, upstreams: &str, bootstrap: &str) -> Result<Config, ConfigError> {
        let schemes = [
            Scheme {
                name: "tls",
                port: 853,
                encrypted: true,
            },
            Scheme {
                name: "tcp",
                port: 53,
                encrypted: false,
            },
        ];
        Config::new(
            BOTH,
            listen
                .split_whitespace()
                .map(|text| text.parse().unwrap())
                .collect(),
            upstreams
                .split_whitespace()
                .map(|spec| Upstream::parse(spec, &schemes).unwrap())
                .collect(),
            bootstrap
                .split_whitespace()
                .map(|text| server_address(text, DNS_PORT).unwrap())
                .collect(),
        )
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
    fn something_is_needed() {
        assert!(error("", "quad9", "").starts_with("listen"));
        assert!(error("127.0.0.1", "", "").starts_with("upstream"));
    }

    #[test]
    fn an_upstream_is_not_the_forwarder_itself() {
        // fault 52
        let reason =
            "127.0.0.1:853 is where dotward itself listens, so questions would go in circles";
        let expected = format!(r#"upstream "127.0.0.1#a.test": {reason}"#);
        assert_eq!(error("127.0.0.1:853", "127.0.0.1#a.test", ""), expected);
        assert_eq!(error("0.0.0.0:853", "127.0.0.1#a.test", ""), expected);
        assert!(error("[::]:853", "[::1]#a.test", "").contains("circles"));
        assert!(error("127.0.0.1", "tcp://127.0.0.1", "").contains("circles"));
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

    fn wrong(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::defaults(BOTH);
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    fn upstreams(count: usize) -> Vec<Upstream> {
        let one = |n: usize| Upstream {
            label: format!("u{n}"),
            addresses: vec![SocketAddr::from(([192, 0, 2, n as u8], 853))],
            ..crate::providers::DEFAULT.upstream()
        };
        (1..=count).map(one).collect()
    }

    #[test]
    fn bounds_hold_for_whoever_fills_in_a_configuration() {
        type Change = fn(&mut Limits);
        assert_eq!(Config::defaults(BOTH).check(), Ok(()));
        let soon = Duration::from_millis(99);
        assert_eq!(
            wrong(|c| c.timeout = soon),
            r#"timeout "99ms": is not from 100ms to 60s"#
        );
        assert_eq!(
            wrong(|c| c.workers = NonZeroUsize::new(65).unwrap()),
            r#"workers "65": is not a number from 1 to 64"#
        );
        assert_eq!(
            wrong(|c| c.limits.tcp_idle = soon),
            r#"tcp-idle "99ms": is not from 1s to 3600s"#
        );
        assert_eq!(
            wrong(|c| c.limits.udp_payload = 511),
            r#"udp-payload "511": is not a number from 512 to 4096"#
        );
        let none: [(&str, Change); 6] = [
            ("max-in-flight", |l| l.in_flight = 0),
            ("max-in-flight-per-client", |l| l.in_flight_per_client = 0),
            ("max-link-in-flight", |l| l.link_in_flight = 0),
            ("max-tcp-connections", |l| l.tcp_connections = 0),
            ("max-tcp-per-client", |l| l.tcp_per_client = 0),
            ("max-tcp-in-flight", |l| l.tcp_in_flight = 0),
        ];
        for (setting, change) in none {
            let error = wrong(|c| change(&mut c.limits));
            assert_eq!(
                error,
                format!(r#"{setting} "0": is not a number from 1 to 65535"#)
            );
        }
        let (udp, tcp) = (false, false);
        assert!(wrong(|c| c.modes = Modes { udp, tcp }).contains("neither UDP nor TCP"));
    }

    #[test]
    fn there_are_one_to_64_upstreams_and_each_can_be_found() {
        // fault 54
        assert!(wrong(|c| c.upstreams.clear()).contains("at least one upstream"));
        let mut config = Config::defaults(BOTH);
        config.upstreams = upstreams(64);
        assert_eq!(config.check(), Ok(()));
        assert_eq!(
            wrong(|c| c.upstreams = upstreams(65)),
            r#"upstream "u65": is one too many: there can be 64 upstreams"#
        );
        let lost = |c: &mut Config| c.upstreams.iter_mut().for_each(|u| u.addresses.clear());
        assert_eq!(
            wrong(lost),
            r#"upstream "cloudflare": has neither an address nor a host name"#
        );
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
