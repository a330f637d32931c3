//! The private key of this host, towards upstreams or clients.

use super::ca_file::{pem_error, text};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{Error, PemObject as _};

/// What is said of an encrypted key.
pub const ENCRYPTED: &str =
    "is encrypted, which is not supported: write it without a password, as by openssl pkey";

/// What is said of a file that has the octets of a key alone.
const DER_KEY: &str =
    "the file is in DER form: `openssl pkey -inform der -in FILE -out FILE.pem` converts it";

/// What is wrong with the file of a private key.
#[derive(Debug, PartialEq, Eq)]
pub enum WrongKey {
    /// It takes a password.
    Encrypted,
    /// There is none in the file.
    Absent,
    /// The file is no PEM (RFC 7468), for this reason.
    NoPem(String),
}

/// The first private key of a PEM file.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, WrongKey> {
    let pem = text(pem);
    let holds = |text: &str| pem.windows(text.len()).any(|part| part == text.as_bytes());
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound | Error::Base64Decode(_) if holds("ENCRYPTED") => WrongKey::Encrypted,
        Error::NoItemsFound if PrivateKeyDer::try_from(pem).is_ok() => {
            WrongKey::NoPem(DER_KEY.to_owned())
        }
        Error::NoItemsFound => WrongKey::Absent,
        error => WrongKey::NoPem(pem_error(&error)),
    })
}
