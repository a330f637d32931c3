//! Another configuration while the loop serves: sockets and connections that it leaves as they are stay, and no query is lost.

use super::bound::BoundSockets;
use super::event_loop::EventLoop;
use super::host_networks::HostNetworks;
use super::inspect::record_failures;
use super::reload::Reload;
use super::shutdown::Phase;
use super::sockets::Sockets;
use crate::config::{Config, Listen, is_missing};
use crate::runtime::Runtime;
use crate::transport::Transport;
use log::{error, info};
use std::io::ErrorKind;

/// How often a socket that closes is read before, each time for some batches: more than a system keeps for a socket by default.
const MAX_LAST_READS: usize = 64;

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// Serves by another configuration from now on. A loop that ends goes on as it is.
    pub(super) fn reconfigure(&mut self, reload: &Reload) {
        if self.phase != Phase::Serving {
            return;
        }
        let config = reload.config.after(&self.config);
        if let Err(error) = self.transport.reconfigure(&self.config, &config) {
            // It was checked before, so that this is rare: the system lacks something.
            error!(
                "worker {}: the configuration is not changed: {error}",
                self.number
            );
            return;
        }
        if let Err(error) = self.runtime.reconfigure(&config) {
            error!(
                "worker {}: clients over TLS and HTTPS get the certificate of before: {error}",
                self.number
            );
        }
        let before = std::mem::replace(&mut self.config, config);
        self.cache = reload.cache(&self.cache);
        self.change_sockets(&before, &reload.bound);
        self.tcp.reconfigure(&self.config);
        let (now, core) = (self.core.now, &mut self.core);
        core.forwarder.reconfigure(
            &before,
            &self.config,
            self.cache.clone(),
            now,
            &mut core.out,
        );
        if self.config.record_bytes() != before.record_bytes() {
            record_failures(&mut core.forwarder, &self.config, self.number);
        }
        self.lookups.keep(|number| core.forwarder.upstream(number));
        let allow = self.config.allow().clone();
        self.host_networks = HostNetworks::new(allow, self.logs_for_all());
        self.update_networks();
        if self.logs_for_all() {
            info!(
                "the configuration is in force: {}",
                self.config.compared(&before)
            );
        }
        self.carry_out();
    }

    /// Closes the sockets of addresses that are served no more, and binds those that are new.
    fn change_sockets(&mut self, before: &Config, prepared: &BoundSockets) {
        let (now, wanted) = (self.core.now.mono, self.config.listen().to_vec());
        let is_in = |all: &[Listen], one: &Listen| all.iter().any(|other| other.is_same(one));
        let known = before.listen();
        for listen in known.iter().filter(|listen| !is_in(&wanted, listen)) {
            let addr = listen.addr();
            for _ in 0..MAX_LAST_READS {
                if !self.udp.read(addr, &mut self.core) {
                    break;
                }
                self.carry_out();
            }
            // Whoever sent a query to it by now gets the response from there.
            let until = now + before.timeout().max(self.config.timeout());
            self.udp.retire(addr, until);
            self.tcp.retire(addr, now);
            self.missing.forget(listen);
        }
        self.close_settled();
        let mut bound = Sockets::none_of(self.number - 1, &self.config);
        for listen in &wanted {
            let addr = listen.addr();
            if is_in(known, listen) {
                continue;
            }
            // Where several workers share the address, one that nobody reads would get queries. The new one has its number.
            self.udp.close_retired(|other| other == addr);
            let mut done = bound.bind_one(&self.runtime, *listen, &self.config, prepared);
            if let Err(error) = &done
                && error.kind() == ErrorKind::AddrInUse
            {
                // It may be one of ours, as where a wildcard address is replaced by a concrete one.
                self.udp.close_retired(|other| other.port() == addr.port());
                done = bound.bind_one(&self.runtime, *listen, &self.config, prepared);
            }
            if let Err(error) = done
                && (listen.is_required() || !is_missing(&error))
            {
                self.missing.add(*listen, &error, now);
            }
        }
        self.serve_at(bound);
    }
}
