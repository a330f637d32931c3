//! The shell: turns sockets into events for the core and the core's actions into I/O.
//!
//! One event loop is one future, [`serve`]. It spawns nothing, and any [`Runtime`](crate::runtime::Runtime) can run it.
//! More loops may run beside it on sockets that share their addresses; they have `shared` in common.
//!
//! - `event_loop` is the loop, `core` the forwarder that it drives; `actions` carries out what that wants, and `inspect` shows what is in it.
//! - `udp` and `tcp` are its sides towards clients, `upstream_connections` is its side towards upstreams.
//! - `lookups` finds the addresses of upstreams that were given by name, or that another resolver designates.
//! - `sources` knows what is ready, and has the one timer; `pause` is for sockets that fail.
//! - `sockets` binds the addresses that are served, `missing_addresses` those that the host did not have at the start; `bound` has the sockets
//!   that were bound before, and `bind_advice` says what to do about one that cannot be.
//! - `host_networks` has the networks of this host on the access list.
//! - `network` finds out which connections and upstreams a change of the network concerns.
//! - `options` is what a caller chooses, `seed` the platform's random octets for it.
//! - `asking` has queries answered that come from the program itself.
//! - `logging` copies what was answered for the query log, and `query_log` is the way to whoever writes that down.
//! - `measured` is what a loop has counted and holds, for whoever watches it.
//! - `control` carries commands and new configurations to the loop, `reload` has it serve by one; `shutdown` is the way from serving to the end,
//!   and `ending` what is done on it; loops that hand over go it together (`handover`).

mod actions;
mod asking;
mod bind_advice;
mod bound;
#[cfg_attr(not(feature = "captive"), path = "captive/absent.rs")]
mod captive;
mod control;
mod core;
mod ending;
mod event_loop;
mod handover;
mod host_networks;
mod inspect;
mod logging;
mod lookups;
mod measured;
mod missing_addresses;
mod network;
mod options;
mod pause;
mod query_log;
mod reconfigure;
mod reload;
#[cfg(any(
    feature = "sockets",
    feature = "isolate",
    all(feature = "wasi", target_os = "wasi")
))]
mod seed;
mod shared;
mod shutdown;
mod sockets;
mod sources;
mod tcp;
mod udp;
mod upstream_connections;

pub use asking::Asked;
#[cfg(feature = "sockets")]
pub(crate) use bind_advice::bind_advice;
pub use bound::BoundSockets;
pub use control::{Command, Control};
pub use measured::{CacheMeasured, Measured};
pub use options::Options;
pub use query_log::{Logged, QueryLog};
#[cfg(any(
    feature = "sockets",
    feature = "isolate",
    all(feature = "wasi", target_os = "wasi")
))]
pub(crate) use seed::random_seed;
pub use sockets::{BindError, Sockets};
// Open for the program, which looks an upstream up without serving; nothing is promised of it.
#[doc(hidden)]
pub use lookups::{Found, Place, look_up};
// Open for the simulator, which looks at a loop after each poll; nothing is promised of it.
#[doc(hidden)]
pub use event_loop::EventLoop;
pub use event_loop::serve;
