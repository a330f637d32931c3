//! Whether the queries of a connection share a stream.

/// How the queries of a connection are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// All are messages in one stream.
    Shared,
    /// Each has a stream of its own.
    Own,
}
