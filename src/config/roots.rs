//! The certificates that upstreams are authenticated by.

use super::ConfigError;

/// The line before a certificate.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The trust anchors of upstreams' certificates (RFC 5280 section 6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The root certificates of Mozilla's programme, as they were when this was built.
    #[default]
    BuiltIn,
    /// The certificates of a PEM file (RFC 7468), instead of the built-in ones.
    Pem(Vec<u8>),
    /// The certificates that this system trusts, in DER, instead of the built-in ones.
    System(Vec<Vec<u8>>),
}

impl Roots {
    /// Takes the contents of a PEM file, which errors name `file`. An error says that it is empty or has no certificate; whether each
    /// certificate can be read shows when a transport is made.
    pub fn from_pem(file: &str, pem: Vec<u8>) -> Result<Self, ConfigError> {
        let holds = |marker: &str| {
            pem.windows(marker.len())
                .any(|window| window == marker.as_bytes())
        };
        let error = |reason: &str| Err(ConfigError::new("ca_file", file, reason));
        if pem.is_empty() {
            return error("the file is empty");
        }
        // DER: a sequence with its length in several octets (X.690).
        if let [0x30, 0x81..=0x84, ..] = pem[..] {
            return error(
                "the file is in DER form, and PEM is wanted: `openssl x509 -inform der -in FILE -out FILE.pem` converts it",
            );
        }
        if !holds(BEGIN) || !holds("-----END CERTIFICATE-----") {
            return error("there is no PEM certificate in the file");
        }
        Ok(Self::Pem(pem))
    }

    /// How many certificates are trusted in the place of the built-in ones, in words. `None`: it is the built-in ones that are trusted.
    pub fn described(&self) -> Option<String> {
        let (count, whose) = match self {
            Self::BuiltIn => return None,
            Self::Pem(pem) => {
                let windows = pem.windows(BEGIN.len());
                let found = windows.filter(|window| *window == BEGIN.as_bytes());
                (found.count(), "your own")
            }
            Self::System(certificates) => (certificates.len(), "this system"),
        };
        Some(if count == 1 {
            format!("1 certificate of {whose} is trusted")
        } else {
            format!("{count} certificates of {whose} are trusted")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_must_hold_a_certificate() {
        // fault 86
        let error = |pem: &str| {
            Roots::from_pem("/ca.pem", pem.into())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(""), r#"ca_file "/ca.pem": the file is empty"#);
        let der = Roots::from_pem("/ca.der", vec![0x30, 0x82, 1, 2, 0x30]).unwrap_err();
        assert!(der.reason.contains("`openssl x509 -inform der "), "{der}");
        assert_eq!(
            error("-----BEGIN PRIVATE KEY-----"),
            r#"ca_file "/ca.pem": there is no PEM certificate in the file"#
        );
        assert!(error("-----BEGIN CERTIFICATE-----\nMIIB").contains("no PEM certificate"));
        let pem =
            b"# a root\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_vec();
        let roots = Roots::from_pem("/ca.pem", pem.clone()).unwrap();
        let trusted = "1 certificate of your own is trusted";
        assert_eq!(roots.described().as_deref(), Some(trusted));
        assert_eq!(roots, Roots::Pem(pem));
    }

    #[test]
    fn people_are_told_how_many_are_trusted() {
        assert_eq!(Roots::BuiltIn.described(), None);
        let system = Roots::System(vec![Vec::new(); 2]).described();
        let trusted = "2 certificates of this system are trusted";
        assert_eq!(system.as_deref(), Some(trusted));
    }
}
