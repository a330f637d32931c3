//! Whether queries would be answered.

use super::totals::Totals;
use std::fmt;

/// What is known of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// They would.
    Good,
    /// They would not, for this reason.
    Bad(&'static str),
    /// No upstream was connected to yet, of those with these labels.
    Unconnected(Vec<String>),
}

impl Health {
    /// Whether a connection to an upstream would show more.
    pub fn wants_connection(&self) -> bool {
        matches!(self, Self::Unconnected(_))
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("ok"),
            Self::Bad(why) => f.write_str(why),
            Self::Unconnected(labels) => write!(
                f,
                "no upstream was connected to since the start ({}), and the cache is empty",
                labels.join(", ")
            ),
        }
    }
}

/// Whether it can serve: an upstream was connected to since the start, and authenticated where the configuration demands that, or there is
/// something in the cache, such as what another process has left.
pub fn readiness(totals: &Totals) -> Health {
    if !totals.is_serving {
        return Health::Bad("the program is about to end");
    }
    let connected = totals.upstreams.iter().any(|one| one.was_connected);
    if connected || totals.cache.entries > 0 {
        return Health::Good;
    }
    let labels = totals.upstreams.iter().map(|one| one.label.clone());
    Health::Unconnected(labels.collect())
}
