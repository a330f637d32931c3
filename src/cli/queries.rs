//! What is asked or measured by hand: `dotward query` and `dotward bench`, with the options that they have beside settings.

#[cfg_attr(not(feature = "query"), path = "queries/absent.rs")]
mod orders;
#[cfg(feature = "query")]
mod question;

use super::typed::Shape;
pub use orders::{Ask, Contest};
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
