//! The settings of TLS for each upstream: by what it is authenticated, and by what this host is.
//!
//! Sessions are stored apart for different settings, so that none is resumed that was verified by other ones (RFC 8310 section 9).

use super::Application;
#[cfg(feature = "isolate")]
use super::DOT;
use super::ca_file::{pem_error, text};
use super::inspect::{Observed, Observing};
use super::key_log::{self, KeyLogFile};
use super::private_key::{ENCRYPTED, WrongKey, private_key};
use super::trust::{Requirements, Trusted, Verifier};
use super::verdict::Verdict;
use super::{key_exchange, sessions};
use crate::config::{ClientCertificate, Config, ConfigError, Upstream};
use crate::locks::lock;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Upstreams whose session tickets are stored.
const MAX_SESSIONS: usize = 64;

/// What all connects share.
pub struct Clients {
    application: Application,
    provider: Arc<CryptoProvider>,
    trusted: Trusted,
    key_log: Option<Arc<KeyLogFile>>,
    made: Mutex<BTreeMap<Settings, Client>>,
    /// Labels of the upstreams that refuse the handshake because of ALPN. At most as many as upstreams.
    refusing_alpn: Mutex<BTreeSet<String>>,
    /// Takes note of what a server shows, where that is wanted.
    observed: Option<Observed>,
    /// What it says last is noted where TLS does not hand it on.
    pub verdict: Verdict,
}

/// What makes a difference to a handshake and to whether a session may be resumed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Settings {
    required: Requirements,
    certificate: Option<ClientCertificate>,
    early_data: bool,
}

impl Settings {
    fn of(upstream: &Upstream) -> Self {
        Self {
            required: Requirements::of(upstream),
            certificate: upstream.client_certificate().cloned(),
            early_data: upstream.early_data(),
        }
    }
}

/// TLS as some settings want it. Both store sessions in the same place.
#[derive(Clone)]
pub struct Client {
    pub with_alpn: Arc<ClientConfig>,
    pub without_alpn: Arc<ClientConfig>,
}

impl Client {
    fn new(mut tls: ClientConfig, alpn: &[u8]) -> Self {
        let without_alpn = Arc::new(tls.clone());
        tls.alpn_protocols = vec![alpn.to_vec()];
        Self {
            with_alpn: Arc::new(tls),
            without_alpn,
        }
    }

    /// The same for one upstream, with sessions of its own.
    #[cfg(feature = "isolate")]
    pub fn apart(&self) -> Self {
        let mut tls = self.without_alpn.as_ref().clone();
        tls.resumption = sessions::resumption(1);
        // The configuration refuses that as well: nobody waits for the handshake of such a connection.
        tls.enable_early_data = false;
        Self::new(tls, DOT.alpn)
    }
}

/// What keeps connections apart from others to the same upstream.
pub struct Apart {
    /// Their name at the proxy.
    pub username: String,
    /// With their sessions.
    pub client: Client,
}

impl Clients {
    /// Those for all upstreams of a configuration. An error names what is wrong with the trusted certificates, with those of this host, or
    /// with the key log.
    pub fn new(
        application: Application,
        config: &Config,
        observed: Option<Observed>,
    ) -> Result<Self, ConfigError> {
        let key_log = key_log::of(config)?;
        Self::with(application, config, observed, key_log)
    }

    /// Checks what [`Clients::new`] checks, and makes no file.
    pub fn check(application: Application, config: &Config) -> Result<(), ConfigError> {
        key_log::check(config)?;
        Self::with(application, config, None, None).map(drop)
    }

    fn with(
        application: Application,
        config: &Config,
        observed: Option<Observed>,
        key_log: Option<Arc<KeyLogFile>>,
    ) -> Result<Self, ConfigError> {
        let wrong = |why: String| ConfigError::new("ca_file", "", why);
        let provider = Arc::new(key_exchange::provider());
        let clients = Self {
            application,
            trusted: Trusted::new(config.roots(), &provider).map_err(wrong)?,
            provider,
            key_log,
            made: Mutex::default(),
            refusing_alpn: Mutex::default(),
            observed,
            verdict: Verdict::default(),
        };
        clients.make_all(config)?;
        Ok(clients)
    }

    /// Opens the key log once more, if there is one: it may have been renamed.
    pub fn reopen_key_log(&self) -> Result<(), ConfigError> {
        let log = self.key_log.as_ref();
        log.map_or(Ok(()), |log| log.reopen())
    }

    /// Makes those for the upstreams of another configuration that trusts the same certificates, and forgets others with their sessions.
    pub fn make_all(&self, config: &Config) -> Result<(), ConfigError> {
        let upstreams = config.all_upstreams().iter();
        let spoken = self.application.scheme;
        let own = upstreams.filter(|upstream| upstream.schemes().any(|scheme| scheme == spoken));
        let mut wanted = BTreeSet::new();
        for upstream in own {
            let wrong = |why| ConfigError::new("upstream", upstream.label(), why);
            self.of(upstream).map_err(wrong)?;
            wanted.insert(Settings::of(upstream));
        }
        lock(&self.made).retain(|settings, _| wanted.contains(settings));
        Ok(())
    }

    /// The one for an upstream. An error says what is wrong with the certificate of this host.
    pub fn of(&self, upstream: &Upstream) -> Result<Client, String> {
        let settings = Settings::of(upstream);
        if let Some(known) = lock(&self.made).get(&settings) {
            return Ok(known.clone());
        }
        if let (Some((file, _)), None) = (upstream.client_files(), &settings.certificate) {
            return Err(format!("the client certificate {file} was not read"));
        }
        let config = self.config(&settings, upstream.client_files())?;
        let client = Client::new(config, self.application.alpn);
        lock(&self.made).insert(settings, client.clone());
        Ok(client)
    }

    /// `files` are named by errors: those of the client certificate and its key.
    fn config(
        &self,
        settings: &Settings,
        files: Option<(&str, &str)>,
    ) -> Result<ClientConfig, String> {
        let verifier = Verifier::new(self.trusted.clone(), settings.required.clone());
        let verifier: Arc<dyn ServerCertVerifier> = match &self.observed {
            Some(observed) => Arc::new(Observing::new(verifier, observed)),
            None => Arc::new(verifier),
        };
        let verifier = self.verdict.noting(verifier);
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            // `Verifier` verifies with webpki, by what the upstream requires: see there.
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &settings.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let (chain, key) = read(certificate, files)?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| {
                    let why = match error {
                        Error::InconsistentKeys(_) => {
                            "the private key does not belong to it".to_owned()
                        }
                        error => error.to_string(),
                    };
                    format!("the client certificate cannot be used: {why}")
                })?
            }
        };
        config.resumption = sessions::resumption(MAX_SESSIONS);
        // Who observes times handshakes: they are whole there.
        config.enable_early_data = settings.early_data && self.observed.is_none();
        if let Some(log) = &self.key_log {
            config.key_log = log.clone();
        }
        Ok(config)
    }

    /// The settings of a connection to an upstream, without ALPN and with a store of sessions of their own.
    #[cfg(test)]
    pub fn config_of(&self, upstream: &Upstream) -> Result<ClientConfig, String> {
        self.config(&Settings::of(upstream), upstream.client_files())
    }

    /// What is spoken over TLS.
    pub fn application(&self) -> Application {
        self.application
    }

    /// Whether ALPN is offered to an upstream.
    pub fn offers_alpn(&self, upstream: &Upstream) -> bool {
        !lock(&self.refusing_alpn).contains(upstream.label())
    }

    /// An upstream refuses ALPN: from now on it is not offered to it. Says whether this is new.
    pub fn refuses_alpn(&self, label: &str) -> bool {
        lock(&self.refusing_alpn).insert(label.to_owned())
    }

    /// What takes note of what a server shows.
    pub fn observed(&self) -> Option<&Observed> {
        self.observed.as_ref()
    }
}

fn read(
    certificate: &ClientCertificate,
    files: Option<(&str, &str)>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(text(certificate.chain())).collect();
    let chain = chain
        .map_err(|error| format!("the client certificate is no PEM: {}", pem_error(&error)))?;
    if chain.is_empty() {
        return Err("there is no PEM certificate in the file of the client certificate".to_owned());
    }
    let key = private_key(certificate.key()).map_err(|wrong| {
        let file = files.map_or("the file of the client's key", |(_, key)| key);
        match wrong {
            WrongKey::Encrypted => format!("the private key in {file} {ENCRYPTED}"),
            WrongKey::Absent if files.is_some_and(|(chain, key)| chain == key) => {
                format!("there is no private key in {file}: name its file by client-key")
            }
            WrongKey::Absent => format!("there is no private key in {file}"),
            WrongKey::NoPem(why) => format!("the private key in {file} is no PEM: {why}"),
        }
    })?;
    Ok((chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SCHEMES;
    use rcgen::{CertificateParams, KeyPair};

    fn upstream(spec: &str) -> Upstream {
        Upstream::parse(spec, SCHEMES).unwrap()
    }

    fn clients(upstreams: &[Upstream]) -> Result<Clients, ConfigError> {
        let config = Config::builder().upstreams(upstreams).build().unwrap();
        Clients::new(super::super::DOT, &config, None)
    }

    fn error(certificate: &str, key: &str) -> String {
        let certificate = ClientCertificate::new(certificate.into(), key.into());
        let upstream = upstream("192.0.2.1#a.test").with_client_certificate(certificate);
        clients(&[upstream]).err().unwrap().reason
    }

    #[test]
    fn settings_are_shared_by_upstreams_that_agree_in_them() {
        let early = upstream("192.0.2.4#a.test?early-data=true");
        let pinned = "192.0.2.3?pin-sha256=MK3LGF0kUMcZ5AXqpgHaYJl3tTLXcZVQQgMPqf4p5Uo=";
        let all = ["192.0.2.1#a.test", "192.0.2.2#b.test", pinned].map(upstream);
        let clients = clients(&all).unwrap();
        assert_eq!(lock(&clients.made).len(), 2);
        assert!(clients.of(&early).is_ok());
        assert_eq!(lock(&clients.made).len(), 3);
        let [one, _, pinned] = &all;
        let only = Config::builder()
            .upstreams([pinned.clone()])
            .build()
            .unwrap();
        clients.make_all(&only).unwrap();
        assert_eq!(lock(&clients.made).len(), 1);
        assert!(clients.of(one).is_ok());
        assert_eq!(lock(&clients.made).len(), 2);
    }

    #[test]
    fn a_client_certificate_that_cannot_be_used_is_an_error() {
        // fault 86
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let certificate = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        assert!(error("", &key).contains("no PEM certificate"));
        assert!(error(&certificate, "").contains("there is no private key in the file"));
        let other = error(&certificate, &other.serialize_pem());
        let expected =
            "the client certificate cannot be used: the private key does not belong to it";
        assert!(other.contains(expected), "{other}");
        let encrypted = key.replace(" PRIVATE", " ENCRYPTED PRIVATE");
        let encrypted = error(&certificate, &encrypted);
        assert!(
            encrypted.contains("is encrypted, which is not supported"),
            "{encrypted}"
        );
        let read = ClientCertificate::new(certificate.clone().into(), Vec::new());
        let without = upstream("192.0.2.1#a.test?client-certificate=/a.pem");
        let without = clients(&[without.with_client_certificate(read)])
            .err()
            .unwrap()
            .reason;
        let expected = "there is no private key in /a.pem: name its file by client-key";
        assert!(without.contains(expected), "{without}");
        let [certificate, key] = [certificate, key].map(|pem| format!("\u{feff}{pem}"));
        let certificate = ClientCertificate::new(certificate.into(), key.into());
        let upstream = upstream("192.0.2.1#a.test");
        assert!(clients(&[upstream.with_client_certificate(certificate)]).is_ok());
        let unread = super::tests::upstream("192.0.2.1#a.test?client-certificate=/a.pem");
        assert!(clients(&[unread]).is_err());
    }
}
