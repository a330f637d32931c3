//! What can be seen of a loop between two polls.

use super::datagrams::Socket;
use super::worker::Worker;
use crate::engine::{Forwarder, Stats};
use crate::runtime::Runtime;
use crate::transport::Transport;

impl<R: Runtime, T: Transport, C> Worker<R, T, C> {
    /// The core that it drives.
    pub fn core(&self) -> &Forwarder {
        &self.core
    }

    /// What happened so far, in the core and around it.
    pub fn stats(&self) -> Stats {
        Stats {
            unsent: self.unsent,
            crowded_out: self.clients.crowded_out,
            unread: self.clients.closed_unread,
            ..*self.core.stats()
        }
    }

    /// TCP clients, and the queries of the one that waits for most answers.
    pub fn clients(&self) -> (usize, usize) {
        self.clients.crowd()
    }

    /// Octets of what TCP clients have asked and of answers that they have not read.
    pub fn octets_of_clients(&self) -> usize {
        self.clients.memory()
    }

    /// Nothing under way around the core: no link, no look-up, no client, no answer that the system had no room for.
    pub fn is_idle(&self) -> bool {
        self.links.is_empty()
            && self.lookups.iter().all(Option::is_none)
            && self.clients.is_empty()
            && self.sockets.iter().all(Socket::is_flushed)
            && self.out.is_empty()
    }
}
