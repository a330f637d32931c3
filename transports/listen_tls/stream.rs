//! A stream over TLS. The handshake goes on in each poll, whatever is polled.

use crate::runtime::ByteStream;
use futures::io::{AsyncRead, AsyncWrite};
use rustls::ServerConnection;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Octets of a write, so that it is one record (RFC 8446 section 5.1) and waits as a whole where the client takes no more.
const RECORD: usize = 16 * 1024;
/// Octets of memory of an idle connection: the state of TLS and its buffers, as measured.
const SESSION: usize = 8 * 1024;
/// Reads in one poll that bring nothing to the caller, as in a handshake.
const MAX_READS: usize = 16;
/// The most octets that TLS holds of what has arrived and is not whole: of a handshake (rustls takes messages of 64 KiB) or of a record.
const MAX_HELD: usize = 80 * 1024;

/// A stream over TLS.
pub struct TlsStream<S> {
    io: S,
    tls: ServerConnection,
    /// Octets that have arrived since the last that the caller could read: TLS holds what of a message or a record is there.
    held: usize,
    /// Octets that are encrypted, and of which the caller has not been told that they are written.
    written: usize,
    /// The end was announced to the client.
    closing: bool,
}

impl<S: ByteStream> TlsStream<S> {
    /// Before its handshake.
    pub(super) fn new(io: S, tls: ServerConnection) -> Self {
        Self {
            io,
            tls,
            held: 0,
            written: 0,
            closing: false,
        }
    }

    /// Sends what TLS has to send: of the handshake, an alert, or a record.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            let mut io = Blocking::new(&mut self.io, cx);
            match self.tls.write_tls(&mut io) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what the client has sent. An error is told to the client first, if it can be.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut io = Blocking::new(&mut self.io, cx);
        let octets = match self.tls.read_tls(&mut io) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            read => read?,
        };
        let shook = self.tls.is_handshaking();
        if shook && octets == 0 {
            let reason = "the client ended it before the TLS handshake was over";
            return Poll::Ready(Err(io::Error::new(ErrorKind::UnexpectedEof, reason)));
        }
        self.held = (self.held + octets).min(MAX_HELD);
        match self.tls.process_new_packets() {
            Ok(state) => {
                let is_over = shook && !self.tls.is_handshaking();
                if is_over || state.plaintext_bytes_to_read() > 0 {
                    self.held = 0;
                }
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                let _alert_sent_or_not = self.poll_send(cx);
                let when = if shook { "TLS handshake" } else { "TLS" };
                let why = format!("{when}: {error}");
                Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, why)))
            }
        }
    }
}

impl<S: ByteStream> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        for _ in 0..MAX_READS {
            // What the client has no room for waits, and it may go on sending meanwhile.
            if let Poll::Ready(sent) = this.poll_send(cx) {
                sent?;
            }
            match this.tls.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The client ended without saying so. Frames have their length, so that none can be cut short.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(0));
                }
                read => return Poll::Ready(read),
            }
            ready!(this.poll_receive(cx))?;
        }
        // Others get their turn: it sends what is no message of DNS, such as empty records.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: ByteStream> AsyncWrite for TlsStream<S> {
    /// Octets count as written when all of their record has left. After `Pending` the next call must offer them again, at its front.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_send(cx))?;
        while this.tls.is_handshaking() {
            ready!(this.poll_receive(cx))?;
            ready!(this.poll_send(cx))?;
        }
        if this.written == 0 {
            let record = from.get(..RECORD).unwrap_or(from);
            this.written = this.tls.writer().write(record)?;
            ready!(this.poll_send(cx))?;
        }
        let told = this.written.min(from.len());
        this.written -= told;
        Poll::Ready(Ok(told))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Tells the client that this is the end (`close_notify`), as far as it takes that at once.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.closing, true) {
            self.tls.send_close_notify();
        }
        let _sent_or_not = self.poll_send(cx);
        Pin::new(&mut self.io).poll_close(cx)
    }
}

impl<S: ByteStream> ByteStream for TlsStream<S> {
    fn ack_soon(&self) {
        self.io.ack_soon();
    }

    fn is_encrypted(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        !self.tls.is_handshaking()
    }

    fn memory(&self) -> usize {
        SESSION + self.held + self.written
    }
}

/// A stream as rustls reads and writes it: `WouldBlock` where it is pending.
struct Blocking<'s, 'c, 'w, S> {
    io: &'s mut S,
    cx: &'c mut Context<'w>,
}

impl<'s, 'c, 'w, S> Blocking<'s, 'c, 'w, S> {
    fn new(io: &'s mut S, cx: &'c mut Context<'w>) -> Self {
        Self { io, cx }
    }
}

fn blocking<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

impl<S: ByteStream> io::Read for Blocking<'_, '_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.io).poll_read(self.cx, into))
    }
}

impl<S: ByteStream> io::Write for Blocking<'_, '_, '_, S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.io).poll_write(self.cx, from))
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.io).poll_write_vectored(self.cx, from))
    }

    fn flush(&mut self) -> io::Result<()> {
        blocking(Pin::new(&mut *self.io).poll_flush(self.cx))
    }
}
