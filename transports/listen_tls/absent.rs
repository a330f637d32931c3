//! A build without TLS towards clients. Stands in for `transports/listen_tls.rs`.

use crate::config::{Config, ConfigError};

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
            let reason = "this build of dotward lacks TLS towards clients (feature listen-tls)";
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
    #[expect(clippy::unused_self, reason = "as where there is TLS")]
    pub fn over<R>(&self, runtime: R) -> R {
        runtime
    }
}
