//! The certificates that this system trusts: `ca-file = "system"`.

use crate::config::{ConfigError, Roots};

/// Reads them where this system keeps them, or where the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` say. An error says that there are none.
#[cfg(all(unix, feature = "tls"))]
pub fn system_roots() -> Result<Roots, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let certificates = found.certs.iter().map(|one| one.to_vec());
    let certificates: Vec<Vec<u8>> = certificates.collect();
    if certificates.is_empty() {
        let why = found.errors.iter().map(ToString::to_string);
        let why = why.chain(["no certificate was found (package ca-certificates)".to_owned()]);
        let why = why.take(1).collect::<String>();
        return Err(ConfigError::new("ca_file", "system", why));
    }
    Ok(Roots::System(certificates))
}

/// There is no such place that is known.
#[cfg(not(all(unix, feature = "tls")))]
pub fn system_roots() -> Result<Roots, ConfigError> {
    let reason = "this build does not know where this system keeps its certificates: name a file";
    Err(ConfigError::new("ca_file", "system", reason))
}
