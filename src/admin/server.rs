//! The connections of the admin thread: how many there may be, and for how long. Whoever connects and says nothing, or little by little,
//! takes one of a few places for a few seconds, and nothing from the event loops.

use super::answers::Answers;
use super::stream::Stream;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;
use hyper::{Request, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Connections at once. With one more, the oldest is closed, unless it is younger than [`GRACE`]; that one then waits.
const MAX_CONNECTIONS: usize = 16;
/// So long each connection has in any case: whoever sends a request at once is answered, however many others say nothing.
const GRACE: Duration = Duration::from_millis(100);
/// From the accept of a connection to its end.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Octets of a request's line and headers, the least that hyper allows.
const MAX_HEAD: usize = 8_192;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// For so long no connection is accepted after that has failed, as where no more files may be open.
const PAUSE: Duration = Duration::from_millis(250);
/// When a connection is looked at again that waits for nothing in particular.
const SOON: Duration = Duration::from_millis(10);

/// The listener and its connections.
pub struct Server {
    listener: TcpListener,
    service: Served,
    open: Vec<Open>,
    /// When accepting is tried again after it has failed.
    paused_until: Option<Instant>,
}

/// A connection with a request that is read or answered.
struct Open {
    http: Pin<Box<Connection<Stream, Served>>>,
    stream: Stream,
    since: Instant,
}

/// Answers requests.
#[derive(Clone)]
struct Served(Rc<Answers>);

impl Service<Request<Incoming>> for Served {
    type Response = Response<super::answers::Text>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.0.answer(&request)))
    }
}

impl Server {
    /// Over a listener that does not block.
    pub fn new(listener: TcpListener, answers: Answers) -> Self {
        Self {
            listener,
            service: Served(Rc::new(answers)),
            open: Vec::new(),
            paused_until: None,
        }
    }

    /// Serves for ever.
    pub fn run(mut self) {
        loop {
            self.wait();
            let now = Instant::now();
            self.accept(now);
            self.open.retain_mut(|open| open.goes_on(now));
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let now = Instant::now();
        let mut first = self.paused_until;
        let mut soonest = |at: Instant| first = Some(first.map_or(at, |first| first.min(at)));
        for open in &self.open {
            soonest(open.since + TIME_LIMIT);
            if open.stream.waits_for().is_empty() {
                soonest(now + SOON);
            }
        }
        let accepts = match self.paused_until {
            Some(_) => PollFlags::empty(),
            None => PollFlags::IN,
        };
        let mut sources = vec![PollFd::new(&self.listener, accepts)];
        for open in &self.open {
            sources.push(PollFd::new(open.stream.socket(), open.stream.waits_for()));
        }
        let left = first.map(|at| at.saturating_duration_since(now));
        // Rounded up, so that it is time when it ends.
        let left = left.map(|left| left + Duration::from_millis(1));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        if poll(&mut sources, left.as_ref()).is_err() {
            // A signal, or no memory: all is looked at, and this may not be a loop without a pause.
            std::thread::sleep(SOON);
        }
    }

    /// Takes the connections that are there.
    fn accept(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        for _ in 0..MAX_CONNECTIONS {
            let is_full = self.open.len() >= MAX_CONNECTIONS;
            let oldest = self.open.first().filter(|_| is_full);
            let until = oldest.map(|oldest| oldest.since + GRACE);
            if until.is_some_and(|until| now < until) {
                self.paused_until = until;
                return;
            }
            match self.listener.accept() {
                Ok((socket, _)) => {
                    if is_full {
                        self.open.remove(0);
                    }
                    self.open(socket, now);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.paused_until = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    fn open(&mut self, socket: TcpStream, now: Instant) {
        if socket.set_nonblocking(true).is_err() {
            return;
        }
        let stream = Stream::new(socket);
        let mut http = Builder::new();
        http.keep_alive(false)
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS);
        let http = http.serve_connection(stream.clone(), self.service.clone());
        self.open.push(Open {
            http: Box::pin(http),
            stream,
            since: now,
        });
    }
}

impl Open {
    /// Does what can be done now. False when it has ended, or its time has.
    fn goes_on(&mut self, now: Instant) -> bool {
        if now >= self.since + TIME_LIMIT {
            return false;
        }
        self.stream.forget();
        // It is looked at whenever something is ready: nobody has to be woken.
        let mut cx = Context::from_waker(Waker::noop());
        self.http.as_mut().poll(&mut cx).is_pending()
    }
}
