//! Who woke the loop: each source has a stable waker of its own, and only those that are ready are polled.
//!
//! Ten thousand idle connections so cost nothing per datagram. The waker stays the same for the source's life, since some
//! reactors pay for a changed one.

use super::streams::ConnectionKey;
use crate::engine::LinkKey;
use futures::task::{ArcWake, AtomicWaker, waker};
use slotmap::{SlotMap, new_key_type};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

new_key_type! {
    /// Names a source.
    pub struct SourceKey;
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Control,
    Alarm,
    Datagrams(usize),
    Listener(usize),
    Connection(ConnectionKey),
    Link(LinkKey),
    Lookup(usize),
}

/// The sources that have something to do.
#[derive(Default)]
struct Ready {
    woken: Mutex<Vec<SourceKey>>,
    task: AtomicWaker,
}

impl Ready {
    fn push(&self, key: SourceKey) {
        // A list of keys has no half-done state that a panic elsewhere could leave behind.
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.push(key);
    }
}

struct Source {
    key: SourceKey,
    /// In the list already?
    listed: AtomicBool,
    ready: Arc<Ready>,
}

impl ArcWake for Source {
    fn wake_by_ref(source: &Arc<Self>) {
        if !source.listed.swap(true, Ordering::AcqRel) {
            source.ready.push(source.key);
            source.ready.task.wake();
        }
    }
}

/// All sources of one loop.
pub struct Sources {
    entries: SlotMap<SourceKey, (Kind, Arc<Source>, Waker)>,
    ready: Arc<Ready>,
    spare: Vec<SourceKey>,
}

impl Sources {
    pub fn new() -> Self {
        Self {
            entries: SlotMap::with_key(),
            ready: Arc::default(),
            spare: Vec::new(),
        }
    }

    /// Adds a source, which is ready at once: it has never been polled.
    pub fn add(&mut self, kind: Kind) -> SourceKey {
        let ready = &self.ready;
        let key = self.entries.insert_with_key(|key| {
            let source = Arc::new(Source {
                key,
                listed: AtomicBool::new(true),
                ready: ready.clone(),
            });
            (kind, source.clone(), waker(source))
        });
        self.ready.push(key);
        key
    }

    pub fn remove(&mut self, key: SourceKey) {
        self.entries.remove(key);
    }

    /// The waker to poll this source with.
    pub fn waker(&self, key: SourceKey) -> Waker {
        match self.entries.get(key) {
            Some((_, _, waker)) => waker.clone(),
            None => futures::task::noop_waker(),
        }
    }

    /// Has it polled again in the next pass. For the loop itself, which looks before it waits and so needs no wake.
    pub fn mark(&self, key: SourceKey) {
        if let Some((_, source, _)) = self.entries.get(key)
            && !source.listed.swap(true, Ordering::AcqRel)
        {
            source.ready.push(key);
        }
    }

    /// Whom to wake when a source is woken.
    pub fn register(&self, task: &Waker) {
        self.ready.task.register(task);
    }

    /// Moves those that are ready into `into`. From here on a wake lists them again.
    pub fn take_ready(&mut self, into: &mut Vec<(SourceKey, Kind)>) {
        into.clear();
        {
            let mut woken = self
                .ready
                .woken
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut *woken, &mut self.spare);
        }
        for key in self.spare.drain(..) {
            if let Some((kind, source, _)) = self.entries.get(key) {
                // What the waker's thread wrote before it woke is seen from here on.
                source.listed.swap(false, Ordering::AcqRel);
                into.push((key, *kind));
            }
        }
    }

    /// Is any ready now?
    pub fn any_ready(&self) -> bool {
        let woken = self
            .ready
            .woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        !woken.is_empty()
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
    fn only_the_woken_are_listed_and_each_once() {
        let mut sources = Sources::new();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let task: WakerRef<'_> = futures::task::waker_ref(&count);
        sources.register(&task);
        let a = sources.add(Kind::Control);
        let b = sources.add(Kind::Alarm);
        let mut ready = Vec::new();
        sources.take_ready(&mut ready);
        assert_eq!(
            ready,
            [(a, Kind::Control), (b, Kind::Alarm)],
            "new ones are ready"
        );
        sources.take_ready(&mut ready);
        assert_eq!(ready, []);

        let waker = sources.waker(b);
        assert!(waker.will_wake(&sources.waker(b)), "stable");
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(sources.any_ready());
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "one wake of the loop");
        sources.take_ready(&mut ready);
        assert_eq!(ready, [(b, Kind::Alarm)]);

        waker.wake_by_ref();
        sources.remove(b);
        sources.take_ready(&mut ready);
        assert_eq!(ready, [], "a removed source is silent");
        sources.register(&noop_waker());
    }
}
