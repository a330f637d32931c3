//! A build without HTTPS towards clients. Stands in for `transports/listen_https.rs`.

use crate::config::{Config, ConfigError, Encryption, lacking};
use crate::runtime::ByteStream;
use std::io;

/// What it is over: there is no other stream.
pub type HttpsStream<S> = S;

const FEATURE: &str = "listen-https";

/// An error names the first address that is over HTTPS.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let mut encrypted = config.listen_encrypted();
    match encrypted.find(|one| one.encryption() == Encryption::Https) {
        None => Ok(()),
        Some(listen) => {
            let reason = lacking(FEATURE);
            Err(ConfigError::new(listen.setting(), &listen.addr(), reason))
        }
    }
}

/// Refuses.
pub fn over_tls<S: ByteStream>(_stream: S, _requests: usize) -> io::Result<HttpsStream<S>> {
    Err(io::Error::other(lacking(FEATURE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listen, ServerCertificate};

    #[test]
    fn an_address_over_https_is_refused_with_the_feature_that_it_takes() {
        let listen = |listen: Listen| {
            let config = Config::builder().listen([listen]);
            let config = config.certificate(ServerCertificate::new(Vec::new(), None));
            check(&config.build().unwrap())
        };
        let addr = || "192.0.2.1:443".parse::<Listen>().unwrap();
        let error = listen(addr().over_https()).unwrap_err().to_string();
        let expected =
            "listen_https \"192.0.2.1:443\": takes the feature listen-https, which this build";
        assert!(error.starts_with(expected), "{error}");
        assert!(listen(addr().over_tls()).is_ok() && listen(addr()).is_ok());
    }
}
