//! What the running dotward tells of itself, and of a question that it is asked.

/// All of it. What it did not tell is not there.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub socket: String,
    pub version: String,
    /// `cache`, `upstream` and others.
    pub source: Option<String>,
    /// The upstream that has answered.
    pub upstream: Option<String>,
    /// The addresses of its connections.
    pub addresses: Vec<String>,
    pub protocols: Option<String>,
    /// How its last connection was authenticated and encrypted.
    pub connection: Option<String>,
    /// From the query to the response, in milliseconds.
    pub round_trip: Option<f64>,
    /// Why the upstream last failed.
    pub trouble: Option<String>,
}
