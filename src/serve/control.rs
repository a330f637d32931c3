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

    /// A loop's ear. Each loop gets every command once, those given before included.
    pub fn subscribe(&self) -> UnboundedReceiver<Command> {
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
        if !state.given.contains(&command) {
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
}
