//! The certificate that clients are shown.

use std::fmt;

/// The certificate by which this host authenticates itself to clients over TLS, with its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    chain: Vec<u8>,
    key: Option<Vec<u8>>,
}

impl ServerCertificate {
    /// The contents of PEM files (RFC 7468): the certificate with those of the authorities between it and the root, and its private key. The
    /// key may be in the first file, too. Whether they can be read and belong together shows when serving begins.
    pub fn new(chain: Vec<u8>, key: Option<Vec<u8>>) -> Self {
        Self { chain, key }
    }

    /// The certificates.
    pub fn chain(&self) -> &[u8] {
        &self.chain
    }

    /// The private key, if it has a file of its own.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificate")
    }
}
