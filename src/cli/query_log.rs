//! Where queries are logged, and how much of who asked.

use std::fmt;

use crate::config::hint;

/// The word for standard output.
const STANDARD_OUTPUT: &str = "-";

/// Where queries are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLogTo {
    /// What is written to.
    pub sink: LogSink,
    /// What is told of clients.
    pub clients: LoggedClients,
}

/// What lines are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// Standard output.
    StandardOutput,
    /// The file at this path.
    File(String),
}

/// What the query log tells of who asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoggedClients {
    /// Nothing.
    #[default]
    None,
    /// The network: a /24 of IPv4, a /56 of IPv6.
    Prefix,
    /// The address.
    Full,
}

impl fmt::Display for QueryLogTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sink {
            LogSink::StandardOutput => f.write_str("standard output"),
            LogSink::File(path) => f.write_str(path),
        }
    }
}

/// Reads a path, `-`, or `off`.
pub(super) fn sink(text: &str) -> Result<Option<LogSink>, String> {
    match text {
        "" => Err("is no path; it is one, or -, or off".to_owned()),
        "off" => Ok(None),
        _ if cfg!(not(all(feature = "tls", feature = "sockets"))) => {
            Err("needs a program with threads, which this one was built without".to_owned())
        }
        STANDARD_OUTPUT => Ok(Some(LogSink::StandardOutput)),
        path => Ok(Some(LogSink::File(path.to_owned()))),
    }
}

/// Reads how much is told of clients.
pub(super) fn clients(text: &str) -> Result<LoggedClients, String> {
    match text {
        "none" => Ok(LoggedClients::None),
        "prefix" => Ok(LoggedClients::Prefix),
        "full" => Ok(LoggedClients::Full),
        _ => {
            let hint = hint(text, ["none", "prefix", "full"].into_iter());
            Err(format!("is none of: none, prefix, full{hint}"))
        }
    }
}
