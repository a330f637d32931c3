//! Connections and upstreams that do not answer: noticing them, and having their queries asked elsewhere.

use super::UpstreamPool;
use super::connection::Connection;
use super::health::{Change, Why};
use super::incidents::Incident;
use super::pipeline::Slot;
use crate::engine::effects::{Effects, Task};
use crate::engine::keys::ConnectionKey;
use log::{debug, info, warn};

impl UpstreamPool {
    /// Looks for connections that have been silent for too long, and has suspect ones replaced.
    pub fn check_silence(&mut self, fx: &mut Effects<'_>) {
        let now = fx.now.mono;
        let silent = |c: &Connection| c.is_silent(&self.upstreams[c.upstream], now);
        for key in self.keys(silent) {
            self.suspect(key, fx);
        }
        for (key, connection) in &self.connections {
            if connection.is_suspect() && !connection.is_isolated() {
                fx.task(Task::Replace(key));
            }
        }
    }

    /// There is no room for one more query: what waits on silent connections is asked elsewhere, so that its responses make room.
    pub fn relieve_full(&mut self, fx: &mut Effects<'_>) {
        let now = fx.now.mono;
        let usual = |c: &Connection| self.upstreams[c.upstream].round_trip.smoothed();
        for key in self.keys(|connection| connection.holds_up_many(usual(connection), now)) {
            self.suspect(key, fx);
        }
    }

    /// A connection has been silent for too long. A fresher one takes its queries over; else one is prepared.
    fn suspect(&mut self, key: ConnectionKey, fx: &mut Effects<'_>) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.mark_suspect();
        if connection.is_isolated() {
            // The query on it is slow, or the upstream cannot handle it. That is what the connection is for.
            return;
        }
        let (upstream, since, heard_at) =
            (connection.upstream, connection.since, connection.heard_at);
        let (silent_since, many) = (connection.pipeline.silent_since(), connection.has_many());
        let live = connection.pipeline.live();
        if !self.upstreams[upstream].answers_in_order() || live == 1 {
            self.suspect_upstream(upstream, Why::Silent, fx);
        }
        self.suspect_older(upstream, since, heard_at);
        let fresher = |connection: &Connection| {
            let heard = silent_since.is_some_and(|since| connection.heard_at >= since);
            let good = connection.is_good() && !connection.is_isolated();
            connection.upstream == upstream && good && heard
        };
        match self.keys(fresher).first() {
            Some(fresh) => self.relieve(key, *fresh, fx),
            None => fx.task(Task::Replace(key)),
        }
        if many {
            self.ask_elsewhere(upstream, fx);
        }
    }

    /// A fresh connection is up: queries on suspect ones of its upstream are sent on it, too, and those on suspect ones of upstreams that
    /// share a route with it are asked elsewhere. The first response counts, wherever it comes from: a suspect connection may only be slow.
    pub(super) fn relieve_suspects(&mut self, fresh: ConnectionKey, fx: &mut Effects<'_>) {
        if self.connections[fresh].is_isolated() {
            return;
        }
        let peers = self.routes.peers(self.connections[fresh].upstream);
        let relieved = |connection: &Connection| {
            let peer = peers.contains(connection.upstream);
            peer && connection.is_suspect() && !connection.is_isolated()
        };
        for key in self.keys(relieved) {
            self.relieve(key, fresh, fx);
        }
    }

    /// Has the queries of a suspect connection sent on a fresh one: once more if it is the same upstream's, else elsewhere. The query
    /// that may hold up the others, because the upstream may answer in order, is sent again on a connection of its own.
    fn relieve(&mut self, suspect: ConnectionKey, fresh: ConnectionKey, fx: &mut Effects<'_>) {
        let connection = &self.connections[suspect];
        let same = connection.upstream == self.connections[fresh].upstream;
        let holds_up = match connection.pipeline.head() {
            Some(Slot::Live(transaction)) if connection.pipeline.live() > 1 => Some(transaction),
            _ => None,
        };
        for transaction in connection.pipeline.live_transactions() {
            fx.task(if !same {
                Task::AskElsewhere(transaction)
            } else if holds_up == Some(transaction) {
                Task::RepeatAlone(transaction)
            } else {
                Task::RepeatOn(transaction, fresh)
            });
        }
    }

    /// An upstream is suspect.
    pub(super) fn suspect_upstream(&mut self, upstream: usize, why: Why, fx: &mut Effects<'_>) {
        if let Some(change) = self.upstreams[upstream].health.suspect(why, fx.now.mono) {
            self.note_health(upstream, change, fx);
        }
    }

    /// Says in the log that an upstream's health changed, why, and what follows.
    pub(super) fn note_health(&mut self, upstream: usize, change: Change, fx: &mut Effects<'_>) {
        let alone = !self.routes.peers(upstream).has_several();
        let state = &mut self.upstreams[upstream];
        let (kind, text) = match change {
            Change::Suspect(why) => {
                state.stats.passed_over += 1;
                let text = match why {
                    Why::Silent => "does not answer",
                    Why::Failing => {
                        "answers with SERVFAIL, REFUSED, truncated messages or errors of HTTP alone"
                    }
                    Why::Closing => "ends connections without an answer",
                };
                (Incident::Suspect, text)
            }
            Change::Healthy => (Incident::Healthy, "answers again"),
        };
        let consequence = match kind {
            _ if alone => "",
            Incident::Suspect => "; others are asked instead while they answer",
            _ => "; it is asked as before",
        };
        match state.incidents.note(kind, text, fx.now.mono) {
            Some(untold) if kind == Incident::Suspect => {
                warn!("{}: {text}{consequence}{untold}", state.label);
            }
            Some(untold) => info!("{}: {text}{consequence}{untold}", state.label),
            None => debug!("{}: {text}{consequence}", state.label),
        }
    }
}
