//! What dotward is told to do: a [`Config`], which a [`ConfigBuilder`] makes only of values that can be obeyed together.
//!
//! Nothing here opens a socket or reads a file. A program builds a [`Config`] and hands it to a runtime; the command line is one such
//! program.

mod access;
mod builder;
mod limits;
mod listen;
mod local_names;
mod neighbours;
mod policy;
mod text;
mod ttl;
mod upstream;
mod words;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

pub use access::{AccessList, Cidr, read_prefix};
pub use builder::ConfigBuilder;
pub use limits::Limits;
pub use listen::{Listen, bind_advice};
pub use local_names::LocalNames;
pub use neighbours::neighbours;
pub use policy::Policy;
pub use text::{server_address, socket_address};
pub use ttl::TtlBounds;
pub use upstream::{Host, Scheme, Upstream};
pub(crate) use words::{closest, hint};

use crate::providers;

/// The port of conventional DNS (RFC 1035).
pub const DNS_PORT: u16 = 53;

/// The port of DNS over TLS (RFC 7858).
pub const TLS_PORT: u16 = 853;

/// Everything a running forwarder needs to know. It is sound: see [`ConfigBuilder::build`].
#[derive(Clone, Debug)]
pub struct Config {
    listen: Vec<Listen>,
    modes: Modes,
    upstreams: Vec<Upstream>,
    policy: Policy,
    hedge: bool,
    bootstrap: Vec<SocketAddr>,
    roots: Roots,
    timeout: Duration,
    cache_bytes: usize,
    workers: NonZeroUsize,
    keep_scheduling: bool,
    local_names: LocalNames,
    ttl: TtlBounds,
    rotate: bool,
    allow: AccessList,
    limits: Limits,
}

impl Default for Config {
    /// Listens on the loopback addresses over UDP and TCP, and forwards to Cloudflare over TLS.
    fn default() -> Self {
        Self {
            listen: Listen::loopback().into(),
            modes: Modes::UdpAndTcp,
            upstreams: vec![providers::DEFAULT.upstream()],
            policy: Policy::default(),
            hedge: false,
            bootstrap: Vec::new(),
            roots: Roots::BuiltIn,
            timeout: Self::TIMEOUT,
            cache_bytes: Self::CACHE_BYTES,
            workers: NonZeroUsize::MIN,
            keep_scheduling: false,
            local_names: LocalNames::default(),
            ttl: TtlBounds::default(),
            rotate: false,
            allow: AccessList::default(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// The default of [`Config::timeout`]: 4 s, because stub resolvers give up after 5 s.
    pub const TIMEOUT: Duration = Duration::from_secs(4);

    /// Less than 100 ms fails on any distant upstream; after 60 s no client waits any more.
    pub const TIMEOUTS: RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(60);

    /// The default of [`Config::cache_bytes`]: about 17,000 responses of one address, more than a household or a node asks for.
    pub const CACHE_BYTES: usize = 4 << 20;

    /// So many upstreams are told apart by the bits of a number; nobody has use for more.
    pub const MAX_UPSTREAMS: usize = 64;

    /// One loop serves a household or an office; beyond 64 the kernel's sockets are the limit.
    pub const WORKERS: RangeInclusive<usize> = 1..=64;

    /// A way to set what shall differ from the defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// This configuration, to be changed.
    pub fn into_builder(self) -> ConfigBuilder {
        self.into()
    }

    /// The addresses that clients send their queries to; never empty. Default: the loopback addresses, port 53.
    pub fn listen(&self) -> &[Listen] {
        &self.listen
    }

    /// The transports that clients may use. Default: UDP and TCP.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// The resolvers that queries are forwarded to, in order of preference. Default: Cloudflare over TLS.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// Which of several upstreams a query is forwarded to. Default: the first that is healthy.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Whether a query whose response is late is sent a second time, to another upstream or on another connection; for 5 % of the
    /// queries at most. Default: no.
    pub fn hedge(&self) -> bool {
        self.hedge
    }

    /// Resolvers that are asked, over TCP or UDP without encryption, for the addresses of upstreams given by name, and for nothing else.
    /// Default: none.
    pub fn bootstrap(&self) -> &[SocketAddr] {
        &self.bootstrap
    }

    /// Whose certificates are trusted. Default: the built-in root certificates.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// How long a client waits at most for its response, whatever happens upstream. Default: [`Config::TIMEOUT`].
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Memory for cached responses, of all workers together, in octets; 0 is no cache. Default: [`Config::CACHE_BYTES`].
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// Event loops, each on a thread of its own. They are started by [`run`](crate::transports::run), with their threads: whoever calls
    /// [`serve`](fn@crate::serve) gets one loop for each call, and leaves this at 1, the default.
    pub fn workers(&self) -> NonZeroUsize {
        self.workers
    }

    /// Whether workers keep the scheduling policy that the process was started under, instead of one that does not preempt the process
    /// that woke them (`SCHED_BATCH`). Only [`run`](crate::transports::run) sets one: the threads of [`serve`](fn@crate::serve) are the
    /// caller's. Default: no.
    pub fn keep_scheduling(&self) -> bool {
        self.keep_scheduling
    }

    /// Which queries are answered here instead of being forwarded.
    pub fn local_names(&self) -> LocalNames {
        self.local_names
    }

    /// The bounds on the time for which responses are cached.
    pub fn ttl(&self) -> TtlBounds {
        self.ttl
    }

    /// Whether each response from the cache begins with the next of its addresses, so that clients that take the first are spread over
    /// all. Default: no, they keep the upstream's order.
    pub fn rotate(&self) -> bool {
        self.rotate
    }

    /// The clients that are served. Default: those in private networks and in the networks of this host.
    pub fn allow(&self) -> &AccessList {
        &self.allow
    }

    /// The bounds on everything that grows with load.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Memory in octets of one worker for what TCP clients have sent and for responses that they have not read: half of all that may
    /// wait. It is divided beforehand, so that whoever fills what one worker has takes nothing from the clients of another.
    pub(crate) fn memory_for_clients(&self) -> usize {
        self.memory_for_worker() / 2
    }

    /// Memory in octets of one worker for queries in flight: a quarter. The last one is for what upstreams have to read, and for what is
    /// on its way in a moment.
    pub(crate) fn memory_for_questions(&self) -> usize {
        self.memory_for_worker() / 4
    }

    fn memory_for_worker(&self) -> usize {
        (self.limits.queue_bytes / self.workers).max(Limits::MIN_QUEUE)
    }
}

/// The transports over which clients may send queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modes {
    /// DNS over UDP alone.
    Udp,
    /// DNS over TCP alone.
    Tcp,
    /// Both, as RFC 7766 requires of resolvers.
    UdpAndTcp,
}

impl Modes {
    /// Whether UDP is one of them.
    pub fn udp(self) -> bool {
        self != Self::Tcp
    }

    /// Whether TCP is one of them.
    pub fn tcp(self) -> bool {
        self != Self::Udp
    }
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::UdpAndTcp => "UDP and TCP",
        })
    }
}

/// Whose certificates an upstream may present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The root certificates of Mozilla's programme, compiled in.
    BuiltIn,
    /// The certificates of a PEM file, instead of the built-in ones.
    Pem(Vec<u8>),
}

impl Roots {
    /// Takes the contents of the PEM file that the user knows as `file`.
    pub fn from_pem(file: &str, pem: Vec<u8>) -> Result<Self, ConfigError> {
        let holds = |marker: &str| {
            pem.windows(marker.len())
                .any(|window| window == marker.as_bytes())
        };
        if pem.is_empty() {
            return Err(ConfigError::new("ca_file", file, "the file is empty"));
        }
        if !holds("-----BEGIN CERTIFICATE-----") || !holds("-----END CERTIFICATE-----") {
            return Err(ConfigError::new(
                "ca_file",
                file,
                "there is no PEM certificate in the file",
            ));
        }
        Ok(Self::Pem(pem))
    }
}

/// A setting that cannot be obeyed: which one, the value as it was written, and what is wrong
/// with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The name of the setting, which is also the name of the command line's option.
    pub setting: &'static str,
    /// The value as the user wrote it.
    pub value: String,
    /// What is wrong, and where it helps, what to write instead.
    pub reason: String,
    /// Another setting that would make it right.
    pub remedy: Option<&'static str>,
}

impl ConfigError {
    /// An error about one value of one setting.
    pub fn new(
        setting: &'static str,
        value: &(impl ToString + ?Sized),
        reason: impl Into<String>,
    ) -> Self {
        Self {
            setting,
            value: value.to_string(),
            reason: reason.into(),
            remedy: None,
        }
    }

    /// Names another setting that would make it right.
    #[must_use]
    pub fn with_remedy(mut self, setting: &'static str) -> Self {
        self.remedy = Some(setting);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "{}: {}", self.setting, self.reason),
            value => write!(f, "{} {value:?}: {}", self.setting, self.reason),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_safe() {
        // req 27
        let config = Config::builder().build().unwrap();
        assert_eq!(config.listen, Listen::loopback());
        assert_eq!(config.upstreams, [providers::DEFAULT.upstream()]);
        assert!(
            config
                .upstreams
                .iter()
                .all(|upstream| upstream.scheme() == "tls" && upstream.server_name().is_some())
        );
        assert_eq!((config.cache_bytes, config.workers.get()), (4 << 20, 1));
        assert_eq!(config.roots, Roots::BuiltIn);
        // Nobody sees a question, or sees it twice, without the user's wish.
        assert_eq!((config.policy, config.hedge), (Policy::Failover, false));
        assert!(Config::TIMEOUTS.contains(&config.timeout));
        assert_eq!(config.limits, Limits::default());
    }

    #[test]
    fn roots_must_hold_a_certificate() {
        // fault 86
        let error = |pem: &str| {
            Roots::from_pem("/ca.pem", pem.into())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(""), r#"ca_file "/ca.pem": the file is empty"#);
        assert_eq!(
            error("-----BEGIN PRIVATE KEY-----"),
            r#"ca_file "/ca.pem": there is no PEM certificate in the file"#
        );
        assert!(error("-----BEGIN CERTIFICATE-----\nMIIB").contains("no PEM certificate"));
        let pem =
            b"# a root\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_vec();
        assert_eq!(Roots::from_pem("/ca.pem", pem.clone()), Ok(Roots::Pem(pem)));
    }

    #[test]
    fn errors_escape_what_they_quote() {
        let error = "127.0.0.1\n\u{1b}[2J"
            .parse::<Listen>()
            .unwrap_err()
            .to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}
