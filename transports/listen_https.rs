//! DNS over HTTPS towards clients (RFC 8484), by HTTP/2 (RFC 9113), over any runtime.
//!
//! For the shell a connection is a stream of messages with their length in front, as DNS over TCP is, so that it has the same bounds. Each
//! request becomes such a message, under an id that no other query of the connection has, and each response goes back on the stream of the
//! request with that id.

mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;

pub use self::stream::HttpsStream;

use crate::config::{Config, ConfigError};
use crate::runtime::ByteStream;
use http::HeaderValue;
use std::io;

/// The media type of DNS messages (RFC 8484 section 6).
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/dns-message");
/// The most octets of a DNS message.
const MAX_MESSAGE: usize = 65_535;

/// Nothing is refused that this build has.
pub fn check(_config: &Config) -> Result<(), ConfigError> {
    Ok(())
}

/// HTTP/2 over a stream whose handshake has not begun, with at most so many requests at once.
pub fn over_tls<S: ByteStream>(stream: S, requests: usize) -> io::Result<HttpsStream<S>> {
    Ok(HttpsStream::new(stream, requests))
}
