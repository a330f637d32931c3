//! The certificates that this system trusts: `ca-file = "system"`.

use crate::config::{ConfigError, Roots};
#[cfg(all(unix, feature = "tls"))]
use webpki::anchor_from_trusted_cert;

/// The variable that names a file of certificates, as for other programs.
#[cfg(all(unix, feature = "tls"))]
const FILE: &str = "SSL_CERT_FILE";

/// Reads them where this system keeps them, or where the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` say. Beside them is what could not be
/// read. An error says that there are none.
#[cfg(all(unix, feature = "tls"))]
pub fn system_roots() -> Result<(Roots, Vec<ConfigError>), ConfigError> {
    let told = |why: String| ConfigError::new("ca_file", "system", why);
    if let Some(path) = std::env::var_os(FILE)
        && std::fs::metadata(&path).is_ok_and(|file| !file.is_file())
    {
        let reason = format!(
            "{}, which {FILE} names, is not a regular file",
            path.display()
        );
        return Err(told(reason));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut wrong: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    // Some systems have certificates that cannot be read, beside those in use.
    let (certificates, unreadable): (Vec<_>, Vec<_>) = (found.certs.into_iter())
        .partition(|certificate| anchor_from_trusted_cert(certificate).is_ok());
    if !unreadable.is_empty() {
        let count = unreadable.len();
        wrong.push(format!(
            "certificates that cannot be read are left out: {count}"
        ));
    }
    if certificates.is_empty() {
        let none = "no certificate was found (package ca-certificates)".to_owned();
        let why = wrong.into_iter().next().unwrap_or(none);
        return Err(told(why));
    }
    let certificates = certificates.iter().map(|one| one.to_vec()).collect();
    let remarks = wrong.into_iter().map(told).collect();
    Ok((Roots::System(certificates), remarks))
}

/// There is no such place that is known.
#[cfg(not(all(unix, feature = "tls")))]
pub fn system_roots() -> Result<(Roots, Vec<ConfigError>), ConfigError> {
    let reason = "this build does not know where this system keeps its certificates: name a file";
    Err(ConfigError::new("ca_file", "system", reason))
}
