//! dotward forwards plain DNS to resolvers over authenticated TLS (RFC 7858).
#![forbid(unsafe_code)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod engine;
pub mod framed;
#[cfg(feature = "cli")]
pub mod logger;
pub mod providers;
pub mod runtime;
pub mod serve;
#[cfg(all(feature = "cli", unix))]
pub mod signals;
pub mod transport;
#[path = "../transports/mod.rs"]
pub mod transports;
pub mod wire;
