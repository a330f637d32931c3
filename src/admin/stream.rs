//! A TCP connection as hyper wants it. It never blocks: the server waits for all connections together.

use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::event::PollFlags;
use std::cell::Cell;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Octets that are read at once.
const PART: usize = 2_048;

/// One end of a connection; the server has another handle to it.
#[derive(Clone)]
pub struct Stream {
    socket: Rc<TcpStream>,
    waits_for: Rc<Cell<PollFlags>>,
}

impl Stream {
    /// Over this socket, which must not block.
    pub fn new(socket: TcpStream) -> Self {
        Self {
            socket: Rc::new(socket),
            waits_for: Rc::new(Cell::new(PollFlags::empty())),
        }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// What must happen before anything more can be done with it.
    pub fn waits_for(&self) -> PollFlags {
        self.waits_for.get()
    }

    /// It is looked at anew.
    pub fn forget(&self) {
        self.waits_for.set(PollFlags::empty());
    }

    /// The outcome of a call. `Pending` is noted, and the server calls again when it is time.
    fn outcome<T>(&self, result: io::Result<T>, flag: PollFlags) -> Poll<io::Result<T>> {
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.waits_for.set(self.waits_for.get() | flag);
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut part = [0; PART];
        let room = part.len().min(buf.remaining());
        let read = (&*self.socket).read(&mut part[..room]);
        self.outcome(read, PollFlags::IN)
            .map_ok(|count| buf.put_slice(&part[..count]))
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = (&*self.socket).write(buf);
        self.outcome(written, PollFlags::OUT)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}
