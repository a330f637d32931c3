//! Signals as commands to the event loops: the first SIGTERM or SIGINT ends them in good order, the second stops them, SIGUSR1 logs the
//! counters, SIGHUP has the configuration read again.

use crate::serve::{Command, Control};
#[cfg(unix)]
use crate::systemd;
#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
#[cfg(unix)]
use signal_hook::iterator::Signals;
use std::io;
#[cfg(unix)]
use std::thread;

/// Forwards signals to the event loops, from a thread that runs as long as the process. The first that ends them sends `ending`. After each
/// SIGHUP `hang_up` is called, which must not keep the other signals waiting. An error is of the system: no more threads or descriptors.
///
/// The system's default for each of these signals ends the process, and with it the queries in flight. SIGPIPE is not among them: Rust
/// programs ignore it, and get an error from the write instead.
#[cfg(unix)]
pub fn forward(
    control: Control,
    ending: Command,
    hang_up: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])?;
    let work = move || {
        let mut ends = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => hang_up(),
                SIGUSR1 => control.send(Command::Report),
                // It has no meaning here, and does not end the process.
                SIGUSR2 => {}
                _ => {
                    systemd::stopping();
                    control.send(if ends { Command::Stop } else { ending });
                    ends = true;
                }
            }
        }
    };
    thread::Builder::new()
        .name("dotward-signals".into())
        .spawn(work)?;
    Ok(())
}

/// Does nothing where there are no signals, as in a WASI component, which its host ends.
#[cfg(not(unix))]
pub fn forward(
    _control: Control,
    _ending: Command,
    _hang_up: impl Fn() + Send + 'static,
) -> io::Result<()> {
    Ok(())
}
