//! systemd, or another service manager that speaks as it does: what it is told (`sd_notify(3)`), and what it keeps for the next process.
//!
//! - `passed` takes the descriptors of `LISTEN_FDS`, and `matching` says what becomes of each.
//! - `store` leaves sockets and the cache to the manager (`FDSTORE=1`), `inheritance` puts both ends together.
//!
//! Without `NOTIFY_SOCKET` nothing is told, and without `LISTEN_FDS` nothing is taken.

mod inheritance;
mod matching;
mod passed;
mod store;

pub use inheritance::{Inheritance, KeptSockets, inherit, leave};

use crate::serve::Control;
use log::warn;
use sd_notify::NotifyState;
use std::io;
use std::thread;

/// The part of the watchdog's time after which it is told that all is well. A loop may be late by two of them.
const WATCHDOG_PART: u32 = 4;

/// Serving has begun, or a reload has ended.
pub fn ready(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(text)]);
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("the service manager is not told of the reload: {error}"),
    }
}

/// The end has begun.
pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("answering the queries that were accepted"),
    ]);
}

/// What `systemctl status` shows.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Tells the manager's watchdog, if there is one, as long as every event loop goes round: see [`Control::probe`]. An error is of the
/// system: no more threads.
pub fn watch(control: &Control) -> io::Result<()> {
    let Some(time) = sd_notify::watchdog_enabled() else {
        return Ok(());
    };
    let (control, pause) = (control.clone(), time / WATCHDOG_PART);
    let work = move || {
        let mut hangs = false;
        loop {
            let all_well = control.probe();
            if all_well {
                tell(&[NotifyState::Watchdog]);
            } else if !hangs {
                warn!(
                    "an event loop has not gone round for {pause:?}; the watchdog is not told that all is well"
                );
            }
            hangs = !all_well;
            thread::sleep(pause);
        }
    };
    let thread = thread::Builder::new().name("dotward-watchdog".into());
    thread.spawn(work).map(drop)
}

/// Does nothing where nobody listens.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("the service manager is not told of {states:?}: {error}");
    }
}
