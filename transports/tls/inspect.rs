//! What a server shows in its handshakes, whether it is trusted or not, for `dotward check --probe`. The handshakes are those of [`Tls`], with
//! its verifier.

use super::error_messages::tls_error;
use super::pins::{self, WrongPin};
use super::trust::{SelfSigned, Verifier};
use super::{DOQ, DOT, Encrypted, HTTP2, Handshake, Tls};
use crate::config::{Config, ConfigError, Upstream};
use crate::locks::lock;
use crate::runtime::Runtime;
use crate::transports::time_limit::Bounded;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, Error, HandshakeKind,
    InvalidMessage, ProtocolVersion, SignatureScheme,
};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage};

/// An RSA key of fewer bits is refused by the signature algorithms of ring.
const MIN_RSA_BITS: usize = 2048;
/// `rsaEncryption`, the algorithm of RSA keys (RFC 8017 appendix A.1), as an object identifier in DER.
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

/// Attributes of a distinguished name (RFC 5280 appendix A.1), as object identifiers in DER.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0A];

/// What a server has shown, and how a handshake with it has failed.
#[derive(Clone, Debug, Default)]
pub struct Observed(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    certificate: Option<CertificateDer<'static>>,
    failure: Option<Failure>,
}

/// The kind of a failure, as a word for machines, and what the operator can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The word.
    pub kind: &'static str,
    /// Empty where the error itself says what to do, or where that depends on what is spoken over TLS.
    pub advice: &'static str,
}

impl Observed {
    /// The certificate that the server showed last.
    pub fn certificate(&self) -> Option<Certificate> {
        lock(&self.0)
            .certificate
            .as_ref()
            .and_then(Certificate::read)
    }

    /// How the last handshake failed.
    pub fn failure(&self) -> Option<Failure> {
        lock(&self.0).failure
    }

    /// A handshake has failed.
    pub(super) fn failed(&self, error: &io::Error) {
        lock(&self.0).failure = Some(failure(error));
    }
}

/// A verifier that remembers which certificate it was shown.
#[derive(Debug)]
pub struct Observing {
    verifier: Verifier,
    observed: Observed,
}

impl Observing {
    pub(super) fn new(verifier: Verifier, observed: &Observed) -> Self {
        let observed = observed.clone();
        Self { verifier, observed }
    }
}

impl ServerCertVerifier for Observing {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        lock(&self.observed.0).certificate = Some(end_entity.clone().into_owned());
        let verifier = &self.verifier;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl<R: Runtime> Tls<R> {
    /// As [`Tls::new`] for the scheme of this upstream, and what servers show is noted.
    #[doc(hidden)]
    pub fn observing(
        runtime: R,
        config: &Config,
        to: &Upstream,
        observed: &Observed,
    ) -> Result<Self, ConfigError> {
        let application = match to.scheme() {
            "https" => HTTP2,
            "quic" => DOQ,
            _ => DOT,
        };
        Self::with(application, runtime, config, Some(observed.clone()))
    }

    /// The handshake over a TCP connection that is made already.
    #[doc(hidden)]
    pub fn shake(
        &self,
        to: &Upstream,
        addr: SocketAddr,
        stream: R::Stream,
    ) -> Bounded<R, Handshake<R>> {
        let work = match self.target(to, addr) {
            Ok(target) => target.shake(stream),
            Err(why) => Handshake::Failed(why),
        };
        self.bounded(work)
    }
}

pub use super::expiry::{REMEDY, SOON};

/// What both ends have agreed on.
#[derive(Clone, Debug)]
pub struct Session {
    /// The version of TLS: `1.3`.
    pub version: &'static str,
    /// The group of the key exchange, such as `X25519`. A resumed session of TLS 1.2 has none.
    pub group: Option<String>,
    /// The name of the cipher suite in the registry of IANA.
    pub cipher: String,
    /// The ALPN protocol name that the server chose: `dot`, or `h2`.
    pub alpn: Option<String>,
    /// It goes on with an earlier session, without a certificate.
    pub resumed: bool,
}

impl Session {
    /// That of a connection.
    pub fn of<R: Runtime>(encrypted: &Encrypted<R>) -> Self {
        let session = encrypted.session();
        let cipher = session
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1));
        Self {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                Some(ProtocolVersion::TLSv1_3) => "1.3",
                _ => "unknown",
            },
            group: session
                .negotiated_key_exchange_group()
                .map(|group| format!("{:?}", group.name())),
            cipher: cipher.unwrap_or_default(),
            alpn: session
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The host names that it is for. Its IP addresses are not among them.
    pub names: Vec<String>,
    /// Who has issued it, as it says: the common name and the organisation.
    pub issuer: Option<String>,
    /// When it begins to be valid, in seconds since 1970.
    pub not_before: Option<u64>,
    /// When it ends to be valid, in seconds since 1970.
    pub not_after: Option<u64>,
    /// The pin of its public key: SHA-256 of the `SubjectPublicKeyInfo` in base64 (RFC 7858 section 4.2).
    pub pin: String,
    /// The bits of its RSA key, if they are too few.
    pub weak_rsa: Option<usize>,
}

impl Certificate {
    /// Reads one. `None`: it cannot be read.
    fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let parsed = EndEntityCert::try_from(der).ok()?;
        let spki = parsed.subject_public_key_info();
        let bits = rsa_bits(&spki);
        Some(Self {
            names: parsed.valid_dns_names().map(str::to_owned).collect(),
            issuer: named(parsed.issuer()),
            not_before: bound(&parsed, 0),
            not_after: bound(&parsed, u64::MAX),
            pin: pins::of_key(&spki).to_string(),
            weak_rsa: bits.filter(|bits| *bits < MIN_RSA_BITS),
        })
    }

    /// Which of its names is the one that was asked for: that name, a wildcard (RFC 9525 section 6.3), or an address.
    pub fn name_for(&self, asked: &str) -> Option<String> {
        if asked.parse::<IpAddr>().is_ok() {
            return Some(asked.to_owned());
        }
        let above = asked.split_once('.').map_or("", |(_, above)| above);
        let fits = |name: &&String| {
            let name = name.trim_end_matches('.');
            name.eq_ignore_ascii_case(asked)
                || (name.strip_prefix("*.")).is_some_and(|zone| zone.eq_ignore_ascii_case(above))
        };
        self.names.iter().find(fits).cloned()
    }
}

/// When a certificate ends to be valid, in seconds since 1970. `None`: it cannot be read.
pub(in crate::transports) fn not_after(der: &CertificateDer<'_>) -> Option<u64> {
    bound(&EndEntityCert::try_from(der).ok()?, u64::MAX)
}

/// An end of the validity period, which webpki tells by an error only: the one that is nearest to this moment, which lies outside.
fn bound(certificate: &EndEntityCert<'_>, at: u64) -> Option<u64> {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let usage = KeyUsage::server_auth();
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    // It checks the validity period before it looks for an issuer, of which there is none here.
    let verdict = certificate.verify_for_usage(algorithms, &[], &[], at, usage, None, None);
    match verdict.map(drop) {
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => Some(not_before.as_secs()),
        Err(webpki::Error::CertExpired { not_after, .. }) => Some(not_after.as_secs()),
        _ => None,
    }
}

/// The common name in a distinguished name (RFC 5280 section 4.1.2.4), and behind it the organisation. What is no printable text is escaped.
fn named(mut rest: &[u8]) -> Option<String> {
    let (mut name, mut organisation) = (None, None);
    while let Some((_, set, behind)) = element(rest) {
        rest = behind;
        let attribute = element(set).map(|(_, attribute, _)| attribute);
        let Some((_, kind, value)) = attribute.and_then(element) else {
            continue;
        };
        let text = element(value).map(|(_, text, _)| String::from_utf8_lossy(text));
        let text = text.map(|text| text.escape_debug().to_string());
        match kind {
            COMMON_NAME => name = text,
            ORGANISATION => organisation = text,
            _ => {}
        }
    }
    match (name, organisation) {
        (Some(name), Some(organisation)) => Some(format!("{name} ({organisation})")),
        (name, organisation) => name.or(organisation),
    }
}

/// The bits of the modulus in a `SubjectPublicKeyInfo` (RFC 8017 appendix A.1.1); `None` for a key that is not RSA.
fn rsa_bits(spki: &[u8]) -> Option<usize> {
    let (_, info, _) = element(spki)?;
    let (_, algorithm, rest) = element(info)?;
    if element(algorithm)?.1 != RSA {
        return None;
    }
    let (_, bits, _) = element(rest)?;
    // The first octet counts the bits that are not used: none.
    let (_, key, _) = element(bits.get(1..)?)?;
    let (_, modulus, _) = element(key)?;
    let zeros = modulus.iter().take_while(|octet| **octet == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// The first element of some DER: its tag, its contents, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        if octets.len() > 4 {
            return None;
        }
        let len = octets
            .iter()
            .fold(0, |len, octet| len << 8 | usize::from(*octet));
        (len, rest)
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    Some((tag, contents, rest))
}

/// The kind of a failed handshake, with advice where the error has none of its own.
fn failure(error: &io::Error) -> Failure {
    const CLOSED: Failure = Failure {
        kind: "closed",
        advice: "",
    };
    const NOT_TLS: Failure = Failure {
        kind: "not_tls",
        advice: "",
    };
    const NO_COMMON_TLS: Failure = Failure {
        kind: "no_common_tls",
        advice: "enable TLS 1.3 or 1.2 on the server, with a usual cipher suite and key exchange group",
    };
    let (kind, advice) = match tls_error(error) {
        Some(Error::InvalidCertificate(why)) => (certificate_kind(why), ""),
        Some(Error::NoCertificatesPresented) => {
            ("certificate", "set a certificate and its key on the server")
        }
        Some(
            Error::AlertReceived(
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity,
            )
            | Error::PeerIncompatible(_),
        ) => return NO_COMMON_TLS,
        Some(Error::AlertReceived(_)) => (
            "handshake",
            "the log of the server says why; check the name behind # of this upstream",
        ),
        Some(Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )) => return NOT_TLS,
        Some(_) => (
            "handshake",
            "something on the way may change what is sent; else update the server",
        ),
        None => return CLOSED,
    };
    Failure { kind, advice }
}

fn certificate_kind(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::UnknownIssuer => "unknown_issuer",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "not_yet_valid"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "wrong_name"
        }
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => "self_signed",
        CertificateError::Other(other) if other.0.is::<WrongPin>() => "wrong_pin",
        _ => "certificate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

    #[test]
    fn a_certificate_is_read_whether_it_is_valid_or_not() {
        let key = KeyPair::generate().unwrap();
        let names = ["dns.test", "*.a.test", "192.0.2.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let made = params.self_signed(&key).unwrap();
        let read = Certificate::read(made.der()).unwrap();
        assert_eq!(read.names, ["dns.test", "*.a.test"]);
        assert_eq!(read.not_before, Some(946_684_800));
        assert_eq!(read.not_after, Some(978_307_200));
        assert_eq!(
            read.pin,
            pins::of_key(&key.subject_public_key_info()).to_string()
        );
        assert_eq!(read.weak_rsa, None);
        for (asked, name) in [
            ("dns.test", Some("dns.test")),
            ("b.a.test", Some("*.a.test")),
            ("a.test", None),
            ("c.b.a.test", None),
            ("192.0.2.1", Some("192.0.2.1")),
        ] {
            assert_eq!(read.name_for(asked).as_deref(), name, "{asked}");
        }
        let garbage = CertificateDer::from(vec![0x30, 0x80, 1]);
        assert_eq!(Certificate::read(&garbage), None);
    }

    /// An element of DER with a long length.
    fn wrapped(tag: u8, contents: &[u8]) -> Vec<u8> {
        let len = (contents.len() as u16).to_be_bytes();
        [&[tag, 0x82, len[0], len[1]], contents].concat()
    }

    #[test]
    fn the_bits_of_an_rsa_key_are_counted() {
        let key = |octets: usize, first: u8| {
            let mut modulus = vec![0xFF; octets];
            modulus[0] = first;
            let numbers = [wrapped(2, &[&[0], &modulus[..]].concat()), vec![2, 1, 3]].concat();
            let bits = wrapped(3, &[&[0], &wrapped(0x30, &numbers)[..]].concat());
            let algorithm = wrapped(0x30, &[&wrapped(6, RSA)[..], &[5, 0]].concat());
            wrapped(0x30, &[algorithm, bits].concat())
        };
        assert_eq!(rsa_bits(&key(128, 0x80)), Some(1024));
        assert_eq!(rsa_bits(&key(256, 0xFF)), Some(2048));
        assert_eq!(rsa_bits(&key(256, 0x7F)), Some(2047));
        let whole = key(128, 0x80);
        for cut in 0..whole.len() {
            assert_eq!(rsa_bits(&whole[..cut]), None, "{cut}");
        }
        let ecdsa = KeyPair::generate().unwrap().subject_public_key_info();
        assert_eq!(rsa_bits(&ecdsa), None);
    }

    #[test]
    fn failures_have_a_kind_and_those_of_no_certificate_have_advice() {
        let kind = |error: Error| failure(&io::Error::new(io::ErrorKind::InvalidData, error)).kind;
        let alert = Error::AlertReceived(AlertDescription::ProtocolVersion);
        assert_eq!(kind(alert), "no_common_tls");
        let plain = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert_eq!(kind(plain), "not_tls");
        assert_eq!(kind(SelfSigned.into()), "self_signed");
        assert_eq!(kind(CertificateError::Revoked.into()), "certificate");
        let closed = failure(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!(closed.kind, "closed");
        assert_eq!(closed.advice, "", "it depends on the upstream");
    }
}
