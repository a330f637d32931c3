//! The table: which protocols reach upstreams, and which runtimes carry everything.
//!
//! To add a protocol: one file with a type that implements [`Transport`] over any [`Runtime`], and one row in `protocols!`.
//! To add a runtime: one file with a type that implements [`Runtime`], one feature, and one row in `runtimes!`. The rows drive the
//! schemes of `--upstream` and the names of `--runtime`.

#[cfg(feature = "async-std")]
pub mod async_std;
mod bounded;
pub mod memory;
#[cfg(feature = "sockets")]
mod native;
#[cfg(feature = "sockets")]
mod sockets;
mod table;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;

use crate::config::{Config, ConfigError, Scheme, Upstream};
use crate::runtime::Runtime;
use crate::serve::{BindError, Control};
use crate::transport::{DialError, Event, Link, LinkError, Transport};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

table::protocols! {
    // scheme, port, authenticated and encrypted => type
    #[cfg(feature = "tls")]
    "tls", 853, true => tls::Tls;
    "tcp", 53, false => tcp::Tcp;
}

table::runtimes! {
    #[cfg(feature = "async-std")]
    "async-std" => async_std::AsyncStd;
}

/// Why serving could not begin, or ended early.
#[derive(Debug)]
pub enum RunError {
    /// This build lacks the runtime.
    NoRuntime(String),
    /// An address could not be listened on.
    Bind(BindError),
    /// The configuration is at fault.
    Config(ConfigError),
    /// The system lacks something: threads, randomness.
    System(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime(name) => {
                write!(f, "this build has no runtime {name:?}; it has {RUNTIMES:?}")
            }
            Self::Bind(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::System(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for RunError {}
