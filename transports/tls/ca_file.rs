//! The certificates of the CA file. One that cannot be read is reported by its number.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage};

/// Reads all certificates of a PEM file. An error says which of them is wrong, counted from 1, and why.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut certificates = Vec::new();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
        let certificate = certificate
            .map_err(|error| format!("certificate {number} of the file is no PEM: {error}"))?;
        anchor(&certificate).map_err(|error| {
            format!("certificate {number} of the file cannot be read ({error:?}): replace it or take it out")
        })?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err("there is no PEM certificate in the file".to_owned());
    }
    Ok(certificates)
}

/// The number, counted from 1, of the first one that is no authority.
pub fn first_leaf(certificates: &[CertificateDer<'_>]) -> Option<usize> {
    let leaf = certificates.iter().position(|one| !is_authority(one));
    leaf.map(|index| index + 1)
}

/// A trusted certificate as webpki needs it.
pub fn anchor(certificate: &CertificateDer<'_>) -> Result<TrustAnchor<'static>, Error> {
    webpki::anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned())
}

/// May it sign others? webpki tells that only by an error when an authority is verified as a server.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    let (Ok(server), Ok(anchor)) = (EndEntityCert::try_from(certificate), anchor(certificate))
    else {
        // Of X.509 version 1, which has no such mark. In a CA file it is taken for an authority.
        return true;
    };
    let (anchors, algorithms) = ([anchor], webpki::ALL_VERIFICATION_ALGS);
    let verdict = |at| {
        let usage = KeyUsage::server_auth();
        let path = server.verify_for_usage(algorithms, &anchors, &[], at, usage, None, None);
        path.map(drop)
    };
    let verdict = match verdict(UnixTime::since_unix_epoch(Duration::ZERO)) {
        Err(Error::CertNotValidYet { not_before, .. }) => verdict(not_before),
        Err(Error::CertExpired { not_after, .. }) => verdict(not_after),
        verdict => verdict,
    };
    matches!(verdict, Err(Error::CaUsedAsEndEntity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    fn pem(authority: bool) -> String {
        let mut params = CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        // Whether it is one has nothing to do with the time.
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    /// A PEM block around what is no certificate.
    fn block(inner: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{inner}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_named_by_its_number() {
        // fault 116
        let good = pem(true);
        let error = |pem: &str| certificates(pem.as_bytes()).unwrap_err();
        let der = error(&format!("{good}{}{good}", block("MIIB")));
        assert!(
            der.starts_with("certificate 2 of the file cannot be read ("),
            "{der}"
        );
        let base64 = error(&format!("# mine\n{}{good}", block("M?")));
        assert!(
            base64.starts_with("certificate 1 of the file is no PEM: "),
            "{base64}"
        );
        let open = error(&format!("{good}{good}-----BEGIN CERTIFICATE-----\nMIIB\n"));
        assert!(
            open.starts_with("certificate 3 of the file is no PEM: "),
            "{open}"
        );
        assert_eq!(
            error("# nothing"),
            "there is no PEM certificate in the file"
        );
        assert_eq!(
            certificates(format!("{good}{good}").as_bytes())
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn a_leaf_among_authorities_is_found() {
        let read = |pems: &[&str]| certificates(pems.concat().as_bytes()).unwrap();
        let (authority, leaf) = (pem(true), pem(false));
        assert_eq!(first_leaf(&read(&[&authority, &authority])), None);
        assert_eq!(first_leaf(&read(&[&authority, &leaf])), Some(2));
        assert_eq!(first_leaf(&read(&[&leaf])), Some(1));
    }
}
