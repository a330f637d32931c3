//! Addresses that this host did not have at the start: bound as soon as it has them.

use super::sockets::Sockets;
use crate::config::{Modes, bind_advice};
use crate::engine::Time;
use crate::runtime::Runtime;
use log::{info, warn};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How often an address that is not bound is tried again: soon enough for somebody who waits for a tunnel to come up, and next to
/// nothing for the processor.
pub const RETRY: Duration = Duration::from_secs(2);

/// What a worker has not bound yet, and when it tries next.
pub struct Unbound {
    modes: Modes,
    share: bool,
    missing: Vec<SocketAddr>,
    next_try: Option<Time>,
    /// The last error of each address that was logged, so that it is logged once.
    logged: Vec<(SocketAddr, io::ErrorKind)>,
    /// One worker of several logs for all.
    logs: bool,
}

impl Unbound {
    /// What these sockets lack. One worker of several `logs` it.
    pub fn new<R: Runtime>(sockets: &Sockets<R>, logs: bool, now: Time) -> Self {
        let missing = sockets.missing();
        if logs {
            for addr in missing {
                warn!(
                    "{addr}: no interface of this host has this address; binding it is tried again every {RETRY:?}"
                );
            }
        }
        Self {
            modes: sockets.modes,
            share: sockets.share,
            missing: missing.to_vec(),
            next_try: (!missing.is_empty()).then(|| now + RETRY),
            logged: Vec::new(),
            logs,
        }
    }

    /// When there is something to try.
    pub fn next_alarm(&self) -> Option<Time> {
        self.next_try
    }

    /// Nothing more will be bound.
    pub fn give_up(&mut self) {
        self.missing.clear();
        self.next_try = None;
    }

    /// Tries what is due, and hands out what was bound.
    pub fn time<R: Runtime>(&mut self, runtime: &R, now: Time) -> Vec<Sockets<R>> {
        if self.next_try.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut bound = Vec::new();
        for addr in std::mem::take(&mut self.missing) {
            match Sockets::bind_late(runtime, addr, self.modes, self.share) {
                Ok(sockets) => {
                    self.logged.retain(|(logged, _)| *logged != addr);
                    if self.logs {
                        info!("{addr}: bound at last; it is served from now on");
                    }
                    bound.push(sockets);
                }
                Err(error) => {
                    self.log(addr, &error);
                    self.missing.push(addr);
                }
            }
        }
        self.next_try = (!self.missing.is_empty()).then(|| now + RETRY);
        bound
    }

    /// Logs an error that is new. The absence of the address was logged at the start.
    fn log(&mut self, addr: SocketAddr, error: &io::Error) {
        let is_new = !self.logged.contains(&(addr, error.kind()));
        if self.logs && is_new && error.kind() != io::ErrorKind::AddrNotAvailable {
            warn!(
                "{}; it is tried again every {RETRY:?}",
                bind_advice(addr, error)
            );
            self.logged.retain(|(logged, _)| *logged != addr);
            self.logged.push((addr, error.kind()));
        }
    }
}
