//! The name that clients are told when they look for encryption (RFC 9462), and whether the certificate is for what they are told.

use super::UsageError;
use super::file::NONE;
use super::given::Given;
use crate::config::{Config, ConfigError, Domain, ServerCertificate};
use crate::transports::CertificateNames;
use std::net::IpAddr;

/// The word for the name that the certificate has.
const OF_CERTIFICATE: &str = "certificate";

/// The name, if there is one.
pub(super) fn read_listener_name(
    given: &Given,
    certificate: Option<&ServerCertificate>,
) -> Result<Option<Domain>, UsageError> {
    let read = given.all("listener_name", |text| match text.text.as_str() {
        NONE => Ok(None),
        OF_CERTIFICATE => Ok(of_certificate(certificate)),
        name => {
            let error = |why: String| ConfigError::new("listener_name", name, why);
            if name.parse::<IpAddr>().is_ok() {
                return Err(error(
                    "is an IP address: write the name that devices know this resolver by"
                        .to_owned(),
                ));
            }
            name.parse()
                .map(Some)
                .map_err(|why: ConfigError| error(why.reason))
        }
    })?;
    Ok(read.into_iter().last().flatten())
}

/// The first name in the certificate. One that no resolver could have is none.
fn of_certificate(certificate: Option<&ServerCertificate>) -> Option<Domain> {
    let name = CertificateNames::read(certificate?.chain())?.host_name()?;
    let name: Domain = name.parse().ok()?;
    (name.name().len() <= Config::MAX_LISTENER_NAME).then_some(name)
}

/// What clients that look for encryption will refuse, because the certificate is not for it. They verify that it is for the address that
/// they asked without encryption (RFC 9462 section 4.2), or for the name if they were given that.
///
/// `is_given`: whether the name is, so that there is none for a reason if there is none.
pub(super) fn not_covered(config: &Config, is_given: bool) -> Vec<String> {
    let is_encrypted = config.encrypted_listeners().next().is_some();
    let (Some(certificate), true) = (config.certificate(), is_encrypted) else {
        return Vec::new();
    };
    // What cannot be read is an error elsewhere.
    let Some(names) = CertificateNames::read(certificate.chain()) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let Some(why) = names.unfit() {
        lines.push(format!(
            "the certificate {why}: clients that verify it will refuse it; have one made for a server, with its names"
        ));
        return lines;
    }
    let Some(name) = config.listener_name() else {
        if !is_given && names.host_name().is_none() {
            lines.push(
                "the certificate has no host name (subjectAltName): clients that look for encryption (RFC 9462) are told of none; have a name in it, \
                 or set listener-name"
                    .to_owned(),
            );
        }
        return lines;
    };
    if !names.covers(name.name()) {
        lines.push(format!(
            "listener-name {name}: the certificate is not for this name, so that clients which are given it will refuse the certificate; \
             name one that is in it"
        ));
    }
    let mut lacking: Vec<String> = Vec::new();
    for listen in config.listen() {
        let ip = listen.addr().ip().to_canonical();
        let is_of_a_link = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let text = ip.to_string();
        if !ip.is_unspecified()
            && !ip.is_loopback()
            && !is_of_a_link
            && !names.covers(&text)
            && !lacking.contains(&text)
        {
            lacking.push(text);
        }
    }
    if !lacking.is_empty() {
        lines.push(format!(
            "the certificate is not for {}: clients that ask there and look for encryption (RFC 9462) will refuse it, and go on without; \
             have one made for the address as well, or set listener-name to none",
            lacking.join(" and ")
        ));
    }
    lines
}
