//! A build without the feature `control`, or for a system without Unix sockets. Stands in for `src/cli/control.rs`.

use super::UsageError;
use super::commands::{Explain, Flush, LogLevel, Reload, Status, Subcommand, Trace, Why};
use super::sources::Sources;
use crate::config::lacking;
use std::convert::Infallible;
use std::path::PathBuf;

/// There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlOrder(Infallible);

impl ControlOrder {
    /// Never called.
    pub fn carry_out(&self) -> Result<String, String> {
        match self.0 {}
    }

    /// An error names the feature. Another command is given back.
    pub(super) fn read(
        typed: Subcommand,
        _sources: &Sources,
    ) -> Result<Result<Self, Subcommand>, UsageError> {
        let command = match typed {
            Subcommand::Status(Status { .. }) => "status",
            Subcommand::Explain(Explain { .. }) => "explain",
            Subcommand::Why(Why { .. }) => "why",
            Subcommand::Flush(Flush { .. }) => "flush",
            Subcommand::Reload(Reload { .. }) => "reload",
            Subcommand::LogLevel(LogLevel { .. }) => "log-level",
            Subcommand::Trace(Trace { .. }) => "trace",
            other => return Ok(Err(other)),
        };
        let why = lacking("control");
        Err(UsageError(format!("dotward {command} {why}")))
    }
}

/// Reads `off`. An error is the reason alone.
pub(super) fn control_socket(text: &str) -> Result<Option<PathBuf>, String> {
    match text {
        "off" => Ok(None),
        _ => Err(lacking("control")),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::parse;

    // req 124
    #[test]
    fn a_command_is_refused_with_the_feature_that_it_takes() {
        for line in [
            "status",
            "explain a.test",
            "why 1a2b",
            "flush",
            "reload",
            "log-level info",
            "trace off",
        ] {
            let words = line.split(' ').map(Into::into);
            let error = parse(words, []).unwrap_err().to_string();
            let command = line.split(' ').next().unwrap_or_default();
            let expected = format!("dotward {command} takes the feature control, which this build");
            assert!(error.starts_with(&expected), "{error}");
        }
        let words = ["check", "--control-socket", "/run/a"].map(Into::into);
        let error = parse(words, []).unwrap_err().to_string();
        assert!(error.contains("takes the feature control"), "{error}");
    }
}
