//! dotward's core as a WebAssembly module: a host feeds it events and carries out what it wants.
//!
//! The module imports nothing. It has no socket, no clock and no randomness of its own; the host has them all. A host is
//! any program that can run WebAssembly and make a TLS connection: an edge worker, a browser extension, a proxy's plug-in.
//! `exports` is the interface, `instance` and `running` are what happens behind it, `action` is what goes back to the host.
//!
//! # The contract
//!
//! One instance of the module is one forwarder. For each batch of events the host
//!
//! 1. sets the clock with [`dotward_time`],
//! 2. reports each event with one call; octets go in through [`dotward_room`],
//! 3. takes actions with [`dotward_next`] and carries them out, until there are no more,
//! 4. sets its timer to [`dotward_alarm`] and starts again at 1 when that, or anything else, has come.
//!
//! The host is trusted to do one thing right: a link is *up* when the certificate of the other end was verified for the
//! name that the dial named, and not before (RFC 8310 section 5, strict profile).
//!
//! What comes from clients and upstreams may be anything: no octets, and no order of calls, make the module trap.

mod action;
mod exports;
#[path = "../../forwarding/mod.rs"]
mod forwarding;
mod instance;
mod running;

pub use action::{Action, Kind};
pub use exports::{
    dotward_alarm, dotward_close, dotward_dial_failed, dotward_link_down, dotward_link_up,
    dotward_next, dotward_query, dotward_received, dotward_resolved, dotward_room, dotward_start,
    dotward_time,
};
