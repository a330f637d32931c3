//! What a request gets.

use super::about::About;
use super::health::{self, Health};
use super::host::is_own;
use super::totals::{Totals, Unmeasured};
use super::{metrics, status};
use crate::serve::Control;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

/// `OpenMetrics`, as its specification names it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What all responses have beside their type: nobody shall keep them, or take them for something else.
const HEADERS: [(HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Answers requests, from what the event loops say.
pub struct Answers {
    control: Control,
    about: About,
}

/// The type of a response, its status, and its text.
type Answer = (&'static str, StatusCode, String);

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

    /// The response to a request.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Text> {
        let (kind, code, text) = match refusal(request) {
            Some((code, why)) => (PLAIN, code, format!("{why}\n")),
            None => self.page(request.uri().path()),
        };
        let mut response = Response::new(Text(Some(text.into())));
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

    fn page(&self, path: &str) -> Answer {
        match path {
            "/metrics" => self.measured(|totals| {
                let text = metrics::text(totals, &self.about);
                (OPEN_METRICS, StatusCode::OK, text)
            }),
            "/api/status" => self.measured(|totals| {
                let text = status::json(totals, &self.about);
                (JSON, StatusCode::OK, text + "\n")
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
                let known = "there are /metrics, /livez, /readyz and /api/status\n";
                (PLAIN, StatusCode::NOT_FOUND, known.to_owned())
            }
        }
    }

    /// What `answer` makes of what the loops have measured, or that one of them hangs.
    fn measured(&self, answer: impl FnOnce(&Totals) -> Answer) -> Answer {
        match Totals::measure(&self.control) {
            Ok(totals) => answer(&totals),
            Err(why) => {
                let why = match why {
                    Unmeasured::Hangs => "an event loop does not go round",
                    Unmeasured::Ended => "no event loop runs",
                };
                (PLAIN, StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
            }
        }
    }
}

fn health_answer(health: &Health) -> Answer {
    let code = match health {
        Health::Good => StatusCode::OK,
        Health::Bad(_) | Health::Unconnected(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (PLAIN, code, format!("{health}\n"))
}

/// Why a request is not answered, if it is not.
fn refusal<B>(request: &Request<B>) -> Option<(StatusCode, &'static str)> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Some((StatusCode::BAD_REQUEST, "one Host header is needed"));
    };
    let in_header = host.to_str().is_ok_and(is_own);
    let in_target = request.uri().authority();
    if !in_header || !in_target.is_none_or(|authority| is_own(authority.as_str())) {
        let why = "this is for requests that name an IP address or localhost as their host";
        return Some((StatusCode::MISDIRECTED_REQUEST, why));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    (!reads).then_some((
        StatusCode::METHOD_NOT_ALLOWED,
        "nothing can be changed here: GET and HEAD are all there is",
    ))
}

/// The body of a response, in one piece.
pub struct Text(Option<Bytes>);

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}
