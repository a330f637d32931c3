//! A forwarder without the captive mode. Stands in for `src/engine/forwarder/captive.rs`.
#![allow(clippy::unused_self, reason = "with the feature it is used")]

use super::Forwarder;
use crate::config::Config;
use crate::engine::captive::CaptiveMode;
use crate::engine::gauges::CaptiveState;
use crate::engine::keys::{ConnectionKey, TransactionKey};
use crate::engine::network::NetworkChange;
use crate::engine::time::{Now, Time};
use std::sync::Arc;

/// Nothing.
pub struct Captive;

impl Captive {
    pub fn new(_config: &Config) -> Self {
        Self
    }

    #[inline]
    pub fn is_allowed(&self) -> bool {
        false
    }
}

impl Forwarder {
    /// Nothing is shared.
    pub fn share_captive_mode(&mut self, _mode: &Arc<CaptiveMode>) {}

    /// It is off.
    pub fn captive(&self, _now: Now) -> CaptiveState {
        CaptiveState::default()
    }

    #[inline]
    pub(super) fn reconfigure_captive(&mut self, _config: &Config) {}

    #[inline]
    pub(super) fn ask_network(&mut self, _now: Now) {}

    #[inline]
    pub(super) fn awaits_network(&self, _key: TransactionKey) -> bool {
        false
    }

    #[inline]
    pub(super) fn captive_reached(&self, _connection: ConnectionKey, _now: Now) {}

    #[inline]
    pub(super) fn captive_moved(&self, _change: &NetworkChange) {}

    #[inline]
    pub(super) fn captive_time(&self, _now: Now) {}

    #[inline]
    pub(super) fn captive_alarm(&self, _seen: Now) -> Time {
        Time::NEVER
    }
}
