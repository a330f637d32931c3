//! HTTP/2 (RFC 9113) over the streams of any runtime: what its client and its server have in common. No reactor comes with it.

mod bridge;
mod data_frames;

#[cfg(feature = "doh")]
pub use self::bridge::MAX_READ;
pub use self::bridge::{Bridge, Link};
pub use self::data_frames::DataFrames;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

/// Octets of the connection preface of a client, which is no frame (RFC 9113 section 3.4).
pub const PREFACE: usize = 24;

/// Woken by HTTP/2 within a poll, when there is more to do at once.
#[derive(Default)]
pub struct Progress(AtomicBool);

impl Progress {
    /// Whether it was woken since the last call.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Progress {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
