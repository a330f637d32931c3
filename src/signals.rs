//! Signals as commands: the first asks for a drain, the second for the end.

#[cfg(unix)]
use crate::serve::Command;
use crate::serve::Control;
#[cfg(unix)]
use signal_hook::consts::{SIGINT, SIGTERM};
#[cfg(unix)]
use signal_hook::iterator::Signals;
use std::io;
#[cfg(unix)]
use std::thread;

/// Feeds SIGTERM and SIGINT to the loops from a thread of its own, for as long as the process lives.
#[cfg(unix)]
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

/// Where there are no signals, as in a WASI component, nothing comes: the host ends the program.
#[cfg(not(unix))]
pub fn forward(_control: Control) -> io::Result<()> {
    Ok(())
}
