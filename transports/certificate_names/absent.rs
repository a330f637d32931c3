//! A build in which no client is shown a certificate. Stands in for `transports/certificate_names.rs`.

/// Nothing.
pub struct CertificateNames;

impl CertificateNames {
    /// Nothing is read.
    pub fn read(_chain: &[u8]) -> Option<Self> {
        None
    }

    /// Nothing.
    pub fn host_name(&self) -> Option<String> {
        None
    }

    /// It is for nobody.
    pub fn covers(&self, _host: &str) -> bool {
        false
    }
}
