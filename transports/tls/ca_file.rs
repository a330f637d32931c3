//! The certificates of the CA file. One that cannot be read is reported by its number.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage};

/// What some editors put at the start of a text. The reader of PEM does not know the first line behind it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What is said of a file that has the octets of a certificate alone.
const DER_CERTIFICATE: &str = "the file is in DER form, and PEM is wanted: `openssl x509 -inform der -in FILE -out FILE.pem` converts it";

/// The text of a PEM file.
pub fn text(pem: &[u8]) -> &[u8] {
    pem.strip_prefix(BYTE_ORDER_MARK).unwrap_or(pem)
}

/// Reads all certificates of a PEM file. An error says which of them is wrong, counted from 1, and why.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut certificates = Vec::new();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(text(pem))) {
        let certificate = certificate.map_err(|error| {
            let why = pem_error(&error);
            format!("certificate {number} of the file is no PEM: {why}")
        })?;
        anchor(&certificate).map_err(|error| {
            let why = der_error(&error);
            format!(
                "certificate {number} of the file cannot be read ({why}): replace it or take it out"
            )
        })?;
        certificates.push(certificate);
    }
    if certificates.is_empty() && anchor(&CertificateDer::from(pem)).is_ok() {
        return Err(DER_CERTIFICATE.to_owned());
    }
    if certificates.is_empty() {
        return Err("there is no PEM certificate in the file".to_owned());
    }
    Ok(certificates)
}

/// What is wrong with a PEM file (RFC 7468), in words.
pub fn pem_error(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            let label = String::from_utf8_lossy(end_marker);
            format!("the line -----END {}----- is missing", label.escape_debug())
        }
        pem::Error::IllegalSectionStart { line } => {
            let line = String::from_utf8_lossy(line);
            format!("the line {:?} is not whole", line.trim_end())
        }
        pem::Error::Base64Decode(_) => "what is between its lines is not base64".to_owned(),
        error => error.to_string(),
    }
}

/// Why a certificate cannot be read, in words.
fn der_error(error: &Error) -> String {
    match error {
        Error::BadDer => "it is not the DER of a certificate".to_owned(),
        Error::BadDerTime => "it has a time that is none".to_owned(),
        Error::TrailingData(_) => "it has octets behind its end".to_owned(),
        Error::UnsupportedCertVersion => "its version of X.509 is not supported".to_owned(),
        error => format!("{error:?}"),
    }
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
            der.starts_with("certificate 2 of the file cannot be read (it "),
            "{der}"
        );
        let base64 = error(&format!("# mine\n{}{good}", block("M?")));
        let expected =
            "certificate 1 of the file is no PEM: what is between its lines is not base64";
        assert_eq!(base64, expected);
        let open = error(&format!("{good}{good}-----BEGIN CERTIFICATE-----\nMIIB\n"));
        let expected =
            "certificate 3 of the file is no PEM: the line -----END CERTIFICATE----- is missing";
        assert_eq!(open, expected);
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
    fn a_byte_order_mark_is_skipped() {
        let marked = format!("\u{feff}{}", pem(true));
        assert_eq!(certificates(marked.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn octets_behind_a_certificate_are_told_in_words() {
        let good = certificates(pem(true).as_bytes()).unwrap().remove(0);
        let longer = [good.as_ref(), &[0]].concat();
        let text = data_encoding::BASE64.encode(&longer);
        let told = certificates(block(&text).as_bytes()).unwrap_err();
        assert!(told.contains("(it has octets behind its end)"), "{told}");
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
