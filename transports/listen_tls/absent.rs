//! A build without encryption towards clients. Stands in for `transports/listen_tls.rs`.

use crate::config::{Config, ConfigError, Encryption, lacking};

/// Nothing.
#[derive(Clone)]
pub struct ListenTls;

/// The runtime that serves clients.
pub type Served<R> = R;

/// An error names the first address where clients encrypt.
pub fn check(config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    let Some(listen) = config.listen_encrypted().next() else {
        return Ok(Vec::new());
    };
    let reason = lacking(match listen.encryption() {
        Encryption::None | Encryption::Tls => "listen-tls",
        Encryption::Https => "listen-https",
    });
    Err(ConfigError::new(listen.setting(), &listen.addr(), reason))
}

impl ListenTls {
    /// Checks what [`check`] checks.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        check(config).map(|_| Self)
    }

    /// The runtime as it is.
    pub fn over<R>(&self, runtime: R) -> R {
        runtime
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listen, ServerCertificate};

    #[test]
    fn an_address_that_is_encrypted_is_refused_with_the_feature_that_it_takes() {
        for (by, expected) in [
            (
                Encryption::Tls,
                "listen_tls \"192.0.2.1:853\": takes the feature listen-tls, which this build",
            ),
            (
                Encryption::Https,
                "listen_https \"192.0.2.1:443\": takes the feature listen-https, which this build",
            ),
        ] {
            let listen = Listen::parse_encrypted("192.0.2.1", by).unwrap();
            let config = Config::builder().listen([listen]);
            let config = config.certificate(ServerCertificate::new(Vec::new(), None));
            let error = check(&config.build().unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(check(&Config::default()).is_ok_and(|remarks| remarks.is_empty()));
    }
}
