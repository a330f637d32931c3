//! The table of protocols, which reach upstreams, and of runtimes, which bring sockets and timers.
//!
//! To add a protocol: one file with a type that implements [`Transport`] over any [`Runtime`], and one row in `protocols!`.
//! To add a runtime: one file with a type that implements [`Runtime`], one feature, and one row in `runtimes!`. The rows drive the
//! schemes of `--upstream`, the names of `--runtime`, and the conformance suite in `tests/conform`, which mounts every row.

#[cfg(any(feature = "async-std", feature = "smol"))]
mod async_io_parts;
#[cfg(feature = "async-std")]
pub mod async_std;
#[cfg(feature = "sockets")]
mod bind_ahead;
mod capabilities;
#[cfg_attr(
    not(any(feature = "listen-tls", feature = "certificate")),
    path = "certificate_names/absent.rs"
)]
#[cfg(any(feature = "cli", feature = "listen-tls"))]
mod certificate_names;
#[doc(hidden)]
pub mod choosing;
#[cfg(feature = "doh")]
pub mod doh;
#[cfg(feature = "doq")]
pub mod doq;
#[cfg(any(feature = "doh", feature = "listen-https"))]
mod http2;
#[cfg_attr(not(feature = "sockets"), path = "wasi/interfaces.rs")]
mod interfaces;
#[cfg(feature = "isolate")]
pub mod isolation;
#[cfg_attr(not(feature = "listen-https"), path = "listen_https/absent.rs")]
#[cfg(feature = "listen-tls")]
pub mod listen_https;
#[cfg_attr(not(feature = "listen-tls"), path = "listen_tls/absent.rs")]
pub mod listen_tls;
#[cfg(feature = "mio")]
pub mod mio;
#[cfg(any(feature = "sockets", all(feature = "wasi", target_os = "wasi")))]
mod native;
#[cfg(all(feature = "sockets", target_os = "linux"))]
mod netlink;
#[cfg_attr(not(feature = "captive"), path = "network_resolvers/absent.rs")]
#[cfg(feature = "sockets")]
mod network_resolvers;
#[cfg_attr(
    not(all(feature = "sockets", target_os = "linux")),
    path = "network_watch/absent.rs"
)]
mod network_watch;
#[cfg(any(feature = "tls", all(feature = "cli", feature = "split")))]
mod new_file;
#[cfg_attr(not(feature = "doq"), path = "over_quic/without_doq.rs")]
#[cfg(feature = "tls")]
mod over_quic;
#[cfg_attr(not(feature = "doh"), path = "over_tls/without_doh.rs")]
#[cfg(feature = "tls")]
mod over_tls;
#[cfg_attr(not(target_os = "linux"), path = "paths/absent.rs")]
#[cfg(feature = "sockets")]
mod paths;
#[cfg(feature = "sockets")]
pub mod plain_udp;
#[cfg(any(feature = "cli", feature = "listen-tls"))]
mod read_file;
#[cfg(feature = "sockets")]
mod reserve;
#[cfg(feature = "sockets")]
mod resource_limits;
#[cfg(feature = "sockets")]
mod scheduling;
#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "sockets")]
mod sockets;
pub mod socks5;
mod started;
mod system_roots;
mod table;
pub mod tcp;
mod time_limit;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "sockets")]
mod udp;
#[cfg(all(feature = "wasi", target_os = "wasi"))]
pub mod wasi;
#[cfg_attr(not(feature = "sockets"), path = "wasi/single_worker.rs")]
#[cfg(any(feature = "sockets", all(feature = "wasi", target_os = "wasi")))]
mod workers;

#[cfg(feature = "sockets")]
#[doc(hidden)]
pub use bind_ahead::bind_ahead;
#[cfg(any(feature = "cli", feature = "listen-tls"))]
pub(crate) use certificate_names::CertificateNames;
pub use interfaces::{interface_number, is_own_address};
pub use network_watch::watch_network;
#[cfg(any(feature = "tls", all(feature = "cli", feature = "split")))]
pub(crate) use new_file::can_be_made;
#[cfg(feature = "tls")]
#[doc(hidden)]
pub use over_quic::over_quic;
#[cfg(feature = "tls")]
#[doc(hidden)]
pub use over_tls::over_tls;
#[cfg(feature = "cli")]
pub(crate) use read_file::{PEM_OCTETS, ReadError, read_limited};
pub use started::{CacheAccess, Inherited, Started};
pub use system_roots::system_roots;

use crate::config::{Config, ConfigError, Scheme, Upstream};
use crate::runtime::Runtime;
use crate::serve::{BindError, Control};
use crate::transport::{
    Authentication, ConnectError, Connection, ConnectionError, Event, Limits, Transport,
};
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

table::protocols! {
    // scheme, port, authenticated and encrypted => type
    #[cfg(all(feature = "tls", not(feature = "isolate")))]
    "tls", 853, true => tls::Tls;
    #[cfg(feature = "isolate")]
    "tls", 853, true => isolation::Isolating;
    "tcp", 53, false => tcp::Tcp;
    #[cfg(feature = "sockets")]
    "udp", 53, false => plain_udp::Udp;
    #[cfg(feature = "doh")]
    "https", 443, true => doh::Doh;
    #[cfg(feature = "doq")]
    "quic", 853, true => doq::Doq;
}

/// A connection to an upstream, by whichever protocol.
pub type AnyConnection<R> = choosing::Chosen<R, SingleConnection<R>>;

/// All protocols over one runtime; each upstream's schemes say which.
pub struct Protocols<R: Runtime>(choosing::Choosing<R, Each<R>>);

impl<R: Runtime> Protocols<R> {
    /// As configured. An error says what is wrong with the configuration.
    pub fn new(runtime: &R, config: &Config) -> Result<Self, ConfigError> {
        let each = Each::new(runtime, config)?;
        let choosing = choosing::Choosing::new(runtime.clone(), each);
        Ok(Self(choosing.by_network(!config.ignore_network_changes())))
    }
}

impl<R: Runtime> Transport for Protocols<R> {
    type Connection = AnyConnection<R>;
    type Connect = choosing::Connect<R, Each<R>>;

    fn connect(&self, to: &Upstream, addr: SocketAddr) -> Self::Connect {
        self.0.connect(to, addr)
    }

    fn reconfigure(&mut self, before: &Config, config: &Config) -> Result<(), ConfigError> {
        self.0.reconfigure(before, config)
    }
}

/// What a runtime can do beyond the trait [`Runtime`]. A configuration that needs more is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// A UDP socket on a wildcard address reports the destination of each datagram, and replies from there.
    pub reply_source: bool,
    /// Several sockets listen on one address: more than one worker.
    pub shared_ports: bool,
    /// Event loops run on several threads, and other threads wake them.
    pub threads: bool,
}

impl Capabilities {
    /// Those of a system with sockets and threads.
    pub const NATIVE: Self = Self {
        reply_source: true,
        shared_ports: true,
        threads: true,
    };
}

table::runtimes! {
    // name, capabilities => type
    #[cfg(feature = "async-std")]
    "async-std", Capabilities::NATIVE => async_std::AsyncStd;
    #[cfg(feature = "smol")]
    "smol", Capabilities::NATIVE => smol::Smol;
    #[cfg(feature = "tokio")]
    "tokio", Capabilities::NATIVE => tokio::Tokio;
    #[cfg(feature = "mio")]
    "mio", Capabilities::NATIVE => mio::Mio;
    #[cfg(all(feature = "wasi", target_os = "wasi"))]
    "wasi", Capabilities { reply_source: false, shared_ports: false, threads: false } => wasi::Wasi;
}

/// Work that any runtime can do, beside serving: see [`work_on`].
#[doc(hidden)]
pub trait Work {
    /// What comes of it.
    type Output;
    /// Does it.
    fn done_on<R: Runtime + 'static>(self, runtime: R) -> Self::Output;
}

/// Serves until `control` says otherwise. An error says why that could not begin.
pub fn run(runtime: &str, config: Config, control: &Control) -> Result<(), RunError> {
    start(runtime, config, control, Inherited::default())?.serve()
}

/// This configuration, as this process can obey it in place of the one `before`. An error says which address that is new cannot be listened
/// on; one that the host does not have yet is no error, as at the start. The text is for the operator.
#[cfg(feature = "sockets")]
pub fn prepare(before: &Config, config: Config) -> Result<Config, String> {
    prepare_beside(before, &[], config)
}

/// As [`prepare`], where addresses were dropped a moment ago, from which the last responses may not have left yet.
#[cfg(feature = "sockets")]
pub fn prepare_beside(
    before: &Config,
    dropped: &[SocketAddr],
    config: Config,
) -> Result<Config, String> {
    sockets::can_listen(before, dropped, &config)?;
    let affordable = resource_limits::affordable(&config);
    let config = config.into_builder().max_tcp_connections(affordable);
    config.build().map_err(|error| error.to_string())
}

/// This configuration, since there is nothing to prepare without sockets of the system.
#[cfg(not(feature = "sockets"))]
pub fn prepare(_before: &Config, config: Config) -> Result<Config, String> {
    Ok(config)
}

/// As [`prepare`].
#[cfg(not(feature = "sockets"))]
pub fn prepare_beside(
    before: &Config,
    _dropped: &[SocketAddr],
    config: Config,
) -> Result<Config, String> {
    prepare(before, config)
}

/// Why serving could not begin, or ended early.
#[derive(Debug)]
#[non_exhaustive]
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
