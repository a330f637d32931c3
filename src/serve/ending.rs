//! Going from serving to the end: what each phase does, and when the next one follows.

use super::event_loop::EventLoop;
use super::shutdown::{DRAIN_QUIET, DRAIN_TIMEOUT, Phase, Trigger};
use crate::runtime::Runtime;
use crate::transport::Transport;
use log::info;
use std::time::Duration;

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// At the end of an iteration: goes on as far as what is left to do allows.
    pub(super) fn finish(&mut self) {
        while self.phase != Phase::Serving {
            let (before, now) = (self.phase, self.core.now.mono);
            match before {
                Phase::Draining { .. } | Phase::HandingOver { .. } => {
                    self.tcp.close_idle(DRAIN_QUIET, now);
                }
                Phase::Finishing { .. } => self.tcp.close_idle(Duration::ZERO, now),
                _ => {}
            }
            let mut responses = self.core.forwarder.in_flight() > 0
                || !self.tcp.is_empty()
                || !self.udp.are_flushed();
            if let Phase::HandingOver { .. } = before {
                if self.handover.has_ended() {
                    self.advance(Trigger::OtherFinished);
                    continue;
                }
                responses = self.handover.is_any_busy(responses);
            }
            self.advance(Trigger::Remaining {
                responses,
                connections: !self.upstreams.is_empty(),
            });
            if self.phase == before {
                return;
            }
        }
    }

    /// Goes to the phase that follows.
    pub(super) fn advance(&mut self, trigger: Trigger) {
        let now = self.core.now.mono;
        let next = self.phase.after(trigger, now);
        match (std::mem::replace(&mut self.phase, next), next) {
            (Phase::Serving, Phase::Draining { .. }) => {
                info!(
                    "draining: queries that were accepted are answered, for at most {DRAIN_TIMEOUT:?}"
                );
                self.missing.give_up();
                self.tcp.stop_accepting(now);
                self.tcp.wind_down();
            }
            (Phase::Serving, Phase::HandingOver { .. }) => {
                info!(
                    "handing over: the next process gets these sockets; until nobody waits for a response, for at most {DRAIN_TIMEOUT:?}, \
                     they are served here"
                );
                self.missing.give_up();
            }
            (Phase::HandingOver { .. }, Phase::Finishing { .. }) => {
                self.handover.end();
                self.tcp.leave();
            }
            (before, Phase::Closing { .. }) if before != next => {
                self.handover.end();
                self.tcp.leave();
                self.close();
            }
            _ => {}
        }
    }
}
