//! One protocol of upstreams, as people name it.

/// A scheme of upstreams: a row of the table in [`transports`](crate::transports).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// The name, which precedes `://`.
    pub name: &'static str,
    /// The port where the user gives none.
    pub port: u16,
    /// Whether connections are authenticated and encrypted. The program refuses a scheme that is not, unless the user permits it.
    pub encrypted: bool,
}
