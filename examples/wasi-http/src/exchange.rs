//! One request to an upstream and its response, by `wasi:http/outgoing-handler`.
#![forbid(unsafe_code)]

use crate::reactor::Reactor;
use crate::requests::{MAX_MESSAGE, MEDIA_TYPE};
use std::fmt;
use std::future::poll_fn;
use std::time::Duration;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::StreamError;

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether TLS is spoken. The host then verifies the certificate for the authority.
    pub encrypted: bool,
    /// The name or address, and the port unless it is the usual one.
    pub authority: String,
    /// The path.
    pub path: String,
}

/// Why there is no DNS message.
#[derive(Debug)]
pub enum Failure {
    /// The host could not make the exchange: it reaches no upstream, or this one is not who it should be.
    Host(ErrorCode),
    /// The upstream responds with something else. This says with what.
    Response(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(code) => f.write_str(&described(code)),
            Self::Response(why) => f.write_str(why),
        }
    }
}

/// By the name that WASI has for it.
pub fn described(code: &ErrorCode) -> String {
    format!("{code:?}").replace("ErrorCode::", "")
}

/// Sends a message, and waits for the one that comes back. Dropping this gives it up.
pub async fn exchange(
    reactor: &Reactor,
    target: &Target,
    limit: Duration,
    message: &[u8],
) -> Result<Vec<u8>, Failure> {
    let request = request(target, message.len())?;
    let body = request.body().or(Err(denied()))?;
    let options = RequestOptions::new();
    let limit = u64::try_from(limit.as_nanos()).ok();
    // Where the host has no such limits, the core has its own: it gives a query up in time.
    let _limited = options.set_connect_timeout(limit);
    let _limited = options.set_first_byte_timeout(limit);
    let _limited = options.set_between_bytes_timeout(limit);
    let coming = outgoing_handler::handle(request, Some(options)).map_err(Failure::Host)?;
    // A server may respond before it has read everything, and what becomes of the request shows in the response.
    let _sent = send(reactor, body, message).await;
    ready(reactor, coming.subscribe()).await;
    match coming.get() {
        Some(Ok(Ok(response))) => receive(reactor, &response).await,
        Some(Ok(Err(code))) => Err(Failure::Host(code)),
        None | Some(Err(())) => Err(denied()),
    }
}

/// There is nothing in it that tells one client from another (RFC 8484 section 8.2).
fn request(target: &Target, len: usize) -> Result<OutgoingRequest, Failure> {
    let fields = [
        ("accept", MEDIA_TYPE.to_owned()),
        ("content-type", MEDIA_TYPE.to_owned()),
        ("content-length", len.to_string()),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.into_bytes()));
    let fields = Fields::from_list(&fields).or(Err(denied()))?;
    let request = OutgoingRequest::new(fields);
    let scheme = if target.encrypted {
        Scheme::Https
    } else {
        Scheme::Http
    };
    request
        .set_method(&Method::Post)
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(&target.authority)))
        .and_then(|()| request.set_path_with_query(Some(&target.path)))
        .or(Err(denied()))?;
    Ok(request)
}

async fn send(reactor: &Reactor, body: OutgoingBody, message: &[u8]) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else {
        return Err(StreamError::Closed);
    };
    let mut rest = message;
    while !rest.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        let (piece, later) = rest.split_at(room.min(rest.len()));
        if piece.is_empty() {
            ready(reactor, stream.subscribe()).await;
            continue;
        }
        stream.write(piece)?;
        rest = later;
    }
    drop(stream);
    OutgoingBody::finish(body, None).or(Err(StreamError::Closed))
}

async fn receive(reactor: &Reactor, response: &IncomingResponse) -> Result<Vec<u8>, Failure> {
    let headers = response.headers();
    let field = |name: &str| headers.get(name).into_iter().next();
    check(response.status(), field("content-type").as_deref())?;
    let age = field("age").as_deref().map_or(0, age);
    let body = response.consume().or(Err(denied()))?;
    let mut message = read(reactor, &body).await?;
    if age > 0 {
        dotward::wire::lower_ttls(&mut message, age);
    }
    Ok(message)
}

async fn read(reactor: &Reactor, body: &IncomingBody) -> Result<Vec<u8>, Failure> {
    let stream = body.stream().or(Err(denied()))?;
    let mut message = Vec::new();
    loop {
        match stream.read(MAX_MESSAGE as u64 + 1) {
            Ok(piece) if piece.is_empty() => ready(reactor, stream.subscribe()).await,
            Ok(piece) => message.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(message),
            Err(StreamError::LastOperationFailed(_)) => {
                return Err(Failure::Host(ErrorCode::HttpResponseIncomplete));
            }
        }
        if message.len() > MAX_MESSAGE {
            return Err(Failure::Response(format!("more than {MAX_MESSAGE} octets")));
        }
    }
}

async fn ready(reactor: &Reactor, pollable: Pollable) {
    let watch = reactor.watch(pollable);
    poll_fn(|cx| watch.poll_ready(cx)).await;
}

/// What the host is not known to answer.
fn denied() -> Failure {
    Failure::Host(ErrorCode::HttpRequestDenied)
}

/// A response that bears a DNS message has status 200 and the media type of one (RFC 8484 section 4.2.1).
fn check(status: u16, content_type: Option<&[u8]>) -> Result<(), Failure> {
    if status != 200 {
        return Err(Failure::Response(format!("HTTP status {status}")));
    }
    let media_type = content_type.unwrap_or_default();
    // Parameters may follow.
    let essence = media_type.split(|octet| *octet == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(media_type);
    Err(Failure::Response(format!("media type {shown:?}")))
}

/// For how long a cache on the way has had a response, in seconds (RFC 9111 section 5.1). An age that cannot be read is none.
fn age(digits: &[u8]) -> u32 {
    let digits = str::from_utf8(digits).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    // RFC 9111 section 1.2.2: a larger number is as good as the largest.
    digits.parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: u16, content_type: Option<&str>) -> String {
        match check(status, content_type.map(str::as_bytes)) {
            Ok(()) => "taken".to_owned(),
            Err(why) => why.to_string(),
        }
    }

    // req 91, 118
    #[test]
    fn only_what_bears_a_dns_message_is_taken() {
        assert_eq!(shown(200, Some("application/dns-message")), "taken");
        assert_eq!(
            shown(200, Some("Application/DNS-Message ; charset=utf-8")),
            "taken"
        );
        assert_eq!(
            shown(404, Some("application/dns-message")),
            "HTTP status 404"
        );
        assert_eq!(shown(200, None), "media type \"\"");
        assert_eq!(shown(200, Some("text/html")), "media type \"text/html\"");
    }

    // req 92, 118
    #[test]
    fn an_age_is_digits() {
        for (text, seconds) in [("0", 0), ("60", 60), ("99999999999", u32::MAX)] {
            assert_eq!(age(text.as_bytes()), seconds, "{text}");
        }
        for text in ["", "-1", "+1", "1s", "\u{660}"] {
            assert_eq!(age(text.as_bytes()), 0, "{text}");
        }
    }
}
