//! Addresses that this host did not have at the start: bound as soon as it has them.

use super::bind_advice::bind_advice;
use super::bound::BoundSockets;
use super::sockets::Sockets;
use crate::config::{Config, Listen};
use crate::engine::Time;
use crate::runtime::Runtime;
use log::{info, warn};
use std::io::ErrorKind;
use std::time::Duration;

/// How often an address that is not bound is tried again: soon enough for a user who waits for a tunnel to come up, and next to nothing
/// for the processor.
const RETRY: Duration = Duration::from_secs(2);

/// What a worker has not bound yet, and when it tries next.
pub struct MissingAddresses {
    /// Each with the last error that was logged, so that it is logged once.
    missing: Vec<(Listen, ErrorKind)>,
    next_try: Option<Time>,
    /// One worker of several logs for all.
    logs: bool,
}

impl MissingAddresses {
    /// What these sockets lack. One worker of several `logs` it.
    pub fn new<R: Runtime>(sockets: &Sockets<R>, logs: bool, now: Time) -> Self {
        let missing = sockets.missing();
        for addr in missing.iter().map(Listen::addr).filter(|_| logs) {
            warn!(
                "{addr}: no interface of this host has this address; binding it is tried again every {RETRY:?}"
            );
        }
        let absent = |listen: &Listen| (*listen, ErrorKind::AddrNotAvailable);
        Self {
            missing: missing.iter().map(absent).collect(),
            next_try: (!missing.is_empty()).then(|| now + RETRY),
            logs,
        }
    }

    /// When there is something to try.
    pub fn next_alarm(&self) -> Option<Time> {
        self.next_try
    }

    /// This address is wanted, too, and could not be bound.
    pub fn add(&mut self, listen: Listen, error: &std::io::Error, now: Time) {
        if self.logs {
            let advice = bind_advice(listen.addr(), error);
            warn!("{advice}; it is tried again every {RETRY:?}");
        }
        self.missing.push((listen, error.kind()));
        self.next_try.get_or_insert(now + RETRY);
    }

    /// This address is not wanted any more.
    pub fn forget(&mut self, listen: &Listen) {
        self.missing.retain(|(missing, _)| !missing.is_same(listen));
    }

    /// Nothing more will be bound.
    pub fn give_up(&mut self) {
        self.missing.clear();
        self.next_try = None;
    }

    /// Tries what is due, and hands out what was bound.
    pub fn time<R: Runtime>(&mut self, runtime: &R, config: &Config, now: Time) -> Sockets<R> {
        let mut bound = Sockets::none_of(0, config);
        if self.next_try.is_none_or(|at| at > now) {
            return bound;
        }
        // Nobody else has a socket of an address that this host lacks.
        let (logs, nobodys) = (self.logs, BoundSockets::new());
        self.missing.retain_mut(|(listen, logged)| {
            let addr = listen.addr();
            let Err(error) = bound.bind_one(runtime, *listen, config, &nobodys) else {
                if logs {
                    info!("{addr}: bound at last; it is served from now on");
                }
                return false;
            };
            // That the host lacks the address was logged at the start.
            let is_new = ![*logged, ErrorKind::AddrNotAvailable].contains(&error.kind());
            if is_new && logs {
                *logged = error.kind();
                let advice = bind_advice(addr, &error);
                warn!("{advice}; it is tried again every {RETRY:?}");
            }
            true
        });
        self.next_try = (!self.missing.is_empty()).then(|| now + RETRY);
        bound
    }
}
