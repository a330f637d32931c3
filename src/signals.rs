//! Signals as commands: the first asks for a drain, the second for the end.

use crate::serve::{Command, Control};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::thread;

/// Feeds SIGTERM and SIGINT to the loops from a thread of its own, for as long as the process lives.
pub fn forward(control: Control) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let work = move || {
        let mut drained = false;
        for _signal in signals.forever() {
            control.send(if drained {
                Command::Stop
            } else {
                Command::Drain
            });
            drained = true;
        }
    };
    thread::Builder::new()
        .name("dotward-signals".into())
        .spawn(work)?;
    Ok(())
}
