//! What a request asks (RFC 8484 section 4.1), or with which status it is refused. Pure.

use super::{MAX_MESSAGE, MEDIA_TYPE};
use crate::wire::{Refusal, parse_query};
use data_encoding::BASE64URL_NOPAD;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

/// The path of all requests, as in most URI templates of others.
const PATH: &str = "/dns-query";
/// The variable of a GET request.
const VARIABLE: &str = "dns=";

/// Where the query is.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// There.
    Message(Vec<u8>),
    /// In the body.
    Body,
}

/// Reads the head of a request. An error is the status with which it is refused.
pub fn wanted(head: &Parts) -> Result<Wanted, StatusCode> {
    if head.uri.path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    match head.method {
        Method::GET => in_uri(&head.uri).map(Wanted::Message),
        Method::POST => in_body(&head.headers).map(|()| Wanted::Body),
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// RFC 8484 section 4.1: base64url (RFC 4648 section 5) without padding.
fn in_uri(uri: &Uri) -> Result<Vec<u8>, StatusCode> {
    let mut variables = uri.query().unwrap_or_default().split('&');
    let encoded = variables.find_map(|one| one.strip_prefix(VARIABLE));
    let encoded = encoded.ok_or(StatusCode::BAD_REQUEST)?;
    let decoded = BASE64URL_NOPAD.decode(encoded.as_bytes());
    checked(decoded.map_err(|_| StatusCode::BAD_REQUEST)?)
}

fn in_body(headers: &HeaderMap) -> Result<(), StatusCode> {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    // Parameters may follow.
    let mut parts = media_type.unwrap_or_default().split(|octet| *octet == b';');
    let essence = parts.next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length > MAX_MESSAGE => Err(StatusCode::PAYLOAD_TOO_LARGE),
        _ => Ok(()),
    }
}

/// A message to which there will be a response.
pub fn checked(message: Vec<u8>) -> Result<Vec<u8>, StatusCode> {
    match parse_query(&message) {
        // It has no header, or is a response itself.
        Err(Refusal::Drop) => Err(StatusCode::BAD_REQUEST),
        Ok(_) | Err(Refusal::Answer { .. }) => Ok(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing;
    use http::Request;

    fn read(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Wanted, u16> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        wanted(&head).map_err(|status| status.as_u16())
    }

    // req 108
    #[test]
    fn a_get_request_has_the_query_in_its_uri() {
        let query = testing::query("a.test.", 1).build();
        let encoded = BASE64URL_NOPAD.encode(&query);
        let found = Ok(Wanted::Message(query.clone()));
        for variables in [
            format!("dns={encoded}"),
            format!("x=1&dns={encoded}&dns=AAAA"),
        ] {
            let uri = format!("https://dns.test/dns-query?{variables}");
            assert_eq!(read("GET", &uri, &[]), found);
        }
        for variables in [
            "",
            "?",
            "?dns=",
            "?dns=AAABAAAB",
            "?dns=*",
            "?DNS=AAAA",
            // Padding.
            &format!("?dns={}", data_encoding::BASE64URL.encode(&[0; 13])),
            // Not the alphabet for URIs.
            "?dns=++++++++++++++++++++++++",
            // A response.
            &format!(
                "?dns={}",
                BASE64URL_NOPAD.encode(&testing::response("a.test.", 1).build())
            ),
        ] {
            let uri = format!("https://dns.test/dns-query{variables}");
            assert_eq!(read("GET", &uri, &[]), Err(400), "{uri}");
        }
    }

    // req 108
    #[test]
    fn what_is_no_query_is_refused_with_the_status_for_that() {
        let ours = ("content-type", "application/dns-message");
        let uri = "https://dns.test/dns-query";
        assert_eq!(read("POST", uri, &[ours]), Ok(Wanted::Body));
        let capitals = ("content-type", "Application/DNS-Message ; charset=utf-8");
        assert_eq!(read("POST", uri, &[capitals]), Ok(Wanted::Body));
        let exact = [ours, ("content-length", "65535")];
        assert_eq!(read("POST", uri, &exact), Ok(Wanted::Body));
        let long = [ours, ("content-length", "65536")];
        assert_eq!(read("POST", uri, &long), Err(413));
        for other in [
            "application/dns-json",
            "text/plain",
            "",
            "application/dns-message2",
        ] {
            assert_eq!(read("POST", uri, &[("content-type", other)]), Err(415));
        }
        assert_eq!(read("POST", uri, &[]), Err(415));
        for path in ["", "/", "/dns-query/", "/DNS-QUERY", "/resolve?dns=AAAA"] {
            let uri = format!("https://dns.test{path}");
            for method in ["GET", "POST", "PUT"] {
                assert_eq!(read(method, &uri, &[ours]), Err(404), "{method} {uri}");
            }
        }
        for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            assert_eq!(read(method, uri, &[ours]), Err(405), "{method}");
        }
    }

    #[test]
    fn a_query_that_gets_an_error_of_dns_is_one() {
        let mut other = testing::query("a.test.", 1).build();
        other[2] = 0x28;
        assert_eq!(checked(other.clone()), Ok(other));
        assert_eq!(checked(vec![0; 11]), Err(StatusCode::BAD_REQUEST));
        assert!(checked(vec![0; 12]).is_ok(), "it gets FORMERR");
    }
}
