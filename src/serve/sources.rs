//! What is ready: each source of events has a waker of its own, and only those that were woken are polled.
//!
//! Ten thousand idle connections thus cost nothing per datagram. The waker stays the same for the source's life, since some
//! reactors pay for a changed one.

use crate::engine::{ConnectionKey, Time, Via};
use crate::locks::lock;
use crate::runtime::Runtime;
use futures::task::{ArcWake, AtomicWaker, waker};
use slotmap::{Key, KeyData, new_key_type};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};

new_key_type! {
    /// Names a client's connection.
    pub struct ClientKey;
}

impl ClientKey {
    /// The key of the connection that a response is for.
    pub fn of(number: u64) -> Self {
        KeyData::from_ffi(number).into()
    }

    /// How the core names the connection.
    pub fn via(self, encrypted: bool) -> Via {
        let number = self.data().as_ffi();
        if encrypted {
            Via::Encrypted(number)
        } else {
            Via::Stream(number)
        }
    }
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Control,
    Alarm,
    Udp(usize),
    TcpListener(usize),
    TcpClient(ClientKey),
    Upstream(ConnectionKey),
    Lookup(usize),
    #[cfg_attr(
        not(feature = "captive"),
        expect(dead_code, reason = "nothing is asked in the clear then")
    )]
    Check(usize),
}

/// What becomes of a source that was polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// It wakes the loop when there is more to do.
    Pending,
    /// There is more to do at once.
    More,
    /// It has come to its end.
    Ended,
}

/// The sources of one loop that are ready. Clones share the list.
#[derive(Clone, Default)]
pub struct Sources {
    ready: Arc<Ready>,
    /// Kept for its memory.
    spare: Vec<Weak<Entry>>,
}

#[derive(Default)]
struct Ready {
    /// Weak, because entries refer to the list.
    list: Mutex<Vec<Weak<Entry>>>,
    /// The task that polls the loop.
    task: AtomicWaker,
}

/// What the list knows of a source.
struct Entry {
    kind: Kind,
    /// Is it in the list?
    listed: AtomicBool,
    ready: Arc<Ready>,
}

/// A source of events.
pub struct Source {
    entry: Arc<Entry>,
    waker: Waker,
}

impl Entry {
    /// Puts it into the list. False if it is there already.
    fn list(self: &Arc<Self>) -> bool {
        let new = !self.listed.swap(true, Ordering::AcqRel);
        if new {
            lock(&self.ready.list).push(Arc::downgrade(self));
        }
        new
    }
}

impl ArcWake for Entry {
    fn wake_by_ref(entry: &Arc<Self>) {
        if entry.list() {
            entry.ready.task.wake();
        }
    }
}

impl Sources {
    /// Makes a source, which is ready at once: it has never been polled. It may still be listed for a moment after it was dropped.
    pub fn add(&self, kind: Kind) -> Source {
        let entry = Arc::new(Entry {
            kind,
            listed: AtomicBool::new(false),
            ready: self.ready.clone(),
        });
        entry.list();
        let waker = waker(entry.clone());
        Source { entry, waker }
    }

    /// The task to wake when a source is woken.
    pub fn register(&self, task: &Waker) {
        self.ready.task.register(task);
    }

    /// Moves the sources that are ready into `into`. From here on a wake lists them again.
    pub fn take_ready(&mut self, into: &mut Vec<Kind>) {
        into.clear();
        std::mem::swap(&mut *lock(&self.ready.list), &mut self.spare);
        for entry in self.spare.drain(..).filter_map(|entry| entry.upgrade()) {
            // What the waker's thread wrote before it woke is seen from here on.
            entry.listed.swap(false, Ordering::AcqRel);
            into.push(entry.kind);
        }
    }

    /// Is any source ready?
    pub fn any_ready(&self) -> bool {
        !lock(&self.ready.list).is_empty()
    }
}

impl Source {
    /// To poll it with.
    pub fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Has it polled in the next iteration. For the loop itself, which looks at the list before it waits and so needs no wake.
    pub fn mark(&self) {
        self.entry.list();
    }
}

/// The one timer of a loop.
pub struct Alarm<R: Runtime> {
    source: Source,
    /// When it goes off.
    armed: Option<(Time, R::Sleep)>,
}

impl<R: Runtime> Alarm<R> {
    pub fn new(sources: &Sources) -> Self {
        Self {
            source: sources.add(Kind::Alarm),
            armed: None,
        }
    }

    /// Goes off at this moment or before it: an iteration too many costs less than setting a timer anew.
    pub fn set(&mut self, at: Time, runtime: &R) {
        if self.armed.as_ref().is_none_or(|(armed, _)| *armed > at) {
            self.armed = Some((at, runtime.sleep_until(at)));
            self.poll();
        }
    }

    /// Has the loop iterate once more if the timer has gone off.
    pub fn poll(&mut self) {
        if let Some((_, sleep)) = &mut self.armed
            && Pin::new(sleep).poll(&mut self.source.context()).is_ready()
        {
            self.armed = None;
            self.source.mark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::{WakerRef, noop_waker};
    use std::sync::atomic::AtomicUsize;

    struct Count(AtomicUsize);

    impl ArcWake for Count {
        fn wake_by_ref(count: &Arc<Self>) {
            count.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn sources_that_were_woken_are_listed_once() {
        let mut sources = Sources::default();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let task: WakerRef<'_> = futures::task::waker_ref(&count);
        sources.register(&task);
        let (a, b) = (sources.add(Kind::Control), sources.add(Kind::Alarm));
        let mut ready = Vec::new();
        sources.take_ready(&mut ready);
        assert_eq!(ready, [Kind::Control, Kind::Alarm], "new ones are ready");
        sources.take_ready(&mut ready);
        assert_eq!(ready, []);

        let waker = b.context().waker().clone();
        assert!(waker.will_wake(b.context().waker()), "stable");
        waker.wake_by_ref();
        waker.wake_by_ref();
        b.mark();
        assert!(sources.any_ready());
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "one wake of the loop");
        sources.take_ready(&mut ready);
        assert_eq!(ready, [Kind::Alarm]);

        a.mark();
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the loop needs no wake");
        drop(a);
        sources.take_ready(&mut ready);
        assert_eq!(ready, [], "a source that was dropped is not ready");
        sources.register(&noop_waker());
    }
}
