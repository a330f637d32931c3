//! HTTP towards clients: the DNS message of a request (RFC 8484 section 4.1), and the response.
#![forbid(unsafe_code)]

use data_encoding::BASE64URL_NOPAD;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

/// The media type of DNS messages (RFC 8484 section 6).
pub const MEDIA_TYPE: &str = "application/dns-message";
/// A DNS message has no more octets than its length prefix can say (RFC 1035 section 4.2.2).
pub const MAX_MESSAGE: usize = 65_535;
/// Octets of a body that are read although it is too long for a message, or the request is refused for another reason.
const MAX_REFUSED: usize = 1024 * 1024;
/// Where DNS is.
const PATH: &str = "/dns-query";
/// Octets of a body that are read at once.
const PIECE: u64 = 16 * 1024;
/// Octets that the host takes in one call that waits.
const MAX_WRITE: usize = 4_096;

/// A DNS message, and for how many seconds HTTP may keep it.
pub struct Answer {
    /// The message.
    pub message: Vec<u8>,
    /// Its freshness lifetime (RFC 8484 section 5.1).
    pub freshness: u32,
}

/// A request that gets an HTTP error.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// What is wrong, for people.
    pub why: &'static str,
}

impl Refusal {
    /// This component cannot do its work: its log says why.
    pub const FAILED: Self = Self::new(502, "the resolver failed");
    const TOO_LONG: Self = Self::new(413, "too long for a DNS message");

    /// With this status.
    pub const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }
}

/// What of a request says where its message is.
struct Head<'a> {
    method: &'a Method,
    target: &'a str,
    content_type: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
}

/// Where the message of a request is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// In its URI. This is it.
    Uri(Vec<u8>),
    Body,
}

/// The DNS message in a request.
pub fn message_of(request: &IncomingRequest) -> Result<Vec<u8>, Refusal> {
    let headers = request.headers();
    let field = |name: &str| headers.get(name).into_iter().next();
    let (content_type, content_length) = (field("content-type"), field("content-length"));
    let head = Head {
        method: &request.method(),
        target: &request.path_with_query().unwrap_or_default(),
        content_type: content_type.as_deref(),
        content_length: content_length.as_deref(),
    };
    match place(&head) {
        Ok(Place::Uri(message)) => Ok(message),
        Ok(Place::Body) => body_of(request),
        Err(refusal) => {
            // A host may close a connection with a body on it that nobody has read, and a client that writes then sees no response.
            let _read_or_not = read_body(request, MAX_REFUSED);
            Err(refusal)
        }
    }
}

fn place(head: &Head<'_>) -> Result<Place, Refusal> {
    let (path, query) = head.target.split_once('?').unwrap_or((head.target, ""));
    if path != PATH {
        return Err(Refusal::new(404, "DNS over HTTPS is at /dns-query"));
    }
    match head.method {
        Method::Get => decoded(query).map(Place::Uri),
        Method::Post => check_body(head).map(|()| Place::Body),
        _ => Err(Refusal::new(405, "GET or POST")),
    }
}

/// base64url without padding (RFC 4648 section 5).
fn decoded(query: &str) -> Result<Vec<u8>, Refusal> {
    let mut parameters = query.split('&').filter_map(|one| one.split_once('='));
    let (_, text) = (parameters.find(|(name, _)| *name == "dns"))
        .ok_or(Refusal::new(400, "the parameter dns is missing"))?;
    let message = BASE64URL_NOPAD.decode(text.as_bytes());
    let message = message.or(Err(Refusal::new(400, "the parameter dns is not base64url")))?;
    if message.len() > MAX_MESSAGE {
        return Err(Refusal::TOO_LONG);
    }
    Ok(message)
}

fn check_body(head: &Head<'_>) -> Result<(), Refusal> {
    // Parameters may follow.
    let essence = head
        .content_type
        .unwrap_or_default()
        .split(|octet| *octet == b';');
    let essence = essence.into_iter().next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()) {
        return Err(Refusal::new(
            415,
            "the body has to be application/dns-message",
        ));
    }
    let length = head
        .content_length
        .and_then(|digits| str::from_utf8(digits).ok());
    match length.and_then(|digits| digits.parse::<usize>().ok()) {
        Some(length) if length > MAX_MESSAGE => Err(Refusal::TOO_LONG),
        _ => Ok(()),
    }
}

fn body_of(request: &IncomingRequest) -> Result<Vec<u8>, Refusal> {
    let body = read_body(request, MAX_REFUSED);
    let body = body.ok_or(Refusal::new(400, "the body ended early"))?;
    if body.len() > MAX_MESSAGE {
        return Err(Refusal::TOO_LONG);
    }
    Ok(body)
}

/// Reads a body, and no more of it than about `most` octets. `None`: it ended early.
fn read_body(request: &IncomingRequest, most: usize) -> Option<Vec<u8>> {
    let body = request.consume().ok()?;
    let stream = body.stream().ok()?;
    let mut read = Vec::new();
    while read.len() <= most {
        match stream.blocking_read(PIECE) {
            Ok(piece) => read.extend_from_slice(&piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
    }
    Some(read)
}

/// Responds. What the client does not take any more is lost.
pub fn respond(to: ResponseOutparam, answer: Result<Answer, Refusal>) {
    let (status, fields, body) = match answer {
        Ok(Answer { message, freshness }) => {
            let cache_control = format!("max-age={freshness}");
            let fields = vec![
                ("content-type", MEDIA_TYPE.to_owned()),
                ("cache-control", cache_control),
            ];
            (200, fields, message)
        }
        Err(Refusal { status, why }) => {
            let mut fields = vec![("cache-control", "no-store".to_owned())];
            if status == 405 {
                fields.push(("allow", "GET, POST".to_owned()));
            }
            (status, fields, format!("{why}\n").into_bytes())
        }
    };
    let length = ("content-length", body.len().to_string());
    let fields = fields.into_iter().chain([length]);
    let fields: Vec<_> = fields
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    // The host takes these fields, and this status.
    let fields = Fields::from_list(&fields).unwrap_or_else(|_| Fields::new());
    let response = OutgoingResponse::new(fields);
    let _taken = response.set_status_code(status);
    let outgoing = response.body();
    ResponseOutparam::set(to, Ok(response));
    if let Ok(outgoing) = outgoing {
        let _sent_or_gone = send(outgoing, &body);
    }
}

/// Sends a body, as far as the client takes it.
fn send(outgoing: OutgoingBody, body: &[u8]) -> Option<()> {
    let stream = outgoing.write().ok()?;
    for piece in body.chunks(MAX_WRITE) {
        stream.blocking_write_and_flush(piece).ok()?;
    }
    drop(stream);
    OutgoingBody::finish(outgoing, None).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Result<Place, u16> {
        ask(&Method::Get, target, None, None)
    }

    fn ask(
        method: &Method,
        target: &str,
        content_type: Option<&str>,
        content_length: Option<&str>,
    ) -> Result<Place, u16> {
        let head = Head {
            method,
            target,
            content_type: content_type.map(str::as_bytes),
            content_length: content_length.map(str::as_bytes),
        };
        place(&head).map_err(|refusal| refusal.status)
    }

    // req 118
    #[test]
    fn the_message_of_a_get_request_is_base64url_in_the_parameter_dns() {
        assert_eq!(
            get("/dns-query?dns=AAECAw"),
            Ok(Place::Uri(vec![0, 1, 2, 3]))
        );
        assert_eq!(
            get("/dns-query?a=b&c&dns=-_8&dns=AA"),
            Ok(Place::Uri(vec![251, 255]))
        );
        assert_eq!(get("/dns-query?dns="), Ok(Place::Uri(vec![])));
        for wrong in [
            "",
            "?",
            "?dns",
            "?Dns=AA",
            "?dns=A",
            "?dns=AA%2BA",
            "?dns=AA==",
            "?dns=+/8",
        ] {
            assert_eq!(get(&format!("/dns-query{wrong}")), Err(400), "{wrong}");
        }
        let octets = |count| format!("/dns-query?dns={}", BASE64URL_NOPAD.encode(&vec![0; count]));
        assert_eq!(
            get(&octets(MAX_MESSAGE)),
            Ok(Place::Uri(vec![0; MAX_MESSAGE]))
        );
        assert_eq!(get(&octets(MAX_MESSAGE + 1)), Err(413));
    }

    // req 118
    #[test]
    fn the_message_of_a_post_request_is_a_body_of_the_media_type() {
        let post = |content_type, length| ask(&Method::Post, "/dns-query", content_type, length);
        assert_eq!(post(Some(MEDIA_TYPE), Some("65535")), Ok(Place::Body));
        assert_eq!(
            post(Some("Application/DNS-Message ; charset=x"), None),
            Ok(Place::Body)
        );
        assert_eq!(post(Some(MEDIA_TYPE), Some("65536")), Err(413));
        for wrong in [
            None,
            Some(""),
            Some("application/dns-json"),
            Some("application/dns-messages"),
        ] {
            assert_eq!(post(wrong, None), Err(415), "{wrong:?}");
        }
    }

    // req 118
    #[test]
    fn other_paths_and_methods_have_statuses_of_their_own() {
        for wrong in ["", "/", "/dns-query/", "/dns-querys?dns=AA", "/?dns=AA"] {
            assert_eq!(get(wrong), Err(404), "{wrong}");
        }
        for method in [
            Method::Put,
            Method::Head,
            Method::Delete,
            Method::Other("QUERY".into()),
        ] {
            let got = ask(&method, "/dns-query?dns=AA", Some(MEDIA_TYPE), None);
            assert_eq!(got, Err(405), "{method:?}");
        }
    }
}
