//! Which of several upstreams a query is forwarded to.

use std::fmt;
use std::str::FromStr;

use super::hint;

/// Makes the policies of their rows: what is passed on to the variant, its name as an option's value, and what it asks for the help.
macro_rules! policies {
    ($( $(#[$attribute:meta])* $Policy:ident: $name:literal, $asks:literal; )*) => {
        /// How one of the healthy upstreams is chosen. One that is not healthy is passed over, and tried again from time to time.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum Policy {
            $( #[doc = concat!("Asks ", $asks, ".")] $(#[$attribute])* $Policy, )*
        }

        impl Policy {
            /// All policies, by their names.
            pub const ALL: &[(&str, Self)] = &[$( ($name, Self::$Policy), )*];
            /// What each asks, by its name.
            pub const ASKS: &[(&str, &str)] = &[$( ($name, $asks), )*];
        }
    };
}

policies! {
    #[default]
    Failover: "failover", "the first that is healthy, in the order given";
    RoundRobin: "round-robin", "each in turn";
    Fastest: "fastest", "the faster of two that are drawn at random";
}

impl Policy {
    /// Whether each query is sent to the first upstream of the list as long as that is healthy, so that one at a time is in use. The log then says which.
    pub fn follows_the_list(self) -> bool {
        self == Self::Failover
    }
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
            assert_eq!(name.parse(), Ok(*policy));
            assert_eq!(policy.to_string(), *name);
        }
        assert_eq!(Policy::default(), Policy::Failover);
        let error = "fastes".parse::<Policy>().unwrap_err();
        let all = "is not a policy; those are failover, round-robin, fastest";
        assert!(error.starts_with(all), "{error}");
        assert!(error.ends_with("; did you mean fastest?"), "{error}");
    }
}
