//! A build without TLS towards clients. Stands in for `transports/listen_tls.rs`.

use crate::config::{Config, ConfigError, lacking};

/// Nothing.
#[derive(Clone)]
pub struct ListenTls;

/// The runtime that serves clients.
pub type Served<R> = R;

/// An error names the first address that is over TLS.
pub fn check(config: &Config) -> Result<Vec<ConfigError>, ConfigError> {
    match config.listen_tls().next() {
        None => Ok(Vec::new()),
        Some(listen) => {
            let reason = lacking("listen-tls");
            Err(ConfigError::new("listen_tls", &listen.addr(), reason))
        }
    }
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
    fn an_address_over_tls_is_refused_with_the_feature_that_it_takes() {
        let listen = Listen::parse_over_tls("192.0.2.1").unwrap();
        let config = Config::builder().listen([listen]);
        let config = config.certificate(ServerCertificate::new(Vec::new(), None));
        let error = check(&config.build().unwrap()).unwrap_err().to_string();
        let expected = "listen_tls \"192.0.2.1:853\": takes the feature listen-tls, which this build of dotward lacks: `cargo build ";
        assert!(error.starts_with(expected), "{error}");
        assert!(check(&Config::default()).is_ok_and(|remarks| remarks.is_empty()));
    }
}
