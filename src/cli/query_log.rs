//! Where queries are logged, and how much of who asked.

use std::fmt;

use crate::config::hint;

/// The word for standard output.
const STANDARD_OUTPUT: &str = "-";

/// Where queries are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLogTo {
    /// The file; nothing stands for standard output.
    pub path: Option<String>,
    /// What is told of clients.
    pub clients: LoggedClients,
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
        f.write_str(self.path.as_deref().unwrap_or("standard output"))
    }
}

/// Reads a path, `-`, or `off`.
pub(super) fn path(text: &str) -> Result<Option<Option<String>>, String> {
    match text {
        "" => Err("is no path; it is one, or -, or off".to_owned()),
        "off" => Ok(None),
        _ if cfg!(not(all(feature = "tls", feature = "sockets"))) => {
            Err("needs a program with threads, which this one was built without".to_owned())
        }
        STANDARD_OUTPUT => Ok(Some(None)),
        path => Ok(Some(Some(path.to_owned()))),
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
            Err(format!("is none of none, prefix and full{hint}"))
        }
    }
}
