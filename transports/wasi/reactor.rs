//! The reactor of a component: one `wasi:io/poll` for everything that is waited for.

use futures::task::{ArcWake, waker};
use slotmap::{SlotMap, new_key_type};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::{Pollable, poll};

new_key_type! {
    /// Identifies a watch.
    struct WatchKey;
}

/// The list of all watches. Clones are handles to the same one.
#[derive(Clone)]
pub struct Reactor(Rc<RefCell<List>>);

struct List {
    watches: SlotMap<WatchKey, Watched>,
    /// Always ready: with it in the list, the host does not wait.
    at_once: Pollable,
}

struct Watched {
    pollable: Pollable,
    state: State,
}

enum State {
    /// No task waits for it.
    Idle,
    /// The host is asked, and this waker woken.
    Waiting(Waker),
    /// The host has reported it, and it was not polled since.
    Ready,
}

impl Default for Reactor {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(List {
            watches: SlotMap::with_key(),
            at_once: monotonic_clock::subscribe_duration(0),
        })))
    }
}

impl Reactor {
    /// Watches a pollable. WASI demands that the watch is dropped before the resource that the pollable belongs to.
    pub fn watch(&self, pollable: Pollable) -> Watch {
        let state = State::Idle;
        Watch {
            key: self
                .0
                .borrow_mut()
                .watches
                .insert(Watched { pollable, state }),
            reactor: self.clone(),
        }
    }

    /// Runs a future, and waits for the host whenever the future waits.
    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = waker(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut work = pin!(work);
        loop {
            woken.0.store(false, Ordering::Relaxed);
            if let Poll::Ready(output) = work.as_mut().poll(&mut cx) {
                return output;
            }
            // A task that woke itself has more to do. The others get their turn first.
            let wait = !woken.0.load(Ordering::Relaxed);
            for waker in self.0.borrow_mut().turn(wait) {
                waker.wake();
            }
        }
    }
}

impl List {
    /// Asks the host once for everything that is waited for; returns the wakers of what is ready. With `wait` and nothing to wait for, the
    /// host traps: no task could ever be woken.
    fn turn(&mut self, wait: bool) -> Vec<Waker> {
        let mut waiting: Vec<&mut Watched> = self
            .watches
            .values_mut()
            .filter(|one| matches!(one.state, State::Waiting(_)))
            .collect();
        let ready = {
            let mut asked: Vec<&Pollable> = waiting.iter().map(|one| &one.pollable).collect();
            if !wait {
                asked.push(&self.at_once);
            }
            poll(&asked)
        };
        let mut woken = Vec::with_capacity(ready.len());
        for index in ready {
            if let Some(one) = waiting.get_mut(index as usize)
                && let State::Waiting(waker) = std::mem::replace(&mut one.state, State::Ready)
            {
                woken.push(waker);
            }
        }
        woken
    }
}

/// Was the future woken since it was polled?
struct Woken(AtomicBool);

impl ArcWake for Woken {
    fn wake_by_ref(woken: &Arc<Self>) {
        woken.0.store(true, Ordering::Relaxed);
    }
}

/// A pollable that becomes ready: a socket, a stream, a timer.
pub struct Watch {
    reactor: Reactor,
    key: WatchKey,
}

impl Watch {
    /// Waits until the host reports it as ready, each time anew. Cancel-safe.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut list = self.reactor.0.borrow_mut();
        let Some(one) = list.watches.get_mut(self.key) else {
            return Poll::Ready(());
        };
        match &mut one.state {
            State::Ready => {
                one.state = State::Idle;
                return Poll::Ready(());
            }
            State::Waiting(waker) => waker.clone_from(cx.waker()),
            State::Idle => one.state = State::Waiting(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Bound first: its waker must be dropped after the borrow of the list.
        let watched = self.reactor.0.borrow_mut().watches.remove(self.key);
        drop(watched);
    }
}
