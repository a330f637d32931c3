//! What the verifier said of a server, where TLS hands on its words alone: QUIC reports how a handshake failed as a text.

use crate::locks::lock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::sync::{Arc, Mutex};

/// What was said last. It is for who drives a handshake on this thread, and takes it at once.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<Mutex<Option<Result<(), Error>>>>);

impl Verdict {
    /// The same verifier, whose verdicts are noted.
    pub fn noting(&self, verifier: Arc<dyn ServerCertVerifier>) -> Arc<dyn ServerCertVerifier> {
        let verdict = self.clone();
        Arc::new(Noting { verifier, verdict })
    }

    /// The verdict since this was asked last. `None`: no server had to prove who it is, as when a session is resumed.
    pub fn take(&self) -> Option<Result<(), Error>> {
        lock(&self.0).take()
    }

    fn note<T>(&self, verdict: Result<T, Error>) -> Result<T, Error> {
        let noted = verdict.as_ref().map(drop).map_err(Error::clone);
        *lock(&self.0) = Some(noted);
        verdict
    }
}

#[derive(Debug)]
struct Noting {
    verifier: Arc<dyn ServerCertVerifier>,
    verdict: Verdict,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = &self.verifier;
        self.verdict.note(verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = &self.verifier;
        self.verdict
            .note(verifier.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = &self.verifier;
        self.verdict
            .note(verifier.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
