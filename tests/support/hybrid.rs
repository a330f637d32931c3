//! A server's side of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem), with another implementation of ML-KEM (FIPS 203) than the program's.

use fips203::ml_kem_768::{EK_LEN, EncapsKey};
use fips203::traits::{Encaps, SerDes};
use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, ring,
};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

/// The client's share is wrong.
const INVALID: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

/// ring's provider, with this group before its own.
pub fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.kx_groups.insert(0, &X25519MlKem768Server);
    provider
}

/// The group, for servers alone.
#[derive(Debug)]
pub struct X25519MlKem768Server;

impl SupportedKxGroup for X25519MlKem768Server {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Err(Error::General("this is a server's side".to_owned()))
    }

    fn start_and_complete(&self, client: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (key, public) = client.split_first_chunk::<EK_LEN>().ok_or(INVALID)?;
        // This checks the key as FIPS 203 section 7.2 asks.
        let key = EncapsKey::try_from_bytes(*key).map_err(|_| INVALID)?;
        let x25519 = X25519.start_and_complete(public)?;
        let mut random = [0; 32];
        ring::default_provider().secure_random.fill(&mut random)?;
        let (ml_kem, ciphertext) = key.encaps_from_seed(&random);
        let secret = [&ml_kem.into_bytes(), x25519.secret.secret_bytes()].concat();
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [&ciphertext.into_bytes()[..], &x25519.pub_key].concat(),
            secret: SharedSecret::from(secret),
        })
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
