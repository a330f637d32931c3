//! The forwarder as the shell drives it.

use crate::engine::{Forwarder, Now, Output};

/// The forwarder, what it wants done, and the time of the current iteration of the loop.
pub struct Core {
    pub forwarder: Forwarder,
    pub out: Output,
    pub now: Now,
}
