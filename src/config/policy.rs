//! Which of several upstreams a query is forwarded to.

use std::fmt;
use std::str::FromStr;

use super::hint;
use super::public_suffix::IS_KNOWN;

/// Makes the policies of their rows: what is passed on to the variant, its name as an option's value, and what it asks for the help.
macro_rules! policies {
    ($( $(#[$attribute:meta])* $Policy:ident: $name:literal, $asks:literal; )*) => {
        /// How one of the healthy upstreams is chosen. One that is not healthy is passed over, and tried again from time to time.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum Policy {
            $( #[doc = concat!("Asks ", $asks, ".")] $(#[$attribute])* $Policy, )*
        }

        impl Policy {
            /// All policies of this build, by their names.
            pub const ALL: &[(&str, Self)] = built_in(&[$( ($name, Self::$Policy), )*]);
            /// What each asks, by its name.
            pub const ASKS: &[(&str, &str)] = built_in(&[$( ($name, $asks), )*]);
            /// Those that this build lacks, too.
            const NAMES: &[(&str, Self)] = &[$( ($name, Self::$Policy), )*];
        }
    };
}

policies! {
    #[default]
    Failover: "failover", "the first that is healthy, in the order given";
    RoundRobin: "round-robin", "each in turn";
    Fastest: "fastest", "the faster of two that are drawn at random";
    Split: "split", "always the same for each registrable domain";
}

/// The rows of the policies that this build has: all, or all but the last.
const fn built_in<T>(rows: &[T]) -> &[T] {
    let absent = if IS_KNOWN { 0 } else { 1 };
    rows.split_at(rows.len() - absent).0
}

impl Policy {
    /// Whether each query is sent to the first upstream of the list as long as that is healthy, so that one at a time is in use. The log then says which.
    pub fn follows_the_list(self) -> bool {
        self == Self::Failover
    }

    /// Whether this build has it. The error says what it lacks.
    pub(super) fn is_built_in(self) -> Result<(), &'static str> {
        if self == Self::Split && !IS_KNOWN {
            return Err(
                "is not in this build of dotward, which lacks the Public Suffix List (feature split)",
            );
        }
        Ok(())
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.iter().map(|(name, _)| *name);
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        let Some((_, policy)) = found else {
            let hint = hint(text, names());
            let names: Vec<&str> = names().collect();
            return Err(format!(
                "is not a policy; those are {}{hint}",
                names.join(", ")
            ));
        };
        policy.is_built_in()?;
        Ok(*policy)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(_, policy)| policy == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

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

    #[test]
    fn one_that_this_build_lacks_is_named_as_such() {
        assert_eq!(Policy::NAMES.last(), Some(&("split", Policy::Split)));
        let config = Config::builder().policy(Policy::Split).build();
        let text = "split".parse::<Policy>();
        if Policy::ALL.len() == Policy::NAMES.len() {
            assert!(config.is_ok() && text == Ok(Policy::Split));
        } else {
            let why = "is not in this build of dotward";
            assert!(text.is_err_and(|error| error.starts_with(why)));
            assert!(config.is_err_and(|error| error.reason.starts_with(why)));
        }
    }
}
