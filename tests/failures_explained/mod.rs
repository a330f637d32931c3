//! Failures are provoked, one by one, and each is looked at from five sides: what the client gets, what the log says, what `dotward explain` says,
//! what is among the latest failures of `dotward status`, and what `dotward why` tells and its record, played again, comes to. All tell the same
//! reason, and what to do. A table in the pages is made of that.

mod page;
mod stand;
mod stories;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use stand::Told;
use stories::STORIES;

/// Stories that are told at the same time. Most of them wait.
const AT_ONCE: usize = 8;

/// What is told of each failure, in the order of the stories; `None` where this host cannot provoke one.
fn told() -> Vec<Option<Told>> {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let tell = || {
            while let Some(story) = STORIES.get(next.fetch_add(1, Ordering::Relaxed)) {
                let told = (story.provoke)(story);
                if told.is_none() {
                    eprintln!("{}: this host cannot provoke that: not tested", story.what);
                }
                all.lock()
                    .expect("no story panicked")
                    .push((story.what, told));
            }
        };
        for _ in 0..AT_ONCE {
            scope.spawn(tell);
        }
    });
    let mut all = all.into_inner().expect("no story panicked");
    let place = |what: &str| STORIES.iter().position(|story| story.what == what);
    all.sort_by_key(|(what, _)| place(what));
    all.into_iter().map(|(_, told)| told).collect()
}

// fault 173, 174, 175, 176, req 147, 148, 149, 150: whichever way one looks, the reason and the remedy are the same.
#[test]
fn each_failure_is_told_alike_by_all_views_and_as_the_page_has_it() {
    let told = told();
    assert!(told.len() >= 20, "{} failures", told.len());
    page::hold(&told);
}
