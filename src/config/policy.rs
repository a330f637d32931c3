//! Which of several upstreams a query is forwarded to.

use std::fmt;
use std::str::FromStr;

use super::hint;

/// How one of the healthy upstreams is chosen. One that is not healthy is passed over, and tried again from time to time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The first in the order given. So few operators see the queries, and the user chooses which.
    #[default]
    Failover,
    /// Each in turn, so that each sees a share of the queries.
    RoundRobin,
    /// The faster of two that are drawn at random, by their smoothed round-trip time (RFC 6298).
    Fastest,
}

impl Policy {
    /// All policies, by their names.
    pub const ALL: [(&str, Self); 3] = [
        ("failover", Self::Failover),
        ("round-robin", Self::RoundRobin),
        ("fastest", Self::Fastest),
    ];
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.iter().map(|(name, _)| *name);
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, policy)| *policy).ok_or_else(|| {
            let hint = hint(text, names());
            let names: Vec<&str> = names().collect();
            format!("is not a policy; those are {}{hint}", names.join(", "))
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.iter().find(|(_, policy)| policy == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_it_is_written() {
        for (name, policy) in Policy::ALL {
            assert_eq!(name.parse(), Ok(policy));
            assert_eq!(policy.to_string(), name);
        }
        assert_eq!(Policy::default(), Policy::Failover);
        let error = "fastes".parse::<Policy>().unwrap_err();
        assert_eq!(
            error,
            "is not a policy; those are failover, round-robin, fastest; did you mean fastest?"
        );
    }
}
