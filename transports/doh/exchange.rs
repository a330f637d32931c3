//! One request and its response: a stream of HTTP/2.

use super::MEDIA_TYPE;
use crate::transport::ConnectionError;
use crate::wire;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The most octets of a DNS message.
const MAX_MESSAGE: usize = 65_535;

/// Informational responses (status 1xx) before the response. A server has no use for more than one or two.
const MAX_INFORMATIONAL: usize = 16;
/// What is said of a server that sends more.
const NO_RESPONSE: &str = "informational responses without end, and no response";

/// A query that was sent.
pub struct Exchange {
    /// Its message id in the core.
    id: u16,
    stream: u32,
    state: State,
}

enum State {
    Head {
        response: ResponseFuture,
        /// Informational responses that have come.
        informational: usize,
    },
    Body {
        body: RecvStream,
        /// For how long a cache on the way has had the response, in seconds.
        age: u32,
        message: Vec<u8>,
    },
}

/// What became of a query.
pub struct Done {
    pub id: u16,
    pub stream: u32,
    /// The response, with that id.
    pub result: Result<Vec<u8>, ConnectionError>,
}

impl Exchange {
    pub fn new(id: u16, response: ResponseFuture) -> Self {
        Self {
            id,
            stream: response.stream_id().as_u32(),
            state: State::Head {
                response,
                informational: 0,
            },
        }
    }

    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Vec<u8>, u32), ConnectionError>> {
        loop {
            match &mut self.state {
                State::Head {
                    response,
                    informational,
                } => {
                    // Its errors are those of the response.
                    while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
                        *informational += 1;
                        if *informational > MAX_INFORMATIONAL {
                            return Poll::Ready(Err(ConnectionError::Protocol(NO_RESPONSE)));
                        }
                    }
                    let response = ready!(Pin::new(response).poll(cx)).map_err(|e| failure(&e))?;
                    let (head, body) = response.into_parts();
                    check(head.status, &head.headers)?;
                    self.state = State::Body {
                        body,
                        age: age(&head.headers),
                        message: Vec::new(),
                    };
                }
                State::Body { body, age, message } => {
                    let Some(part) = ready!(body.poll_data(cx)) else {
                        return Poll::Ready(Ok((std::mem::take(message), *age)));
                    };
                    let part = part.map_err(|error| failure(&error))?;
                    if message.len() + part.len() > MAX_MESSAGE {
                        return Poll::Ready(Err(too_long()));
                    }
                    message.extend_from_slice(&part);
                    // It fails only for more than has come.
                    let _released = body.flow_control().release_capacity(part.len());
                }
            }
        }
    }
}

impl Future for Exchange {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Done> {
        let message = ready!(self.poll_message(cx));
        Poll::Ready(Done {
            id: self.id,
            stream: self.stream,
            result: message.and_then(|(message, age)| finished(message, self.id, age)),
        })
    }
}

/// The message as the core gets it: under the id of the query, and with TTLs that are as old as the response (RFC 8484 section 5.1).
fn finished(mut message: Vec<u8>, id: u16, age: u32) -> Result<Vec<u8>, ConnectionError> {
    let Some(head) = message.first_chunk_mut() else {
        let why = format!("{} octets", message.len());
        return Err(ConnectionError::Rejected(why));
    };
    *head = id.to_be_bytes();
    if age > 0 {
        wire::lower_ttls(&mut message, age);
    }
    Ok(message)
}

/// A response that bears a DNS message has status 200 and the media type of one (RFC 8484 section 4.2.1).
fn check(status: StatusCode, headers: &HeaderMap) -> Result<(), ConnectionError> {
    if status != StatusCode::OK {
        let why = format!("HTTP status {}", status.as_u16());
        return Err(ConnectionError::Rejected(why));
    }
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let media_type = media_type.unwrap_or_default();
    // Parameters may follow.
    let essence = media_type.split(|octet| *octet == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()) {
        let why = format!("media type {:?}", String::from_utf8_lossy(media_type));
        return Err(ConnectionError::Rejected(why));
    }
    match number(headers, &CONTENT_LENGTH) {
        Some(length) if length as usize > MAX_MESSAGE => Err(too_long()),
        _ => Ok(()),
    }
}

fn too_long() -> ConnectionError {
    ConnectionError::Rejected(format!("more than {MAX_MESSAGE} octets"))
}

/// RFC 9111 section 5.1. An age that cannot be read is none.
fn age(headers: &HeaderMap) -> u32 {
    number(headers, &AGE).unwrap_or_default()
}

fn number(headers: &HeaderMap, name: &http::HeaderName) -> Option<u32> {
    let digits = headers.get(name)?.to_str().ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // RFC 9111 section 1.2.2: a larger number is as good as the largest.
    plain.then(|| digits.parse().unwrap_or(u32::MAX))
}

/// Why a stream ended without a response.
fn failure(error: &h2::Error) -> ConnectionError {
    match error.reason() {
        // The streams of queries that the server has not processed, and will not (RFC 9113 section 8.7).
        _ if error.is_go_away() && error.is_remote() => ConnectionError::Unprocessed,
        Some(Reason::REFUSED_STREAM) if error.is_reset() => ConnectionError::Unprocessed,
        Some(reason) if error.is_reset() => {
            ConnectionError::Rejected(format!("stream reset: {}", reason.description()))
        }
        _ => ConnectionError::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let all = all.iter();
        all.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    fn shown(status: u16, all: &[(&'static str, &'static str)]) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        check(status, &headers(all)).map_or_else(|why| why.to_string(), |()| "taken".to_owned())
    }

    // req 91
    #[test]
    fn only_what_bears_a_dns_message_is_taken() {
        let ours = ("content-type", "application/dns-message");
        assert_eq!(shown(200, &[ours]), "taken");
        assert_eq!(shown(200, &[ours, ("content-length", "65535")]), "taken");
        let capitals = ("content-type", "Application/DNS-Message ; charset=utf-8");
        assert_eq!(shown(200, &[capitals]), "taken");
        let long = shown(200, &[ours, ("content-length", "65536")]);
        assert_eq!(long, "no DNS response: more than 65535 octets");
        for status in [204, 301, 404, 500, 503] {
            let rejected = format!("no DNS response: HTTP status {status}");
            assert_eq!(shown(status, &[ours]), rejected);
        }
        let html = shown(200, &[("content-type", "text/html")]);
        assert_eq!(html, "no DNS response: media type \"text/html\"");
        assert_eq!(shown(200, &[]), "no DNS response: media type \"\"");
        let json = shown(200, &[("content-type", "application/dns-message+json")]);
        assert!(json.contains("+json"), "{json}");
    }

    // req 92
    #[test]
    fn an_age_is_digits() {
        for (value, expected) in [
            ("0", 0),
            ("7", 7),
            ("99999999999", u32::MAX),
            ("-1", 0),
            ("1.5", 0),
            ("", 0),
        ] {
            assert_eq!(age(&headers(&[("age", value)])), expected, "{value}");
        }
        assert_eq!(age(&headers(&[])), 0);
    }

    #[test]
    fn a_message_gets_its_id_back() {
        let back = finished(vec![0, 0, 0x80, 0], 0x1234, 0).unwrap();
        assert_eq!(back, [0x12, 0x34, 0x80, 0]);
        for len in [0, 1] {
            let why = finished(vec![0; len], 1, 0).unwrap_err();
            let expected = format!("no DNS response: {len} octets");
            assert_eq!(why.to_string(), expected);
        }
    }
}
