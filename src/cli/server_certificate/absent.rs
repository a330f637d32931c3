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

#[cfg(test)]
mod tests {
    use super::super::parse;
    use std::ffi::OsString;

    // req 106
    #[test]
    fn what_is_for_clients_over_tls_is_refused_with_the_feature_that_it_takes() {
        let lacks = "takes the feature listen-tls, which this build of dotward lacks: `cargo build --release --features listen-tls`";
        for (option, variable) in [
            ("--listen-tls", "DOTWARD_LISTEN_TLS"),
            ("--certificate", "DOTWARD_CERTIFICATE"),
            ("--certificate-key", "DOTWARD_CERTIFICATE_KEY"),
        ] {
            let typed = ["serve", option, "192.0.2.1"].map(OsString::from);
            let told = parse(typed, []).unwrap_err().to_string();
            let expected = format!("{option} \"192.0.2.1\": {lacks}");
            assert!(told.starts_with(&expected), "{told}");
            let given = (variable.into(), "192.0.2.1".into());
            let told = parse(["serve".into()], [given]).unwrap_err().to_string();
            assert!(told.contains(lacks), "{told}");
            let none = (variable.into(), "none".into());
            assert!(parse(["serve".into()], [none]).is_ok());
        }
    }
}
