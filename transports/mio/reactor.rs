//! The reactor of one loop: an epoll instance (kqueue elsewhere) of its own, which reports changes only, and the loop's timers.
//!
//! A wait is one system call, and so is each read: what a read has emptied is not read again before the next report.

use crate::locks::lock;
use futures::task::{ArcWake, AtomicWaker, waker};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll as Poller, Registry, Token};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

/// Events taken from the kernel at once. Further ones wait for the next call.
const EVENTS: usize = 128;
/// The token of wakes from other threads. Sockets count from 0.
const WAKE: Token = Token(usize::MAX);

/// A handle: clones are the same reactor. Only [`Reactor::block_on`] waits for it.
#[derive(Clone)]
pub struct Reactor(Arc<Inner>);

struct Inner {
    poller: Mutex<(Poller, Events)>,
    registry: Registry,
    sources: Mutex<BTreeMap<usize, Arc<Source>>>,
    timers: Mutex<BTreeMap<Alarm, Waker>>,
    /// The number that the next socket or timer gets.
    next: AtomicUsize,
    wake: Arc<Wake>,
}

/// When a timer ends, and its number.
type Alarm = (Instant, usize);

/// Wakes the loop, from any thread.
struct Wake {
    waker: mio::Waker,
    woken: AtomicBool,
    /// The loop waits now, so that a wake has to end that.
    waiting: AtomicBool,
}

impl ArcWake for Wake {
    fn wake_by_ref(wake: &Arc<Self>) {
        let again = wake.woken.swap(true, Ordering::SeqCst);
        if !again
            && wake.waiting.load(Ordering::SeqCst)
            && let Err(error) = wake.waker.wake()
        {
            log::error!("the loop could not be woken: {error}");
        }
    }
}

/// What is known of a socket.
#[derive(Default)]
struct Source {
    readable: Direction,
    writable: Direction,
    /// The peer has closed its side, or the socket failed. That is reported only once.
    closed: AtomicBool,
}

/// One direction of a socket.
#[derive(Default)]
struct Direction {
    /// A try would find nothing, as far as is known.
    idle: AtomicBool,
    task: AtomicWaker,
}

impl Direction {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.idle.load(Ordering::Acquire) {
            self.task.register(cx.waker());
            if self.idle.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Release);
    }

    fn set_ready(&self) {
        self.set_idle(false);
        self.task.wake();
    }
}

impl Reactor {
    /// A new one, without sockets.
    pub fn new() -> io::Result<Self> {
        let poller = Poller::new()?;
        Ok(Self(Arc::new(Inner {
            registry: poller.registry().try_clone()?,
            sources: Mutex::default(),
            timers: Mutex::default(),
            next: AtomicUsize::new(0),
            wake: Arc::new(Wake {
                waker: mio::Waker::new(poller.registry(), WAKE)?,
                woken: AtomicBool::new(false),
                waiting: AtomicBool::new(false),
            }),
            poller: Mutex::new((poller, Events::with_capacity(EVENTS))),
        })))
    }

    fn number(&self) -> usize {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a socket, which must not block.
    pub fn register<S: AsRawFd>(&self, socket: S) -> io::Result<Registered<S>> {
        let (fd, number) = (socket.as_raw_fd(), self.number());
        let registry = &self.0.registry;
        registry.register(&mut SourceFd(&fd), Token(number), Interest::READABLE)?;
        let source = Arc::new(Source::default());
        lock(&self.0.sources).insert(number, source.clone());
        Ok(Registered {
            socket,
            number,
            source,
            reactor: self.clone(),
            wants_to_write: false,
        })
    }

    /// A timer.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep {
            alarm: (at, self.number()),
            reactor: self.clone(),
        }
    }

    /// Runs a future on this thread, and waits for sockets and timers whenever there is nothing to do.
    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        let wake = &self.0.wake;
        let mut work = pin!(work);
        let waker = waker(wake.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            wake.woken.store(false, Ordering::SeqCst);
            if let Poll::Ready(output) = work.as_mut().poll(&mut cx) {
                return output;
            }
            // In this order: a wake either sees that it has to end the wait, or is seen here.
            wake.waiting.store(true, Ordering::SeqCst);
            let at_once = wake.woken.load(Ordering::SeqCst);
            let limit = if at_once {
                Some(Duration::ZERO)
            } else {
                self.0.next_alarm()
            };
            self.0.wait(limit);
            self.0.fire_timers();
        }
    }
}

impl Inner {
    /// Waits for events, and wakes those whose sockets are ready.
    fn wait(&self, limit: Option<Duration>) {
        let (poller, events) = &mut *lock(&self.poller);
        let waited = poller.poll(events, limit);
        self.wake.waiting.store(false, Ordering::SeqCst);
        if let Err(error) = waited {
            if error.kind() != io::ErrorKind::Interrupted {
                log::error!("waiting for sockets failed: {error}");
            }
            return;
        }
        for event in &*events {
            // A socket may be gone since.
            let source = lock(&self.sources).get(&event.token().0).cloned();
            let Some(source) = source else {
                continue;
            };
            let failed = event.is_error();
            if failed || event.is_read_closed() || event.is_write_closed() {
                source.closed.store(true, Ordering::Release);
            }
            if failed || event.is_readable() || event.is_read_closed() {
                source.readable.set_ready();
            }
            if failed || event.is_writable() || event.is_write_closed() {
                source.writable.set_ready();
            }
        }
    }

    /// How long it is until the first timer ends.
    fn next_alarm(&self) -> Option<Duration> {
        let timers = lock(&self.timers);
        let ((at, _), _) = timers.first_key_value()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Wakes those whose timers have ended.
    fn fire_timers(&self) {
        if lock(&self.timers).is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(waker) = self.ended_timer(now) {
            waker.wake();
        }
    }

    fn ended_timer(&self, now: Instant) -> Option<Waker> {
        let mut timers = lock(&self.timers);
        let first = timers.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// A timer.
pub struct Sleep {
    alarm: Alarm,
    reactor: Reactor,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.alarm.0 <= Instant::now() {
            return Poll::Ready(());
        }
        let replaced = lock(&self.reactor.0.timers).insert(self.alarm, cx.waker().clone());
        // Not under the lock: it may own another timer.
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = lock(&self.reactor.0.timers).remove(&self.alarm);
        drop(waker);
    }
}

/// A registered socket. Dropping it removes it.
pub struct Registered<S: AsRawFd> {
    socket: S,
    number: usize,
    source: Arc<Source>,
    reactor: Reactor,
    /// Events for writing are asked for, too.
    wants_to_write: bool,
}

impl<S: AsRawFd> Registered<S> {
    /// The socket.
    pub fn get_ref(&self) -> &S {
        &self.socket
    }

    /// Reads by `read` when there may be something to read. `read` also returns whether it has emptied the socket.
    pub fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&S) -> io::Result<(T, bool)>,
    ) -> Poll<io::Result<T>> {
        let side = &self.source.readable;
        loop {
            ready!(side.poll(cx));
            // Before the read: what arrives meanwhile is reported.
            side.set_idle(true);
            let (done, emptied) = match read(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => (Err(error), false),
                Ok((output, emptied)) => (Ok(output), emptied),
            };
            if !emptied || self.source.closed.load(Ordering::Acquire) {
                side.set_idle(false);
            }
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Writes by `write` when the socket may have room.
    pub fn poll_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.source.writable.poll(cx));
            match write(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.writable.set_idle(true);
                    self.ask_to_write(true)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => {
                    if self.wants_to_write {
                        // Otherwise each datagram that leaves would be reported.
                        self.ask_to_write(false)?;
                    }
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn ask_to_write(&mut self, wanted: bool) -> io::Result<()> {
        let mut interest = Interest::READABLE;
        if wanted {
            interest |= Interest::WRITABLE;
        }
        let (fd, token) = (self.socket.as_raw_fd(), Token(self.number));
        (self.reactor.0.registry).reregister(&mut SourceFd(&fd), token, interest)?;
        self.wants_to_write = wanted;
        Ok(())
    }
}

impl<S: AsRawFd> Drop for Registered<S> {
    fn drop(&mut self) {
        let fd = self.socket.as_raw_fd();
        if let Err(error) = self.reactor.0.registry.deregister(&mut SourceFd(&fd)) {
            log::debug!("a socket could not be removed from the reactor: {error}");
        }
        lock(&self.reactor.0.sources).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair(reactor: &Reactor) -> (Registered<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        (reactor.register(near).unwrap(), far)
    }

    /// Reads once, into four octets.
    async fn read(near: &mut Registered<TcpStream>) -> io::Result<Vec<u8>> {
        std::future::poll_fn(|cx| {
            near.poll_read(cx, |mut socket| {
                let mut into = [0; 4];
                let n = socket.read(&mut into)?;
                Ok((into[..n].to_vec(), n < into.len()))
            })
        })
        .await
    }

    async fn read_to_end(near: &mut Registered<TcpStream>) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match read(near).await.unwrap() {
                octets if octets.is_empty() => return all,
                octets => all.extend(octets),
            }
        }
    }

    #[test]
    fn octets_after_a_short_read_are_reported_and_so_is_the_end() {
        let reactor = Reactor::new().unwrap();
        let (mut near, mut far) = pair(&reactor);
        for text in ["a", "bcd", "efghi", "jklmnopq"] {
            far.write_all(text.as_bytes()).unwrap();
            let mut got = Vec::new();
            while got.len() < text.len() {
                got.extend(reactor.block_on(read(&mut near)).unwrap());
            }
            assert_eq!(got, text.as_bytes());
        }
        // The end was reported before the short read, which therefore must not be taken for the last one.
        far.write_all(b"xy").unwrap();
        drop(far);
        assert_eq!(reactor.block_on(read_to_end(&mut near)), b"xy");
        assert_eq!(reactor.block_on(read(&mut near)).unwrap(), b"", "again");
    }

    #[test]
    fn a_full_socket_is_written_to_when_there_is_room() {
        const MUCH: usize = 8 << 20;
        let reactor = Reactor::new().unwrap();
        let (mut near, mut far) = pair(&reactor);
        let reader = std::thread::spawn(move || {
            let mut octets = Vec::new();
            far.read_to_end(&mut octets).unwrap();
            octets.len()
        });
        let mut left = MUCH;
        reactor.block_on(std::future::poll_fn(|cx| {
            while left > 0 {
                let from = vec![7; left.min(1 << 20)];
                left -= ready!(near.poll_write(cx, |mut socket| socket.write(&from))).unwrap();
            }
            Poll::Ready(())
        }));
        assert!(!near.wants_to_write, "not asked for any longer");
        drop(near);
        assert_eq!(reader.join().unwrap(), MUCH);
    }

    #[test]
    fn another_thread_ends_the_wait() {
        let reactor = Reactor::new().unwrap();
        let (send, mut receive) = futures::channel::mpsc::unbounded();
        let thread = std::thread::spawn(move || {
            for i in 0..1000 {
                send.unbounded_send(i).unwrap();
            }
        });
        let sum = reactor.block_on(async {
            let mut sum = 0;
            while let Some(i) = futures::StreamExt::next(&mut receive).await {
                sum += i;
            }
            sum
        });
        assert_eq!(sum, 499_500);
        thread.join().unwrap();
    }

    #[test]
    fn what_is_dropped_leaves_nothing() {
        let reactor = Reactor::new().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            drop(pair(&reactor));
            let mut sleep = reactor.sleep_until(Instant::now() + Duration::from_secs(60));
            assert!(Pin::new(&mut sleep).poll(&mut cx).is_pending());
        }
        assert!(lock(&reactor.0.sources).is_empty());
        assert!(lock(&reactor.0.timers).is_empty());
    }
}
