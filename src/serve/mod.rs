//! The shell: turns sockets into events for the core and the core's actions into I/O.
//!
//! One event loop is one future, [`serve`]. It spawns nothing, and any [`Runtime`](crate::runtime::Runtime) can run it.
//! More loops may run beside it on sockets that share their addresses; they have [`Shared`] in common.
//!
//! - `worker` is the loop: one pass of it after the other; `view` shows what is in it.
//! - `links` is its side towards upstreams, `datagrams` and `clients` are its sides towards clients, `streams` one
//!   client's connection.
//! - `listening` binds the addresses that are served, at the start and later.
//! - `networks` has the networks of this host on the access list.
//! - `sources` knows who woke the loop; `bootstrap` finds upstreams that were given by name.

mod bootstrap;
mod clients;
mod control;
mod datagrams;
mod links;
mod listening;
mod networks;
mod shared;
mod sources;
mod streams;
mod unread;
mod view;
mod worker;

pub use control::{Command, Control};
pub use listening::{BindError, Sockets};
pub use shared::Shared;
// Open for the simulator, which looks at a loop after each poll; nothing is promised of it.
#[doc(hidden)]
pub use worker::Worker;
pub use worker::serve;
