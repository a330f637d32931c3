//! The files of the certificate that clients over TLS are shown.

use super::UsageError;
use super::file::{NONE, PEM_OCTETS, ReadError, read_limited};
use super::given::Given;
#[cfg(unix)]
use super::permissions::{Readers, open_to_others};
use crate::config::{ConfigError, ServerCertificate};
use std::io::ErrorKind;
use std::path::Path;

/// What helps against a file that may not be read.
const MAY_READ: &str =
    ": let the user that dotward runs as read it, or have systemd pass it (LoadCredential=)";

/// The certificate with its key, if a file is named. Also what is to be warned of.
pub(super) fn read_server_certificate(
    given: &Given,
) -> Result<(Option<ServerCertificate>, Vec<String>), UsageError> {
    let (chain, key) = (file(given, "certificate")?, file(given, "certificate_key")?);
    let mut remarks = Vec::new();
    let certificate = match (chain, key) {
        (None, None) => return Ok((None, remarks)),
        (None, Some((name, _))) => {
            let reason = "is of no certificate: name its file, too";
            let error = ConfigError::new("certificate_key", &name, reason);
            return Err(given.usage_error(&error.with_remedy("certificate")));
        }
        (Some((chain, pem)), None) => {
            remarks.extend(remark(given, "certificate", &chain));
            ServerCertificate::new(pem, None).with_files(&chain, None)
        }
        (Some((chain, pem)), Some((key, private))) => {
            remarks.extend(remark(given, "certificate_key", &key));
            ServerCertificate::new(pem, Some(private)).with_files(&chain, Some(&key))
        }
    };
    Ok((Some(certificate), remarks))
}

/// The name and the octets of the file that a setting names, if it does.
fn file(given: &Given, setting: &'static str) -> Result<Option<(String, Vec<u8>)>, UsageError> {
    let read = given.all(setting, |text| {
        let name = text.text.as_str();
        if name == NONE {
            return Ok(None);
        }
        let octets = read_limited(Path::new(name), PEM_OCTETS).map_err(|why| {
            let remedy = match &why {
                ReadError::Io(error) if error.kind() == ErrorKind::PermissionDenied => MAY_READ,
                _ => "",
            };
            ConfigError::new(setting, name, format!("{why}{remedy}"))
        })?;
        Ok(Some((name.to_owned(), octets)))
    })?;
    Ok(read.into_iter().last().flatten())
}

/// Says so if everybody may read the file of the key. That a group may is usual where several programs use the certificate.
#[cfg(unix)]
fn remark(given: &Given, setting: &str, file: &str) -> Option<String> {
    let why = open_to_others(Path::new(file), Readers::OwnerAndGroup)?;
    let source = given.source(setting).unwrap_or_default();
    Some(format!("{source} {file:?}: {why}"))
}

#[cfg(not(unix))]
fn remark(_given: &Given, _setting: &str, _file: &str) -> Option<String> {
    None
}
