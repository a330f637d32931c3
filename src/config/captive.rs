//! The captive mode: what may be asked in the clear in a network where one has to log in first, for how long, and of whom.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// That the names by which operating systems look for captive portals, and nothing else, may be asked of the network's own resolver in the clear
/// while no upstream can be reached. `docs/captive.md` says what leaves then, and what does not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Captive {
    /// For how long, on each network. It ends sooner when an upstream is reached.
    pub time: Duration,
    /// Who is asked, in this order. Default: [`NetworkResolver::System`].
    pub resolvers: Vec<NetworkResolver>,
}

impl Captive {
    /// The range of [`Captive::time`]: less than a second brings no answer, and within an hour people have logged in or given up.
    pub const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);

    /// For so long, and by the resolvers that the system knows.
    pub fn new(time: Duration) -> Self {
        Self {
            time,
            resolvers: vec![NetworkResolver::System],
        }
    }

    /// Asks these instead.
    #[must_use]
    pub fn with_resolvers(mut self, resolvers: impl Into<Vec<NetworkResolver>>) -> Self {
        self.resolvers = resolvers.into();
        self
    }
}

/// Where a resolver of the network comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkResolver {
    /// Those that the network itself names, as far as the system tells (DHCP); if it tells of none, the default gateway.
    System,
    /// This one.
    Address(SocketAddr),
    /// Those in this file, which is read anew each time, in the form of resolv.conf(5) or of a lease of systemd-networkd.
    File(PathBuf),
}
