//! One configuration after another: what cannot change while the program runs, and what does.

use super::{Config, Identity, Listen, Upstream};
use std::fmt::Write as _;

impl Config {
    /// This configuration as it can take the place of the one `before` while the program runs: what [`Config::fixed`] names stays.
    pub(crate) fn after(&self, before: &Self) -> Self {
        // The system chose ports at the start, which stay.
        let as_before = |listen: &Listen| {
            let mut known = before.listen.iter();
            let known = known.find(|known| known.is_same(listen));
            known.copied().unwrap_or(*listen)
        };
        Self {
            workers: before.workers,
            host: before.host,
            modes: before.modes,
            // Without a key of its own it goes on by the one that it has.
            split_key: self.split_key.or(before.split_key),
            listen: self.listen.iter().map(as_before).collect(),
            ..self.clone()
        }
    }

    /// The settings, by their names as in [`ConfigError::setting`](super::ConfigError::setting), in which this configuration differs from
    /// the one `before`, and which only the next start of the program changes.
    pub fn fixed(&self, before: &Self) -> Vec<&'static str> {
        let settings = [
            ("workers", self.workers != before.workers),
            (
                "keep_scheduling",
                self.host.keep_scheduling != before.host.keep_scheduling,
            ),
            (
                "ignore_network_changes",
                self.host.ignore_network_changes != before.host.ignore_network_changes,
            ),
            ("modes", self.modes != before.modes),
        ];
        let differing = settings.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name).collect()
    }

    /// What differs from the one `before`, for the log.
    pub(crate) fn compared(&self, before: &Self) -> String {
        let mut text = String::new();
        let all = |config: &Self| -> Vec<Identity> {
            config.all_upstreams.iter().map(Identity::of).collect()
        };
        let (ours, theirs) = (all(self), all(before));
        let is_in = |all: &[Identity], one: &&Upstream| all.contains(&Identity::of(one));
        let added = self.all_upstreams.iter().filter(|one| !is_in(&theirs, one));
        let removed = before.all_upstreams.iter().filter(|one| !is_in(&ours, one));
        let mut removed: Vec<&Upstream> = removed.collect();
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for one in added {
            match removed
                .iter()
                .position(|other| other.label() == one.label())
            {
                Some(at) => changed.push(change(one, removed.remove(at))),
                None => new.push(one.label()),
            }
        }
        list(&mut text, "new upstreams", new.into_iter());
        let changed = changed.iter().map(String::as_str);
        list(&mut text, "changed upstreams", changed);
        list(
            &mut text,
            "upstreams that get no more queries",
            removed.iter().map(|one| one.label()),
        );
        let listen = |config: &Self| -> Vec<String> {
            // One that need not be there may not be served.
            let all = config.listen.iter().filter(|listen| listen.is_required());
            let told = |listen: &Listen| listen.with_addr(listen.bound()).to_string();
            all.map(told).collect()
        };
        let (ours, theirs) = (listen(self), listen(before));
        let added = ours.iter().filter(|addr| !theirs.contains(addr));
        let removed = theirs.iter().filter(|addr| !ours.contains(addr));
        list(&mut text, "new addresses", added.map(String::as_str));
        list(
            &mut text,
            "addresses that are served no more",
            removed.map(String::as_str),
        );
        if self.tls.roots != before.tls.roots {
            list(
                &mut text,
                "other trusted certificates",
                std::iter::once("all connections are made anew"),
            );
        }
        if self.certificate != before.certificate {
            let what = "another certificate for clients over TLS";
            list(&mut text, what, std::iter::once("new connections get it"));
        }
        if self.listener_name != before.listener_name {
            let name = self.listener_name.as_ref().map(ToString::to_string);
            let name = name.unwrap_or_else(|| "none".to_owned());
            let what = "another name of the encrypted listeners";
            list(&mut text, what, std::iter::once(&*name));
        }
        if self.tls.key_log != before.tls.key_log {
            let switched = if self.tls.key_log { "a" } else { "no more" };
            let anew = std::iter::once("all connections are made anew");
            list(&mut text, &format!("{switched} key log"), anew);
        }
        if let (true, Some(before), Some(now)) = (self.splits(), before.split_key, self.split_key)
            && before != now
        {
            let follows = std::iter::once("domains go to other upstreams");
            list(&mut text, "another split key", follows);
        }
        if text.is_empty() {
            text.push_str("the same upstreams, addresses and trusted certificates");
        }
        text
    }
}

/// An upstream, and the parameters in which it differs from the one before.
fn change(one: &Upstream, before: &Upstream) -> String {
    let differing = one.parameters().differing(before.parameters());
    if differing.is_empty() {
        return one.label().to_owned();
    }
    format!("{} ({})", one.label(), differing.join(", "))
}

fn list<'t>(text: &mut String, what: &str, items: impl Iterator<Item = &'t str>) {
    let items: Vec<&str> = items.collect();
    if !items.is_empty() {
        let between = if text.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{between}{what}: {}", items.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigBuilder, Policy, SplitKey};
    use std::num::NonZeroUsize;

    fn config(change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Config {
        let upstream = |n: u8| {
            let address = ([192, 0, 2, n], 53).into();
            Upstream::known(&format!("u{n}"), "tcp", None, vec![address])
        };
        let config = Config::builder().upstreams([upstream(1), upstream(2)]);
        let listen: [Listen; 1] = ["127.0.0.1:0".parse().unwrap()];
        change(config.listen(listen)).build().unwrap()
    }

    #[test]
    fn what_only_a_restart_changes_stays_and_is_named() {
        let before = config(|config| config);
        let next = config(|config| {
            let workers = NonZeroUsize::new(4).unwrap();
            config.workers(workers).keep_scheduling(true).hedge(true)
        });
        assert_eq!(next.fixed(&before), ["workers", "keep_scheduling"]);
        let after = next.after(&before);
        assert_eq!((after.workers().get(), after.keep_scheduling()), (1, false));
        assert!(after.hedge() && after.fixed(&before).is_empty());
    }

    #[test]
    fn the_key_of_the_split_stays_until_another_is_given() {
        let [one, other] = [1, 2].map(|octet| SplitKey::new(&[octet; 16]).unwrap());
        let before = config(|config| config).or_split_key(one);
        let after = |change: fn(ConfigBuilder, SplitKey) -> ConfigBuilder| {
            config(|config| change(config, other)).after(&before)
        };
        assert_eq!(after(|config, _| config).split_key(), Some(one));
        let given = after(ConfigBuilder::split_key);
        assert_eq!(given.split_key(), Some(other));
    }

    #[test]
    fn a_port_that_the_system_chose_stays() {
        let mut before = config(|config| config);
        before.listen[0] = before.listen[0].with_chosen(5300);
        let after = config(|config| config).after(&before);
        assert_eq!(after.listen()[0].bound().port(), 5300);
        assert_eq!(after.listen()[0].addr().port(), 0);
    }

    #[test]
    fn an_upstream_of_which_only_parameters_differ_is_called_changed() {
        let config = |specs: &[&str]| {
            let parse = |spec: &&str| Upstream::parse(spec, crate::config::SCHEMES).unwrap();
            let upstreams: Vec<Upstream> = specs.iter().map(parse).collect();
            config(|config| config.upstreams(upstreams))
        };
        let pin = "pin-sha256=MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        let before = config(&["192.0.2.1", "192.0.2.2?early-data=true", "192.0.2.3"]);
        let pinned = format!("192.0.2.1?{pin}");
        let after = config(&[
            &pinned,
            "192.0.2.2?socks5=127.0.0.1&profile=opportunistic",
            "192.0.2.4",
        ]);
        assert_eq!(
            after.compared(&before),
            "new upstreams: 192.0.2.4; changed upstreams: 192.0.2.1 (pin-sha256), 192.0.2.2 (profile, early-data, socks5); \
             upstreams that get no more queries: 192.0.2.3"
        );
    }

    #[test]
    fn the_log_is_told_what_differs() {
        let before = config(|config| config);
        let same = "the same upstreams, addresses and trusted certificates";
        assert_eq!(config(|config| config.hedge(true)).compared(&before), same);
        let logs = config(|config| config.key_log(true));
        let anew = "key log: all connections are made anew";
        assert_eq!(logs.compared(&before), format!("a {anew}"));
        assert_eq!(before.compared(&logs), format!("no more {anew}"));
        let split = |octet| {
            let key = SplitKey::new(&[octet; 16]).unwrap();
            config(|config| config.policy(Policy::Split).split_key(key))
        };
        let other_key = "another split key: domains go to other upstreams";
        assert_eq!(split(2).compared(&split(1)), other_key);
        assert_eq!(split(1).compared(&split(1)), same);
        let other = config(|config| {
            let only = Upstream::known("u3", "tcp", None, vec![([192, 0, 2, 3], 53).into()]);
            let listen: [Listen; 1] = ["127.0.0.2:53".parse().unwrap()];
            config.upstreams([only]).listen(listen)
        });
        assert_eq!(
            other.compared(&before),
            "new upstreams: u3; upstreams that get no more queries: u1, u2; new addresses: 127.0.0.2:53; \
             addresses that are served no more: 127.0.0.1:0"
        );
    }
}
