//! The connections of the control thread: how many there may be, how long a line, and for how long. Whoever connects and says nothing, or
//! little by little, takes one of a few places for a while, and nothing from the event loops.

use super::commands::{Answer, Commands, Pending};
use super::peer::Peer;
use super::reply;
use super::request::{MAX_LINE, Refusal, Request};
use super::socket_file::SocketFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections at once. One more is told so, and closed.
pub const MAX_CONNECTIONS: usize = 16;
/// From the accept of a connection, or from the last reply, to the end of the next line; and for the reading of a reply.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Octets that are read at once.
const PART: usize = 2_048;
/// For so long no connection is accepted after that has failed, as where no more files may be open.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a request is looked at that takes a while.
const SOON: Duration = Duration::from_millis(5);

/// The listener and its connections.
pub struct Server {
    listener: UnixListener,
    file: Arc<SocketFile>,
    commands: Commands,
    open: Vec<Open>,
    /// When accepting is tried again after it has failed.
    paused_until: Option<Instant>,
}

/// A connection. Its requests are carried out one after the other.
struct Open {
    stream: UnixStream,
    peer: Peer,
    /// What was read, and is no whole line yet or waits for its turn.
    input: Vec<u8>,
    /// What is not written yet.
    output: Vec<u8>,
    pending: Option<Pending>,
    until: Instant,
    /// Nothing more comes.
    has_ended: bool,
    /// It is closed when all is written.
    is_last: bool,
}

impl Server {
    /// Over a listener that does not block.
    pub fn new(listener: UnixListener, file: Arc<SocketFile>, commands: Commands) -> Self {
        Self {
            listener,
            file,
            commands,
            open: Vec::new(),
            paused_until: None,
        }
    }

    /// Serves for ever.
    pub fn run(mut self) {
        loop {
            self.wait();
            let now = Instant::now();
            self.commands.time(now);
            self.accept(now);
            let commands = &mut self.commands;
            self.open.retain_mut(|open| open.goes_on(commands, now));
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let now = Instant::now();
        let ends = self.open.iter().map(|open| open.next_alarm(now));
        let alarms = [self.paused_until, self.commands.next_alarm()];
        let first = ends.chain(alarms.into_iter().flatten()).min();
        let accepts = match self.paused_until {
            Some(_) => PollFlags::empty(),
            None => PollFlags::IN,
        };
        let mut sources = vec![PollFd::new(&self.listener, accepts)];
        // One that waits for nothing would be reported all the same once its other end is gone.
        let waiting = self.open.iter().filter(|open| !open.waits_for().is_empty());
        for open in waiting {
            sources.push(PollFd::new(&open.stream, open.waits_for()));
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
            match self.listener.accept() {
                Ok((stream, _)) => self.open(stream, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.paused_until = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    fn open(&mut self, stream: UnixStream, now: Instant) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let admitted = Peer::admitted(&stream, &self.file);
        let admitted = admitted.map_err(|why| Refusal::new("not_allowed", why));
        let is_full = self.open.len() >= MAX_CONNECTIONS;
        let admitted = admitted.and_then(|peer| {
            if is_full {
                let text = format!("{MAX_CONNECTIONS} others are connected: try again in a moment");
                return Err(Refusal::new("busy", text));
            }
            Ok(peer)
        });
        match admitted {
            Ok(peer) => self.open.push(Open::new(stream, peer, now)),
            // A new connection has room for a line. If the other end is gone already, it needs to know nothing.
            Err(refusal) => drop((&stream).write_all(reply::line(Err(refusal)).as_bytes())),
        }
    }
}

impl Open {
    fn new(stream: UnixStream, peer: Peer, now: Instant) -> Self {
        Self {
            stream,
            peer,
            input: Vec::new(),
            output: Vec::new(),
            pending: None,
            until: now + TIME_LIMIT,
            has_ended: false,
            is_last: false,
        }
    }

    /// What must happen before anything more can be done with it.
    fn waits_for(&self) -> PollFlags {
        if !self.output.is_empty() {
            PollFlags::OUT
        } else if self.pending.is_none() && !self.has_ended {
            PollFlags::IN
        } else {
            PollFlags::empty()
        }
    }

    /// When it is looked at if nothing happens.
    fn next_alarm(&self, now: Instant) -> Instant {
        let has_line = || self.has_ended || self.has_line_or_too_much();
        match self.pending {
            Some(_) => now + SOON,
            None if self.output.is_empty() && has_line() => now,
            None => self.until,
        }
    }

    /// Does what can be done now, and one request at most: then the others have their turn. False when it has ended, or its time has.
    fn goes_on(&mut self, commands: &mut Commands, now: Instant) -> bool {
        if let Some(pending) = &mut self.pending {
            let Some(done) = pending.done(now) else {
                return true;
            };
            self.pending = None;
            self.answer(&reply::line(done), now);
        } else if self.output.is_empty() {
            while !self.has_ended && !self.has_line_or_too_much() && self.read() {}
            if let Some(line) = self.line() {
                self.read_request(&line, commands, now);
            } else if self.input.len() >= MAX_LINE {
                let text = format!("a line has {MAX_LINE} octets at most");
                self.is_last = true;
                self.answer(&reply::line(Err(Refusal::new("too_long", text))), now);
            } else if self.has_ended {
                return false;
            }
        }
        let goes_on = self.write() && (now < self.until || self.pending.is_some());
        goes_on && !(self.is_last && self.output.is_empty())
    }

    /// Whether nothing more has to be read to say something.
    fn has_line_or_too_much(&self) -> bool {
        self.input.len() >= MAX_LINE || self.input.contains(&b'\n')
    }

    fn read_request(&mut self, line: &[u8], commands: &mut Commands, now: Instant) {
        match Request::read(line) {
            Err(refusal) => self.answer(&reply::line(Err(refusal)), now),
            Ok(request) => match commands.carry_out(request, self.peer, now) {
                Answer::Now(done) => self.answer(&reply::line(done), now),
                Answer::Later(pending) => self.pending = Some(pending),
            },
        }
    }

    fn answer(&mut self, line: &str, now: Instant) {
        self.output.extend_from_slice(line.as_bytes());
        self.until = now + TIME_LIMIT;
    }

    /// The next whole line, which is taken out. At the end of the stream the rest is one.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.input.iter().position(|octet| *octet == b'\n');
        let rest = || (self.has_ended && !self.input.is_empty()).then(|| self.input.len() - 1);
        let end = end.or_else(rest)?;
        if end >= MAX_LINE {
            return None;
        }
        Some(self.input.drain(..=end).collect())
    }

    /// Reads what is there, up to a line of the longest kind. False if nothing was.
    fn read(&mut self) -> bool {
        let mut part = [0; PART];
        match (&self.stream).read(&mut part) {
            Ok(0) => {
                self.has_ended = true;
                true
            }
            Ok(count) => {
                self.input.extend_from_slice(&part[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(_) => {
                self.has_ended = true;
                self.input.clear();
                true
            }
        }
    }

    /// Writes as much as there is room for. False if the other end is gone.
    fn write(&mut self) -> bool {
        while !self.output.is_empty() {
            match (&self.stream).write(&self.output) {
                Ok(0) => return false,
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}
