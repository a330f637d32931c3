//! What a certificate and its key make of TLS: the settings of a server, or what is wrong with them.

use crate::config::{ConfigError, Encryption, ServerCertificate};
use crate::transports::tls::{
    DOT, ENCRYPTED, HTTP2, SOON, WrongKey, certificates, date, not_after, private_key, warning,
};
use log::debug;
use rustls::crypto::ring;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};
use std::sync::Arc;
use std::time::Duration;

/// What can be done about a certificate that ends soon.
const REMEDY: &str = "renew it, as by its ACME client; the new one is taken without a restart";

/// A certificate as TLS takes it.
pub struct Shown {
    over_tls: Arc<ServerConfig>,
    over_https: Arc<ServerConfig>,
    /// When it ends, in seconds since 1970. `None`: webpki cannot tell.
    ends: Option<u64>,
}

impl Shown {
    /// Reads it. An error says what is wrong with it or with its key.
    ///
    /// Sessions are resumed by tickets, whose keys are made here and change every six hours: nothing is kept for a client.
    pub fn new(certificate: &ServerCertificate) -> Result<Self, ConfigError> {
        let wrong = |why: String| ConfigError::new("certificate", "", why);
        let chain = certificates(certificate.chain()).map_err(wrong)?;
        let ends = chain.first().and_then(not_after);
        let (setting, pem) = match certificate.key() {
            Some(pem) => ("certificate_key", pem),
            None => ("certificate", certificate.chain()),
        };
        let wrong_key = |why: String| ConfigError::new(setting, "", why);
        let key = private_key(pem).map_err(|wrong| match wrong {
            WrongKey::Absent if certificate.key().is_none() => {
                wrong_key("there is no private key in the file: name its file".to_owned())
                    .with_remedy("certificate_key")
            }
            WrongKey::Absent => wrong_key("there is no private key in the file".to_owned()),
            WrongKey::Encrypted => wrong_key(format!("the private key {ENCRYPTED}")),
            WrongKey::NoPem(why) => wrong_key(format!("the private key is no PEM: {why}")),
        })?;
        // Of its groups ring can be the server; that of `tls/key_exchange.rs` is a client only.
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                let file = match certificate.files() {
                    Some((chain, Some(_))) => format!("{chain:?}"),
                    _ => "the file".to_owned(),
                };
                wrong_key(format!(
                    "the private key does not belong to the first certificate of {file}, which must be this host's own"
                ))
            }
            error => wrong(format!("cannot be used: {error}")),
        })?;
        config.alpn_protocols = vec![DOT.alpn.to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(|error| wrong(error.to_string()))?;
        let mut over_https = config.clone();
        over_https.alpn_protocols = vec![HTTP2.alpn.to_vec()];
        over_https.cert_resolver = Arc::new(WithAlpn(config.cert_resolver.clone()));
        Ok(Self {
            over_tls: Arc::new(config),
            over_https: Arc::new(over_https),
            ends,
        })
    }

    /// The settings for clients that encrypt so.
    pub fn server(&self, by: Encryption) -> &Arc<ServerConfig> {
        match by {
            Encryption::None | Encryption::Tls => &self.over_tls,
            Encryption::Https => &self.over_https,
        }
    }

    /// When it ends, for the log.
    pub fn end(&self) -> String {
        let at = |end: u64| date(UnixTime::since_unix_epoch(Duration::from_secs(end)));
        self.ends.map_or_else(|| "nobody knows when".to_owned(), at)
    }

    /// What is said of it if it has ended, or ends within 14 days.
    pub fn remark(&self) -> Option<String> {
        let (end, now) = (self.ends?, UnixTime::now());
        let left = Duration::from_secs(end.saturating_sub(now.as_secs()));
        (left <= SOON).then(|| format!("the certificate {}", warning(end, now, REMEDY)))
    }
}

/// Shows the certificate to clients that use ALPN: without it nobody says that HTTP/2 is spoken (RFC 9113 section 3.2). Whether the right
/// protocol is among theirs is decided by TLS itself.
#[derive(Debug)]
struct WithAlpn(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for WithAlpn {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_none() {
            debug!("a client over HTTPS offers no protocol in ALPN; its handshake is refused");
            return None;
        }
        self.0.resolve(hello)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn pem(key: &KeyPair, until: i32) -> String {
        let mut params = CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(key).unwrap().pem()
    }

    fn error(chain: &str, key: Option<&str>) -> ConfigError {
        let key = key.map(|key| key.as_bytes().to_vec());
        let certificate = ServerCertificate::new(chain.as_bytes().to_vec(), key);
        Shown::new(&certificate).err().unwrap()
    }

    #[test]
    fn what_is_wrong_is_said_of_the_file_that_is_to_blame() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let chain = pem(&key, 2100);
        let (key, other) = (key.serialize_pem(), other.serialize_pem());
        let encrypted = key.replace(" PRIVATE", " ENCRYPTED PRIVATE");
        let cut = key.replace("-----END PRIVATE KEY-----", "");
        for (chain, key, setting, reason) in [
            (
                "",
                Some(&*key),
                "certificate",
                "there is no PEM certificate in the file",
            ),
            (
                &*chain,
                None,
                "certificate",
                "there is no private key in the file: name its file",
            ),
            (
                &*chain,
                Some(""),
                "certificate_key",
                "there is no private key in the file",
            ),
            (
                &*chain,
                Some(&*other),
                "certificate_key",
                "the private key does not belong to",
            ),
            (
                &*chain,
                Some(&*encrypted),
                "certificate_key",
                "the private key is encrypted",
            ),
            (
                &*chain,
                Some(&*cut),
                "certificate_key",
                "the private key is no PEM: the line",
            ),
        ] {
            let error = error(chain, key);
            assert_eq!(error.setting, setting, "{error}");
            assert!(error.reason.starts_with(reason), "{error}");
        }
        assert_eq!(error(&chain, None).remedy, Some("certificate_key"));
    }

    // fault 125
    #[test]
    fn what_is_in_der_form_is_told_with_the_command_that_converts_it() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
        let own = params.self_signed(&key).unwrap();
        let wrong = |chain: &[u8], private: &[u8]| {
            let certificate = ServerCertificate::new(chain.to_vec(), Some(private.to_vec()));
            Shown::new(&certificate).err().unwrap()
        };
        let chain = wrong(own.der(), key.serialize_pem().as_bytes());
        assert_eq!(chain.setting, "certificate");
        assert!(chain.reason.contains("in DER form"), "{chain}");
        assert!(
            chain.reason.contains("`openssl x509 -inform der "),
            "{chain}"
        );
        let private = wrong(own.pem().as_bytes(), &key.serialize_der());
        assert_eq!(private.setting, "certificate_key");
        assert!(private.reason.contains("in DER form"), "{private}");
        assert!(
            private.reason.contains("`openssl pkey -inform der "),
            "{private}"
        );
    }

    #[test]
    fn the_key_may_be_in_the_file_of_the_certificate() {
        let key = KeyPair::generate().unwrap();
        let both = format!("{}{}", key.serialize_pem(), pem(&key, 2100));
        let shown = Shown::new(&ServerCertificate::new(both.into(), None)).unwrap();
        assert_eq!(
            (shown.end().as_str(), shown.remark()),
            ("2100-01-01T00:00:00Z", None)
        );
        for (by, alpn) in [(Encryption::Tls, &b"dot"[..]), (Encryption::Https, b"h2")] {
            let server = shown.server(by);
            assert_eq!(server.alpn_protocols, [alpn]);
            assert!(server.ticketer.enabled());
        }
    }

    #[test]
    fn a_certificate_that_has_ended_is_remarked_upon() {
        let key = KeyPair::generate().unwrap();
        let both = format!("{}{}", key.serialize_pem(), pem(&key, 2001));
        let shown = Shown::new(&ServerCertificate::new(both.into(), None)).unwrap();
        let remark = shown.remark().unwrap();
        let expected =
            "the certificate has ended at 2001-01-01T00:00:00Z: renew it, as by its ACME";
        assert!(remark.starts_with(expected), "{remark}");
    }
}
