//! What was answered, for a query log: copies of it on their way to whoever writes it down, over a queue that never makes the loop wait.

use crate::wire;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, SystemTime};

/// A query that was answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Logged {
    /// When the response left.
    pub at: SystemTime,
    /// Who asked.
    pub client: SocketAddr,
    /// By what: `udp`, `tcp`, or `encrypted`.
    pub protocol: &'static str,
    /// The octets of the response's question: name, type, class; nothing if it has none.
    pub question: Box<[u8]>,
    /// The response code, with the bits of the OPT record.
    pub rcode: wire::Rcode,
    /// Where the response comes from: `cache`, `stale`, `local`, `upstream`, `failure` or `refused`.
    pub source: &'static str,
    /// The label of the upstream that gave it.
    pub upstream: Option<Box<str>>,
    /// From the first client's query to this response; nothing for what is answered at once.
    pub took: Duration,
    /// Why it is an error of this program, in a word.
    pub reason: Option<&'static str>,
    /// The extended error (RFC 8914): that of this program, or of the upstream.
    pub ede: Option<(u16, Box<str>)>,
}

/// Where event loops send what they have answered. Clones lead to the same place.
#[derive(Clone, Debug)]
pub struct QueryLog {
    to: SyncSender<Option<Logged>>,
    /// What was taken from the queue and could not be written, until a loop counts it.
    unwritten: Arc<AtomicU64>,
}

impl QueryLog {
    /// Sends to this queue, never waiting. What it has no room for is counted and forgotten.
    pub fn new(to: SyncSender<Option<Logged>>) -> Self {
        let unwritten = Arc::default();
        Self { to, unwritten }
    }

    /// By which whoever reads the queue tells how much of it could not be written. Loops count that as what they had no room for.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.unwritten.clone()
    }

    /// What could not be written since the last call, of whichever loop.
    pub(super) fn take_unwritten(&self) -> u64 {
        self.unwritten.swap(0, Ordering::Relaxed)
    }

    /// Sends `None`, by which whoever reads the queue looks up, if there is room; else there is something to look at anyway.
    pub fn wake(&self) {
        let _woken_or_busy = self.to.try_send(None);
    }

    /// False if there was no room.
    pub(super) fn send(&self, logged: Logged) -> bool {
        self.to.try_send(Some(logged)).is_ok()
    }
}
