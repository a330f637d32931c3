//! Streams of events, as a page of the browser takes them (the `EventSource` of HTML): how many there may be, and what waits on each.
//!
//! A stream holds one event at most. Where that was not taken when the next one comes, its reader is too slow and loses the connection, so that
//! nobody makes this program keep anything for longer.

use hyper::body::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Streams at once. Each is a page that somebody looks at.
pub const MAX_STREAMS: usize = 8;

/// How many streams there are, for all connections together.
#[derive(Clone, Default)]
pub struct Streams(Rc<Cell<usize>>);

impl Streams {
    /// What a connection has that may ask for events.
    pub fn connection(&self) -> Events {
        Events(Rc::new(Stream {
            all: self.clone(),
            is_open: Cell::new(false),
            next: RefCell::new(None),
        }))
    }

    /// Whether anybody takes events.
    pub fn any(&self) -> bool {
        self.0.get() > 0
    }
}

/// The events of one connection. Clones are the same stream.
#[derive(Clone)]
pub struct Events(Rc<Stream>);

struct Stream {
    all: Streams,
    is_open: Cell<bool>,
    /// What was not taken yet.
    next: RefCell<Option<Bytes>>,
}

impl Events {
    /// Opens the stream. False if there are as many as there may be.
    pub fn open(&self) -> bool {
        let Stream { all, is_open, .. } = &*self.0;
        if is_open.get() {
            return true;
        }
        let may = all.0.get() < MAX_STREAMS;
        if may {
            is_open.set(true);
            all.0.set(all.0.get() + 1);
        }
        may
    }

    /// Whether it is a stream of events that is sent on this connection.
    pub fn is_open(&self) -> bool {
        self.0.is_open.get()
    }

    /// The next event. False if the last one was not taken.
    #[must_use]
    pub fn offer(&self, event: &Bytes) -> bool {
        self.0.next.replace(Some(event.clone())).is_none()
    }

    /// The event to be sent next, if there is one.
    pub fn take(&self) -> Option<Bytes> {
        self.0.next.take()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.is_open.get() {
            self.all.0.set(self.all.0.get().saturating_sub(1));
        }
    }
}

/// An event with this text, which has no line breaks.
pub fn event(name: &str, text: &str) -> Bytes {
    format!("event: {name}\ndata: {text}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // fault 147
    #[test]
    fn there_are_only_so_many_and_each_holds_one_event() {
        let streams = Streams::default();
        let mut all: Vec<Events> = (0..MAX_STREAMS).map(|_| streams.connection()).collect();
        assert!(!streams.any(), "a connection is no stream");
        assert!(all.iter().all(Events::open));
        assert!(all[0].open(), "once more is the same");
        let more = streams.connection();
        assert!(!more.open() && !more.is_open());
        // A body is the same stream, and goes with it.
        let body = all[0].clone();
        all.remove(0);
        assert!(!more.open());
        let text = event("status", "{}");
        assert_eq!(text, "event: status\ndata: {}\n\n");
        assert!(body.offer(&text));
        assert!(!body.offer(&text), "the first was not taken");
        assert_eq!(body.take(), Some(text));
        assert_eq!(body.take(), None);
        drop(body);
        assert!(more.open() && streams.any());
        drop((more, all));
        assert!(!streams.any());
    }
}
