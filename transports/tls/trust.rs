//! The verifier of certificates, and what it trusts.

use super::ca_file::{anchor, certificates};
use super::pins;
use crate::config::{Pin, Profile, Roots, Upstream};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::fmt;
use std::sync::Arc;
use webpki::EndEntityCert;

/// What is trusted, whichever upstream is connected to.
#[derive(Clone, Debug)]
pub struct Trusted {
    webpki: Arc<WebPkiServerVerifier>,
    authorities: Arc<RootCertStore>,
    /// The certificates of the CA file: a server that presents one of them is trusted, whoever signed it.
    from_file: Arc<[CertificateDer<'static>]>,
}

impl Trusted {
    /// What is configured. An error says what is wrong.
    pub fn new(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let mut authorities = RootCertStore::empty();
        let mut from_file = Vec::new();
        match roots {
            Roots::BuiltIn => authorities.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::System(certificates) => {
                let certificates = certificates
                    .iter()
                    .map(|der| CertificateDer::from_slice(der));
                // Some systems have certificates that cannot be read, beside those in use.
                let (added, _) = authorities.add_parsable_certificates(certificates);
                if added == 0 {
                    return Err("this system trusts no certificate that can be read".to_owned());
                }
            }
            Roots::Pem(pem) => {
                from_file = certificates(pem)?;
                let anchors = from_file.iter().map(anchor).collect::<Result<Vec<_>, _>>();
                authorities.extend(anchors.map_err(|error| error.to_string())?);
            }
        }
        let (authorities, provider) = (Arc::new(authorities), provider.clone());
        let webpki = WebPkiServerVerifier::builder_with_provider(authorities.clone(), provider);
        Ok(Self {
            webpki: webpki.build().map_err(|error| error.to_string())?,
            authorities,
            from_file: from_file.into(),
        })
    }

    /// Verifies as webpki does, and also accepts a server certificate that is in the CA file: the user trusts it explicitly, as a
    /// self-signed one requires. webpki alone rejects it if it is marked as an authority, as `openssl req -x509` does.
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let webpki = &self.webpki;
        let found = webpki.verify_server_cert(end_entity, intermediates, server_name, &[], now);
        let Err(error) = found else {
            return Ok(());
        };
        // webpki has checked the validity period before it returns one of these errors; the tests verify that.
        if !is_about_the_issuer(&error) {
            return Err(error);
        }
        if self.from_file.iter().any(|one| one == end_entity) {
            return verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name);
        }
        let own = is_self_signed(end_entity);
        Err(if own { SelfSigned.into() } else { error })
    }
}

/// By what one upstream is authenticated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirements {
    profile: Profile,
    needs_name: bool,
    pins: Vec<Pin>,
}

impl Requirements {
    /// Those of this upstream.
    pub fn of(upstream: &Upstream) -> Self {
        Self {
            profile: upstream.profile(),
            needs_name: upstream.needs_name(),
            pins: upstream.pins().to_vec(),
        }
    }
}

/// Verifies certificates of one upstream, or of several with the same requirements.
#[derive(Debug)]
pub struct Verifier {
    trusted: Trusted,
    required: Requirements,
}

impl Verifier {
    /// By what is trusted, with these requirements.
    pub fn new(trusted: Trusted, required: Requirements) -> Self {
        Self { trusted, required }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Requirements {
            profile,
            needs_name,
            pins,
        } = &self.required;
        if *needs_name {
            self.trusted
                .verify(end_entity, intermediates, server_name, now)?;
        }
        if !pins.is_empty() {
            let roots = &self.trusted.authorities.roots;
            pins::check(pins, end_entity, intermediates, roots, now)?;
        }
        let is_checked = *needs_name || !pins.is_empty();
        if !is_checked && *profile != Profile::Opportunistic {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted
            .webpki
            .verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted
            .webpki
            .verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusted.webpki.supported_verify_schemes()
    }
}

/// Does the error concern the issuer, and not the certificate itself?
fn is_about_the_issuer(error: &Error) -> bool {
    let Error::InvalidCertificate(why) = error else {
        return false;
    };
    match why {
        // The latter three: an authority has the name of the issuer, and another key.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => true,
        CertificateError::Other(other) => {
            matches!(webpki_error(other), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

/// The error of webpki, where rustls has none of its own for it.
pub fn webpki_error(other: &OtherError) -> Option<&webpki::Error> {
    other.0.downcast_ref()
}

/// Is its issuer itself?
fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate).is_ok_and(|parsed| parsed.issuer() == parsed.subject())
}

/// The server's certificate is self-signed.
#[derive(Debug)]
pub struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("self-signed")
    }
}

impl std::error::Error for SelfSigned {}

impl From<SelfSigned> for Error {
    fn from(why: SelfSigned) -> Self {
        CertificateError::Other(OtherError(Arc::new(why))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::error_messages::certificate_error;
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls::crypto::ring;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

    /// A certificate with its key.
    struct Shown {
        certificate: rcgen::Certificate,
        key: KeyPair,
    }

    /// A self-signed certificate for this name, made as `openssl req -x509` makes it if it is an authority.
    fn own(name: &str, authority: bool, change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        change(&mut params);
        Shown {
            certificate: params.self_signed(&key).unwrap(),
            key,
        }
    }

    fn params(name: &str) -> CertificateParams {
        CertificateParams::new(vec![name.to_owned()]).unwrap()
    }

    /// The server's side: it shows this, whether the key fits or not.
    #[derive(Debug)]
    struct Shows(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shows {
        fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }
    }

    /// A handshake in memory, of a client that was given these certificates and wants `dns.test`.
    fn shake(
        given: &[&Shown],
        shown: &rcgen::Certificate,
        key: &KeyPair,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Result<(), Error> {
        let provider = Arc::new(ring::default_provider());
        let pem: String = given.iter().map(|one| one.certificate.pem()).collect();
        let trusted = Trusted::new(&Roots::Pem(pem.into_bytes()), &provider).unwrap();
        let upstream = Upstream::parse("192.0.2.1#dns.test", crate::config::SCHEMES).unwrap();
        let verifier = Verifier::new(trusted, Requirements::of(&upstream));
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let key = provider.key_provider.load_private_key(key)?;
        let with_key = CertifiedKey::new(vec![shown.der().clone()], key);
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shows(Arc::new(with_key))));
        let name = ServerName::try_from("dns.test").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        for _ in 0..10 {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut wire = &wire[..];
            while !wire.is_empty() {
                server.read_tls(&mut wire).unwrap();
                server.process_new_packets()?;
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut wire = &wire[..];
            while !wire.is_empty() {
                client.read_tls(&mut wire).unwrap();
                client.process_new_packets()?;
            }
        }
        assert!(!client.is_handshaking());
        Ok(())
    }

    fn in_both_versions(
        given: &[&Shown],
        shown: &rcgen::Certificate,
        key: &KeyPair,
    ) -> Result<(), Error> {
        let [old, new] = [&rustls::version::TLS12, &rustls::version::TLS13]
            .map(|version| shake(given, shown, key, version));
        assert_eq!(old.is_ok(), new.is_ok(), "{old:?} {new:?}");
        new
    }

    /// In which words a client refuses what it is shown.
    fn refusal(given: &[&Shown], shown: &Shown) -> String {
        match in_both_versions(given, &shown.certificate, &shown.key) {
            Err(Error::InvalidCertificate(why)) => certificate_error(&why, "dns.test").to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_servers_own_certificate_is_trusted_if_it_was_given() {
        // req 74, fault 36: refused before, with the words "Other(OtherError(CaUsedAsEndEntity))".
        for authority in [true, false] {
            let good = own("dns.test", authority, |_| {});
            let other = own("other.test", true, |_| {});
            let known = in_both_versions(&[&other, &good], &good.certificate, &good.key);
            assert_eq!(known, Ok(()), "an authority: {authority}");
        }
        // One that somebody unknown signed.
        let mut issuer = params("unknown.test");
        issuer
            .distinguished_name
            .push(DnType::CommonName, "unknown");
        issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let unknown = CertifiedIssuer::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params("dns.test").signed_by(&key, &unknown).unwrap();
        let shown = Shown { certificate, key };
        assert_eq!(
            in_both_versions(&[&shown], &shown.certificate, &shown.key),
            Ok(())
        );
        let other = own("dns.test", true, |_| {});
        assert!(refusal(&[&other], &shown).contains("not trusted: unknown issuer"));
    }

    #[test]
    fn a_given_certificate_must_still_be_for_the_name_and_the_time() {
        for authority in [true, false] {
            let name = own("other.test", authority, |_| {});
            let told = refusal(&[&name], &name);
            assert!(told.ends_with("it is for other.test, not for dns.test"));
            let past = own("dns.test", authority, |params| {
                params.not_before = rcgen::date_time_ymd(2000, 1, 1);
                params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            });
            assert!(refusal(&[&past], &past).ends_with("expired at 2001-01-01T00:00:00Z"));
            let future = own("dns.test", authority, |params| {
                params.not_before = rcgen::date_time_ymd(2999, 1, 1);
                params.not_after = rcgen::date_time_ymd(3000, 1, 1);
            });
            let told = refusal(&[&future], &future);
            assert!(told.ends_with("not valid before 2999-01-01T00:00:00Z"));
        }
    }

    #[test]
    fn another_certificate_or_another_key_is_refused() {
        for authority in [true, false] {
            let given = own("dns.test", authority, |_| {});
            let twin = own("dns.test", authority, |_| {});
            let told = refusal(&[&given], &twin);
            assert!(told.ends_with("self-signed"), "{told}");
            // The right certificate without its key proves nothing.
            let stolen = in_both_versions(&[&given], &given.certificate, &twin.key);
            let why = CertificateError::BadSignature;
            assert_eq!(stolen, Err(Error::InvalidCertificate(why)));
        }
    }
}
