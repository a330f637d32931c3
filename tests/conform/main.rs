//! The conformance suite: what the shell relies on, asked of every runtime and of every protocol over it.
//!
//! A *world* is a runtime under the suite: each row of the table in `transports/mod.rs`, and the network in memory. Every world has the same
//! list of tests, once for itself and once for each protocol; `cases.rs` is that list. Both ends of every conversation are played over the
//! public seams, so that the same words suit real sockets and virtual time. A case names what it requires beyond the seam; a world that
//! cannot do that is not asked, and says so.
//!
//! Timers appear as bounds, and where they are what is asked about.

mod cases;
mod datagrams;
#[cfg(feature = "doh")]
mod doh;
#[cfg(feature = "doq")]
mod doq;
#[cfg(feature = "tokio")]
mod embedding;
mod links;
#[cfg(feature = "sockets")]
mod plain_udp;
mod serving;
mod streams;
#[path = "../support"]
#[expect(
    dead_code,
    reason = "the helpers are those of the end-to-end tests; this suite uses some of them"
)]
mod support {
    #[cfg(feature = "tls")]
    pub mod authority;
    pub mod codes;
    #[cfg(feature = "doh")]
    pub mod http2;
    pub mod memory;
    pub mod messages;
    #[cfg(feature = "doq")]
    pub mod quic;
}
mod threads;
mod timers;
mod upstream;
mod world;

use dotward::transports::{RUNTIMES, SCHEMES};

cases::worlds! {
    #[cfg(feature = "async-std")]
    async_std = "async-std" => dotward::transports::async_std::AsyncStd;
    #[cfg(feature = "smol")]
    smol = "smol" => dotward::transports::smol::Smol;
    #[cfg(feature = "tokio")]
    tokio = "tokio" => dotward::transports::tokio::Tokio;
    #[cfg(feature = "mio")]
    mio = "mio" => dotward::transports::mio::Mio;
    #[cfg(all(feature = "wasi", target_os = "wasi"))]
    wasi = "wasi" => dotward::transports::wasi::Wasi;
    memory = "memory" => crate::support::memory::Memory;
}

// The compiler reads the table: a row that nobody mounted above is an error here.
const _: () = {
    let mut row = 0;
    while row < RUNTIMES.len() {
        assert!(
            world::is_listed(RUNTIMES[row], WORLDS),
            "a runtime of the table is not under the suite"
        );
        row += 1;
    }
    let mut row = 0;
    while row < SCHEMES.len() {
        assert!(
            world::is_listed(SCHEMES[row].name, cases::PROTOCOLS),
            "a protocol of the table is not under the suite"
        );
        row += 1;
    }
};
