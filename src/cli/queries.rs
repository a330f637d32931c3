//! What is asked, measured or proved by hand: `dotward query`, `dotward bench` and `dotward prove`, with the options that they have beside settings.

#[cfg_attr(not(feature = "query"), path = "queries/absent.rs")]
mod orders;
#[cfg(feature = "query")]
mod prove;
#[cfg(feature = "query")]
mod question;

use super::typed::Shape;
pub use orders::{Ask, Contest, Proving};
#[cfg(feature = "query")]
pub use question::Question;

/// The options of `dotward query`.
pub(super) const QUERY: Shape = Shape {
    command: "query",
    switches: &["--all", "--dnssec", "--json"],
    values: &["-x"],
    lists: &["--server"],
    takes_words: true,
};

/// The options of `dotward bench`.
pub(super) const BENCH: Shape = Shape {
    command: "bench",
    switches: &["--json"],
    values: &["--count", "--time", "--name"],
    lists: &[],
    takes_words: true,
};

/// The options of `dotward prove`.
pub(super) const PROVE: Shape = Shape {
    command: "prove",
    switches: &["--json"],
    values: &["--resolver"],
    lists: &[],
    takes_words: true,
};
