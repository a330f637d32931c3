//! Carrying out what the core wants.

use super::event_loop::EventLoop;
use crate::engine::{Action, Output, Via};
use crate::runtime::Runtime;
use crate::transport::Transport;
use log::debug;

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// Large responses do not wait for the end of the iteration.
    pub(super) fn carry_out_if_full(&mut self) {
        if self.core.out.is_full() {
            self.carry_out();
        }
    }

    /// Carries out what the core wants, until it wants nothing more.
    pub(super) fn carry_out(&mut self) {
        while !self.core.out.is_empty() || self.start_checks() {
            let mut out = std::mem::take(&mut self.core.out);
            self.core.out.note_answered(self.query_log.is_some());
            if !out.answered().is_empty() {
                self.log_answered(&out);
            }
            self.udp.send(&out);
            for action in out.actions() {
                self.act(action, &out);
            }
            self.tcp.flush(self.core.now.mono);
            self.upstreams.flush(&mut self.core);
            out.clear();
            // Flushing can fail, and then the core wants something; its memory is given back otherwise.
            if self.core.out.is_empty() {
                self.core.out = out;
            }
            if self.core.forwarder.has_more() {
                self.core.forwarder.time(self.core.now, &mut self.core.out);
            }
        }
    }

    /// Carries out one action. Responses over UDP have been sent.
    fn act(&mut self, action: &Action, out: &Output) {
        let (config, core) = (&self.config, &mut self.core);
        match action {
            Action::Reply { client, message } => match client.via {
                Via::Stream(number) | Via::Encrypted(number) => {
                    self.tcp.reply(number, out.message(message));
                }
                Via::Inside(_) => {
                    let now = self.runtime.now();
                    self.asking.answer(*client, out.message(message), now, core);
                }
                Via::Datagram { .. } => {}
            },
            Action::Send {
                connection,
                id,
                message,
            } => {
                self.upstreams
                    .send(*connection, *id, out.message(message), core);
            }
            Action::Connect {
                connection,
                upstream,
                addr,
            } => {
                if let Some(to) = core.forwarder.upstream(*upstream) {
                    let found = self.lookups.found_at(*upstream, to, *addr);
                    let path = self.paths.of_connection(&self.runtime, to, *addr);
                    let connect = self.transport.connect(found.as_ref().unwrap_or(to), *addr);
                    self.upstreams.connect(*connection, connect, path);
                }
            }
            Action::Resolve { upstream } => {
                self.paths.looking_up(&self.runtime, config.bootstrap());
                self.lookups.start(*upstream, config, &self.runtime, core);
            }
            Action::Close { connection } => self.upstreams.close(*connection, core.now.mono),
        }
    }

    /// Answers all clients and closes all connections to upstreams.
    pub(super) fn close(&mut self) {
        let now = self.core.now;
        debug!(
            "closing all connections, with {:?}",
            self.core.forwarder.gauges()
        );
        self.core.forwarder.close(now, &mut self.core.out);
        self.carry_out();
        // Many clients of one query get their responses in parts.
        while self.core.forwarder.in_flight() > 0 {
            self.core.forwarder.time(now, &mut self.core.out);
            self.carry_out();
        }
    }
}
