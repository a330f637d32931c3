//! Commands to running event loops: a handle to send them, a stream for each loop to receive them.

use crate::locks::lock;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use std::sync::{Arc, Mutex};

/// A command to running event loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Answer what was accepted, then end.
    Drain,
    /// End now.
    Stop,
    /// Log the counters.
    Report,
}

/// Sends commands to all event loops that were given it ([`Options::control`](super::Options::control)), from any thread. Clones send
/// to the same loops.
#[derive(Clone, Debug, Default)]
pub struct Control {
    receivers: Arc<Mutex<Receivers>>,
}

#[derive(Debug, Default)]
struct Receivers {
    loops: Vec<UnboundedSender<Command>>,
    /// For loops that begin later: a signal during the start is not lost. At most one of each.
    sent: Vec<Command>,
}

impl Control {
    /// A handle for no loop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The commands from now on, and before them those sent already that still hold.
    pub(super) fn subscribe(&self) -> UnboundedReceiver<Command> {
        let (sender, receiver) = unbounded();
        let mut receivers = lock(&self.receivers);
        for command in &receivers.sent {
            // It cannot fail: the receiver is in this very function.
            drop(sender.unbounded_send(*command));
        }
        receivers.loops.push(sender);
        receiver
    }

    /// Sends a command to every loop.
    pub fn send(&self, command: Command) {
        let mut receivers = lock(&self.receivers);
        // A report is about its own moment; the others hold for loops that begin later, too.
        if command != Command::Report && !receivers.sent.contains(&command) {
            receivers.sent.push(command);
        }
        // A loop that has ended needs no command.
        let loops = &mut receivers.loops;
        loops.retain(|one| one.unbounded_send(command).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_hears_every_command_until_it_ends() {
        let control = Control::new();
        let mut first = control.subscribe();
        let second = control.subscribe();
        drop(second);
        control.send(Command::Drain);
        control.clone().send(Command::Stop);
        assert_eq!(first.try_recv(), Ok(Command::Drain));
        assert_eq!(first.try_recv(), Ok(Command::Stop));
        assert_eq!(lock(&control.receivers).loops.len(), 1);
        let mut late = control.subscribe();
        assert_eq!(late.try_recv(), Ok(Command::Drain));
        assert_eq!(late.try_recv(), Ok(Command::Stop));
    }

    #[test]
    fn a_report_is_heard_each_time_and_by_nobody_later() {
        // fault 85
        let control = Control::new();
        let mut first = control.subscribe();
        control.send(Command::Report);
        control.send(Command::Report);
        control.send(Command::Drain);
        for expected in [Command::Report, Command::Report, Command::Drain] {
            assert_eq!(first.try_recv(), Ok(expected));
        }
        let mut late = control.subscribe();
        assert_eq!(late.try_recv(), Ok(Command::Drain));
        assert!(late.try_recv().is_err());
    }
}
