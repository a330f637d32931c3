//! The connections of the admin thread: how many there may be, and for how long. Whoever connects and says nothing, or little by little,
//! takes one of a few places for a few seconds, and nothing from the event loops.

use super::answers::Answers;
use super::body::Content;
use super::events::{Events, Streams};
use super::stream::Stream;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;
use hyper::{Request, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Connections at once, beside those with a stream of events. With one more, the oldest is closed, unless it is younger than [`GRACE`]; that one then waits.
const MAX_CONNECTIONS: usize = 16;
/// So long each connection has in any case: whoever sends a request at once is answered, however many others say nothing.
const GRACE: Duration = Duration::from_millis(100);
/// From the accept of a connection to its end, unless events are sent on it.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Octets of a request's line and headers, the least that hyper allows.
const MAX_HEAD: usize = 8_192;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// For so long no connection is accepted after that has failed, as where no more files may be open.
const PAUSE: Duration = Duration::from_millis(250);
/// When a connection is looked at again that waits for nothing in particular.
const SOON: Duration = Duration::from_millis(10);

/// Octets that the system keeps for a connection until they are read.
const SEND_BUFFER: usize = 32 * 1_024;
/// From one event to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// The listener and its connections.
pub struct Server {
    listener: TcpListener,
    answers: Rc<Answers>,
    streams: Streams,
    interval: Duration,
    /// When the next event is due, if anybody takes it.
    next_event: Instant,
    open: Vec<Open>,
    /// When accepting is tried again after it has failed.
    paused_until: Option<Instant>,
}

/// A connection with a request that is read or answered.
struct Open {
    http: Pin<Box<Connection<Stream, Served>>>,
    stream: Stream,
    events: Events,
    since: Instant,
    /// The other end takes no more events, or does not take them as fast as they come.
    is_lost: bool,
}

/// Answers the requests of one connection.
struct Served {
    answers: Rc<Answers>,
    events: Events,
}

impl Service<Request<Incoming>> for Served {
    type Response = Response<Content>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.answers.answer(&request, &self.events)))
    }
}

impl Server {
    /// Over a listener that does not block.
    pub fn new(listener: TcpListener, answers: Answers) -> Self {
        Self {
            listener,
            answers: Rc::new(answers),
            streams: Streams::default(),
            interval: INTERVAL,
            next_event: Instant::now(),
            open: Vec::new(),
            paused_until: None,
        }
    }

    /// Serves for ever.
    pub fn run(mut self) {
        loop {
            self.go_round();
        }
    }

    fn go_round(&mut self) {
        self.wait();
        let now = Instant::now();
        self.accept(now);
        self.tell(now);
        self.open.retain_mut(|open| open.goes_on(now));
    }

    /// Whoever takes events gets the next one when it is due. As long as nobody does, nothing is measured.
    fn tell(&mut self, now: Instant) {
        if !self.streams.any() {
            self.next_event = now + self.interval;
        } else if now >= self.next_event {
            self.next_event = now + self.interval;
            let event = self.answers.event();
            for open in self.open.iter_mut().filter(|open| open.events.is_open()) {
                open.is_lost |= !open.events.offer(&event);
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        let now = Instant::now();
        let mut first = self.paused_until;
        let mut soonest = |at: Instant| first = Some(first.map_or(at, |first| first.min(at)));
        if self.streams.any() {
            soonest(self.next_event);
        }
        for open in self.open.iter().filter(|open| !open.events.is_open()) {
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
            sources.push(PollFd::new(open.stream.socket(), open.waits_for()));
        }
        let left = first.map(|at| at.saturating_duration_since(now));
        // Rounded up, so that it is time when it ends.
        let left = left.map(|left| left + Duration::from_millis(1));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        if poll(&mut sources, left.as_ref()).is_err() {
            // A signal, or no memory: all is looked at, and this may not be a loop without a pause.
            std::thread::sleep(SOON);
            return;
        }
        // Whoever takes events sends nothing more: what can be read is the end.
        let ready = sources.iter().skip(1).map(PollFd::revents);
        let ended =
            ready.map(|ready| ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR));
        let ended: Vec<bool> = ended.collect();
        for (open, ended) in self.open.iter_mut().zip(ended) {
            open.is_lost |= ended && open.events.is_open();
        }
    }

    /// Takes the connections that are there.
    fn accept(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        for _ in 0..MAX_CONNECTIONS {
            let plain = || self.open.iter().filter(|open| !open.events.is_open());
            let is_full = plain().count() >= MAX_CONNECTIONS;
            let oldest = plain().next().filter(|_| is_full);
            let until = oldest.map(|oldest| oldest.since + GRACE);
            if until.is_some_and(|until| now < until) {
                self.paused_until = until;
                return;
            }
            match self.listener.accept() {
                Ok((socket, _)) => {
                    let oldest = self.open.iter().position(|open| !open.events.is_open());
                    if let Some(oldest) = oldest.filter(|_| is_full) {
                        self.open.remove(oldest);
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
        // Where it takes events and reads nothing, no more than this is kept for it. It is a wish: what the system has by default does as well.
        let _wish = sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
        let stream = Stream::new(socket);
        let mut http = Builder::new();
        http.keep_alive(false)
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS);
        let events = self.streams.connection();
        let served = Served {
            answers: self.answers.clone(),
            events: events.clone(),
        };
        let http = http.serve_connection(stream.clone(), served);
        self.open.push(Open {
            http: Box::pin(http),
            stream,
            events,
            since: now,
            is_lost: false,
        });
    }
}

impl Open {
    /// What must happen on its socket before there is something to do.
    fn waits_for(&self) -> PollFlags {
        let flags = self.stream.waits_for();
        if self.events.is_open() {
            flags | PollFlags::IN
        } else {
            flags
        }
    }

    /// Does what can be done now. False when it has ended, or its time has.
    fn goes_on(&mut self, now: Instant) -> bool {
        let is_over = !self.events.is_open() && now >= self.since + TIME_LIMIT;
        if is_over || self.is_lost {
            return false;
        }
        self.stream.forget();
        // It is looked at whenever something is ready: nobody has to be woken.
        let mut cx = Context::from_waker(Waker::noop());
        self.http.as_mut().poll(&mut cx).is_pending()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Control;
    use std::io::{Read as _, Write as _};

    const DEADLINE: Duration = Duration::from_secs(30);

    /// A server without event loops, whose events are of trouble and come every millisecond; and its address.
    fn server() -> (Server, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Server::new(listener, Answers::new(Control::new(), "none".to_owned()));
        server.interval = Duration::from_millis(1);
        (server, address)
    }

    impl Server {
        /// Goes round until it is so.
        fn until(&mut self, is: impl Fn(&Self) -> bool) {
            let since = Instant::now();
            while !is(self) {
                assert!(since.elapsed() < DEADLINE);
                self.go_round();
            }
        }
    }

    /// A client that asked for events and takes few octets in advance.
    fn reader(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        sockopt::set_socket_recv_buffer_size(&stream, 2_048).unwrap();
        let request = format!("GET /api/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    // fault 147
    #[test]
    fn whoever_reads_nothing_is_dropped_and_others_go_on() {
        let (mut server, address) = server();
        let mut quick = reader(address);
        server.until(|server| server.streams.any());
        let slow = reader(address);
        server.until(|server| server.open.len() == 2);
        let since = Instant::now();
        let mut text = Vec::new();
        while server.open.len() == 2 {
            assert!(since.elapsed() < DEADLINE);
            server.go_round();
            // Up to all that is there.
            let _would_block = quick.read_to_end(&mut text);
        }
        // It is longer than what the system keeps for the slow one.
        let events = String::from_utf8(text).unwrap();
        let count = events
            .matches("event: trouble\ndata: no event loop runs\n\n")
            .count();
        assert!(count > 5, "{count}");
        assert!(server.streams.any() && server.open[0].events.is_open());
        drop(slow);
        drop(quick);
        server.until(|server| !server.streams.any());
        assert!(server.open.is_empty());
    }

    #[test]
    fn streams_live_longer_than_other_connections_and_take_no_place_of_theirs() {
        let (mut server, address) = server();
        let mut stream = reader(address);
        server.until(|server| server.streams.any());
        let others: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        server.until(|server| server.open.len() == 1 + MAX_CONNECTIONS);
        // They say nothing until their time is over; it is not waited for.
        for open in &mut server.open {
            open.since -= TIME_LIMIT;
        }
        let mut text = Vec::new();
        let _would_block = stream.read_to_end(&mut text);
        server.until(|server| server.open.len() == 1);
        assert!(server.open[0].events.is_open());
        drop(others);
    }
}
