//! Which of the connections behind one have something to do, so that the others are left alone.

use futures::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};

/// As many as bits.
pub const PLACES: usize = u64::BITS as usize;

/// The places that were woken, and whom that concerns.
#[derive(Default)]
pub struct Woken {
    places: AtomicU64,
    whole: AtomicWaker,
}

/// Wakes for one place.
struct Bell {
    place: usize,
    woken: Arc<Woken>,
}

impl Woken {
    /// A waker for one place, below [`PLACES`].
    pub fn waker(self: &Arc<Self>, place: usize) -> Waker {
        let woken = Arc::clone(self);
        Arc::new(Bell { place, woken }).into()
    }

    /// Who is woken with any place.
    pub fn register(&self, whole: &Waker) {
        self.whole.register(whole);
    }

    /// This place has something to do, at the next look.
    pub fn mark(&self, place: usize) {
        self.places.fetch_or(bit(place), Ordering::SeqCst);
    }

    /// Whether this place is marked.
    pub fn is_marked(&self, place: usize) -> bool {
        self.places.load(Ordering::SeqCst) & bit(place) != 0
    }

    /// Takes the first marked place from this one on, the last followed by the first.
    pub fn take(&self, from: usize) -> Option<usize> {
        let places = self.places.load(Ordering::SeqCst);
        let from = (from % PLACES) as u32;
        let ahead = places.rotate_right(from).trailing_zeros();
        if ahead == u64::BITS {
            return None;
        }
        let place = (ahead + from) as usize % PLACES;
        self.places.fetch_and(!bit(place), Ordering::SeqCst);
        Some(place)
    }
}

fn bit(place: usize) -> u64 {
    1 << (place % PLACES)
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.mark(self.place);
        self.woken.whole.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::{ArcWake, waker};
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl ArcWake for Count {
        fn wake_by_ref(this: &Arc<Self>) {
            this.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn woken_places_are_taken_once_and_in_turn() {
        let (woken, count) = (Arc::new(Woken::default()), Arc::new(Count::default()));
        woken.register(&waker(count.clone()));
        assert_eq!(woken.take(0), None);
        for place in [0, 5, 63] {
            woken.waker(place).wake();
            woken.register(&waker(count.clone()));
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 3);
        assert!(woken.is_marked(5) && !woken.is_marked(6));
        assert_eq!(woken.take(6), Some(63));
        assert_eq!(woken.take(64), Some(0));
        assert_eq!(woken.take(6), Some(5));
        assert_eq!(woken.take(6), None);
    }
}
