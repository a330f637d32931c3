//! Commands and new configurations to running event loops: a handle to send them, a stream for each loop to receive them.

use super::asking::Asked;
use super::bound::BoundSockets;
use super::measured::Measured;
use super::query_log::QueryLog;
use super::reload::Reload;
use crate::config::Config;
use crate::engine::{Cache, Explained, FailureId, Record};
use crate::locks::lock;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::stream::StreamExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};

/// A command to running event loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Answer what was accepted, then end.
    Drain,
    /// End at a moment at which nobody waits for a response, and read nothing after it: another process has the same sockets
    /// ([`BoundSockets`](super::BoundSockets)), or will have them.
    HandOver,
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
    /// To be answered.
    Probe,
    /// What it has counted and holds is to be sent.
    Measure(mpsc::Sender<Measured>),
    /// A connection to an upstream is to be made, if there has never been one.
    Prepare,
    /// Which queries have failed lately is to be remembered.
    RememberFailures,
    /// What it knows about the question of this query is to be sent, with its number.
    Explain(Arc<[u8]>, mpsc::Sender<(usize, Explained)>),
    /// The record of a failure is to be sent, if it has one.
    Why(FailureId, mpsc::Sender<Option<Record>>),
    /// This query is to be answered as that of a client.
    Ask(Arc<[u8]>, mpsc::Sender<Asked>),
    /// The cache that it uses is to be sent.
    ShowCache(mpsc::Sender<Arc<Cache>>),
    /// The paths to upstreams are to be looked at.
    NetworkChanged,
    /// What is answered is to be logged there, or nowhere any more.
    LogQueries(Option<QueryLog>),
}

/// Sends commands to all event loops that were given it ([`Options::control`](super::Options::control)), from any thread. Clones send
/// to the same loops.
#[derive(Clone, Debug, Default)]
pub struct Control {
    receivers: Arc<Mutex<Receivers>>,
    /// Whether somebody tells when the network changes.
    watched: Arc<AtomicBool>,
}

/// The way to a loop.
#[derive(Debug)]
struct Receiver {
    messages: UnboundedSender<Message>,
    /// Probes that it was sent.
    probes: u64,
    /// Probes that it has answered.
    answers: Arc<AtomicU64>,
    /// It has not looked yet at the last change of the network that it was told of.
    network_changed: Arc<AtomicBool>,
}

impl Receiver {
    /// False when the loop has ended.
    fn send(&self, message: Message) -> bool {
        self.messages.unbounded_send(message).is_ok()
    }

    fn has_answered(&self) -> bool {
        self.answers.load(Ordering::Relaxed) == self.probes
    }
}

/// What a loop receives.
pub struct Messages {
    queue: UnboundedReceiver<Message>,
    answers: Arc<AtomicU64>,
    network_changed: Arc<AtomicBool>,
}

impl Messages {
    /// The next command or configuration. Answers the probes before it.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match self.queue.poll_next_unpin(cx) {
                Poll::Ready(Some(Message::Probe)) => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                }
                polled => {
                    if let Poll::Ready(Some(Message::NetworkChanged)) = polled {
                        self.network_changed.store(false, Ordering::Relaxed);
                    }
                    return polled;
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Receivers {
    loops: Vec<Receiver>,
    /// The last configuration, for loops that begin later.
    reload: Option<Arc<Reload>>,
    /// Whether failures are to be remembered, by loops that begin later, too.
    remembers: bool,
    /// For loops that begin later: a signal during the start is not lost. At most one of each.
    sent: Vec<Command>,
    /// Where loops log what they answer.
    query_log: Option<QueryLog>,
}

impl Control {
    /// A handle for no loop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is sent from now on, and before that what was sent already and still holds. And where queries are logged from the first one on.
    pub(super) fn subscribe(&self) -> (Messages, Option<QueryLog>) {
        let (sender, queue) = unbounded();
        let answers = Arc::new(AtomicU64::new(0));
        let network_changed = Arc::new(AtomicBool::new(false));
        let receiver = Receiver {
            messages: sender,
            probes: 0,
            answers: answers.clone(),
            network_changed: network_changed.clone(),
        };
        let mut receivers = lock(&self.receivers);
        let reload = receivers.reload.clone().map(Message::Reload);
        let commands = receivers.sent.iter().copied().map(Message::Command);
        let remembers = receivers.remembers.then_some(Message::RememberFailures);
        for message in reload.into_iter().chain(commands).chain(remembers) {
            // It cannot fail: the other end is in this very function.
            receiver.send(message);
        }
        receivers.loops.push(receiver);
        let messages = Messages {
            queue,
            answers,
            network_changed,
        };
        (messages, receivers.query_log.clone())
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
        self.reload_beside(config, BoundSockets::new());
    }

    /// As [`Control::reload`], with sockets of new addresses that are bound already.
    pub fn reload_beside(&self, config: Config, bound: BoundSockets) {
        let mut receivers = lock(&self.receivers);
        let reload = Arc::new(Reload::new(config, bound));
        receivers.reload = Some(reload.clone());
        receivers.tell(&Message::Reload(reload));
    }

    /// Has every loop send what it has counted and what it holds now: one value for each, in any order. The channel ends when each loop has
    /// sent its own or has ended, so that whoever waits on it for longer than an iteration takes waits for a loop that hangs.
    pub fn measure(&self) -> mpsc::Receiver<Measured> {
        let (to, measured) = mpsc::channel();
        lock(&self.receivers).tell(&Message::Measure(to));
        measured
    }

    /// Has the first loop connect to an upstream, if it has never been connected to one and may try now: without queries it does not do so by
    /// itself, and whether they would be answered is not known.
    pub fn prepare(&self) {
        lock(&self.receivers).tell(&Message::Prepare);
    }

    /// Has every loop remember which queries have failed lately, with their names and reasons, for [`Control::explain`].
    pub fn remember_failures(&self) {
        let mut receivers = lock(&self.receivers);
        receivers.remembers = true;
        receivers.tell(&Message::RememberFailures);
    }

    /// Has every loop say what it knows about the question of this query: one value for each, with the loop's number. The channel ends as that
    /// of [`Control::measure`].
    pub fn explain(&self, query: &[u8]) -> mpsc::Receiver<(usize, Explained)> {
        let (to, explained) = mpsc::channel();
        lock(&self.receivers).tell(&Message::Explain(query.into(), to));
        explained
    }

    /// Has every loop look for the record of a failure: one value for each. The channel ends as that of [`Control::measure`].
    pub fn why(&self, id: FailureId) -> mpsc::Receiver<Option<Record>> {
        let (to, records) = mpsc::channel();
        lock(&self.receivers).tell(&Message::Why(id, to));
        records
    }

    /// Asks the first loop a query as a client does, whatever the access list says. The one value comes when the query is answered; the channel
    /// ends without one if the loop is about to end, or does not answer such a message.
    pub fn ask(&self, query: &[u8]) -> mpsc::Receiver<Asked> {
        let (to, asked) = mpsc::channel();
        let message = Message::Ask(query.into(), to);
        let receivers = lock(&self.receivers);
        // The others have the same upstreams and the same cache.
        receivers.loops.iter().any(|one| one.send(message.clone()));
        asked
    }

    /// Has every loop say which cache it uses: the same one, but for a moment while another configuration reaches them. The channel ends as
    /// that of [`Control::measure`].
    pub fn caches(&self) -> mpsc::Receiver<Arc<Cache>> {
        let (to, caches) = mpsc::channel();
        lock(&self.receivers).tell(&Message::ShowCache(to));
        caches
    }

    /// From now on [`Control::network_changed`] is called when links, addresses or routes of this host change. Loops then note which way
    /// leads to their upstreams; else they do not ask.
    pub fn watches_network(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// Whether somebody tells when the network changes.
    pub(super) fn watched(&self) -> Arc<AtomicBool> {
        self.watched.clone()
    }

    /// Has every loop look which way leads to its upstreams now. Connections whose path is gone are given up, and queries in flight are sent
    /// again; others stay. Calls that come before a loop has looked are one.
    pub fn network_changed(&self) {
        let mut receivers = lock(&self.receivers);
        // A loop that has ended needs to know nothing.
        receivers.loops.retain(|one| {
            one.network_changed.swap(true, Ordering::Relaxed) || one.send(Message::NetworkChanged)
        });
    }

    /// Has every loop log what it answers from now on, or nothing more.
    pub fn log_queries(&self, log: Option<QueryLog>) {
        let mut receivers = lock(&self.receivers);
        receivers.query_log.clone_from(&log);
        receivers.tell(&Message::LogQueries(log));
    }

    /// Has every loop gone round since the last probe? Sends the next one to those that have. A loop answers in its iterations, so that one
    /// that hangs, in its own code or because its thread does not run, is found out. Loops that have ended do not count.
    pub fn probe(&self) -> bool {
        let mut receivers = lock(&self.receivers);
        let loops = &mut receivers.loops;
        loops.retain(|one| !one.messages.is_closed());
        let all = loops.iter().all(Receiver::has_answered);
        for one in loops.iter_mut().filter(|one| one.has_answered()) {
            one.probes += 1;
            // One that ends just now is found closed next time.
            one.send(Message::Probe);
        }
        all
    }
}

impl Receivers {
    fn tell(&mut self, message: &Message) {
        // A loop that has ended needs to know nothing.
        self.loops.retain(|one| one.send(message.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker_ref;

    impl Messages {
        /// What is there now.
        fn received(&mut self) -> Vec<Message> {
            let mut cx = Context::from_waker(noop_waker_ref());
            let next = || match self.poll_next(&mut cx) {
                Poll::Ready(message) => message,
                Poll::Pending => None,
            };
            std::iter::from_fn(next).collect()
        }

        /// The commands among that.
        fn commands(&mut self) -> Vec<Command> {
            let all = self.received().into_iter();
            let command = |message| match message {
                Message::Command(command) => Some(command),
                _ => None,
            };
            all.filter_map(command).collect()
        }
    }

    #[test]
    fn every_loop_hears_every_command_until_it_ends() {
        let control = Control::new();
        let mut first = control.subscribe().0;
        let second = control.subscribe().0;
        drop(second);
        control.send(Command::Drain);
        control.clone().send(Command::Stop);
        assert_eq!(first.commands(), [Command::Drain, Command::Stop]);
        assert_eq!(lock(&control.receivers).loops.len(), 1);
        let mut late = control.subscribe().0;
        assert_eq!(late.commands(), [Command::Drain, Command::Stop]);
    }

    #[test]
    fn a_report_is_heard_each_time_and_by_nobody_later() {
        // fault 85
        let control = Control::new();
        let mut first = control.subscribe().0;
        control.send(Command::Report);
        control.send(Command::Report);
        control.send(Command::Drain);
        let sent = [Command::Report, Command::Report, Command::Drain];
        assert_eq!(first.commands(), sent);
        assert_eq!(control.subscribe().0.commands(), [Command::Drain]);
    }

    #[test]
    fn a_loop_that_begins_later_has_the_last_configuration_before_all_commands() {
        let control = Control::new();
        let mut first = control.subscribe().0;
        let config = |seconds| {
            let timeout = std::time::Duration::from_secs(seconds);
            Config::builder().timeout(timeout).build().unwrap()
        };
        control.send(Command::Drain);
        control.reload(config(3));
        control.reload(config(7));
        let described = |messages: &mut Messages| -> Vec<String> {
            let describe = |message| match message {
                Message::Reload(reload) => reload.config.timeout().as_secs().to_string(),
                Message::Command(command) => format!("{command:?}"),
                _ => "question".to_owned(),
            };
            messages.received().into_iter().map(describe).collect()
        };
        assert_eq!(described(&mut first), ["Drain", "3", "7"]);
        assert_eq!(described(&mut control.subscribe().0), ["7", "Drain"]);
    }

    #[test]
    fn changes_of_the_network_are_one_until_they_are_looked_at() {
        // fault 151
        let control = Control::new();
        assert!(!control.watched().load(Ordering::Relaxed));
        control.watches_network();
        assert!(control.clone().watched().load(Ordering::Relaxed));
        let (mut first, second) = (control.subscribe().0, control.subscribe().0);
        drop(second);
        for _ in 0..2 {
            for _ in 0..1_000 {
                control.network_changed();
            }
            let received = first.received();
            assert!(matches!(received[..], [Message::NetworkChanged]));
        }
        assert!(control.subscribe().0.received().is_empty());
    }

    #[test]
    fn a_loop_that_does_not_go_round_fails_the_probe_until_it_does() {
        let control = Control::new();
        assert!(control.probe(), "no loop hangs");
        let (mut first, mut second) = (control.subscribe().0, control.subscribe().0);
        assert!(control.probe(), "nothing was asked before");
        assert!(first.received().is_empty());
        for _ in 0..3 {
            assert!(!control.probe());
            assert!(first.received().is_empty(), "a probe is no command");
        }
        assert!(second.received().is_empty());
        assert!(control.probe());
        assert!(first.received().is_empty() && second.received().is_empty());
        drop(second);
        assert!(control.probe(), "one that has ended does not count");
        assert!(!control.probe());
    }
}
