//! One connection of a scripted upstream: a reader on a thread of its own, and steps that write.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::{ServerConfig, ServerConnection};

use super::handshake::{self, flush};
use super::journal::Journal;
use super::messages::{frame, word};
use super::script::{Conduct, Received, Script, Step};

/// What all connections of a server share.
pub struct Shared {
    /// Certificates, versions and ALPN.
    pub tls: Mutex<Arc<ServerConfig>>,
    /// What is done about each query.
    pub script: Box<Script>,
    /// Where everything is written down.
    pub journal: Journal,
}

/// One connection.
pub struct Link {
    number: usize,
    socket: TcpStream,
    /// `None` on a plaintext server and before the hello has been read.
    session: Mutex<Option<ServerConnection>>,
    closed: Mutex<bool>,
    closing: Condvar,
    /// Ends with a reset: then nothing may be shut down for writing, which would send a FIN first.
    resets: AtomicBool,
    shared: Arc<Shared>,
}

impl Link {
    /// Takes a connection over.
    pub fn new(number: usize, socket: TcpStream, shared: Arc<Shared>) -> Arc<Self> {
        let (session, closed, closing) = (Mutex::default(), Mutex::default(), Condvar::default());
        Arc::new(Self {
            number,
            socket,
            session,
            closed,
            closing,
            resets: AtomicBool::default(),
            shared,
        })
    }

    /// Serves the connection until it ends.
    pub fn serve(self: Arc<Self>, conduct: Conduct) {
        let outcome = match conduct {
            Conduct::Tls => self.serve_tls(),
            Conduct::Plaintext => self.serve_plaintext(),
            Conduct::NeverHandshake => self.read_raw(|_| true),
            Conduct::ResetAtOnce => self.reset(),
            Conduct::ResetAfterHello => self.read_raw(|_| false).and_then(|()| self.reset()),
        };
        self.close();
        self.shared.journal.write(|seen| {
            seen.ended += 1;
            if let Err(error) = outcome {
                seen.failures.push(error.to_string());
            }
        });
    }

    /// Ends the connection from any thread: the reader wakes up, and the socket closes when the last step lets go of it.
    pub fn close(&self) {
        *lock(&self.closed) = true;
        self.closing.notify_all();
        let half = if self.resets.load(Ordering::SeqCst) {
            Shutdown::Read
        } else {
            Shutdown::Both
        };
        // It may have ended already: then there is nothing to shut down.
        let _ = self.socket.shutdown(half);
    }

    fn serve_tls(self: &Arc<Self>) -> io::Result<()> {
        let tls = Arc::clone(&lock(&self.shared.tls));
        let (session, mut stream) = handshake::accept(&self.socket, tls, &self.shared.journal)?;
        *lock(&self.session) = Some(session);
        // Application data may have come with the handshake's last flight.
        stream.extend(self.decrypt(&[])?);
        let mut index = 0;
        let mut buffer = vec![0; 65536];
        loop {
            let mut rest = stream.as_slice();
            while let Some(message) = split_frame(&mut rest) {
                self.answer(message, index);
                index += 1;
            }
            stream = rest.to_vec();
            let size = (&self.socket).read(&mut buffer)?;
            if size == 0 {
                return Ok(());
            }
            stream.extend(self.decrypt(&buffer[..size])?);
        }
    }

    fn decrypt(&self, mut records: &[u8]) -> io::Result<Vec<u8>> {
        let mut guard = lock(&self.session);
        let session = guard.as_mut().ok_or(ErrorKind::NotConnected)?;
        let mut plain = Vec::new();
        loop {
            let fed = session.read_tls(&mut records)?;
            let state = session.process_new_packets().map_err(io::Error::other)?;
            let ready = state.plaintext_bytes_to_read();
            let start = plain.len();
            plain.resize(start + ready, 0);
            session.reader().read_exact(&mut plain[start..])?;
            flush(session, &self.socket)?;
            self.shared.journal.write(|seen| {
                seen.application_data += ready;
                seen.close_notifies += usize::from(fed > 0 && state.peer_has_closed());
            });
            if records.is_empty() || state.peer_has_closed() {
                return Ok(plain);
            }
        }
    }

    fn serve_plaintext(self: &Arc<Self>) -> io::Result<()> {
        let mut index = 0;
        self.read_raw(|raw| {
            while let Some(message) = split_frame(raw) {
                self.answer(message, index);
                index += 1;
            }
            true
        })
    }

    /// Reads octets without TLS until `more` says that it is enough.
    fn read_raw(&self, mut more: impl FnMut(&mut &[u8]) -> bool) -> io::Result<()> {
        let (mut buffer, mut stream) = (vec![0; 65536], Vec::new());
        loop {
            let size = (&self.socket).read(&mut buffer)?;
            if size == 0 {
                return Ok(());
            }
            self.shared
                .journal
                .write(|seen| seen.raw.extend(&buffer[..size]));
            stream.extend(&buffer[..size]);
            let mut rest = stream.as_slice();
            if !more(&mut rest) {
                return Ok(());
            }
            stream = rest.to_vec();
        }
    }

    fn answer(self: &Arc<Self>, message: &[u8], index: usize) {
        let query = Received {
            connection: self.number,
            index,
            bytes: message.to_vec(),
        };
        self.shared
            .journal
            .write(|seen| seen.queries.push(query.clone()));
        let steps = (self.shared.script)(&query);
        self.run(steps.into_iter());
    }

    /// Does the steps; what stands behind a wait or a gate is done later, elsewhere.
    fn run(self: &Arc<Self>, mut steps: std::vec::IntoIter<Step>) {
        while let Some(step) = steps.next() {
            let link = Arc::clone(self);
            let done = match step {
                Step::Answer(message) => self.write(&frame(&message)),
                Step::Raw(octets) => self.write(&octets),
                Step::CloseNotify => self.close_notify(),
                Step::Fin => self.socket.shutdown(Shutdown::Write),
                Step::Reset => self.reset(),
                Step::HoldUntil(gate) => {
                    // What is held must not keep a socket open whose connection has ended.
                    let link = Arc::downgrade(&link);
                    return gate.pass(Box::new(move || {
                        if let Some(link) = link.upgrade() {
                            link.run(steps);
                        }
                    }));
                }
                Step::Wait(time) => {
                    // Not joined: it ends with its connection, which the server closes and waits for.
                    std::thread::spawn(move || {
                        if link.wait(time) {
                            link.run(steps);
                        }
                    });
                    return;
                }
            };
            if let Err(error) = done {
                self.shared
                    .journal
                    .write(|seen| seen.failures.push(error.to_string()));
                return;
            }
        }
    }

    /// Waits for `time`; false when the connection ended before.
    fn wait(&self, time: Duration) -> bool {
        let closed = lock(&self.closed);
        let waited = self
            .closing
            .wait_timeout_while(closed, time, |closed| !*closed);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn write(&self, octets: &[u8]) -> io::Result<()> {
        match lock(&self.session).as_mut() {
            Some(session) => {
                session.writer().write_all(octets)?;
                flush(session, &self.socket)
            }
            None => (&self.socket).write_all(octets),
        }
    }

    fn close_notify(&self) -> io::Result<()> {
        match lock(&self.session).as_mut() {
            Some(session) => {
                session.send_close_notify();
                flush(session, &self.socket)
            }
            None => Ok(()),
        }
    }

    /// Makes the closing of the socket a reset, and wakes the reader so that it closes.
    fn reset(&self) -> io::Result<()> {
        self.resets.store(true, Ordering::SeqCst);
        set_socket_linger(&self.socket, Some(Duration::ZERO))?;
        self.socket.shutdown(Shutdown::Read)
    }
}

fn split_frame<'s>(stream: &mut &'s [u8]) -> Option<&'s [u8]> {
    let (length, rest) = stream.split_at_checked(2)?;
    let (message, rest) = rest.split_at_checked(usize::from(word(length, 0)))?;
    *stream = rest;
    Some(message)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
