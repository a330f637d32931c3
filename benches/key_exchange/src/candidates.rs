//! The providers that are compared: those that this build has.

use rustls::crypto::CryptoProvider;

#[cfg(feature = "ml-kem")]
#[path = "../../../transports/tls/key_exchange.rs"]
mod key_exchange;

#[cfg(any(feature = "libcrux", feature = "fips203"))]
#[path = "hybrid.rs"]
mod hybrid;

/// A name, and how the provider is made.
type Candidate = (&'static str, fn() -> CryptoProvider);

/// The candidates, by the name that stands for each in tables.
pub const CANDIDATES: &[Candidate] = &[
    #[cfg(feature = "ring")]
    ("ring", rustls::crypto::ring::default_provider),
    // dotward's own.
    #[cfg(feature = "ml-kem")]
    ("ml-kem", key_exchange::provider),
    #[cfg(feature = "libcrux")]
    ("libcrux", hybrid::libcrux),
    #[cfg(feature = "fips203")]
    ("fips203", hybrid::fips203),
    #[cfg(feature = "aws-lc-rs")]
    ("aws-lc-rs", rustls::crypto::aws_lc_rs::default_provider),
];
