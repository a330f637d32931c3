//! Errors of DNS over QUIC and of QUIC below it, as the core and the log have them.

use crate::runtime::Runtime;
use crate::transport::{ConnectError, ConnectionError, system_message};
use crate::transports::tls::Target;
use quinn_proto::{ConnectionError as Lost, TransportErrorCode, VarInt};
use std::io;

/// `DOQ_NO_ERROR` (RFC 9250 section 4.3).
pub const NO_ERROR: VarInt = VarInt::from_u32(0);
/// `DOQ_PROTOCOL_ERROR`.
pub const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
/// `DOQ_REQUEST_CANCELLED`.
pub const REQUEST_CANCELLED: VarInt = VarInt::from_u32(3);

/// What an error code of DNS over QUIC means (RFC 9250 sections 4.3 and 8.4).
fn meaning(code: VarInt) -> String {
    match code.into_inner() {
        0 => "no error (DOQ_NO_ERROR)".into(),
        1 => "an internal error (DOQ_INTERNAL_ERROR)".into(),
        2 => "that we violate the protocol (DOQ_PROTOCOL_ERROR)".into(),
        3 => "that it cancels (DOQ_REQUEST_CANCELLED)".into(),
        4 => "that it has too much load (DOQ_EXCESSIVE_LOAD)".into(),
        5 => "an error without a reason (DOQ_UNSPECIFIED_ERROR)".into(),
        0xD098_EA5E => "an error for tests (DOQ_ERROR_RESERVED)".into(),
        other => format!("error {other:#x}, which DNS over QUIC does not have"),
    }
}

/// The server ends the stream of one query, in the place of a response.
pub fn of_stream(code: VarInt) -> ConnectionError {
    ConnectionError::Rejected(format!(
        "stream reset: the upstream reports {}",
        meaning(code)
    ))
}

/// The alert of TLS in an error code of QUIC (RFC 9001 section 4.8).
fn alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code).checked_sub(0x100)?;
    u8::try_from(code).ok()
}

/// Why a connection has ended. `is_idle`: no query was waiting for a response.
pub fn of_connection<R: Runtime>(why: &Lost, to: &Target<R>, is_idle: bool) -> ConnectionError {
    let reported = |what: String| ConnectionError::Io(format!("the upstream reports {what}"));
    match why {
        Lost::ApplicationClosed(close) if close.error_code == NO_ERROR => ConnectionError::Closed,
        Lost::ApplicationClosed(close) => reported(meaning(close.error_code)),
        Lost::ConnectionClosed(close) if close.error_code == TransportErrorCode::NO_ERROR => {
            ConnectionError::Closed
        }
        Lost::ConnectionClosed(close) => match alert(close.error_code) {
            Some(alert) => ConnectionError::Io(to.ends(alert)),
            None => reported(format!("an error of QUIC: {}", close.error_code)),
        },
        Lost::TimedOut if is_idle => ConnectionError::Closed,
        Lost::TimedOut => ConnectionError::Io("no datagram came for too long".into()),
        Lost::Reset => ConnectionError::Io(
            "the upstream does not know the connection any more (stateless reset)".into(),
        ),
        Lost::LocallyClosed => ConnectionError::Closed,
        Lost::TransportError(_) | Lost::VersionMismatch | Lost::CidsExhausted => {
            ConnectionError::Protocol("what comes is not as QUIC has it (RFC 9000)")
        }
    }
}

/// Why a handshake has failed. `refusal`: what is wrong with the proof of the server.
pub fn of_handshake<R: Runtime>(
    why: &Lost,
    to: &Target<R>,
    refusal: Option<&rustls::Error>,
) -> ConnectError {
    if let Some(refusal) = refusal {
        return to.refused(refusal);
    }
    let failed = |why: String| ConnectError::Handshake(why);
    match why {
        Lost::ConnectionClosed(close) => match alert(close.error_code) {
            Some(alert) => to.refuses(alert),
            None => failed(format!("the server ended it: {}", close.error_code)),
        },
        // By this alert TLS refuses a server that chooses no protocol name.
        Lost::TransportError(error) if alert(error.code) == Some(NO_APPLICATION_PROTOCOL) => {
            to.refuses(NO_APPLICATION_PROTOCOL)
        }
        Lost::TransportError(error) => failed(format!("what the server says is odd: {error}")),
        Lost::ApplicationClosed(close) => {
            failed(format!("the server reports {}", meaning(close.error_code)))
        }
        Lost::VersionMismatch => failed("the server does not speak version 1 of QUIC".into()),
        Lost::TimedOut => ConnectError::TimedOut,
        Lost::Reset | Lost::LocallyClosed | Lost::CidsExhausted => failed(why.to_string()),
    }
}

/// The alert `no_application_protocol` (RFC 7301 section 3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// The socket of a connection failed.
pub fn of_socket(error: &io::Error) -> ConnectionError {
    ConnectionError::Io(system_message(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    // req 100
    #[test]
    fn error_codes_are_told_by_their_names() {
        let told = |code| of_stream(VarInt::from_u32(code)).to_string();
        for (code, name) in [
            (0, "DOQ_NO_ERROR"),
            (1, "DOQ_INTERNAL_ERROR"),
            (2, "DOQ_PROTOCOL_ERROR"),
            (3, "DOQ_REQUEST_CANCELLED"),
            (4, "DOQ_EXCESSIVE_LOAD"),
            (5, "DOQ_UNSPECIFIED_ERROR"),
            (0xD098_EA5E, "DOQ_ERROR_RESERVED"),
            (0x77, "error 0x77"),
        ] {
            let told = told(code);
            assert!(
                told.starts_with("no DNS response: stream reset: "),
                "{told}"
            );
            assert!(told.contains(name), "{told}");
        }
    }

    #[test]
    fn an_alert_of_tls_is_an_error_of_quic() {
        assert_eq!(alert(TransportErrorCode::crypto(120)), Some(120));
        assert_eq!(alert(TransportErrorCode::crypto(255)), Some(255));
        assert_eq!(alert(TransportErrorCode::PROTOCOL_VIOLATION), None);
        assert_eq!(alert(TransportErrorCode::NO_ERROR), None);
    }
}
