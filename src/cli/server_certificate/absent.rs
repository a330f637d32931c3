//! A build without the feature `listen-tls` shows no certificate. Stands in for `src/cli/server_certificate.rs`.

use super::UsageError;
use super::file::NONE;
use super::given::Given;
use crate::config::{ConfigError, ServerCertificate, lacking};

/// No certificate. Whatever is given for clients over TLS or HTTPS is an error: it would be of no use.
pub(super) fn read_server_certificate(
    given: &Given,
) -> Result<(Option<ServerCertificate>, Vec<String>), UsageError> {
    for (setting, feature) in [
        ("listen_tls", "listen-tls"),
        ("listen_https", "listen-https"),
        ("certificate", "listen-tls"),
        ("certificate_key", "listen-tls"),
    ] {
        given.all(setting, |text| match text.text.as_str() {
            NONE => Ok(()),
            text => Err(ConfigError::new(setting, text, lacking(feature))),
        })?;
    }
    Ok((None, Vec::new()))
}
