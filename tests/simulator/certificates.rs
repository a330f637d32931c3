//! The proof of upstreams that speak TLS. The same every time, and with signatures of the same length, so that a story is the same every time,
//! too.

use super::story::SERVER_NAME;
use dotward::config::Roots;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519, SerialNumber};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::sync::{Arc, OnceLock};

/// What comes before the octets of a private key of Ed25519 (RFC 8410 section 7).
const ED25519: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// An authority, and what it has signed.
struct Made {
    root: String,
    leaf: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

/// It takes time, and is made once.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = key(1);
        let root = KeyPair::from_pkcs8_der_and_sign_algo(&root, &PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.serial_number = Some(SerialNumber::from(1));
        let root = CertifiedIssuer::self_signed(params, root).expect("a root");
        let key = key(2);
        let of_leaf = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::new([SERVER_NAME.to_owned()]).expect("a good name");
        params.serial_number = Some(SerialNumber::from(2));
        let leaf = params.signed_by(&of_leaf, &root).expect("a certificate");
        Made {
            root: root.pem(),
            leaf: leaf.der().clone(),
            key,
        }
    })
}

/// The private key of this number.
fn key(number: u8) -> PrivatePkcs8KeyDer<'static> {
    [&ED25519[..], &[number; 32]].concat().into()
}

/// What clients trust.
pub fn roots() -> Roots {
    Roots::Pem(made().root.clone().into_bytes())
}

/// A server that speaks this protocol, by ALPN.
pub fn server(alpn: &str) -> Arc<ServerConfig> {
    let Made { leaf, key, .. } = made();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that ring knows")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.clone()], key.clone_key().into())
        .expect("a certificate with its key");
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Arc::new(config)
}
