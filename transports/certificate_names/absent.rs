//! A build in which no client is shown a certificate. Stands in for `transports/certificate_names.rs`.

use std::convert::Infallible;

/// There is none.
pub struct CertificateNames(Infallible);

impl CertificateNames {
    /// Nothing is read.
    pub fn read(_chain: &[u8]) -> Option<Self> {
        None
    }

    /// Never called.
    pub fn host_name(&self) -> Option<String> {
        match self.0 {}
    }

    /// Never called.
    pub fn unfit(&self) -> Option<&'static str> {
        match self.0 {}
    }

    /// Never called.
    pub fn covers(&self, _host: &str) -> bool {
        match self.0 {}
    }
}
