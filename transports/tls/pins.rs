//! Pins: the public keys of which one must be in a server's chain of certificates (RFC 7858 section 4.2).

use super::ca_file::anchor;
use crate::config::Pin;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, Error, OtherError, SupportedCipherSuite};
use std::fmt;
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage};

/// Tag of a SEQUENCE in DER, in which a trust anchor's public key has to be put again.
const SEQUENCE: u8 = 0x30;

/// Checks that the server's own key is one of the pins, or that its certificate leads to an authority whose key is: one that is trusted
/// anyway, or one that the server shows. Whatever else the server shows proves nothing.
pub fn check(
    pins: &[Pin],
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    trusted: &[TrustAnchor<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let server = EndEntityCert::try_from(end_entity).map_err(|_| CertificateError::BadEncoding)?;
    let own = of_key(&server.subject_public_key_info());
    if pins.contains(&own) {
        return Ok(());
    }
    let shown = intermediates.iter().filter_map(|one| anchor(one).ok());
    let pinned: Vec<TrustAnchor<'_>> = trusted
        .iter()
        .cloned()
        .chain(shown)
        .filter(|one| pins.contains(&of_anchor(one)))
        .collect();
    let usage = KeyUsage::server_auth();
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let path = server.verify_for_usage(algorithms, &pinned, intermediates, now, usage, None, None);
    path.map(drop).map_err(|_| WrongPin(own).into())
}

/// The pin of a public key.
pub fn of_key(spki: &[u8]) -> Pin {
    // The hash function comes with a cipher suite that uses it.
    let hash = match TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
    };
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(hash.hash(spki).as_ref()) {
        *to = *from;
    }
    Pin::new(digest)
}

/// The pin of an authority, of whose public key the outermost tag and length were taken off.
fn of_anchor(anchor: &TrustAnchor<'_>) -> Pin {
    let contents = anchor.subject_public_key_info.as_ref();
    let len = contents.len().to_be_bytes();
    let len = len.iter().skip_while(|octet| **octet == 0);
    let mut spki = vec![SEQUENCE];
    if contents.len() < 0x80 {
        spki.extend(len);
    } else {
        spki.push(0x80 | len.clone().count() as u8);
        spki.extend(len);
    }
    spki.extend_from_slice(contents);
    of_key(&spki)
}

/// No key in the server's chain is a pin.
#[derive(Debug)]
pub struct WrongPin(Pin);

impl fmt::Display for WrongPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no public key in its chain is pinned; its own is {}",
            self.0
        )
    }
}

impl std::error::Error for WrongPin {}

impl From<WrongPin> for Error {
    fn from(why: WrongPin) -> Self {
        CertificateError::Other(OtherError(Arc::new(why))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData,
    };
    use std::time::Duration;

    fn authority(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn pin(key: &impl PublicKeyData) -> Pin {
        of_key(&key.subject_public_key_info())
    }

    #[test]
    fn a_pin_is_the_digest_that_other_programs_compute() {
        // As `head -c 3 /dev/zero | openssl dgst -sha256 -binary | base64`.
        let spki = [0; 3];
        assert_eq!(
            of_key(&spki).to_string(),
            "cJ6AyISHokEeHuTfufIqhhSS0gxHZRUMDHlKvXD4FHw="
        );
    }

    #[test]
    fn the_servers_key_or_that_of_an_authority_above_it_must_be_pinned() {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
        let generate = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(authority("root"), generate()).unwrap();
        let middle = CertifiedIssuer::signed_by(authority("middle"), generate(), &root).unwrap();
        let other = CertifiedIssuer::self_signed(authority("other"), generate()).unwrap();
        let key = generate();
        let params = CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &middle).unwrap();
        let roots = [anchor(root.der()).unwrap()];
        let middle_shown = [middle.der().clone()];
        let all_shown = [
            middle.der().clone(),
            root.der().clone(),
            other.der().clone(),
        ];
        let is_right = |pins: &[Pin], shown: &[CertificateDer<'_>], trusted: &[TrustAnchor<'_>]| {
            check(pins, leaf.der(), shown, trusted, now).is_ok()
        };
        let (of_leaf, of_middle) = (pin(&key), pin(middle.key()));
        let (of_root, of_other) = (pin(root.key()), pin(other.key()));
        assert!(is_right(&[of_leaf], &[], &[]));
        assert!(is_right(&[of_other, of_leaf], &[], &[]));
        assert!(is_right(&[of_middle], &middle_shown, &[]));
        // A root need not be shown if it is trusted.
        assert!(is_right(&[of_root], &middle_shown, &roots));
        assert!(!is_right(&[of_root], &middle_shown, &[]));
        assert!(is_right(&[of_root], &all_shown, &[]));
        // A certificate that is shown and has nothing to do with the server's proves nothing.
        assert!(!is_right(&[of_other], &all_shown, &roots));
        assert!(!is_right(&[], &all_shown, &roots));
    }

    #[test]
    fn the_key_of_a_trusted_authority_has_the_pin_of_its_certificate() {
        for algorithm in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ED25519,
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate = authority("root").self_signed(&key).unwrap();
            let anchor = anchor(certificate.der()).unwrap();
            assert_eq!(of_anchor(&anchor), pin(&key));
        }
    }
}
