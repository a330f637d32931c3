//! Certificates of servers that end soon.

use super::error_messages::date;
use super::inspect::not_after;
use super::pins;
use crate::config::Pin;
use crate::locks::lock;
use log::warn;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// A certificate that is valid for no longer than this is warned of. What renews certificates by itself has done so by then: usually 30
/// days before the end.
pub const SOON: Duration = Duration::from_secs(14 * DAY);
/// One day, in seconds.
const DAY: u64 = 24 * 60 * 60;
/// The most certificates that are remembered as warned of. With more, some are warned of again.
const MAX_TOLD: usize = 256;

/// Shared by all workers, so that none repeats what another one said.
pub static EXPIRY: Expiry = Expiry::new();

/// Warns of certificates that end soon, of each once.
pub struct Expiry {
    /// The digests of the certificates that were warned of.
    told: Mutex<BTreeSet<Pin>>,
}

impl Expiry {
    const fn new() -> Self {
        let told = Mutex::new(BTreeSet::new());
        Self { told }
    }

    /// A server has shown this certificate in a full handshake. Gives how long it is still valid: zero after its end, `None` if it cannot be
    /// read.
    pub fn note(
        &self,
        label: &str,
        addr: SocketAddr,
        shown: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Option<Duration> {
        let end = not_after(shown)?;
        let left = Duration::from_secs(end.saturating_sub(now.as_secs()));
        if left <= SOON && self.is_new(pins::of_key(shown)) {
            warn!(
                "{label} {addr}: its certificate {}",
                warning(end, now, REMEDY)
            );
        }
        Some(left)
    }

    /// Whether this certificate is to be warned of: only the first time.
    fn is_new(&self, digest: Pin) -> bool {
        let mut told = lock(&self.told);
        if told.len() >= MAX_TOLD && !told.contains(&digest) {
            told.pop_first();
        }
        told.insert(digest)
    }
}

/// What is said of a certificate that ends at this time, in seconds since 1970, and what can be done.
pub fn warning(end: u64, now: UnixTime, remedy: &str) -> String {
    let at = date(UnixTime::since_unix_epoch(Duration::from_secs(end)));
    let left = end.saturating_sub(now.as_secs());
    let within = match left / DAY {
        _ if left == 0 => {
            let says = date(now);
            return format!(
                "has ended at {at}: {remedy}, or set this machine's clock, which says {says}"
            );
        }
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    format!("ends at {at}, in {within}: {remedy}")
}

/// What can be done about a certificate that ends soon.
pub const REMEDY: &str =
    "renew it on the server, or tell the operator of that resolver that it is due";

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn certificate(left: Duration, now: UnixTime) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch;
        params.not_after = epoch + Duration::from_secs(now.as_secs()) + left;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_is_warned_of_once_if_it_ends_within_14_days() {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        let addr = "192.0.2.1:853".parse().unwrap();
        let expiry = Expiry::new();
        let told = || lock(&expiry.told).len();
        let note = |shown: &CertificateDer<'_>, now| expiry.note("u", addr, shown, now);
        let days = |days| Duration::from_secs(days * DAY);
        let later = certificate(days(15), now);
        assert_eq!((note(&later, now), told()), (Some(days(15)), 0));
        let soon = certificate(days(13), now);
        for _ in 0..2 {
            assert_eq!((note(&soon, now), told()), (Some(days(13)), 1));
        }
        let two_days_on = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + days(2));
        assert_eq!((note(&later, two_days_on), told()), (Some(days(13)), 2));
        let ended = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + days(20));
        assert_eq!(note(&soon, ended), Some(Duration::ZERO));
        let garbage = CertificateDer::from(vec![0x30, 0x80, 1]);
        assert_eq!((note(&garbage, now), told()), (None, 2));
    }

    #[test]
    fn the_clock_may_be_wrong_by_which_a_certificate_has_ended() {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        let ended = warning(now.as_secs() - DAY, now, REMEDY);
        assert!(
            ended.starts_with("has ended at 2027-01-14T08:00:00Z: renew it on the server, or "),
            "{ended}"
        );
        let clock = ", or set this machine's clock, which says 2027-01-15T08:00:00Z";
        assert!(ended.ends_with(clock), "{ended}");
        for (left, said) in [
            (DAY - 1, "less than a day"),
            (DAY, "1 day"),
            (3 * DAY, "3 days"),
        ] {
            let ends = warning(now.as_secs() + left, now, REMEDY);
            let said = format!(", in {said}: {REMEDY}");
            assert!(
                ends.starts_with("ends at ") && ends.ends_with(&said),
                "{ends}"
            );
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let expiry = Expiry::new();
        for number in 0..=MAX_TOLD {
            let digest = pins::of_key(&number.to_be_bytes());
            assert!(expiry.is_new(digest));
            assert!(!expiry.is_new(digest));
        }
        assert_eq!(lock(&expiry.told).len(), MAX_TOLD);
    }
}
