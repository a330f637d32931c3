//! The networks of this host on the access list, kept true while interfaces come and go.

use crate::config::AccessList;
use crate::engine::Time;
use crate::runtime::Runtime;
use std::time::Duration;

/// How often the interfaces are looked at, and only when somebody was denied since: a provider changes a prefix once a day.
const REFRESH: Duration = Duration::from_secs(10);

/// The access list, with what was found last.
pub struct Networks {
    allow: AccessList,
    /// When the interfaces were looked at, and how many queries were denied by then.
    looked: Option<(Time, u64)>,
    /// One loop of several speaks for all.
    speaks: bool,
}

impl Networks {
    pub fn new(allow: AccessList, speaks: bool) -> Self {
        Self {
            allow,
            looked: None,
            speaks,
        }
    }

    /// The access list, if it has to change: at the start, and after somebody was denied whose network may be new.
    pub fn update<R: Runtime>(
        &mut self,
        runtime: &R,
        denied: u64,
        now: Time,
    ) -> Option<AccessList> {
        let due = match self.looked {
            Some((at, known)) => denied > known && now >= at + REFRESH,
            None => true,
        };
        if !due || !self.allow.follows_host() {
            return None;
        }
        self.looked = Some((now, denied));
        if !self.allow.set_host_networks(runtime.networks()) {
            return None;
        }
        let networks = self.allow.host_networks();
        if self.speaks && !networks.is_empty() {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            log::info!(
                "clients in networks of this host may ask, too: {}; --allow-net restricts that",
                networks.join(", ")
            );
        }
        Some(self.allow.clone())
    }
}
