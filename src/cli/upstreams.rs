//! Upstreams of a list, of which something is to be known of the whole configuration.

use std::path::Path;

use super::UsageError;
use super::file::{PEM_OCTETS, read_limited};
use super::given::Given;
use super::origin::key;
use super::units::switch;
use super::values::Written;
use super::zones::read_zoned;
use crate::config::{ClientCertificate, ConfigError, Scheme, Upstream};
use crate::transports::{SCHEMES, interface_number};

/// Whether upstreams may be without encryption of which nothing else is said.
pub(super) struct Plaintext {
    is_allowed: bool,
    /// What says that they may not, if the user said so.
    denied_by: Option<String>,
}

impl Plaintext {
    pub(super) fn read(given: &Given) -> Result<Self, UsageError> {
        let is_allowed = given.one("allow_plaintext", switch)?.unwrap_or(false);
        let denied_by = given.source("allow_plaintext").filter(|_| !is_allowed);
        Ok(Self {
            is_allowed,
            denied_by,
        })
    }
}

impl From<bool> for Plaintext {
    fn from(is_allowed: bool) -> Self {
        Self {
            is_allowed,
            denied_by: None,
        }
    }
}

/// Reads an upstream of a list, whether or not of a route.
pub(super) fn read_upstream(
    text: &Written,
    plaintext: &Plaintext,
) -> Result<Upstream, ConfigError> {
    let spec = &text.text;
    let names: Vec<String> = text.parameters.iter().map(|(name, _)| key(name)).collect();
    let values = text.parameters.iter().map(|(_, value)| value.as_str());
    let parameters: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values).collect();
    let parse = |text: &str| Upstream::parse_with(text, &parameters, SCHEMES);
    let upstream = read_zoned("upstream", spec, interface_number, parse)?;
    let encrypts = |scheme: &Scheme| scheme.name == upstream.scheme() && scheme.encrypted;
    let allowed = text.allow_plaintext.unwrap_or(plaintext.is_allowed);
    if !allowed && !SCHEMES.iter().any(encrypts) {
        let why = "is not encrypted, so everybody on the way can read the queries";
        if let (Some(source), None) = (&plaintext.denied_by, text.allow_plaintext) {
            let reason = format!("{why}; this must be permitted, and {source} is false");
            return Err(ConfigError::new("upstream", spec, reason));
        }
        let reason = format!("{why}; this must be permitted");
        let error = ConfigError::new("upstream", spec, reason);
        return Err(error.with_remedy("allow_plaintext"));
    }
    let upstream = match upstream.client_files() {
        Some((chain, key)) => {
            let certificate = ClientCertificate::new(read_pem(spec, chain)?, read_pem(spec, key)?);
            upstream.with_client_certificate(certificate)
        }
        None => upstream,
    };
    // As the user wrote it, with the interface's name instead of its number.
    let written = spec.split('?').next().unwrap_or_default();
    Ok(if written.contains('%') {
        upstream.with_label(written)
    } else {
        upstream
    })
}

/// A file that a parameter of an upstream names.
fn read_pem(spec: &str, path: &str) -> Result<Vec<u8>, ConfigError> {
    let pem = read_limited(Path::new(path), PEM_OCTETS);
    pem.map_err(|why| ConfigError::new("upstream", spec, format!("{path}: {why}")))
}
