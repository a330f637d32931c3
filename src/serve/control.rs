//! Commands and new configurations to running event loops: a handle to send them, a stream for each loop to receive them.

use super::reload::Reload;
use crate::config::Config;
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

/// What an event loop is told.
#[derive(Clone, Debug)]
pub enum Message {
    Command(Command),
    /// Another configuration holds from now on.
    Reload(Arc<Reload>),
}

/// Sends commands to all event loops that were given it ([`Options::control`](super::Options::control)), from any thread. Clones send
/// to the same loops.
#[derive(Clone, Debug, Default)]
pub struct Control {
    receivers: Arc<Mutex<Receivers>>,
}

#[derive(Debug, Default)]
struct Receivers {
    loops: Vec<UnboundedSender<Message>>,
    /// The last configuration, for loops that begin later.
    reload: Option<Arc<Reload>>,
    /// For loops that begin later: a signal during the start is not lost. At most one of each.
    sent: Vec<Command>,
}

impl Control {
    /// A handle for no loop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is sent from now on, and before that what was sent already and still holds.
    pub(super) fn subscribe(&self) -> UnboundedReceiver<Message> {
        let (sender, receiver) = unbounded();
        let mut receivers = lock(&self.receivers);
        let reload = receivers.reload.clone().map(Message::Reload);
        let commands = receivers.sent.iter().copied().map(Message::Command);
        for message in reload.into_iter().chain(commands) {
            // It cannot fail: the receiver is in this very function.
            drop(sender.unbounded_send(message));
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
        receivers.tell(&Message::Command(command));
    }

    /// Has every loop serve by another configuration. Sockets, connections and cached responses that it leaves as they are stay; no query
    /// is lost. [`Config::fixed`] names the settings that stay as they are. A loop that is ending does not take it any more.
    pub fn reload(&self, config: Config) {
        let mut receivers = lock(&self.receivers);
        let reload = Arc::new(Reload::new(config));
        receivers.reload = Some(reload.clone());
        receivers.tell(&Message::Reload(reload));
    }
}

impl Receivers {
    fn tell(&mut self, message: &Message) {
        // A loop that has ended needs to know nothing.
        self.loops
            .retain(|one| one.unbounded_send(message.clone()).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next command.
    fn command(receiver: &mut UnboundedReceiver<Message>) -> Option<Command> {
        match receiver.try_recv() {
            Ok(Message::Command(command)) => Some(command),
            _ => None,
        }
    }

    #[test]
    fn every_loop_hears_every_command_until_it_ends() {
        let control = Control::new();
        let mut first = control.subscribe();
        let second = control.subscribe();
        drop(second);
        control.send(Command::Drain);
        control.clone().send(Command::Stop);
        assert_eq!(command(&mut first), Some(Command::Drain));
        assert_eq!(command(&mut first), Some(Command::Stop));
        assert_eq!(lock(&control.receivers).loops.len(), 1);
        let mut late = control.subscribe();
        assert_eq!(command(&mut late), Some(Command::Drain));
        assert_eq!(command(&mut late), Some(Command::Stop));
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
            assert_eq!(command(&mut first), Some(expected));
        }
        let mut late = control.subscribe();
        assert_eq!(command(&mut late), Some(Command::Drain));
        assert!(late.try_recv().is_err());
    }

    #[test]
    fn a_loop_that_begins_later_has_the_last_configuration_before_all_commands() {
        let control = Control::new();
        let mut first = control.subscribe();
        let config = |seconds| {
            let timeout = std::time::Duration::from_secs(seconds);
            Config::builder().timeout(timeout).build().unwrap()
        };
        control.send(Command::Drain);
        control.reload(config(3));
        control.reload(config(7));
        let timeout = |receiver: &mut UnboundedReceiver<Message>| match receiver.try_recv() {
            Ok(Message::Reload(reload)) => reload.config.timeout().as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(command(&mut first), Some(Command::Drain));
        assert_eq!((timeout(&mut first), timeout(&mut first)), (3, 7));
        let mut late = control.subscribe();
        assert_eq!(timeout(&mut late), 7);
        assert_eq!(command(&mut late), Some(Command::Drain));
        assert!(late.try_recv().is_err());
    }
}
