//! The hermetic harness: a throw-away certificate authority, scripted upstreams, plain clients and the program as a process.

pub mod authority;
pub mod checks;
pub mod client;
pub mod codes;
pub mod command;
pub mod embedded;
pub mod handshake;
#[cfg(any(feature = "doh", feature = "listen-https"))]
#[expect(dead_code, reason = "some helpers are for the conformance suite alone")]
pub mod http2;
#[cfg(feature = "listen-https")]
pub mod http2_client;
pub mod hybrid;
pub mod journal;
pub mod link;
pub mod memory;
#[expect(dead_code, reason = "some helpers are for unit tests alone")]
pub mod messages;
pub mod odd;
pub mod proxy;
#[cfg(feature = "doq")]
#[expect(dead_code, reason = "some helpers are for the conformance suite alone")]
pub mod quic;
pub mod reading;
pub mod script;
pub mod setup;
pub mod socks;
pub mod upstream;
