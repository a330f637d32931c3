//! The client's side of X25519MLKEM768 on the provider ring, as `transports/tls/key_exchange.rs` has it, with other implementations of ML-KEM-768.

use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, ring};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};
use std::fmt::{self, Debug, Formatter};

/// What a server's share that cannot be used is.
const INVALID: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
/// Octets of an ML-KEM-768 ciphertext (FIPS 203 table 3).
const CIPHERTEXT: usize = 1088;

/// An implementation of ML-KEM-768, as far as a client needs it.
trait MlKem: Send + Sync + 'static {
    type Key: Send + Sync;

    /// The key of a seed, `d` and `z` of FIPS 203 algorithm 16, and its encapsulation key in octets.
    fn start(seed: [u8; 64]) -> (Self::Key, Vec<u8>);

    /// The shared secret. An error: the ciphertext cannot be used.
    fn complete(key: &Self::Key, ciphertext: &[u8; CIPHERTEXT]) -> Result<[u8; 32], Error>;
}

#[cfg(feature = "libcrux")]
mod libcrux_implementation {
    use libcrux_ml_kem::mlkem768::{MlKem768PrivateKey, decapsulate, generate_key_pair};
    use rustls::Error;

    pub struct Libcrux;

    impl super::MlKem for Libcrux {
        type Key = MlKem768PrivateKey;

        fn start(seed: [u8; 64]) -> (Self::Key, Vec<u8>) {
            let (key, public) = generate_key_pair(seed).into_parts();
            (key, public.as_ref().to_vec())
        }

        fn complete(
            key: &Self::Key,
            ciphertext: &[u8; super::CIPHERTEXT],
        ) -> Result<[u8; 32], Error> {
            Ok(decapsulate(key, &ciphertext.into()))
        }
    }
}

#[cfg(feature = "fips203")]
mod fips203_implementation {
    use fips203::ml_kem_768::{CipherText, DecapsKey, KG};
    use fips203::traits::{Decaps, KeyGen, SerDes};
    use rustls::Error;

    pub struct Fips203;

    impl super::MlKem for Fips203 {
        type Key = DecapsKey;

        fn start(seed: [u8; 64]) -> (Self::Key, Vec<u8>) {
            let (mut d, mut z) = ([0; 32], [0; 32]);
            d.copy_from_slice(&seed[..32]);
            z.copy_from_slice(&seed[32..]);
            let (public, key) = KG::keygen_from_seed(d, z);
            (key, public.into_bytes().to_vec())
        }

        fn complete(
            key: &Self::Key,
            ciphertext: &[u8; super::CIPHERTEXT],
        ) -> Result<[u8; 32], Error> {
            let ciphertext = CipherText::try_from_bytes(*ciphertext).map_err(|_| super::INVALID)?;
            let secret = key.try_decaps(&ciphertext).map_err(|_| super::INVALID)?;
            Ok(secret.into_bytes())
        }
    }
}

/// ring's provider with libcrux-ml-kem.
#[cfg(feature = "libcrux")]
pub(super) fn libcrux() -> CryptoProvider {
    with(&Hybrid::<libcrux_implementation::Libcrux>(
        std::marker::PhantomData,
    ))
}

/// ring's provider with fips203.
#[cfg(feature = "fips203")]
pub(super) fn fips203() -> CryptoProvider {
    with(&Hybrid::<fips203_implementation::Fips203>(
        std::marker::PhantomData,
    ))
}

fn with(group: &'static dyn SupportedKxGroup) -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.kx_groups.insert(0, group);
    provider
}

/// The group.
struct Hybrid<M>(std::marker::PhantomData<M>);

impl<M> Debug for Hybrid<M> {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        formatter.write_str("X25519MLKEM768")
    }
}

impl<M: MlKem> SupportedKxGroup for Hybrid<M> {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let x25519 = X25519.start()?;
        let mut seed = [0; 64];
        ring::default_provider().secure_random.fill(&mut seed)?;
        let (key, mut share) = M::start(seed);
        share.extend(x25519.pub_key());
        let key = Box::new(key);
        Ok(Box::new(Started::<M> { x25519, key, share }))
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

struct Started<M: MlKem> {
    x25519: Box<dyn ActiveKeyExchange>,
    key: Box<M::Key>,
    share: Vec<u8>,
}

impl<M: MlKem> ActiveKeyExchange for Started<M> {
    fn complete(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, public) = server.split_first_chunk().ok_or(INVALID)?;
        let x25519 = self.x25519.complete(public)?;
        let secret = M::complete(&self.key, ciphertext)?;
        Ok(SharedSecret::from(
            [&secret, x25519.secret_bytes()].concat(),
        ))
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.x25519.group(), self.x25519.pub_key()))
    }

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
