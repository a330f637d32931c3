//! A throw-away certificate authority, made at run time: no key and no certificate is ever stored in the repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    PublicKeyData, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The name that every good leaf certificate carries.
pub const NAME: &str = "dot.test";

/// A root that signs leaves of every kind, good and bad.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its private key, ready for a TLS server.
pub struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Authority {
    /// A fresh root that nobody else knows.
    pub fn new() -> Self {
        Self::named("dotward throw-away root")
    }

    fn named(name: &str) -> Self {
        let params = issuer(name);
        let key = KeyPair::generate().expect("a key");
        Self {
            root: CertifiedIssuer::self_signed(params, key).expect("a root certificate"),
        }
    }

    /// The root certificate as PEM text.
    pub fn pem(&self) -> String {
        self.root.pem()
    }

    /// Writes the root certificate into `dir` and returns the file's path.
    pub fn write_pem(&self, dir: &Path) -> PathBuf {
        let path = dir.join("root.pem");
        std::fs::write(&path, self.pem()).expect("the root certificate is written");
        path
    }

    /// A certificate that a careful client accepts as [`NAME`], `127.0.0.1` and `::1`.
    pub fn good(&self) -> Leaf {
        self.sign(&leaf(&[NAME, "127.0.0.1", "::1"]))
    }

    /// A certificate for somebody else.
    pub fn wrong_name(&self) -> Leaf {
        self.sign(&leaf(&["elsewhere.test", "192.0.2.1"]))
    }

    /// A certificate for a pattern: `*.dot.test` covers `a.dot.test` and never `b.a.dot.test` (RFC 6125).
    pub fn wildcard(&self, pattern: &str) -> Leaf {
        self.sign(&leaf(&[pattern]))
    }

    /// A certificate whose time is over.
    pub fn expired(&self) -> Leaf {
        let mut params = leaf(&[NAME, "127.0.0.1", "::1"]);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    /// A certificate that ends after so long.
    pub fn valid_for(&self, left: Duration) -> Leaf {
        let mut params = leaf(&[NAME, "127.0.0.1", "::1"]);
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time");
        params.not_after = date_time_ymd(1970, 1, 1) + now + left;
        self.sign(&params)
    }

    /// A certificate whose time has not come.
    pub fn not_yet_valid(&self) -> Leaf {
        let mut params = leaf(&[NAME, "127.0.0.1", "::1"]);
        params.not_before = date_time_ymd(2999, 1, 1);
        params.not_after = date_time_ymd(3000, 1, 1);
        self.sign(&params)
    }

    /// A certificate that names the server in its common name alone, as was usual before RFC 6125.
    pub fn common_name_only(&self) -> Leaf {
        let mut params = leaf(&[]);
        params.distinguished_name = common_name(NAME);
        self.sign(&params)
    }

    /// The good certificate's names, from an authority below this one that may sign for `zone` alone (RFC 5280 section 4.2.1.10).
    pub fn confined_to(&self, zone: &str) -> Leaf {
        let mut params = issuer("dotward throw-away authority of one zone");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(zone.to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let key = KeyPair::generate().expect("a key");
        let between = CertifiedIssuer::signed_by(params, key, &self.root).expect("a certificate");
        let mut leaf = Leaf::signed(&leaf(&[NAME, "127.0.0.1", "::1"]), &between);
        leaf.chain.push(between.der().clone());
        leaf
    }

    /// A certificate for a client.
    pub fn client_leaf(&self) -> Leaf {
        let mut params = leaf(&["client.test"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    /// The root certificate.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).expect("a usable root");
        roots
    }

    /// The pin of the root's public key.
    pub fn pin(&self) -> String {
        pin(self.root.key())
    }

    /// An ordinary, careful TLS client that trusts this root alone. The harness tests itself with it.
    pub fn client(&self) -> Arc<ClientConfig> {
        let roots = self.roots();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    fn sign(&self, params: &CertificateParams) -> Leaf {
        Leaf::signed(params, &self.root)
    }
}

impl Leaf {
    fn signed(params: &CertificateParams, by: &CertifiedIssuer<'_, KeyPair>) -> Self {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, by).expect("a signed certificate");
        Self {
            chain: vec![certificate.der().clone()],
            key: key.serialize_der().into(),
        }
    }

    /// A certificate that nobody but its own key signed.
    pub fn self_signed() -> Self {
        let key = KeyPair::generate().expect("a key");
        let certificate = leaf(&[NAME, "127.0.0.1", "::1"])
            .self_signed(&key)
            .expect("a self-signed certificate");
        Self {
            chain: vec![certificate.der().clone()],
            key: key.serialize_der().into(),
        }
    }

    /// A certificate with the right names from a root that the client does not know.
    pub fn unknown_authority() -> Self {
        Authority::named("somebody else's root").good()
    }

    /// The chain that the server sends, without the root.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    /// The certificates that are shown, as PEM text.
    pub fn pem(&self) -> String {
        let block = |der: &CertificateDer<'_>| block("CERTIFICATE", der);
        self.chain.iter().map(block).collect()
    }

    /// The private key as PEM text.
    pub fn key_pem(&self) -> String {
        block("PRIVATE KEY", self.key.secret_pkcs8_der())
    }

    /// The pin of its public key (RFC 7858 section 4.2).
    pub fn pin(&self) -> String {
        pin(&KeyPair::try_from(&self.key).expect("a key"))
    }

    /// The private key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }
}

/// A directory of its own that goes away with the test.
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes the directory.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("dotward-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

fn pin(key: &KeyPair) -> String {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite
        .tls13()
        .expect("a suite of TLS 1.3")
        .common
        .hash_provider;
    data_encoding::BASE64.encode(hash.hash(&key.subject_public_key_info()).as_ref())
}

/// Some DER as PEM text.
fn block(what: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
}

fn issuer(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = common_name(name);
    params
}

fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names for a certificate");
    params.distinguished_name = common_name("dotward throw-away leaf");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}
