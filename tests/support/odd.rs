//! A server that does not behave as one for DNS over TLS should.

use super::authority::NAME;
use super::journal::DEADLINE;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A server that does with each connection, one after the other, what the test says. Dropping it joins its thread.
pub struct Odd {
    /// Where it listens.
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Odd {
    /// Serves each connection so. An error ends that connection alone.
    pub fn start(serve: impl Fn(&mut TcpStream) -> io::Result<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let work = move || {
            while let Ok((mut socket, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                socket
                    .set_read_timeout(Some(DEADLINE))
                    .expect("a time limit");
                if let Err(error) = serve(&mut socket) {
                    // Most of these conversations end badly, and are meant to.
                    eprintln!("the odd server: {error}");
                }
            }
        };
        let thread = Some(std::thread::spawn(work));
        Self {
            address,
            over,
            thread,
        }
    }

    /// It as an upstream, with the name that tests verify.
    pub fn spec(&self) -> String {
        format!("{}#{NAME}", self.address)
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread; if nobody listens any more, it has ended.
        let _ = TcpStream::connect(self.address);
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(
            matches!(joined, Some(Ok(()))) || std::thread::panicking(),
            "the odd server panicked"
        );
    }
}
