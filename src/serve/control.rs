//! Commands to running loops: a handle for whoever commands, a stream for each loop.

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use std::sync::{Arc, Mutex, PoisonError};

/// What a running loop can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Answer what was accepted, then end.
    Drain,
    /// End now.
    Stop,
    /// Say in the log what was counted so far.
    Report,
}

/// Commands all loops that subscribed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Control {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    loops: Vec<UnboundedSender<Command>>,
    /// For loops that begin to listen late: a signal during the start is not lost. At most one of each.
    given: Vec<Command>,
}

impl Control {
    /// A handle that nobody listens to yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A loop's ear. It hears every command from now on, and before them those given already that still hold.
    pub(super) fn subscribe(&self) -> UnboundedReceiver<Command> {
        let (sender, receiver) = unbounded();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for command in &state.given {
            // The receiver is in this very function.
            drop(sender.unbounded_send(*command));
        }
        state.loops.push(sender);
        receiver
    }

    /// Tells every loop.
    pub fn send(&self, command: Command) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A report is about its own moment.
        if command != Command::Report && !state.given.contains(&command) {
            state.given.push(command);
        }
        // A loop that has ended needs no command.
        state
            .loops
            .retain(|one| one.unbounded_send(command).is_ok());
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
        assert_eq!(control.state.lock().unwrap().loops.len(), 1);
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
