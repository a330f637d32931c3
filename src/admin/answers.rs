//! What a request gets.

use super::about::About;
use super::body::Content;
use super::events::{Events, event};
use super::health::{self, Health};
use super::host::is_own;
use super::totals::{Totals, Unmeasured};
use super::{metrics, page, status};
use crate::serve::Control;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use std::time::{Instant, SystemTime};

/// `OpenMetrics`, as its specification names it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Server-sent events, as HTML has them.
const EVENTS: &str = "text/event-stream";

/// What all responses have beside their type: nobody shall keep them, take them for something else, or have them within pages of others.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, page::POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Answers requests, from what the event loops say.
pub struct Answers {
    control: Control,
    about: About,
}

/// The type of a response, its status, and its content.
type Answer = (&'static str, StatusCode, Content);

impl Answers {
    /// The loops are asked by `control`.
    pub fn new(control: Control, runtime: String) -> Self {
        let about = About {
            runtime,
            started: SystemTime::now(),
            since: Instant::now(),
        };
        Self { control, about }
    }

    /// The response to a request. It is of this connection, on which there may be events.
    pub fn answer<B>(&self, request: &Request<B>, events: &Events) -> Response<Content> {
        let (kind, code, content) = match refusal(request) {
            Some((code, why)) => plain(code, why),
            None if request.uri().path() == "/api/events" => {
                self.stream(request.method() == Method::HEAD, events)
            }
            None => self.page(request.uri().path()),
        };
        let mut response = Response::new(content);
        *response.status_mut() = code;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if code == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    /// What happens now, as those who take events get it.
    pub fn event(&self) -> Bytes {
        match Totals::measure(&self.control) {
            Ok(totals) => event("status", &status::json(&totals, &self.about)),
            Err(why) => event("trouble", words(why)),
        }
    }

    /// Events from now on, the first one at once.
    fn stream(&self, is_head: bool, events: &Events) -> Answer {
        if is_head {
            return (EVENTS, StatusCode::OK, Content::Text(None));
        }
        if !events.open() {
            let why = "as many pages take events already as may do so at once: close one of them";
            return plain(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        // There is none yet that could be in the way.
        let _is_first = events.offer(&self.event());
        (EVENTS, StatusCode::OK, Content::Events(events.clone()))
    }

    fn page(&self, path: &str) -> Answer {
        if let Some(file) = page::file(path) {
            return (file.kind, StatusCode::OK, Content::text(file.text));
        }
        match path {
            "/metrics" => self.measured(|totals| {
                let text = metrics::text(totals, &self.about);
                (OPEN_METRICS, StatusCode::OK, Content::text(text))
            }),
            "/api/status" => self.measured(|totals| {
                let text = status::json(totals, &self.about);
                (JSON, StatusCode::OK, Content::text(text + "\n"))
            }),
            "/livez" => self.measured(|_| health_answer(&Health::Good)),
            "/readyz" => self.measured(|totals| {
                let health = health::readiness(totals);
                if health.wants_connection() {
                    self.control.prepare();
                }
                health_answer(&health)
            }),
            _ => {
                let known = "there are /, /metrics, /livez, /readyz, /api/status and /api/events";
                plain(StatusCode::NOT_FOUND, known)
            }
        }
    }

    /// What `answer` makes of what the loops have measured, or that one of them hangs.
    fn measured(&self, answer: impl FnOnce(&Totals) -> Answer) -> Answer {
        match Totals::measure(&self.control) {
            Ok(totals) => answer(&totals),
            Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, words(why)),
        }
    }
}

/// A line of text.
fn plain(code: StatusCode, line: &str) -> Answer {
    (PLAIN, code, Content::text(format!("{line}\n")))
}

/// Why there is nothing to tell.
fn words(why: Unmeasured) -> &'static str {
    match why {
        Unmeasured::Hangs => "an event loop does not go round",
        Unmeasured::Ended => "no event loop runs",
    }
}

fn health_answer(health: &Health) -> Answer {
    let code = match health {
        Health::Good => StatusCode::OK,
        Health::Bad(_) | Health::Unconnected(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    plain(code, &health.to_string())
}

/// Why a request is not answered, if it is not.
fn refusal<B>(request: &Request<B>) -> Option<(StatusCode, &'static str)> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    if is_plain_health_check(request) {
        return None;
    }
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Some((StatusCode::BAD_REQUEST, "one Host header is needed"));
    };
    let in_header = host.to_str().is_ok_and(is_own);
    let in_target = request.uri().authority();
    if !in_header || !in_target.is_none_or(|authority| is_own(authority.as_str())) {
        let why = "this is for requests that name an IP address or localhost as their host";
        return Some((StatusCode::MISDIRECTED_REQUEST, why));
    }
    if !is_of_here(request.headers(), host) {
        let why = "this is for requests that no page of another server makes";
        return Some((StatusCode::FORBIDDEN, why));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    (!reads).then_some((
        StatusCode::METHOD_NOT_ALLOWED,
        "nothing can be changed here: GET and HEAD are all there is",
    ))
}

/// Whether a load balancer asks for health as `HAProxy` does by default: by HTTP/1.0, which needs no Host (RFC 1945 section 5). No browser asks without one,
/// nor without Origin from a page of another server, so that it is no way around the name.
fn is_plain_health_check<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.version() == Version::HTTP_10
        && matches!(*request.method(), Method::GET | Method::HEAD)
        && matches!(request.uri().path(), "/livez" | "/readyz")
        && request.uri().authority().is_none()
        && !headers.contains_key(header::HOST)
        && !headers.contains_key(header::ORIGIN)
}

/// Whether no page of another server makes a request: its Origin header would name that one (RFC 6454 section 7). It could read nothing, but take
/// the places of those who may.
fn is_of_here(headers: &HeaderMap, host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.as_bytes();
        let authority = origin.strip_prefix(b"http://");
        let authority = authority.or_else(|| origin.strip_prefix(b"https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    })
}
