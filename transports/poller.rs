//! Waiting for sockets on the thread that uses them: a set of its own for each worker, which is told of a socket once.
//!
//! async-io has one reactor for the whole process. Each of its waits takes five system calls, and each socket one more to be
//! waited for again. Here a wait is one call, and nothing else is needed: readiness is reported when it changes (`EPOLLET`),
//! and what a read left empty is not read again before.

use async_io::Async;
use futures::task::{ArcWake, AtomicWaker, waker};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll as Set, Registry, Token};
use slab::Slab;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// Events taken from the system at once. More of them wait for the next turn.
const EVENTS: usize = 128;
/// The event of a wake from another thread.
const WOKEN: Token = Token(usize::MAX);

/// A set of sockets, and the loop that waits for them. A handle: clones are the same set.
///
/// It is meant for `block_on`, by one thread at a time. Under another executor async-io's thread watches over the set,
/// which works as well, and costs more.
#[derive(Clone)]
pub struct Poller(Arc<Inner>);

struct Inner {
    registry: Registry,
    set: Mutex<(Set, Events)>,
    entries: Mutex<Slab<Arc<Entry>>>,
    /// Ends a wait.
    waker: mio::Waker,
    /// Is there a loop that waits for the set?
    driven: AtomicBool,
    /// Is it waiting now, so that a wake has to end that?
    waiting: AtomicBool,
    woken: AtomicBool,
    /// The set in async-io's reactor, once nobody else waits for it.
    watched: Mutex<Option<Async<OwnedFd>>>,
    /// The waker for that: always the same one, since the reactor wakes one that it replaces, while it is being asked.
    watch: OnceLock<Waker>,
}

/// What is known of a socket.
struct Entry {
    read: Side,
    write: Side,
    /// The other end will send no more, or the socket failed: that is reported once, and true for ever.
    ended: AtomicBool,
}

/// One direction of a socket.
struct Side {
    ready: AtomicBool,
    task: AtomicWaker,
}

impl Side {
    /// Worth a try, until a try says otherwise.
    fn new() -> Self {
        Self {
            ready: AtomicBool::new(true),
            task: AtomicWaker::new(),
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.ready.load(Ordering::Acquire) {
            self.task.register(cx.waker());
            if !self.ready.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    fn set(&self) {
        self.ready.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// A list, a set: nothing here has a half-done state that a panic elsewhere could leave behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Poller {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        let set = Set::new()?;
        Ok(Self(Arc::new(Inner {
            registry: set.registry().try_clone()?,
            waker: mio::Waker::new(set.registry(), WOKEN)?,
            set: Mutex::new((set, Events::with_capacity(EVENTS))),
            entries: Mutex::default(),
            driven: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            watched: Mutex::default(),
            watch: OnceLock::new(),
        })))
    }

    /// Adds a socket, which must not block.
    pub fn register<S: AsRawFd>(&self, socket: S) -> io::Result<Waiting<S>> {
        let entry = Arc::new(Entry {
            read: Side::new(),
            write: Side::new(),
            ended: AtomicBool::new(false),
        });
        let token = Token(lock(&self.0.entries).insert(entry.clone()));
        let waiting = Waiting {
            socket,
            token,
            entry,
            poller: self.clone(),
            wants_room: false,
        };
        let fd = waiting.socket.as_raw_fd();
        let registered = (self.0.registry).register(&mut SourceFd(&fd), token, Interest::READABLE);
        registered.map(|()| waiting)
    }

    /// Runs a future on this thread, and waits for the set whenever there is nothing to do.
    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        let inner = &self.0;
        let mut work = pin!(work);
        let waker = waker(inner.clone());
        let mut cx = Context::from_waker(&waker);
        inner.driven.store(true, Ordering::SeqCst);
        loop {
            inner.woken.store(false, Ordering::SeqCst);
            if let Poll::Ready(output) = work.as_mut().poll(&mut cx) {
                inner.driven.store(false, Ordering::SeqCst);
                // Whoever waits under another executor is not forgotten.
                if lock(&inner.watched).is_some() {
                    inner.watch();
                }
                return output;
            }
            // In this order: a wake either sees that it has to end the wait, or is seen here.
            inner.waiting.store(true, Ordering::SeqCst);
            let at_once = inner.woken.load(Ordering::SeqCst);
            inner.turn(&mut lock(&inner.set), at_once.then_some(Duration::ZERO));
        }
    }
}

impl Inner {
    /// Waits, and tells those whose sockets are ready.
    fn turn(&self, (set, events): &mut (Set, Events), limit: Option<Duration>) {
        let waited = set.poll(events, limit);
        self.waiting.store(false, Ordering::SeqCst);
        if let Err(error) = waited {
            // A signal, else something that waiting once more will not mend: it must not go by in silence.
            if error.kind() != io::ErrorKind::Interrupted {
                log::error!("waiting for sockets: {error}");
            }
            return;
        }
        let entries = lock(&self.entries);
        for event in &*events {
            // A socket may be gone since. If another has its place, it will find nothing, and wait again.
            let Some(entry) = entries.get(event.token().0) else {
                continue;
            };
            let failed = event.is_error();
            if failed || event.is_read_closed() || event.is_write_closed() {
                entry.ended.store(true, Ordering::Release);
            }
            if failed || event.is_readable() || event.is_read_closed() {
                entry.read.set();
            }
            if failed || event.is_writable() || event.is_write_closed() {
                entry.write.set();
            }
        }
    }

    /// Has async-io's reactor wait for the set, for as long as no loop does.
    fn watch(self: &Arc<Self>) {
        if self.driven.load(Ordering::SeqCst) {
            return;
        }
        let mut watched = lock(&self.watched);
        if watched.is_none() {
            let set = self.registry.as_fd().try_clone_to_owned();
            match set.and_then(Async::new_nonblocking) {
                Ok(set) => *watched = Some(set),
                Err(error) => log::error!("waiting for sockets: {error}"),
            }
        }
        let watch = (self.watch).get_or_init(|| waker(Arc::new(Watch(Arc::downgrade(self)))));
        let mut cx = Context::from_waker(watch);
        while let Some(set) = &*watched
            && set.poll_readable(&mut cx).is_ready()
            && self.turn_if_free()
        {}
    }

    /// Takes what is there. False if a loop waits for the set, which will take it: to wait for that loop would hold up async-io's thread,
    /// and with it all timers, that loop's too.
    fn turn_if_free(&self) -> bool {
        if self.driven.load(Ordering::SeqCst) {
            return false;
        }
        match self.set.try_lock() {
            Ok(mut set) => self.turn(&mut set, Some(Duration::ZERO)),
            Err(TryLockError::Poisoned(set)) => {
                self.turn(&mut set.into_inner(), Some(Duration::ZERO));
            }
            Err(TryLockError::WouldBlock) => return !self.driven.load(Ordering::SeqCst),
        }
        true
    }
}

/// Wakes the loop.
impl ArcWake for Inner {
    fn wake_by_ref(inner: &Arc<Self>) {
        let again = inner.woken.swap(true, Ordering::SeqCst);
        if !again
            && inner.waiting.load(Ordering::SeqCst)
            && let Err(error) = inner.waker.wake()
        {
            log::error!("waking the loop: {error}");
        }
    }
}

/// Takes what async-io's reactor says of the set.
struct Watch(Weak<Inner>);

impl ArcWake for Watch {
    fn wake_by_ref(watch: &Arc<Self>) {
        if let Some(inner) = watch.0.upgrade()
            && inner.turn_if_free()
        {
            inner.watch();
        }
    }
}

/// Whether there may be more to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// The socket is worth another try.
    Maybe,
    /// All was taken: what comes later will be reported.
    No,
}

/// A socket in the set, which it leaves when it is dropped.
pub struct Waiting<S: AsRawFd> {
    socket: S,
    token: Token,
    entry: Arc<Entry>,
    poller: Poller,
    /// The set was asked for room to write.
    wants_room: bool,
}

impl<S: AsRawFd> Waiting<S> {
    /// The socket.
    pub fn get_ref(&self) -> &S {
        &self.socket
    }

    /// Reads by `read` when there may be something to read.
    pub fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&S) -> io::Result<(T, More)>,
    ) -> Poll<io::Result<T>> {
        let side = &self.entry.read;
        loop {
            ready!(self.poll_side(side, cx));
            // First: what arrives while we read is reported anew.
            side.ready.store(false, Ordering::Release);
            match read(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok((output, More::No)) if !self.entry.ended.load(Ordering::Acquire) => {
                    return Poll::Ready(Ok(output));
                }
                done => {
                    side.ready.store(true, Ordering::Release);
                    match done {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        done => return Poll::Ready(done.map(|(output, _)| output)),
                    }
                }
            }
        }
    }

    /// Writes by `write` when there may be room.
    pub fn poll_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.poll_side(&self.entry.write, cx));
            match write(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.entry.write.ready.store(false, Ordering::Release);
                    self.want_room(true)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => {
                    if self.wants_room {
                        // Else a datagram's leaving would be reported each time.
                        self.want_room(false)?;
                    }
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn poll_side(&self, side: &Side, cx: &mut Context<'_>) -> Poll<()> {
        let polled = side.poll(cx);
        if polled.is_pending() {
            self.poller.0.watch();
        }
        polled
    }

    fn want_room(&mut self, wanted: bool) -> io::Result<()> {
        let mut interest = Interest::READABLE;
        if wanted {
            interest |= Interest::WRITABLE;
        }
        let fd = self.socket.as_raw_fd();
        (self.poller.0.registry).reregister(&mut SourceFd(&fd), self.token, interest)?;
        self.wants_room = wanted;
        Ok(())
    }
}

impl<S: AsRawFd> Drop for Waiting<S> {
    fn drop(&mut self) {
        let fd = self.socket.as_raw_fd();
        if let Err(error) = self.poller.0.registry.deregister(&mut SourceFd(&fd)) {
            log::debug!("a socket left the set: {error}");
        }
        lock(&self.poller.0.entries).try_remove(self.token.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair(poller: &Poller) -> (Waiting<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        (poller.register(near).unwrap(), far)
    }

    /// Reads once, into four octets.
    async fn read(near: &mut Waiting<TcpStream>) -> io::Result<Vec<u8>> {
        std::future::poll_fn(|cx| {
            near.poll_read(cx, |mut socket| {
                let mut into = [0; 4];
                let n = socket.read(&mut into)?;
                let more = if n < into.len() {
                    More::No
                } else {
                    More::Maybe
                };
                Ok((into[..n].to_vec(), more))
            })
        })
        .await
    }

    async fn all(near: &mut Waiting<TcpStream>) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match read(near).await.unwrap() {
                octets if octets.is_empty() => return all,
                octets => all.extend(octets),
            }
        }
    }

    #[test]
    fn what_comes_after_a_short_read_is_reported_and_so_is_the_end() {
        let poller = Poller::new().unwrap();
        let (mut near, mut far) = pair(&poller);
        for text in ["a", "bcd", "efghi", "jklmnopq"] {
            far.write_all(text.as_bytes()).unwrap();
            let mut got = Vec::new();
            while got.len() < text.len() {
                got.extend(poller.block_on(read(&mut near)).unwrap());
            }
            assert_eq!(got, text.as_bytes());
        }
        // With the end behind it, a short read is not the last: the end was reported before.
        far.write_all(b"xy").unwrap();
        drop(far);
        assert_eq!(poller.block_on(all(&mut near)), b"xy");
        assert_eq!(poller.block_on(read(&mut near)).unwrap(), b"", "for ever");
    }

    #[test]
    fn a_full_socket_is_written_to_when_there_is_room() {
        const MUCH: usize = 8 << 20;
        let poller = Poller::new().unwrap();
        let (mut near, mut far) = pair(&poller);
        let reader = std::thread::spawn(move || {
            let mut octets = Vec::new();
            far.read_to_end(&mut octets).unwrap();
            octets.len()
        });
        let mut left = MUCH;
        poller.block_on(std::future::poll_fn(|cx| {
            while left > 0 {
                let from = vec![7; left.min(1 << 20)];
                left -= ready!(near.poll_write(cx, |mut socket| socket.write(&from))).unwrap();
            }
            Poll::Ready(())
        }));
        assert!(!near.wants_room, "not asked for any longer");
        drop(near);
        assert_eq!(reader.join().unwrap(), MUCH);
    }

    #[test]
    fn another_thread_ends_the_wait() {
        let poller = Poller::new().unwrap();
        let (send, mut receive) = futures::channel::mpsc::unbounded();
        let thread = std::thread::spawn(move || {
            for i in 0..1000 {
                send.unbounded_send(i).unwrap();
            }
        });
        let sum = poller.block_on(async {
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
    fn another_executor_serves_as_well() {
        let poller = Poller::new().unwrap();
        let (mut near, mut far) = pair(&poller);
        let writer = std::thread::spawn(move || {
            for octets in [b"abcd", b"efgh"] {
                far.write_all(octets).unwrap();
            }
        });
        assert_eq!(async_io::block_on(all(&mut near)), b"abcdefgh");
        writer.join().unwrap();
    }

    /// Runs work that must not hang.
    fn soon(work: impl FnOnce() + Send + 'static) {
        let (done, is_done) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            work();
            done.send(()).unwrap();
        });
        let ended = is_done.recv_timeout(Duration::from_secs(20));
        assert!(ended.is_ok(), "it hangs, or has panicked");
        thread.join().unwrap();
    }

    #[test]
    fn another_executor_waits_for_many_sockets_and_for_time() {
        soon(|| {
            let poller = Poller::new().unwrap();
            let pairs = (0..10).map(|_| pair(&poller));
            let (nears, mut fars): (Vec<_>, Vec<_>) = pairs.unzip();
            let writer = std::thread::spawn(move || {
                for far in &mut fars {
                    std::thread::yield_now();
                    far.write_all(b"abcd").unwrap();
                }
                fars
            });
            let reads = nears.into_iter().map(|mut near| async move {
                let octets = read(&mut near).await.unwrap();
                async_io::Timer::after(Duration::from_millis(1)).await;
                (near, octets)
            });
            let read = async_io::block_on(futures::future::join_all(reads));
            assert!(read.iter().all(|(_, octets)| octets == b"abcd"));
            writer.join().unwrap();
        });
    }

    #[test]
    fn timers_go_off_when_another_executor_has_polled_before() {
        soon(|| {
            let poller = Poller::new().unwrap();
            let (mut near, mut far) = pair(&poller);
            // From here on async-io's reactor has the set.
            let waited = async {
                let (read, timer) = (
                    pin!(read(&mut near)),
                    async_io::Timer::after(Duration::ZERO),
                );
                futures::future::select(read, timer).await;
            };
            async_io::block_on(waited);
            poller.block_on(async {
                for _ in 0..200 {
                    far.write_all(b"abcd").unwrap();
                    assert_eq!(read(&mut near).await.unwrap(), b"abcd");
                    async_io::Timer::after(Duration::from_micros(500)).await;
                }
            });
        });
    }

    #[test]
    fn a_socket_that_is_dropped_leaves_nothing() {
        let poller = Poller::new().unwrap();
        for _ in 0..100 {
            drop(pair(&poller));
        }
        assert_eq!(lock(&poller.0.entries).len(), 0);
    }
}
