//! Whether upstreams and routes fit together: what [`ConfigBuilder::build`](super::ConfigBuilder::build) checks beside single values.

use super::error::invalid;
use super::identity::different;
use super::{Config, ConfigError, Domain, Route, Socks5, Target, Upstream};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// All upstreams as they are named: the default ones, then those of the routes. Some may be the same.
pub(super) fn named_upstreams<'c>(
    default: &'c [Upstream],
    routes: &'c [Route],
) -> impl Iterator<Item = &'c Upstream> {
    default
        .iter()
        .chain(routes.iter().flat_map(Route::upstreams))
}

/// Every route has a domain, no domain has two, and where queries are forwarded there is somebody to forward them to.
pub(super) fn routes_fit(config: &Config) -> Result<(), ConfigError> {
    let routes = &config.routes;
    if routes.len() > Config::MAX_ROUTES {
        let (count, most) = (routes.len(), Config::MAX_ROUTES);
        return invalid(
            "route",
            &count,
            &format_args!("are too many: there can be {most} routes"),
        );
    }
    let mut taken: BTreeSet<&Domain> = BTreeSet::new();
    for route in routes {
        let Some(first) = route.domains().first() else {
            return invalid("route", &"", &"at least one domain is needed");
        };
        for domain in route.domains() {
            if !taken.insert(domain) {
                return invalid("route", domain, &"is given twice");
            }
        }
        if let Target::Upstreams { upstreams, .. } = route.target()
            && upstreams.is_empty()
        {
            return invalid("route", first, &"at least one upstream is needed");
        }
    }
    Ok(())
}

/// Upstreams can be found, and no query returns to the forwarder itself.
pub(super) fn upstreams_fit(config: &Config, driver_resolves: bool) -> Result<(), ConfigError> {
    let bootstrap = &config.bootstrap;
    if config.upstreams.is_empty() {
        return invalid("upstream", &"", &"at least one upstream is needed");
    }
    let of_routes = config.routes.iter().map(Route::upstreams);
    for upstreams in [&config.upstreams[..]].into_iter().chain(of_routes) {
        for (index, upstream) in upstreams.iter().enumerate() {
            let mut earlier = upstreams.iter().take(index);
            if earlier.any(|other| upstream.is_same_server(other)) {
                return invalid("upstream", &upstream.label(), &"is given twice");
            }
            can_be_reached(upstream, config, driver_resolves)?;
        }
    }
    let all = different(named_upstreams(&config.upstreams, &config.routes));
    if let Some(beyond) = all.get(Config::MAX_UPSTREAMS) {
        let most = Config::MAX_UPSTREAMS;
        let reason = format_args!("is one too many: there can be {most} upstreams");
        return invalid("upstream", &beyond.label(), &reason);
    }
    for (index, addr) in bootstrap.iter().enumerate() {
        if bootstrap.iter().take(index).any(|other| other == addr) {
            return invalid("bootstrap", addr, &"is given twice");
        }
        if is_received_here(config, addr) {
            let reason = "is where dotward itself listens, so it would wait for itself";
            return invalid("bootstrap", addr, &reason);
        }
    }
    Ok(())
}

fn can_be_reached(
    upstream: &Upstream,
    config: &Config,
    driver_resolves: bool,
) -> Result<(), ConfigError> {
    if upstream.host_to_find().is_some() && config.bootstrap.is_empty() && !driver_resolves {
        let reason = "is a name, and finding its address takes a bootstrap resolver: name one, or write IP#NAME";
        let error = ConfigError::new("upstream", upstream.label(), reason);
        return Err(error.with_remedy("bootstrap"));
    }
    let designated_by = upstream.designated_by();
    let mut addresses = upstream.addresses_by_all().chain(designated_by);
    if let Some(addr) = addresses.find(|addr| is_received_here(config, addr)) {
        let reason = format_args!("{addr} is where dotward itself listens, so queries would loop");
        return invalid("upstream", &upstream.label(), &reason);
    }
    if let Some(Socks5 { proxy, .. }) = upstream.socks5()
        && is_received_here(config, &proxy)
    {
        let reason = format_args!(
            "its proxy {proxy} is where dotward itself listens, so it would wait for itself"
        );
        return invalid("upstream", &upstream.label(), &reason);
    }
    Ok(())
}

fn is_received_here(config: &Config, addr: &SocketAddr) -> bool {
    config.listen.iter().any(|listen| listen.receives(*addr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Host, Policy};

    fn upstream(number: u8) -> Upstream {
        let address = SocketAddr::from(([192, 0, 2, number], 53));
        Upstream::known(&format!("u{number}"), "tcp", None, vec![address])
    }

    fn to(domains: &str, upstreams: Vec<Upstream>) -> Route {
        let policy = Policy::Failover;
        by(domains, Target::Upstreams { upstreams, policy })
    }

    fn by(domains: &str, target: Target) -> Route {
        let domains = domains.split_whitespace().map(|text| text.parse().unwrap());
        Route::new(domains.collect(), target)
    }

    fn build(routes: Vec<Route>) -> Result<Config, ConfigError> {
        let default = [upstream(1), upstream(2)];
        Config::builder().upstreams(default).routes(routes).build()
    }

    fn error(routes: Vec<Route>) -> String {
        build(routes).unwrap_err().to_string()
    }

    #[test]
    fn routes_that_fit_are_taken_and_their_upstreams_numbered() {
        let config = build(vec![
            to(
                "corp.example 10.in-addr.arpa",
                vec![upstream(3), upstream(1)],
            ),
            by("ads.example", Target::NxDomain),
            to(".", vec![upstream(2), upstream(4)]),
        ]);
        let all = config.unwrap();
        let labels: Vec<&str> = all.all_upstreams().iter().map(Upstream::label).collect();
        assert_eq!(labels, ["u1", "u2", "u3", "u4"]);
        assert_eq!(all.upstreams().len(), 2);
    }

    #[test]
    fn no_domain_has_two_routes() {
        let twice = r#"route "a.test": is given twice"#;
        let (one, other) = (
            to("a.test", vec![upstream(3)]),
            by("b.test A.test.", Target::Refuse),
        );
        assert_eq!(error(vec![one.clone(), other]), twice);
        assert_eq!(error(vec![by("a.test a.test", Target::Local)]), twice);
        assert!(build(vec![one, by("b.a.test .", Target::Refuse)]).is_ok());
    }

    #[test]
    fn a_route_has_a_domain_and_somebody_to_forward_to() {
        assert_eq!(
            error(vec![by("", Target::Refuse)]),
            "route: at least one domain is needed"
        );
        assert_eq!(
            error(vec![to("a.test", vec![])]),
            r#"route "a.test": at least one upstream is needed"#
        );
        let many = (0..=Config::MAX_ROUTES).map(|n| by(&format!("n{n}.test"), Target::Refuse));
        assert!(error(many.collect()).starts_with(r#"route "1025": are too many"#));
    }

    #[test]
    fn upstreams_of_routes_are_checked_like_the_default_ones() {
        // fault 52: a query must not return.
        let here = Upstream::known("here", "tcp", None, vec!["127.0.0.1:53".parse().unwrap()]);
        let loops = error(vec![to("a.test", vec![upstream(3), here])]);
        assert!(
            loops.ends_with("127.0.0.1:53 is where dotward itself listens, so queries would loop")
        );
        let scheme = crate::config::SCHEMES;
        let asked = Upstream::parse("ddr://127.0.0.1", scheme).unwrap();
        let loops = error(vec![to("a.test", vec![asked])]);
        assert!(loops.ends_with("so queries would loop"), "{loops}");
        let named = upstream(3).with_host(Host::new("dns.test", 53).unwrap());
        let lost = build(vec![to("a.test", vec![named])]).unwrap_err();
        assert_eq!(
            (lost.value.as_str(), lost.remedy),
            ("u3", Some("bootstrap"))
        );
        let twice = error(vec![to(
            "a.test",
            vec![upstream(3), upstream(3).with_label("x")],
        )]);
        assert_eq!(twice, r#"upstream "x": is given twice"#);
    }

    #[test]
    fn a_proxy_finds_names_and_is_not_dotward_itself() {
        // fault 52
        let through = |spec: &str| {
            let upstream = Upstream::parse(spec, crate::config::SCHEMES).unwrap();
            Config::builder().upstreams([upstream]).build()
        };
        let config = through("tls://dns.test?socks5=192.0.2.9:9050").unwrap();
        let upstream = &config.upstreams()[0];
        assert!(upstream.host().is_some() && upstream.host_to_find().is_none());
        assert_eq!(
            upstream.addresses_to_use(),
            ["192.0.2.9:9050".parse().unwrap()]
        );
        let direct = through("192.0.2.1#dns.test?socks5=192.0.2.9").unwrap();
        assert_eq!(
            direct.upstreams()[0].addresses_to_use(),
            ["192.0.2.1:853".parse().unwrap()]
        );
        let loops = through("192.0.2.1#dns.test?socks5=127.0.0.1:53").unwrap_err();
        assert!(
            loops
                .to_string()
                .contains("its proxy 127.0.0.1:53 is where dotward itself listens")
        );
    }

    #[test]
    fn the_same_server_in_several_routes_counts_once() {
        // fault 54
        let shared = |n: u8| to(&format!("n{n}.test"), (1..=n).map(upstream).collect());
        assert!(build((1..=64).map(shared).collect()).is_ok());
        let beyond = error((1..=65).map(shared).collect());
        assert_eq!(
            beyond,
            r#"upstream "u65": is one too many: there can be 64 upstreams"#
        );
    }
}
