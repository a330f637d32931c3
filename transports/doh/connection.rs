//! One connection of HTTP/2 with many streams.

use super::exchange::{Done, Exchange};
use crate::locks::lock;
use crate::runtime::Runtime;
use crate::transport::{
    self, Authentication, ConnectError, ConnectionError, Event, Limits, system_message,
};
use crate::transports::http2::{Bridge, DataFrames, Link, MAX_READ, PREFACE, Progress};
use crate::transports::tls::{Encrypted, Stream};
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use h2::Reason;
use h2::client::{Builder, SendRequest};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Streams at once until the server says how many it allows (RFC 9113 section 6.5.2 recommends no limit below this).
const FIRST_STREAMS: usize = 100;
/// Octets of responses that the server may send before it is told that they were read: many whole messages.
const WINDOW: u32 = 1024 * 1024;
/// Octets of one response that the server may send likewise: one more than the largest message, so that a larger one shows as such.
const STREAM_WINDOW: u32 = 65_536;
/// Octets of the headers of a response. Servers send a few hundred.
const MAX_HEADERS: u32 = 16 * 1024;
/// Octets without a whole response, beside what the responses take that are due: a server needs few for PING, SETTINGS and the like.
const MAX_OTHER: usize = 1024 * 1024;
/// Octets that a response takes at most, with its headers and those of its frames, unless these are tiny.
const MAX_RESPONSE: usize = 2 * STREAM_WINDOW as usize;
/// What is said of a server that sends more.
const WITHOUT_END: &str = "it sends frames without end that are no response";

/// A connection over HTTP/2.
pub struct Connection<R: Runtime> {
    link: Arc<Mutex<Link<Stream<R::Stream>>>>,
    driver: Box<h2::client::Connection<Bridge<Stream<R::Stream>>, Bytes>>,
    /// `None` once the connection is closed from here.
    requests: Option<SendRequest<Bytes>>,
    /// What all requests have in common.
    target: Box<Request<()>>,
    /// Ids and messages for which there is no stream yet.
    waiting: VecDeque<(u16, Bytes)>,
    exchanges: FuturesUnordered<Exchange>,
    /// What is to be reported.
    done: VecDeque<(u16, Result<Vec<u8>, ConnectionError>)>,
    /// The message that was reported last.
    message: Vec<u8>,
    /// As last reported.
    limits: Limits,
    /// Octets that have come since the last response.
    unanswering: usize,
    /// Nothing more has come, or it is for the next poll.
    rests: bool,
    /// It takes no more requests.
    going: bool,
    ended: Option<ConnectionError>,
    /// Woken by HTTP/2 within a poll, when there is more to do at once.
    progress: Arc<Progress>,
    waker: Waker,
    description: String,
    certificate_left: Option<Duration>,
    authentication: Authentication,
}

impl<R: Runtime> Connection<R> {
    /// Begins HTTP/2 on a stream that is ready for it. The preface leaves with the first queries.
    pub fn new(encrypted: Encrypted<R>, target: Request<()>) -> Result<Self, ConnectError> {
        let description = format!("{}, HTTP/2", encrypted.describe());
        let certificate_left = encrypted.certificate_left();
        let authentication = encrypted.authentication();
        let link = Link::new(encrypted.into_stream(), DataFrames::new(PREFACE));
        let link = Arc::new(Mutex::new(link));
        let handshake = Builder::new()
            .enable_push(false)
            .initial_max_send_streams(FIRST_STREAMS)
            .initial_connection_window_size(WINDOW)
            .initial_window_size(STREAM_WINDOW)
            .max_header_list_size(MAX_HEADERS)
            .handshake(Bridge(link.clone()));
        // It only writes, and the bridge has room.
        let (requests, driver) = match handshake.now_or_never() {
            Some(Ok(made)) => made,
            Some(Err(error)) => return Err(ConnectError::Handshake(error.to_string())),
            None => return Err(ConnectError::Handshake("HTTP/2 does not begin".into())),
        };
        let progress = Arc::new(Progress::default());
        Ok(Self {
            link,
            driver: Box::new(driver),
            limits: Limits {
                in_flight: requests.current_max_send_streams(),
            },
            requests: Some(requests),
            target: Box::new(target),
            waiting: VecDeque::new(),
            exchanges: FuturesUnordered::new(),
            done: VecDeque::new(),
            message: Vec::new(),
            unanswering: 0,
            rests: true,
            going: false,
            ended: None,
            waker: Waker::from(progress.clone()),
            progress,
            description,
            certificate_left,
            authentication,
        })
    }

    /// Sends the requests that there are streams for.
    fn start_waiting(&mut self) {
        let Some(requests) = &self.requests else {
            return;
        };
        while !self.going && self.exchanges.len() < requests.current_max_send_streams() {
            let Some((id, message)) = self.waiting.pop_front() else {
                return;
            };
            let mut request = Request::clone(&self.target);
            let length = HeaderValue::from(message.len());
            request.headers_mut().insert(CONTENT_LENGTH, length);
            // A handle lets one request wait for its stream, and this one shall not wait for another.
            let Ok((response, mut body)) = requests.clone().send_request(request, false) else {
                self.waiting.push_front((id, message));
                self.going = true;
                return;
            };
            let stream = response.stream_id().as_u32();
            lock(&self.link).frames.expect(stream, message.len());
            // If the stream is reset already, its response says so.
            let _sent_or_not = body.send_data(message, true);
            self.exchanges.push(Exchange::new(id, response));
        }
    }

    /// Does all that can be done without waiting. `reads`: also takes what has come.
    fn turn(&mut self, reads: bool, waker: &Waker) {
        {
            let mut link = lock(&self.link);
            link.set_reads(reads);
            link.set_waker(waker);
        }
        let own = self.waker.clone();
        let cx = &mut Context::from_waker(&own);
        loop {
            self.progress.take();
            self.start_waiting();
            if self.ended.is_none()
                && let Poll::Ready(end) = Pin::new(&mut *self.driver).poll(cx)
            {
                let (is_cut, violation) = {
                    let link = lock(&self.link);
                    (link.is_closed, link.violation)
                };
                let why = |error| why(&error, is_cut);
                let ended = end.map_or_else(why, |()| ConnectionError::Closed);
                self.end(violation.map_or(ended, ConnectionError::Protocol));
            }
            let before = self.done.len();
            while let Poll::Ready(Some(done)) = self.exchanges.poll_next_unpin(cx) {
                self.finished(done);
            }
            self.notice_flood();
            self.notice_end(cx);
            // A stream that is free is for the next request.
            let freed = self.done.len() > before && !self.waiting.is_empty();
            if !self.progress.take() && !freed {
                return;
            }
        }
    }

    fn finished(&mut self, Done { id, stream, result }: Done) {
        let unsent = lock(&self.link).frames.forget(stream);
        match result {
            // What had not left as a whole was not processed.
            Err(ConnectionError::Closed) if unsent => {
                self.done.push_back((id, Err(ConnectionError::Unprocessed)));
            }
            // It ended with the connection, which is reported next.
            Err(ConnectionError::Closed) => {}
            Err(why @ ConnectionError::Protocol(_)) => self.end(why),
            result => {
                self.unanswering = 0;
                self.done.push_back((id, result));
            }
        }
    }

    /// It is of no more use.
    fn end(&mut self, why: ConnectionError) {
        self.going = true;
        self.ended.get_or_insert(why);
    }

    /// Gives a server up that sends without end what is no response.
    fn notice_flood(&mut self) {
        self.unanswering += lock(&self.link).take_received();
        if self.unanswering > MAX_OTHER + self.exchanges.len() * MAX_RESPONSE {
            self.end(ConnectionError::Protocol(WITHOUT_END));
        }
    }

    /// After a GOAWAY there are no more streams (RFC 9113 section 6.8), and none when their numbers are used up (section 5.1.1).
    fn notice_end(&mut self, cx: &mut Context<'_>) {
        if let Some(requests) = &mut self.requests
            && let Poll::Ready(Err(_)) = requests.poll_ready(cx)
        {
            self.going = true;
        }
        if self.going {
            let unprocessed = |(id, _)| (id, Err(ConnectionError::Unprocessed));
            self.done.extend(self.waiting.drain(..).map(unprocessed));
        }
    }

    /// What the server allows, if that is not what was reported.
    fn changed_limits(&mut self) -> Option<Limits> {
        let in_flight = match &self.requests {
            Some(requests) if !self.going => requests.current_max_send_streams(),
            _ => 0,
        };
        let limits = Limits { in_flight };
        (std::mem::replace(&mut self.limits, limits) != limits).then_some(limits)
    }
}

/// Why the connection ended. `is_cut`: the other end has closed.
fn why(error: &h2::Error, is_cut: bool) -> ConnectionError {
    match error.get_io() {
        Some(_) if is_cut => return ConnectionError::Truncated,
        Some(error) => return ConnectionError::Io(system_message(error)),
        None => {}
    }
    match error.reason() {
        Some(Reason::NO_ERROR) | None => ConnectionError::Closed,
        Some(reason) if error.is_remote() => ConnectionError::Io(format!(
            "HTTP/2: the upstream reports: {}",
            reason.description()
        )),
        Some(_) => ConnectionError::Protocol("what comes is not as HTTP/2 has it (RFC 9113)"),
    }
}

impl<R: Runtime> transport::Connection for Connection<R> {
    fn queue(&mut self, message: &[u8]) {
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        // RFC 8484 section 4.1: the same query is always the same octets.
        let message = [&[0, 0], message.get(2..).unwrap_or_default()].concat();
        self.waiting
            .push_back((id.unwrap_or_default(), Bytes::from(message)));
    }

    fn backlog(&self) -> usize {
        let waiting = self.waiting.iter().map(|(_, message)| message.len());
        lock(&self.link).backlog() + waiting.sum::<usize>()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.turn(false, cx.waker());
        if !self.done.is_empty() || self.ended.is_some() {
            // `poll_next` reports it, with what it means for each query.
            cx.waker().wake_by_ref();
        } else if self.waiting.is_empty() && lock(&self.link).backlog() == 0 {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        if std::mem::take(&mut self.rests) {
            lock(&self.link).allow(MAX_READ);
        }
        let mut turned = false;
        loop {
            match self.done.pop_front() {
                Some((_, Ok(message))) => {
                    self.message = message;
                    return Poll::Ready(Event::Message(&mut self.message));
                }
                Some((id, Err(why))) => return Poll::Ready(Event::Failed { id, why }),
                None => {}
            }
            if let Some(why) = &self.ended {
                return Poll::Ready(Event::Closed(why.clone()));
            }
            if let Some(limits) = self.changed_limits() {
                return Poll::Ready(Event::Limits(limits));
            }
            if turned {
                self.rests = true;
                return Poll::Pending;
            }
            self.turn(true, cx.waker());
            turned = true;
        }
    }

    fn ack_soon(&mut self) {
        lock(&self.link).ack_soon();
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    /// Without requests HTTP/2 says GOAWAY, and closes TLS and TCP.
    fn has_streams(&self) -> bool {
        true
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.requests = None;
        self.waiting.clear();
        self.exchanges.clear();
        lock(&self.link).allow(MAX_READ);
        self.turn(true, cx.waker());
        match self.ended {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn certificate_left(&self) -> Option<Duration> {
        self.certificate_left
    }

    fn authentication(&self) -> Option<Authentication> {
        Some(self.authentication)
    }
}
