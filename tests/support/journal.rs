//! What a scripted upstream saw, and waiting until it has seen something.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::script::Received;

/// How long a test waits for what must come. Generous, because it is only spent by a test that fails.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Everything that was seen since the server was made.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// TCP connections accepted.
    pub accepted: usize,
    /// TCP connections that ended, by either side.
    pub ended: usize,
    /// Client hellos read, whatever became of them.
    pub hellos: Vec<Hello>,
    /// Handshakes that were completed.
    pub handshakes: Vec<Handshake>,
    /// Why handshakes or connections failed, in rustls' words.
    pub failures: Vec<String>,
    /// Octets that came before or without TLS: the client's own first words to a server that does not speak TLS.
    pub raw: Vec<u8>,
    /// Octets of decrypted application data.
    pub application_data: usize,
    /// `close_notify` alerts received.
    pub close_notifies: usize,
    /// Queries in the order in which they came.
    pub queries: Vec<Received>,
}

/// What a client hello offered.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The name in the `server_name` extension, where there is one.
    pub server_name: Option<String>,
    /// The protocols in the ALPN extension.
    pub protocols: Vec<Vec<u8>>,
}

/// A completed handshake.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The TLS version, as in `TLSv1_3`.
    pub version: String,
    /// The protocol that was agreed by ALPN.
    pub protocol: Option<Vec<u8>>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// What the client sent as early data, if it was accepted.
    pub early_data: Vec<u8>,
}

/// The book that the server's threads write and the tests read.
#[derive(Default)]
pub struct Journal {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Journal {
    /// Writes something down.
    pub fn write<T>(&self, entry: impl FnOnce(&mut Seen) -> T) -> T {
        let result = entry(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// A copy of everything so far.
    pub fn read(&self) -> Seen {
        self.lock().clone()
    }

    /// Waits until `condition` holds and returns what was seen then. `what` is for the message of a test that waits in vain.
    pub fn wait(&self, what: &str, condition: impl Fn(&Seen) -> bool) -> Seen {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = self.lock();
        while !condition(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the upstream never saw {what}; it saw {seen:?}"
            );
            seen = self
                .changed
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
