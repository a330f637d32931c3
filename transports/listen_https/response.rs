//! The head of what a client gets (RFC 8484 section 4.2). Pure.

use super::MEDIA_TYPE;
use crate::wire::freshness;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

/// The head of a response that has this message.
pub fn head(message: &[u8]) -> Response<()> {
    let mut head = Response::new(());
    let headers = head.headers_mut();
    headers.insert(CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(message.len()));
    // RFC 8484 section 5.1: what is kept must not outlive the records.
    let control = match freshness(message) {
        Some(seconds) => HeaderValue::try_from(format!("max-age={seconds}")).ok(),
        None => None,
    };
    let control = control.unwrap_or(HeaderValue::from_static("no-store"));
    headers.insert(CACHE_CONTROL, control);
    head
}

/// The head of a response that has none.
pub fn refusal(status: StatusCode) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = status;
    let headers = head.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        // RFC 9110 section 15.5.6.
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing;

    fn shown(head: &Response<()>) -> String {
        let headers = head.headers().iter();
        let headers = headers.map(|(name, value)| format!("; {name}: {}", value.to_str().unwrap()));
        head.status().as_u16().to_string() + &headers.collect::<String>()
    }

    // req 109
    #[test]
    fn a_response_may_be_kept_as_long_as_its_records() {
        let answer = testing::response("a.test.", 1).a(300, [192, 0, 2, 1]);
        let answer = answer.a(60, [192, 0, 2, 2]).build();
        assert_eq!(
            shown(&head(&answer)),
            "200; content-type: application/dns-message; content-length: 56; cache-control: max-age=60"
        );
        let failure = testing::header_only(0x8182).build();
        assert_eq!(
            shown(&head(&failure)),
            "200; content-type: application/dns-message; content-length: 12; cache-control: no-store"
        );
    }

    // req 108
    #[test]
    fn a_refusal_of_a_method_names_those_that_are_allowed() {
        let status = |code| StatusCode::from_u16(code).unwrap();
        assert_eq!(shown(&refusal(status(404))), "404; content-length: 0");
        assert_eq!(
            shown(&refusal(status(405))),
            "405; content-length: 0; allow: GET, POST"
        );
    }
}
