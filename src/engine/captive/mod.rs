//! The captive mode: while no upstream can be reached, the names by which operating systems look for captive portals may be asked of the
//! network's own resolver in the clear. `docs/captive.md` says why, and what follows.
//!
//! - `names` is the list of names, `check` the question that leaves and what is taken of the response: nothing of a client's query is in it.
//! - `mode` says whether that is allowed now, for all event loops together.
//!
//! The [`Forwarder`](super::Forwarder) asks for the transactions that would have to fail otherwise: see its `captive`.

mod check;
mod mode;
mod names;

pub use check::{Check, CheckAnswer};
pub use mode::CaptiveMode;
