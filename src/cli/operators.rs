//! Warnings of upstreams among which domains are split, and whose operators see more than their share.

use crate::config::{Config, Host, Policy, Target, Upstream, providers, registrable_domain};

/// Upstreams among which domains are split, and which see more than their share.
pub(super) fn splits_that_protect_little(config: &Config) -> Vec<String> {
    let default = (config.policy(), config.upstreams());
    let of_routes = config
        .routes()
        .iter()
        .filter_map(|route| match route.target() {
            Target::Upstreams { upstreams, policy } => Some((*policy, &upstreams[..])),
            Target::Refuse | Target::NxDomain | Target::Local => None,
        });
    let all = std::iter::once(default).chain(of_routes);
    let split = all.filter(|(policy, upstreams)| *policy == Policy::Split && upstreams.len() > 1);
    let mut lines = Vec::new();
    for (_, upstreams) in split {
        let (count, all) = (config.split_upstreams(), upstreams.len());
        if count >= all {
            lines.push(format!(
                "split-upstreams {count}: policy split may send every domain to each of {all} upstreams; fewer keep a domain from some of them"
            ));
        }
        let operators: Vec<Option<String>> = upstreams.iter().map(operator).collect();
        for (index, upstream) in upstreams.iter().enumerate() {
            let earlier = operators.iter().take(index);
            let same = earlier
                .zip(upstreams)
                .find(|(one, _)| one.is_some() && **one == operators[index]);
            if let (Some((_, first)), Some(operator)) = (same, &operators[index]) {
                lines.push(format!(
                    "policy split: {} and {} are both operated by {operator}, which sees the share of both; choose upstreams of different operators",
                    first.label(),
                    upstream.label()
                ));
            }
        }
    }
    lines
}

/// Who operates an upstream, as far as its name or an address shows: a provider, or the domain of its name.
fn operator(upstream: &Upstream) -> Option<String> {
    let name = upstream.server_name().or(upstream.host().map(Host::name));
    let by_name = name.and_then(providers::with_server_name);
    let mut addresses = upstream.addresses().iter();
    let known = by_name.or_else(|| addresses.find_map(|addr| providers::with_address(addr.ip())));
    match (known, name) {
        (Some(provider), _) => Some(provider.operator().to_owned()),
        (None, Some(name)) => registrable_domain(name).map(str::to_owned),
        (None, None) => None,
    }
}

#[cfg(all(test, feature = "split"))]
mod tests {
    use super::super::{Command, parse};
    use std::ffi::OsString;

    fn warnings(line: &str) -> Vec<String> {
        let arguments = line.split_whitespace().map(OsString::from);
        match parse(arguments, []).unwrap() {
            Command::Serve(settings) => settings.warnings,
            other => panic!("{line} does not serve: {other:?}"),
        }
    }

    #[test]
    fn a_split_that_protects_little_is_warned_of() {
        let split = |upstreams: &str| format!("serve --policy split --upstream {upstreams}");
        assert_eq!(warnings(&split("cloudflare,google,dns4eu")), [""; 0]);
        for (line, expected) in [
            (
                split("quad9"),
                "--policy has no effect: there is one upstream to choose from",
            ),
            (
                split("quad9,quad9-ecs"),
                "policy split: quad9 and quad9-ecs are both operated by quad9, which sees",
            ),
            (
                split("192.0.2.1#a.dns.test,192.0.2.2#b.dns.test"),
                "policy split: 192.0.2.1#a.dns.test and 192.0.2.2#b.dns.test are both operated by dns.test, which sees",
            ),
            (
                split("google,tls://8.8.4.4"),
                "policy split: google and tls://8.8.4.4 are both operated by google, which sees",
            ),
            (
                split("google,dns4eu --split-upstreams 2"),
                "split-upstreams 2: policy split may send every domain to each of 2 upstreams",
            ),
            (
                "serve --split-upstreams 2".to_owned(),
                "--split-upstreams has no effect: no policy is split",
            ),
            (
                "serve --split-key-file /nonexistent/key".to_owned(),
                "--split-key-file has no effect: no policy is split",
            ),
        ] {
            let [warning] = &warnings(&line)[..] else {
                panic!("{line}: {:?}", warnings(&line))
            };
            assert!(warning.starts_with(expected), "{line}: {warning}");
        }
    }
}
