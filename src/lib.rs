//! dotward forwards plain DNS to resolvers over authenticated TLS (RFC 7858).
//!
//! The program of the same name is a thin layer over this library, which has two ways in.
//!
//! # Serving, on a runtime
//!
//! [`serve`](fn@serve) is one future over two seams: a [`Runtime`](runtime::Runtime) brings the sockets and the clock, a
//! [`Transport`](transport::Transport) the way to upstreams. It spawns nothing, and is `Send` where their types are; those in
//! [`transports`] all are, so that an application spawns it beside its own work.
//!
//! ```
//! # #[cfg(feature = "async-std")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dotward::config::Upstream;
//! use dotward::runtime::Runtime;
//! use dotward::serve::Command;
//! use dotward::transports::{Protocols, SCHEMES, async_std::AsyncStd};
//! use dotward::{Config, Control, Options, Sockets, serve};
//!
//! let config = Config::builder()
//!     .listen(["127.0.0.1:0".parse()?])
//!     .upstreams([Upstream::parse("9.9.9.9#dns.quad9.net", SCHEMES)?])
//!     .build()?;
//!
//! let runtime = AsyncStd::default();
//! let sockets = Sockets::bind(&runtime, &config)?;
//! println!("dig @127.0.0.1 -p {}", sockets.addresses()[0].port());
//! let protocols = Protocols::new(&runtime, &config)?;
//! let control = Control::new();
//! let options = Options::new(config)?.control(&control);
//! let serving = serve(runtime.clone(), protocols, sockets, options);
//! // From any thread, at any time: respond to the queries that were accepted, then end.
//! control.send(Command::Drain);
//! let stats = runtime.block_on(serving);
//! assert_eq!(stats.queries, 0);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "async-std"))]
//! # fn main() {}
//! ```
//!
//! # Driving the core by hand
//!
//! [`Forwarder`] decides and does nothing itself: events in, actions out, time and randomness as arguments. It needs no feature and
//! builds for any target.
//!
//! ```
//! use dotward::config::Upstream;
//! use dotward::engine::{Action, Cache, Client, Now, Output, Times, Via};
//! use dotward::transports::SCHEMES;
//! use dotward::{Config, Forwarder};
//! use std::sync::Arc;
//!
//! let upstream = Upstream::parse("tcp://192.0.2.53", SCHEMES)?;
//! let config = Config::builder().upstreams([upstream]).build()?;
//! let cache = Arc::new(Cache::new(config.cache_bytes(), [0; 16], Times::default()));
//! let mut forwarder = Forwarder::new(&config, cache, [0; 32]);
//! let (now, mut out) = (Now::default(), Output::new());
//!
//! // A client asks for the addresses of www.example, with id 7.
//! let query = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01";
//! let client = Client { addr: "127.0.0.1:40000".parse()?, via: Via::Stream(1) };
//! assert!(forwarder.query(query, client, now, &mut out));
//!
//! // The forwarder wants a connection, and gets it.
//! let [Action::Connect { connection, .. }] = out.actions() else { panic!("{out:?}") };
//! let connection = *connection;
//! out.clear();
//! forwarder.connected(connection, "a connection of ours", now, &mut out);
//!
//! // It sends the question, with an id of its own. The upstream says that there is no such name.
//! let [Action::Send { message, .. }] = out.actions() else { panic!("{out:?}") };
//! let mut answer = out.message(message).to_vec();
//! (answer[2], answer[3]) = (0x81, 0x83);
//! out.clear();
//! forwarder.answer(connection, &answer, now, &mut out);
//!
//! // The client gets that answer under its own id.
//! let [Action::Reply { client: to, message }] = out.actions() else { panic!("{out:?}") };
//! assert_eq!((*to, &out.message(message)[..4]), (client, &[0, 7, 0x81, 0x83][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is stable
//!
//! Versions follow [Semantic Versioning](https://semver.org/). An [`Action`](engine::Action) more breaks every driver, and so makes a
//! breaking version; errors, counters and commands may get company in any version. [`wire`] is open so that tests and
//! benchmarks outside of the package can look at messages as the core does; it grows with the core.
#![forbid(unsafe_code)]

// The builder of messages in `tests/support` names this crate as other crates do.
#[cfg(test)]
extern crate self as dotward;

// `admin`, `bench`, `cli`, `control`, `import`, `logger`, `probe`, `prove`, `query`, `query_log`, `reload`, `signals`, `status` and `systemd` are the program's own rooms: open because its `main.rs` is a crate of its own, and hidden because
// nothing is promised of them.
#[cfg(feature = "cli")]
#[cfg_attr(not(feature = "admin"), path = "admin/absent.rs")]
#[doc(hidden)]
pub mod admin;
#[cfg(feature = "cli")]
#[cfg_attr(not(feature = "query"), path = "bench/absent.rs")]
#[doc(hidden)]
pub mod bench;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod config;
#[cfg(feature = "cli")]
#[cfg_attr(not(all(feature = "control", unix)), path = "control/absent.rs")]
#[doc(hidden)]
pub mod control;
#[deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]
pub mod engine;
pub mod framed;
#[cfg(feature = "import")]
#[doc(hidden)]
pub mod import;
#[cfg(feature = "cli")]
#[cfg_attr(
    not(any(
        feature = "admin",
        feature = "control",
        all(feature = "tls", feature = "sockets"),
        test
    )),
    expect(dead_code, reason = "only the log writes JSON then")
)]
mod json;
mod locks;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod logger;
#[cfg(feature = "cli")]
#[cfg_attr(
    not(all(feature = "tls", feature = "sockets")),
    path = "probe/absent.rs"
)]
#[doc(hidden)]
pub mod probe;
#[cfg(feature = "cli")]
#[cfg_attr(not(feature = "query"), path = "prove/absent.rs")]
#[doc(hidden)]
pub mod prove;
#[cfg(feature = "cli")]
#[cfg_attr(not(feature = "query"), path = "query/absent.rs")]
#[doc(hidden)]
pub mod query;
#[cfg(feature = "cli")]
#[cfg_attr(
    not(all(feature = "tls", feature = "sockets")),
    path = "query_log/absent.rs"
)]
#[doc(hidden)]
pub mod query_log;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod reload;
pub mod runtime;
pub mod serve;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod signals;
#[cfg(any(feature = "admin", feature = "control"))]
#[doc(hidden)]
pub mod status;
#[cfg(feature = "cli")]
#[cfg_attr(
    not(all(feature = "sockets", target_os = "linux")),
    path = "systemd/absent.rs"
)]
#[doc(hidden)]
pub mod systemd;
pub mod transport;
#[path = "../transports/mod.rs"]
pub mod transports;
#[deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]
pub mod wire;

pub use config::Config;
pub use engine::Forwarder;
pub use serve::{Control, Options, Sockets, serve};
