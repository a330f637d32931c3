//! The configuration: a [`Config`], which a [`ConfigBuilder`] makes only of values that are valid together.
//!
//! Nothing here opens a socket or reads a file.

mod access;
mod builder;
mod captive;
mod change;
mod checks;
mod encrypted;
mod error;
mod features;
mod hosts;
mod identity;
mod limits;
mod listen;
mod local_names;
pub(crate) mod parameters;
mod policy;
mod protocols;
pub mod providers;
#[cfg_attr(not(feature = "split"), path = "public_suffix/absent.rs")]
mod public_suffix;
mod registrable;
mod roots;
mod route;
mod scheme;
mod server_certificate;
mod split_key;
mod text;
mod ttl;
mod upstream;
pub(crate) mod words;

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::ops::RangeInclusive;
use std::time::Duration;

pub use crate::wire::ClientSubnet;
#[cfg(feature = "cli")]
pub(crate) use crate::wire::SvcbParams;
pub use access::{AccessList, Cidr, interface_network, read_prefix};
pub use builder::ConfigBuilder;
#[cfg(feature = "cli")]
pub(crate) use builder::time_text;
pub use captive::{Captive, NetworkResolver};
#[cfg(feature = "cli")]
pub(crate) use encrypted::EncryptedProtocol;
pub(crate) use encrypted::EncryptedService;
pub use error::ConfigError;
pub(crate) use features::lacking;
pub(crate) use hosts::Addresses;
pub use hosts::Hosts;
pub(crate) use identity::Identity;
pub use limits::Limits;
pub(crate) use listen::is_missing;
pub use listen::{Encryption, Listen};
pub use local_names::LocalNames;
pub use parameters::{ClientCertificate, Pin, Profile, Socks5};
pub use policy::Policy;
pub use protocols::Protocol;
pub(crate) use protocols::path_of_template;
pub(crate) use public_suffix::suffix_octets;
pub(crate) use registrable::domain_of;
#[cfg(feature = "cli")]
pub(crate) use registrable::registrable_domain;
pub use roots::Roots;
pub use route::{Domain, Route, Target};
pub use scheme::Scheme;
pub use server_certificate::ServerCertificate;
pub use split_key::SplitKey;
#[cfg(feature = "admin")]
pub(crate) use text::local_address;
pub use text::server_address;
pub use ttl::TtlBounds;
#[cfg(test)]
pub(crate) use upstream::tests::SCHEMES;
pub use upstream::{Host, Upstream};
pub(crate) use words::hint;

/// The port of conventional DNS (RFC 1035).
pub const DNS_PORT: u16 = 53;

/// The port of DNS over TLS (RFC 7858).
pub const TLS_PORT: u16 = 853;

/// The port of HTTPS (RFC 9110).
pub const HTTPS_PORT: u16 = 443;

/// The settings of a forwarder, which are valid together: see [`ConfigBuilder`].
#[derive(Clone, Debug)]
pub struct Config {
    listen: Vec<Listen>,
    certificate: Option<ServerCertificate>,
    listener_name: Option<Domain>,
    modes: Modes,
    upstreams: Vec<Upstream>,
    /// Follows from `upstreams` and `routes`.
    all_upstreams: Vec<Upstream>,
    policy: Policy,
    split_upstreams: usize,
    split_key: Option<SplitKey>,
    hedge: bool,
    bootstrap: Vec<SocketAddr>,
    captive: Option<Captive>,
    tls: TlsSettings,
    timeout: Duration,
    cache_bytes: usize,
    record_bytes: usize,
    workers: NonZeroUsize,
    host: HostSettings,
    local_names: LocalNames,
    routes: Vec<Route>,
    hosts: Hosts,
    ttl: TtlBounds,
    rotate: bool,
    padding: Option<NonZeroU16>,
    client_subnet: ClientSubnet,
    allow: AccessList,
    limits: Limits,
}

/// What is taken from the host, and what is left as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct HostSettings {
    keep_scheduling: bool,
    ignore_network_changes: bool,
}

/// Settings of all encrypted connections.
#[derive(Clone, Debug, Default)]
struct TlsSettings {
    roots: Roots,
    key_log: bool,
}

impl Default for Config {
    /// Listens on the loopback addresses over UDP and TCP, and forwards to Cloudflare over TLS.
    fn default() -> Self {
        Self {
            listen: Listen::loopback().into(),
            certificate: None,
            listener_name: None,
            modes: Modes::UdpAndTcp,
            upstreams: vec![providers::DEFAULT.into()],
            all_upstreams: vec![providers::DEFAULT.into()],
            policy: Policy::default(),
            split_upstreams: 1,
            split_key: None,
            hedge: false,
            bootstrap: Vec::new(),
            captive: None,
            tls: TlsSettings::default(),
            timeout: Self::TIMEOUT,
            cache_bytes: Self::CACHE_BYTES,
            record_bytes: 0,
            workers: NonZeroUsize::MIN,
            host: HostSettings::default(),
            local_names: LocalNames::default(),
            routes: Vec::new(),
            hosts: Hosts::default(),
            ttl: TtlBounds::default(),
            rotate: false,
            padding: Self::PADDING,
            client_subnet: ClientSubnet::default(),
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

    /// With `_dns.` before it, a longer one has more than 255 octets (RFC 1035 section 2.3.4).
    pub const MAX_LISTENER_NAME: usize = 248;

    /// The default of [`Config::cache_bytes`]: about 17,000 responses of one address, more than a household or a node asks for.
    pub const CACHE_BYTES: usize = 4 << 20;

    /// Where failures are recorded: less has no room for what led to one, and more than the largest takes memory that nobody looks at.
    pub const RECORDS: RangeInclusive<usize> = (16 << 10)..=(64 << 20);

    /// The default of [`Config::padding`]: 128, as RFC 8467 section 4.1 recommends.
    pub const PADDING: Option<NonZeroU16> = NonZeroU16::new(128);

    /// Smaller blocks hide little, and larger ones than the largest response over UDP cost more than they hide.
    pub const PADDINGS: RangeInclusive<usize> = 16..=4_096;

    /// The forwarder keeps sets of upstreams in the bits of a number.
    pub const MAX_UPSTREAMS: usize = 64;

    /// More than people write by hand. Each has state of its own: whose turn it is, how long its responses take.
    pub const MAX_ROUTES: usize = 1_024;

    /// From one to all upstreams that there can be.
    pub const SPLIT_UPSTREAMS: RangeInclusive<usize> = 1..=Self::MAX_UPSTREAMS;

    /// One loop serves a household or an office; beyond 64 the kernel's sockets are the limit.
    pub const WORKERS: RangeInclusive<usize> = 1..=64;

    /// A builder with the defaults.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// A builder with the settings of this configuration.
    pub fn into_builder(self) -> ConfigBuilder {
        self.into()
    }

    /// The addresses that clients send their queries to; never empty. Default: the loopback addresses, port 53.
    pub fn listen(&self) -> &[Listen] {
        &self.listen
    }

    /// Those of them where clients encrypt.
    pub(crate) fn listen_encrypted(&self) -> impl Iterator<Item = &Listen> {
        self.listen.iter().filter(|listen| listen.is_encrypted())
    }

    /// What clients over TLS and HTTPS are shown. Default: none, which takes addresses without encryption.
    pub fn certificate(&self) -> Option<&ServerCertificate> {
        self.certificate.as_ref()
    }

    /// The name of the addresses where clients speak with encryption: who asks this resolver for encrypted ones gets these, under this name
    /// (RFC 9462). The certificate should be for it, and for the addresses without encryption that clients are given. Default: none, and
    /// such queries are answered with NODATA.
    pub fn listener_name(&self) -> Option<&Domain> {
        self.listener_name.as_ref()
    }

    /// The transports that clients without encryption may use. Default: UDP and TCP.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// The resolvers that queries outside of all [routes](Config::routes) are forwarded to, in order of preference. Default: Cloudflare over
    /// TLS.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// All different upstreams: those of [`Config::upstreams`], then those of [`Config::routes`] that are not among the ones before. Two are the same if they have the same scheme, name, addresses
    /// and parameters, whatever their labels; such a server has one set of connections.
    pub fn all_upstreams(&self) -> &[Upstream] {
        &self.all_upstreams
    }

    /// Which of several upstreams a query is forwarded to. Default: the first that is healthy.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// To how many of its upstreams a route with [`Policy::Split`] sends the queries for one domain. Default: 1.
    pub fn split_upstreams(&self) -> usize {
        self.split_upstreams
    }

    /// By which domains are split among upstreams. Default: none, which is one that follows from the seed.
    pub fn split_key(&self) -> Option<SplitKey> {
        self.split_key
    }

    /// Whether some queries are sent by [`Policy::Split`].
    pub fn splits(&self) -> bool {
        let of_route = |route: &Route| matches!(route.target(), Target::Upstreams { policy, .. } if *policy == Policy::Split);
        self.policy == Policy::Split || self.routes.iter().any(of_route)
    }

    /// With this key, unless there is one.
    pub(crate) fn or_split_key(mut self, key: SplitKey) -> Self {
        self.split_key = self.split_key.or(Some(key));
        self
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

    /// Whether the names by which operating systems look for captive portals may be asked of the network's own resolver, without encryption,
    /// while no upstream can be reached. It takes the feature `captive`. Default: no.
    pub fn captive(&self) -> Option<&Captive> {
        self.captive.as_ref()
    }

    /// Whose certificates are trusted. Default: the built-in root certificates.
    pub fn roots(&self) -> &Roots {
        &self.tls.roots
    }

    /// Whether the secrets of TLS connections are written to the file that the environment variable `SSLKEYLOGFILE` names (RFC 9850), if it
    /// is set. Who reads that file can decrypt the connections. Default: no, and the variable is ignored.
    pub fn key_log(&self) -> bool {
        self.tls.key_log
    }

    /// How long a client waits at most for its response, whatever happens upstream. Default: [`Config::TIMEOUT`].
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Memory for cached responses, of all workers together, in octets; 0 is no cache. Default: [`Config::CACHE_BYTES`].
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// Event loops, each on a thread of its own. Default: 1. [`run`](crate::transports::run) starts them with their threads; a call of
    /// [`serve`](fn@crate::serve) is one loop, for which this must be 1.
    pub fn workers(&self) -> NonZeroUsize {
        self.workers
    }

    /// Whether workers keep the scheduling policy that the process was started under, instead of one that does not preempt the process
    /// that woke them (`SCHED_BATCH`). Only [`run`](crate::transports::run) sets one: the threads of [`serve`](fn@crate::serve) are the
    /// caller's. Default: no.
    pub fn keep_scheduling(&self) -> bool {
        self.host.keep_scheduling
    }

    /// Which queries are answered here instead of being forwarded.
    pub fn local_names(&self) -> LocalNames {
        self.local_names
    }

    /// The domains whose queries take another way: see [`Route`]. Default: none.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Names and addresses of the user's own, which are answered here. Default: none.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The bounds on the time for which responses are cached.
    pub fn ttl(&self) -> TtlBounds {
        self.ttl
    }

    /// Whether nothing is asked about the links, addresses and routes of this host while it serves: neither are changes of them noticed, nor is
    /// what is learned of upstreams told apart by network. Default: no. Changes are noticed by the program alone
    /// ([`watch_network`](crate::transports::watch_network)), on Linux.
    pub fn ignore_network_changes(&self) -> bool {
        self.host.ignore_network_changes
    }

    /// Whether each response from the cache begins with the next of its addresses, so that clients that take the first are spread over
    /// all. Default: no, they keep the upstream's order.
    pub fn rotate(&self) -> bool {
        self.rotate
    }

    /// Octets of memory for the records of failures, of all workers together, within [`Config::RECORDS`]; 0 is none, which is the default.
    pub fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// The block to a multiple of which queries are padded on encrypted connections, in octets (RFC 8467 section 4.1); `None`: they are not.
    /// Default: [`Config::PADDING`].
    pub fn padding(&self) -> Option<NonZeroU16> {
        self.padding
    }

    /// What becomes of a client's subnet in its query (RFC 7871). Default: it is removed.
    pub fn client_subnet(&self) -> ClientSubnet {
        self.client_subnet
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
    /// wait. It is divided among the workers, so that the clients of one take nothing from those of another.
    pub(crate) fn memory_for_clients(&self) -> usize {
        self.memory_for_worker() / 2
    }

    /// Memory in octets of one worker for queries in flight: a quarter. The last quarter is for what upstreams have not read, and for what is
    /// being sent.
    pub(crate) fn memory_for_queries(&self) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_safe() {
        // req 27
        let config = Config::builder().build().unwrap();
        assert_eq!(config.listen, Listen::loopback());
        assert_eq!(config.upstreams, [Upstream::from(providers::DEFAULT)]);
        assert!(
            config
                .upstreams
                .iter()
                .all(|upstream| upstream.scheme() == "tls" && upstream.server_name().is_some())
        );
        assert_eq!((config.cache_bytes, config.workers.get()), (4 << 20, 1));
        assert_eq!((config.roots(), config.key_log()), (&Roots::BuiltIn, false));
        // One operator sees the queries, and sees each once, unless the user wants otherwise.
        assert_eq!((config.policy, config.hedge), (Policy::Failover, false));
        assert!(Config::TIMEOUTS.contains(&config.timeout));
        assert_eq!(config.limits, Limits::default());
    }
}
