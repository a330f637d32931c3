//! A certificate that changes on disk while it is served.

use super::certificate::Shown;
use crate::config::{ConfigError, ServerCertificate};
use crate::transports::CertificateNames;
use crate::transports::read_file::{PEM_OCTETS, read_limited};
use log::{info, warn};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How often the files are looked at, at most, and only when a client begins a handshake. Two calls of the system each.
const LOOK: Duration = Duration::from_secs(2);

/// The certificate that is shown, and what is known of its files.
pub struct Current {
    certificate: ServerCertificate,
    shown: Shown,
    /// What the files were like when they were read last.
    stamps: Option<[Stamp; 2]>,
    looked: Option<Instant>,
    /// It was warned of, since it ends soon.
    warned: bool,
}

/// By what it is seen that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    /// When it was written to, and how long it is.
    File(Option<SystemTime>, u64),
    /// A pipe or a device, which is read once.
    Special,
    /// It is not there, or there is none.
    Absent,
}

impl Stamp {
    fn of(file: Option<&str>) -> Self {
        match file.map(fs::metadata) {
            Some(Ok(found)) if found.is_file() => Self::File(found.modified().ok(), found.len()),
            Some(Ok(_)) => Self::Special,
            None | Some(Err(_)) => Self::Absent,
        }
    }
}

impl Current {
    /// An error says what is wrong with it.
    pub fn new(certificate: &ServerCertificate) -> Result<Self, ConfigError> {
        let shown = Shown::new(certificate)?;
        Ok(Self {
            certificate: certificate.clone(),
            // The start has said so already.
            warned: shown.remark().is_some(),
            shown,
            stamps: None,
            looked: None,
        })
    }

    /// Whether this is what is shown.
    pub fn is(&self, certificate: &ServerCertificate) -> bool {
        self.certificate == *certificate
    }

    /// What the next client is shown: what is in the files now, if that can be used.
    pub fn shown(&mut self) -> &Shown {
        let now = Instant::now();
        let is_due = |looked: Instant| now.saturating_duration_since(looked) >= LOOK;
        if self.looked.is_none_or(is_due) {
            self.looked = Some(now);
            self.look();
        }
        &self.shown
    }

    /// Takes what has changed. What cannot be used is logged once, and the one before stays.
    fn look(&mut self) {
        let Some((chain, key)) = self.certificate.files() else {
            return;
        };
        // Before they are read, so that a change meanwhile is seen the next time.
        let stamps = [Some(chain), key].map(Stamp::of);
        if self.stamps != Some(stamps) && !stamps.contains(&Stamp::Special) {
            match read(chain, key) {
                Ok(certificate) if self.is(&certificate) => {}
                Ok(certificate) => match Self::new(&certificate) {
                    Ok(new) => {
                        let end = new.shown.end();
                        if let Some(name) = self.name_that_lacks(&certificate) {
                            warn!(
                                "{chain:?}: the new certificate is not for {name}, as the one before was: clients that know this resolver by that name will refuse it"
                            );
                        }
                        info!(
                            "{chain:?}: clients over TLS and HTTPS get this new certificate from now on; it ends at {end}"
                        );
                        *self = Self {
                            looked: self.looked,
                            warned: false,
                            ..new
                        };
                    }
                    Err(error) => self.stays(&error.to_string()),
                },
                Err(why) => self.stays(&why),
            }
            self.stamps = Some(stamps);
        }
        if !self.warned
            && let Some(remark) = self.shown.remark()
        {
            warn!("clients over TLS and HTTPS: {remark}");
            self.warned = true;
        }
    }

    /// The name of the certificate that is shown, if another one is not for it.
    fn name_that_lacks(&self, new: &ServerCertificate) -> Option<String> {
        let name = CertificateNames::read(self.certificate.chain())?.host_name()?;
        let new = CertificateNames::read(new.chain())?;
        (!new.covers(&name)).then_some(name)
    }

    fn stays(&self, why: &str) {
        let files = self.certificate.files();
        let file = files.map_or("", |(chain, _)| chain);
        let end = self.shown.end();
        warn!(
            "{file:?} has changed and cannot be used: {why}; clients over TLS and HTTPS get the certificate of before, which ends at {end}"
        );
    }
}

/// Reads the files again.
fn read(chain: &str, key: Option<&str>) -> Result<ServerCertificate, String> {
    let octets = |file: &str| {
        let read = read_limited(Path::new(file), PEM_OCTETS);
        read.map_err(|why| format!("{file:?}: {why}"))
    };
    let private = key.map(octets).transpose()?;
    Ok(ServerCertificate::new(octets(chain)?, private).with_files(chain, key))
}
