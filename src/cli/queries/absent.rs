//! A build that asks and measures nothing by hand. Stands in for `src/cli/queries/orders.rs`.

use super::super::UsageError;
use super::super::options::Options;
use super::super::sources::Sources;
use super::super::typed::Typed;
use super::{BENCH, PROVE, QUERY};
use crate::config::lacking;
use std::convert::Infallible;

/// There is none.
#[derive(Clone, Debug)]
pub struct Ask(pub Infallible);

/// There is none.
#[derive(Clone, Debug)]
pub struct Contest(pub Infallible);

/// There is none.
#[derive(Clone, Debug)]
pub struct Proving(pub Infallible);

impl Ask {
    /// An error names the feature.
    pub(in super::super) fn read(_: &Sources, _: Options, _: &Typed) -> Result<Self, UsageError> {
        Err(refused(QUERY.command))
    }
}

impl Contest {
    /// An error names the feature.
    pub(in super::super) fn read(_: &Sources, _: Options, _: &Typed) -> Result<Self, UsageError> {
        Err(refused(BENCH.command))
    }
}

impl Proving {
    /// An error names the feature.
    pub(in super::super) fn read(_: &Sources, _: Options, _: &Typed) -> Result<Self, UsageError> {
        Err(refused(PROVE.command))
    }
}

fn refused(command: &str) -> UsageError {
    let why = lacking("query");
    UsageError(format!("dotward {command} {why}"))
}

#[cfg(test)]
mod tests {
    use crate::cli::parse;

    #[test]
    fn the_commands_are_refused_with_the_feature_that_they_take() {
        for words in [["query", "a.test"], ["bench", "quad9"], ["prove", "a.test"]] {
            let error = parse(words.map(Into::into), []).unwrap_err().to_string();
            let expected = format!(
                "dotward {} takes the feature query, which this build of",
                words[0]
            );
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
