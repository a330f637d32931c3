//! For what a certificate that clients are shown is.

use super::tls::certificates;
use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// The names and addresses in a certificate, by which its server is authenticated.
pub struct CertificateNames(CertificateDer<'static>);

impl CertificateNames {
    /// Those of the first certificate of a PEM file, if it can be read.
    pub fn read(chain: &[u8]) -> Option<Self> {
        let first = certificates(chain).ok()?.into_iter().next()?;
        EndEntityCert::try_from(&first).ok()?;
        Some(Self(first))
    }

    /// Those of this certificate, if it can be read.
    #[cfg(feature = "certificate")]
    pub fn of(der: CertificateDer<'static>) -> Option<Self> {
        EndEntityCert::try_from(&der).ok()?;
        Some(Self(der))
    }

    /// When it ends, in seconds since 1970.
    #[cfg(feature = "certificate")]
    pub fn end(&self) -> Option<u64> {
        super::tls::not_after(&self.0)
    }

    /// The first host name. A pattern such as `*.example.net` is none.
    pub fn host_name(&self) -> Option<String> {
        let parsed = EndEntityCert::try_from(&self.0).ok()?;
        let mut names = parsed.valid_dns_names();
        let found = names.find(|name| !name.starts_with('*'));
        found.map(str::to_owned)
    }

    /// Why clients that verify it will refuse it, whatever its names are.
    #[cfg(feature = "cli")]
    pub fn unfit(&self) -> Option<&'static str> {
        let parsed = EndEntityCert::try_from(&self.0).ok()?;
        // No authority is trusted here: what the certificate itself is like is looked at before its issuer.
        let verified = parsed.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[],
            &[],
            rustls::pki_types::UnixTime::now(),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        );
        match verified.err()? {
            webpki::Error::CaUsedAsEndEntity => Some("is that of an authority (CA:TRUE)"),
            webpki::Error::RequiredEkuNotFoundContext(_) => {
                Some("is not for servers (extendedKeyUsage lacks serverAuth)")
            }
            _ => None,
        }
    }

    /// Whether it is for this name or address.
    pub fn covers(&self, host: &str) -> bool {
        let parsed = EndEntityCert::try_from(&self.0);
        let (Ok(parsed), Ok(host)) = (parsed, ServerName::try_from(host)) else {
            return false;
        };
        parsed.verify_is_valid_for_subject_name(&host).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};

    fn names(names: &[&str]) -> CertificateNames {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (params, key) = (CertificateParams::new(names), KeyPair::generate());
        let pem = params.unwrap().self_signed(&key.unwrap()).unwrap().pem();
        CertificateNames::read(pem.as_bytes()).unwrap()
    }

    // fault 139
    #[test]
    fn what_no_client_takes_for_a_server_is_told() {
        let read = |change: fn(&mut CertificateParams)| {
            let mut params = CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
            change(&mut params);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            CertificateNames::read(pem.as_bytes()).unwrap().unfit()
        };
        assert_eq!(read(|_| {}), None);
        assert_eq!(
            read(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            None
        );
        let client = read(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
        assert!(client.is_some_and(|why| why.contains("serverAuth")));
        let authority = read(|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        assert!(authority.is_some_and(|why| why.contains("CA:TRUE")));
    }

    // req 115
    #[test]
    fn a_certificate_is_for_its_names_and_addresses() {
        let both = names(&[
            "*.example.net",
            "dns.example.net",
            "192.0.2.1",
            "2001:db8::1",
        ]);
        assert_eq!(both.host_name().as_deref(), Some("dns.example.net"));
        for host in [
            "DNS.example.net",
            "x.example.net",
            "192.0.2.1",
            "2001:db8:0::1",
        ] {
            assert!(both.covers(host), "{host}");
        }
        for host in ["example.net", "192.0.2.2", "::1", "", "a b"] {
            assert!(!both.covers(host), "{host}");
        }
        assert_eq!(names(&["192.0.2.1"]).host_name(), None);
        assert!(CertificateNames::read(b"no certificate").is_none());
    }
}
