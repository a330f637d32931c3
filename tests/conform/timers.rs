//! The clock, the timer and the bound in time.

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use dotward::engine::Time;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::noop_waker;

use crate::world::World;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Sets its flag when it is dropped.
struct Notes<'a>(&'a Cell<bool>);

impl Drop for Notes<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

pub async fn alarms_go_off_in_order<R: World>(runtime: R) {
    let start = runtime.now().mono;
    let wait = async |after: Duration| {
        runtime.sleep_until(start + after).await;
        assert!(
            runtime.now().mono >= start + after,
            "an alarm went off early"
        );
        after
    };
    let alarms = [30, 10, 50, 20, 40].map(ms);
    let order: Vec<Duration> = FuturesUnordered::from_iter(alarms.map(wait))
        .collect()
        .await;
    assert_eq!(order, [10, 20, 30, 40, 50].map(ms));
}

pub async fn a_moment_that_is_over_is_now<R: World>(runtime: R) {
    runtime.sleep_until(Time::ZERO).await;
    runtime.sleep_until(runtime.now().mono).await;
    // Whoever waits for two things sees both.
    let (past, later) = (Time::ZERO, runtime.now().mono + ms(60_000));
    let first =
        futures::future::select(runtime.sleep_until(later), runtime.sleep_until(past)).await;
    assert!(matches!(first, futures::future::Either::Right(_)));
}

pub async fn the_last_waker_is_woken<R: World>(runtime: R) {
    let mut sleep = runtime.sleep_until(runtime.now().mono + ms(10));
    let waker = noop_waker();
    let first = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
    assert!(first.is_pending());
    sleep.await;
}

pub async fn work_within_its_bound_is_done<R: World>(runtime: R) {
    assert_eq!(runtime.within(ms(60_000), ready(7)).await, Some(7));
    let sleep = runtime.sleep_until(runtime.now().mono + ms(10));
    assert_eq!(runtime.within(ms(60_000), sleep).await, Some(()));
}

pub async fn work_beyond_its_bound_is_dropped<R: World>(runtime: R) {
    let dropped = Cell::new(false);
    let never = async {
        let _notes = Notes(&dropped);
        pending::<()>().await;
    };
    let start = runtime.now().mono;
    assert_eq!(runtime.within(ms(20), never).await, None);
    assert!(runtime.now().mono >= start + ms(20));
    assert!(dropped.get(), "work that ran out of time lives on");

    let dropped = Cell::new(false);
    let mut bounded = Box::pin(runtime.within(ms(60_000), async {
        let _notes = Notes(&dropped);
        pending::<()>().await;
    }));
    assert!(!poll_fn(|cx| Poll::Ready(bounded.as_mut().poll(cx).is_ready())).await);
    drop(bounded);
    assert!(dropped.get(), "work that was given up lives on");
}

pub async fn clones_share_their_clocks<R: World>(runtime: R) {
    let other = runtime.clone();
    let mut last = runtime.now();
    for n in 0..1_000 {
        let now = if n % 2 == 0 {
            other.now()
        } else {
            runtime.now()
        };
        assert!(
            now.mono >= last.mono && now.boot >= last.boot,
            "{last:?}, {now:?}"
        );
        last = now;
    }
    runtime.sleep_until(last.mono + ms(10)).await;
    let later = other.now();
    assert!(later.mono >= last.mono + ms(10));
    // What the boot clock counts beyond is the time of suspend.
    assert!(later.boot.since(last.boot) >= ms(9));
}
