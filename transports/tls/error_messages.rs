//! Error messages for what rustls reports: what is wrong, and what the operator can do.

use super::pins::WrongPin;
use super::trust::{SelfSigned, webpki_error};
use crate::engine::remedies;
use crate::transport::{ConnectError, system_message};
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

/// The most names of a certificate in a message; some have hundreds.
const MAX_NAMES: usize = 4;

/// No release of this program is older, in seconds since 1970: an earlier time on the clock is wrong. Moved up with each release.
const RELEASED: u64 = 1_793_750_400;

/// The certificate of this host is missing, or not accepted.
fn client_certificate(is_configured: bool) -> String {
    let found = if is_configured {
        "it refused the one that is configured"
    } else {
        "none is configured"
    };
    format!("the server demands a client certificate: {found} (client-certificate)")
}

/// The error of rustls within an error of a stream.
pub fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Why a handshake failed with the server of this name. An untrusted certificate is told apart from a broken connection.
/// `has_certificate`: a client certificate is configured.
pub fn handshake_error(error: &io::Error, name: &str, has_certificate: bool) -> ConnectError {
    let why = match tls_error(error) {
        Some(Error::InvalidCertificate(why)) => return certificate_error(why, name),
        Some(Error::NoCertificatesPresented) => {
            return ConnectError::Unauthenticated {
                why: "the server shows no certificate".into(),
                remedy: String::new(),
            };
        }
        Some(Error::AlertReceived(alert)) if is_about_client_certificate(*alert) => {
            client_certificate(has_certificate)
        }
        // Before TLS 1.3 a client that has no certificate to show is refused like this.
        Some(Error::AlertReceived(AlertDescription::HandshakeFailure)) => {
            "the server ended it: handshake failure (no common settings, or it wants a client certificate)".into()
        }
        Some(Error::AlertReceived(alert)) => {
            format!("the server ended it: {}", spaced(alert))
        }
        Some(Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )) => "what the server says is not TLS".into(),
        Some(Error::InvalidMessage(why)) => format!("the server's TLS is odd: {}", spaced(why)),
        Some(Error::PeerIncompatible(why)) => {
            format!("no common ground with the server: {}", spaced(why))
        }
        Some(Error::PeerMisbehaved(why)) => format!("the server misbehaves: {}", spaced(why)),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection".into()
        }
        None => system_message(error),
    };
    ConnectError::Handshake(why)
}

/// What a server says that it wants a client certificate, and takes none or not this one.
fn is_about_client_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
    )
}

/// An error of a connection after its handshake, in words where it is one of TLS. `has_certificate`: a client certificate is configured.
pub fn stream_error(error: io::Error, has_certificate: bool) -> io::Error {
    let words = match tls_error(&error) {
        // With TLS 1.3 the server has the last word of the handshake, when the client has sent its queries already.
        Some(Error::AlertReceived(alert)) if is_about_client_certificate(*alert) => {
            client_certificate(has_certificate)
        }
        Some(Error::AlertReceived(alert)) => {
            format!("the server ended it by a TLS alert: {}", spaced(alert))
        }
        _ => return error,
    };
    io::Error::new(error.kind(), words)
}

/// Did the server refuse because of the protocol name that was offered (RFC 7301 section 3.2)?
pub fn is_alpn_refusal(error: &io::Error) -> bool {
    let refusal = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    tls_error(error) == Some(&refusal)
}

/// What is wrong with a certificate, and what can be done.
pub fn certificate_error(error: &CertificateError, name: &str) -> ConnectError {
    let both = |why: &str, remedy: &str| (why.to_owned(), remedy.to_owned());
    let (why, remedy) = match error {
        CertificateError::UnknownIssuer => both("unknown issuer", remedies::TRUST_AUTHORITY),
        CertificateError::ExpiredContext { time, not_after } => (
            format!("expired at {}", date(*not_after)),
            format!("{}, or {}", remedies::RENEW, clock(*time)),
        ),
        CertificateError::Expired => both("it ends before it begins to be valid", remedies::RENEW),
        CertificateError::NotValidYetContext { time, not_before } => (
            format!("not valid before {}", date(*not_before)),
            clock(*time),
        ),
        CertificateError::NotValidForNameContext { presented, .. } => (
            format!("it is for {}, not for {name}", names(presented)),
            match name.parse::<IpAddr>() {
                Ok(_) => {
                    "it must be for the address itself; if the server has a name, write IP#NAME"
                }
                Err(_) => remedies::CHECK_NAME,
            }
            .to_owned(),
        ),
        CertificateError::InvalidPurposeContext { .. } => both(
            "not made for a server (extended key usage)",
            remedies::REMAKE,
        ),
        CertificateError::BadEncoding => both("malformed", ""),
        CertificateError::BadSignature => {
            both("the signature on it, or of the handshake, is wrong", "")
        }
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => {
            both("self-signed", remedies::TRUST_OWN)
        }
        CertificateError::Other(other) if other.0.is::<WrongPin>() => {
            (other.to_string(), remedies::CHECK_PIN.to_owned())
        }
        CertificateError::Other(other) => match webpki_error(other) {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                both("it is an authority's, not a server's", remedies::TRUST_OWN)
            }
            Some(webpki::Error::UnsupportedCertVersion) => {
                both("its format is older than X.509 version 3", remedies::REMAKE)
            }
            Some(other) => (spaced(other), String::new()),
            None => (other.to_string(), String::new()),
        },
        other => (spaced(other), String::new()),
    };
    ConnectError::Unauthenticated {
        why: format!("certificate not trusted: {why}"),
        remedy,
    }
}

/// What to do about a clock that says this.
fn clock(time: UnixTime) -> String {
    let says = date(time);
    if time.as_secs() < RELEASED {
        let released = date(UnixTime::since_unix_epoch(Duration::from_secs(RELEASED)));
        return format!(
            "set this machine's clock: it says {says}, and this program was released after {released}"
        );
    }
    format!("check this machine's clock, which says {says}")
}

/// A time as people read it (RFC 3339).
pub fn date(time: UnixTime) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(time.as_secs());
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The names of a certificate without their types, such as `DnsName("a.test")`. Whoever sent it is not trusted: what is no printable ASCII is
/// escaped, so that a name neither ends a line nor moves a cursor.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inside = name.split_once('(').map_or(&**name, |(_, rest)| rest);
        inside.trim_matches(['"', ')']).escape_default().to_string()
    };
    let listed: Vec<String> = presented.iter().take(MAX_NAMES).map(bare).collect();
    match presented.len() {
        0 => "no host at all (the common name does not count)".into(),
        n if n > MAX_NAMES => format!("{} and {} more", listed.join(", "), n - MAX_NAMES),
        _ => listed.join(", "),
    }
}

/// The name of a variant such as `NoApplicationProtocol` as separate words.
fn spaced(variant: &impl std::fmt::Debug) -> String {
    let name = format!("{variant:?}");
    let end = name.find([' ', '(', '{']).unwrap_or(name.len());
    let mut text = String::new();
    for letter in name.chars().take(end) {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::PeerIncompatible;
    use rustls::pki_types::ServerName;

    fn told(error: Error) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        handshake_error(&error, "dns.test", false).to_string()
    }

    #[test]
    fn failures_are_told_in_words() {
        let alert = Error::AlertReceived(AlertDescription::HandshakeFailure);
        let words = "handshake failed: the server ended it: handshake failure (";
        assert!(told(alert).starts_with(words));
        let plain = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert_eq!(
            told(plain),
            "handshake failed: what the server says is not TLS"
        );
        let huge = Error::InvalidMessage(InvalidMessage::CertificatePayloadTooLarge);
        assert!(told(huge).ends_with("TLS is odd: certificate payload too large"));
        let old = Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13);
        assert!(told(old).ends_with("server does not support tls12 or13"));
        let closed = io::ErrorKind::UnexpectedEof.into();
        let words = "handshake failed: the server closed the connection";
        assert_eq!(
            handshake_error(&closed, "dns.test", false).to_string(),
            words
        );
    }

    #[test]
    fn a_client_certificate_that_is_missing_is_told_from_one_that_is_refused() {
        for (is_configured, found) in [
            (false, "none is configured"),
            (true, "it refused the one that is configured"),
        ] {
            let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
            let error = io::Error::new(io::ErrorKind::InvalidData, alert);
            let words =
                format!("the server demands a client certificate: {found} (client-certificate)");
            let told = handshake_error(&error, "dns.test", is_configured).to_string();
            assert_eq!(told, format!("handshake failed: {words}"));
            assert_eq!(stream_error(error, is_configured).to_string(), words);
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_comes_with_a_remedy() {
        // fault 36
        let end = UnixTime::since_unix_epoch(Duration::from_secs(951_782_400));
        let name = ServerName::try_from("dns.test").unwrap();
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: name.clone(),
            presented: presented.iter().map(ToString::to_string).collect(),
        };
        let many = [r#"DnsName("a.test")"#; 7];
        let cases = [
            (
                CertificateError::UnknownIssuer,
                "unknown issuer",
                "(ca-file)",
            ),
            (
                CertificateError::ExpiredContext {
                    time: end,
                    not_after: end,
                },
                "expired at 2000-02-29T00:00:00Z",
                "renew it on the server, or set this machine's clock: it says 2000-02-29T00:00:00Z, and this program was released after 2026",
            ),
            (
                CertificateError::NotValidYetContext {
                    time: end,
                    not_before: end,
                },
                "not valid before 2000-02-29T00:00:00Z",
                "set this machine's clock",
            ),
            (
                names(&[r#"DnsName("a.test")"#, "IpAddress(192.0.2.1)"]),
                "it is for a.test, 192.0.2.1, not for dns.test",
                "the name behind #",
            ),
            (names(&many), "a.test and 3 more, not for dns.test", ""),
            (names(&[]), "the common name does not count", ""),
            (CertificateError::Revoked, "revoked", ""),
            (
                CertificateError::UnhandledCriticalExtension,
                "unhandled critical extension",
                "",
            ),
        ];
        for (error, words, advice) in cases {
            let ConnectError::Unauthenticated { why, remedy } =
                certificate_error(&error, "dns.test")
            else {
                panic!("{error:?} is about who it is");
            };
            assert!(why.starts_with("certificate not trusted: "), "{why}");
            assert!(why.contains(words), "{why}");
            assert!(remedy.contains(advice), "{remedy}");
        }
    }

    #[test]
    fn a_clock_that_may_be_right_is_to_be_checked() {
        let at = |seconds| clock(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        assert!(at(RELEASED - 1).starts_with("set this machine's clock: it says 2026-"));
        assert!(at(RELEASED).starts_with("check this machine's clock, which says 2026-"));
    }

    #[test]
    fn a_name_in_a_certificate_that_is_not_trusted_stays_on_its_line() {
        let presented = ["DnsName(\"evil\u{1b}[2J\r\n\u{9b}\u{202e}.test\")".to_owned()];
        assert_eq!(names(&presented), r"evil\u{1b}[2J\r\n\u{9b}\u{202e}.test");
    }
}
