//! The cryptographic provider of the connections to upstreams: that of ring, and before its groups X25519MLKEM768
//! (draft-ietf-tls-ecdhe-mlkem), which ring lacks. It joins X25519 (RFC 7748) with ML-KEM-768 (FIPS 203), so that who records a connection
//! today and has a quantum computer one day reads nothing of it.

use ml_kem::ml_kem_768::DecapsulationKey;
use ml_kem::{Decapsulate, KeyExport};
use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, ring};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

/// Octets of an ML-KEM-768 ciphertext, which is the server's half of the share (FIPS 203 table 3).
const CIPHERTEXT: usize = 1088;
/// Octets of the seed of an ML-KEM key: `d` and `z` of FIPS 203 algorithm 16.
const SEED: usize = 64;

/// The provider of ring, with X25519MLKEM768 as its preferred group. rustls sends an X25519 share beside it, so that a server without it needs no
/// `HelloRetryRequest`, which would cost a round trip.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.kx_groups.insert(0, &X25519MlKem768);
    provider
}

/// The client's side of the group. As a server it only fails.
#[derive(Debug)]
struct X25519MlKem768;

impl SupportedKxGroup for X25519MlKem768 {
    /// An error: there are no random octets.
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let x25519 = X25519.start()?;
        let mut seed = [0; SEED];
        ring::default_provider().secure_random.fill(&mut seed)?;
        let ml_kem = DecapsulationKey::from_seed(seed.into());
        let mut share = ml_kem.encapsulation_key().to_bytes().to_vec();
        share.extend(x25519.pub_key());
        Ok(Box::new(Started {
            x25519,
            ml_kem: Box::new(ml_kem),
            share,
        }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// The keys of one handshake, which die with it.
struct Started {
    x25519: Box<dyn ActiveKeyExchange>,
    ml_kem: Box<DecapsulationKey>,
    /// What the server gets: the key of ML-KEM, then that of X25519.
    share: Vec<u8>,
}

impl ActiveKeyExchange for Started {
    /// The secret of ML-KEM, then that of X25519. An error: the server's share has another length, or its X25519 half leads to a secret of
    /// zeros. Any ciphertext of the right length has a secret (FIPS 203 section 6.3); with a wrong one the handshake fails afterwards.
    fn complete(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        let halves = server.split_at_checked(CIPHERTEXT);
        let (ciphertext, public) = halves.ok_or(PeerMisbehaved::InvalidKeyShare)?;
        let x25519 = self.x25519.complete(public)?;
        let ml_kem = self.ml_kem.decapsulate_slice(ciphertext);
        let ml_kem = ml_kem.map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let secret = [ml_kem.as_slice(), x25519.secret_bytes()].concat();
        Ok(SharedSecret::from(secret))
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.x25519.group(), self.x25519.pub_key()))
    }

    /// The server chose X25519 alone.
    fn complete_hybrid_component(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        self.x25519.complete(server)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fips203::ml_kem_768::{CipherText, KG};
    use fips203::traits::{Decaps, Encaps, KeyGen, SerDes};

    /// Octets of the server's share.
    const SERVER_SHARE: usize = CIPHERTEXT + 32;

    /// The same as another implementation: keys, secrets, and the secrets of ciphertexts that are wrong (FIPS 203 algorithm 18).
    #[test]
    fn ml_kem_agrees_with_another_implementation() {
        for number in 0..50u8 {
            let mut seed = [number.wrapping_mul(37); SEED];
            seed[SEED / 2..].fill(!number);
            let ours = DecapsulationKey::from_seed(seed.into());
            let (d, z) = seed.split_at(SEED / 2);
            let (their_key, their_secret_key) =
                KG::keygen_from_seed(d.try_into().unwrap(), z.try_into().unwrap());
            let (secret, ciphertext) = their_key.encaps_from_seed(&[number; 32]);
            let key = ours.encapsulation_key().to_bytes();
            assert_eq!(key.as_slice(), their_key.into_bytes());
            let (secret, mut ciphertext) = (secret.into_bytes(), ciphertext.into_bytes());
            let decapsulated = |ciphertext: &[u8]| ours.decapsulate_slice(ciphertext).unwrap();
            assert_eq!(decapsulated(&ciphertext).as_slice(), secret);
            ciphertext[usize::from(number) * 20] ^= 1;
            let wrong = CipherText::try_from_bytes(ciphertext).unwrap();
            let rejected = their_secret_key.try_decaps(&wrong).unwrap().into_bytes();
            assert_ne!(rejected, secret);
            assert_eq!(decapsulated(&ciphertext).as_slice(), rejected);
        }
    }

    #[test]
    fn the_share_of_x25519_is_the_end_of_the_other() {
        let started = X25519MlKem768.start().unwrap();
        assert_eq!(started.pub_key().len(), 1_184 + 32);
        let (group, share) = started.hybrid_component().unwrap();
        assert_eq!(group, NamedGroup::X25519);
        assert_eq!(share, &started.pub_key()[1_184..]);
        let again = X25519MlKem768.start().unwrap();
        assert_ne!(started.pub_key()[..1_184], again.pub_key()[..1_184]);
        assert_ne!(started.pub_key()[1_184..], again.pub_key()[1_184..]);
    }

    // fault 38
    #[test]
    fn no_share_makes_it_panic() {
        let complete = |share: &[u8]| X25519MlKem768.start().unwrap().complete(share);
        for length in [
            0,
            1,
            32,
            CIPHERTEXT,
            SERVER_SHARE - 1,
            SERVER_SHARE + 1,
            70_000,
        ] {
            let invalid = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
            assert_eq!(complete(&vec![9; length]).err(), Some(invalid), "{length}");
        }
        assert!(complete(&[0; SERVER_SHARE]).is_err(), "X25519 of zeros");
        for octet in [1, 9, 0xFF] {
            let secret = complete(&[octet; SERVER_SHARE]).unwrap();
            assert_eq!(secret.secret_bytes().len(), 64);
        }
        let component = |share: &[u8]| {
            let started = X25519MlKem768.start().unwrap();
            started.complete_hybrid_component(share)
        };
        assert!(component(&[9; 31]).is_err() && component(&[0; 32]).is_err());
        assert_eq!(component(&[9; 32]).unwrap().secret_bytes().len(), 32);
    }
}
