//! Which queries share a connection, and what the proxy learns of that.

use crate::config::domain_of;
use crate::serve::random_seed;
use crate::wire;
use data_encoding::HEXLOWER;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use std::sync::OnceLock;

/// Octets of a hash in a username: so many that no two domains have the same one.
const HASH_LEN: usize = 16;

/// The registrable domain of what a query asks for, or what stands in its place ([`domain_of`]), in lower case and as on the wire.
pub fn domain_of_query(message: &[u8]) -> Vec<u8> {
    let Ok(query) = wire::parse_query(message) else {
        return Vec::new();
    };
    let name = query.question.name(message).to_ascii_lowercase();
    domain_of(&name).to_vec()
}

/// The username of a domain: a hash of it under a key that this process has chosen (HKDF with SHA-256, RFC 5869), in hexadecimal. An error says
/// that there is no key.
pub fn username(domain: &[u8]) -> Result<String, String> {
    static KEY: OnceLock<[u8; 32]> = OnceLock::new();
    let key = if let Some(key) = KEY.get() {
        key
    } else {
        let fresh = random_seed()?;
        KEY.get_or_init(|| fresh)
    };
    hash(key, domain).ok_or_else(|| "no hash function".to_owned())
}

fn hash(key: &[u8], domain: &[u8]) -> Option<String> {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
        return None;
    };
    let keyed = suite.hkdf_provider.extract_from_secret(Some(key), domain);
    let block = keyed.expand_block(&[b"dotward isolate"]);
    block
        .as_ref()
        .get(..HASH_LEN)
        .map(|hash| HEXLOWER.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{name_octets, query};
    use std::collections::BTreeSet;

    fn domain(name: &str) -> Vec<u8> {
        domain_of_query(&query(name, 1).build())
    }

    #[test]
    fn names_of_one_registrable_domain_have_the_same() {
        for (name, registrable) in [
            ("example.com", "example.com"),
            ("www.Example.COM", "example.com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("user.github.io", "user.github.io"),
            ("a.b.nosuchsuffix", "b.nosuchsuffix"),
            ("4.3.2.1.in-addr.arpa", "3.2.1.in-addr.arpa"),
            // These have none.
            ("com", "com"),
            ("co.uk", "co.uk"),
            ("localhost", "localhost"),
            (".", "."),
        ] {
            assert_eq!(domain(name), name_octets(registrable), "{name}");
        }
        assert_eq!(domain_of_query(b"\0"), b"");
    }

    #[test]
    fn usernames_are_hashes_that_only_this_process_can_make() {
        let names = ["example.com", "example.net", "com", "."];
        let all: BTreeSet<String> = names
            .iter()
            .map(|name| username(&domain(name)).unwrap())
            .collect();
        assert_eq!(all.len(), names.len());
        for name in &all {
            assert_eq!(name.len(), 2 * HASH_LEN);
            assert!(name.bytes().all(|octet| octet.is_ascii_hexdigit()));
        }
        assert!(all.contains(&username(&domain("WWW.example.com")).unwrap()));
        let domain = domain("example.com");
        assert_ne!(hash(&[1; 32], &domain), hash(&[2; 32], &domain));
        // HMAC-SHA256 as RFC 5869 uses it, computed by another implementation.
        assert_eq!(
            hash(&[0; 32], b"").as_deref(),
            Some("64c24c6b2c65c440cda50347d25fcf2e")
        );
    }
}
