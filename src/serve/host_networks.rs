//! The networks of this host on the access list, kept up to date while interfaces come and go.

use crate::config::AccessList;
use crate::engine::Time;
use crate::runtime::Runtime;
use std::time::Duration;

/// How often the interfaces are read, and only if a query was denied since: a provider changes a prefix once a day.
const REFRESH: Duration = Duration::from_secs(10);

/// The access list, with the networks that were found last.
pub struct HostNetworks {
    allow: AccessList,
    /// When the interfaces were read, and how many queries were denied by then.
    read: Option<(Time, u64)>,
    /// One worker of several logs for all.
    logs: bool,
}

impl HostNetworks {
    pub fn new(allow: AccessList, logs: bool) -> Self {
        Self {
            allow,
            read: None,
            logs,
        }
    }

    /// The access list, if it has to change: at the start, and after a query was denied whose sender's network may be new.
    pub fn update<R: Runtime>(
        &mut self,
        runtime: &R,
        denied: u64,
        now: Time,
    ) -> Option<AccessList> {
        let due = match self.read {
            Some((at, known)) => denied > known && now >= at + REFRESH,
            None => true,
        };
        if !due || !self.allow.follows_host() {
            return None;
        }
        self.read = Some((now, denied));
        if !self.allow.set_host_networks(runtime.networks()) {
            return None;
        }
        let networks = self.allow.host_networks();
        if self.logs && !networks.is_empty() {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            log::info!(
                "clients in networks of this host are served, too: {}; an access list (allow-net) restricts that",
                networks.join(", ")
            );
        }
        Some(self.allow.clone())
    }
}
