//! Signals as commands: the first that means the end asks for a drain, the second for the end itself; SIGUSR1 asks for a report.

#[cfg(unix)]
use crate::serve::Command;
use crate::serve::Control;
#[cfg(unix)]
use log::info;
#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
#[cfg(unix)]
use signal_hook::iterator::Signals;
use std::io;
#[cfg(unix)]
use std::thread;

/// Many programs read their configuration again then. Whoever expects that shall know.
#[cfg(unix)]
const HANG_UP: &str = "SIGHUP: no file is read again; options are arguments and variables, and a change of them is a new start";

/// Feeds signals to the loops from a thread of its own, for as long as the process lives.
///
/// The system's default for each of these is the end, which would cost clients their answers. SIGPIPE is not among them: Rust
/// programs ignore it, and see the error of the write instead.
#[cfg(unix)]
pub fn forward(control: Control) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])?;
    let work = move || {
        let mut drained = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => info!("{HANG_UP}"),
                SIGUSR1 => control.send(Command::Report),
                // It has no meaning here, and is no reason to end.
                SIGUSR2 => {}
                _ => {
                    control.send(if drained {
                        Command::Stop
                    } else {
                        Command::Drain
                    });
                    drained = true;
                }
            }
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
