//! A build without TLS or without sockets, as for WebAssembly, probes nothing. Stands in for `src/probe/mod.rs`.

use crate::config::{Config, Domain};
use crate::transports::RunError;
use std::fmt;

/// Nothing.
#[derive(Debug)]
pub struct Report(());

impl Report {
    /// No.
    pub fn is_usable(&self) -> bool {
        false
    }

    /// Nothing.
    pub fn json(&self) -> String {
        String::new()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// An error: this build cannot.
pub fn run(_runtime: &str, _config: &Config, _name: Option<&Domain>) -> Result<Report, RunError> {
    let why = "this program was built without TLS or without sockets, and cannot probe upstreams";
    Err(RunError::System(why.to_owned()))
}
