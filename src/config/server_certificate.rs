//! The certificate that clients are shown.

use std::fmt;

/// The certificate by which this host authenticates itself to clients over TLS, with its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    chain: Vec<u8>,
    key: Option<Vec<u8>>,
    files: Option<(String, Option<String>)>,
}

impl ServerCertificate {
    /// The contents of PEM files (RFC 7468): the certificate with those of the authorities between it and the root, and its private key. The
    /// key may be in the first file, too. Whether they can be read and belong together shows when serving begins.
    pub fn new(chain: Vec<u8>, key: Option<Vec<u8>>) -> Self {
        Self {
            chain,
            key,
            files: None,
        }
    }

    /// The files of the certificates and of the key, if that has one of its own. They are read again when they have changed.
    #[must_use]
    pub fn with_files(mut self, chain: &str, key: Option<&str>) -> Self {
        self.files = Some((chain.to_owned(), key.map(str::to_owned)));
        self
    }

    /// The certificates.
    pub fn chain(&self) -> &[u8] {
        &self.chain
    }

    /// The private key, if it has a file of its own.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// [`ServerCertificate::with_files`].
    pub fn files(&self) -> Option<(&str, Option<&str>)> {
        let files = self.files.as_ref();
        files.map(|(chain, key)| (chain.as_str(), key.as_deref()))
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificate")
    }
}
