//! What the core wants done: a list of actions and the bytes that they speak of, drained by the driver after each event.

use super::ConnectionKey;
use super::answered::{Answered, Origin};
use super::client::Client;
use super::time::Time;
use std::net::SocketAddr;
use std::ops::Range;

/// Octets of messages from which on the driver should carry out what there is before it brings the next event: a batch of answers to
/// datagrams is smaller, and one large answer for many clients is much larger.
const FULL: usize = 256 * 1024;
/// Memory that is kept between two drains.
const KEEP: usize = 64 * 1024;

/// One thing for the driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message to a client.
    Reply {
        /// To whom.
        client: Client,
        /// What to send: see [`Output::message`].
        message: Range<usize>,
    },
    /// Queue a query on a connection that is up.
    Send {
        /// Which connection.
        connection: ConnectionKey,
        /// The id that the message bears, unique among those in flight on this connection.
        id: u16,
        /// What to send: see [`Output::message`].
        message: Range<usize>,
    },
    /// Connect; then report `connected` or `connect_failed`.
    Connect {
        /// The name of the connection to be.
        connection: ConnectionKey,
        /// Which upstream: see [`Forwarder::upstream`](super::Forwarder::upstream).
        upstream: usize,
        /// Which of its addresses.
        addr: SocketAddr,
    },
    /// Find the addresses of an upstream that was configured by name, or that another one designates; then report `resolved`.
    Resolve {
        /// Which upstream: see [`Forwarder::upstream`](super::Forwarder::upstream).
        upstream: usize,
    },
    /// Close a connection, or give up making it. Nothing more is reported of it.
    Close {
        /// Which connection.
        connection: ConnectionKey,
    },
}

/// The actions since the last drain, in order.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    actions: Vec<Action>,
    /// Whether responses are noted for a query log.
    notes: bool,
    answered: Vec<Answered>,
}

impl Output {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// The actions so far.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The bytes of one action's message.
    pub fn message(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Has responses noted from now on, or not.
    pub fn note_answered(&mut self, notes: bool) {
        self.notes = notes;
    }

    /// The responses among the actions, where they are noted.
    pub fn answered(&self) -> &[Answered] {
        &self.answered
    }

    /// Whether responses are noted.
    #[inline]
    pub(super) fn notes(&self) -> bool {
        self.notes
    }

    /// The last action is a response: it is noted.
    #[cold]
    #[inline(never)]
    pub(super) fn note(&mut self, origin: Origin<'_>, now: Time) {
        if let Some(Action::Reply { client, message }) = self.actions.last() {
            let answered = Answered::new(*client, message.clone(), origin, now);
            self.answered.push(answered);
        }
    }

    /// Nothing to do?
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Is there so much to do that it should be done before the next event comes?
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// Octets of messages to send.
    pub fn octets(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all, keeps the memory that a usual batch needs.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.actions.clear();
        self.answered.clear();
        // Made anew and not shrunk in its place, where it could be in the way of giving back what a burst took.
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        }
        if self.actions.capacity() > KEEP / 64 {
            self.actions = Vec::new();
        }
        if self.answered.capacity() > KEEP / 128 {
            self.answered = Vec::new();
        }
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Replies with what `write` appends. Gives the four bits of the RCODE in its header.
    pub(super) fn reply(&mut self, client: Client, write: impl FnOnce(&mut Vec<u8>)) -> u8 {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let message = start..self.bytes.len();
        self.actions.push(Action::Reply { client, message });
        self.rcode_at(start)
    }

    /// The four bits of the RCODE in the header of the message that begins here.
    fn rcode_at(&self, start: usize) -> u8 {
        self.bytes.get(start + 3).map_or(0, |octet| octet & 0x0f)
    }

    /// Replies with what `write` appends, unless that is nothing. Gives the four bits of the RCODE in its header, too.
    pub(super) fn reply_if_any<T>(
        &mut self,
        client: Client,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> (T, Option<u8>) {
        let start = self.bytes.len();
        let result = write(&mut self.bytes);
        let message = start..self.bytes.len();
        if message.is_empty() {
            return (result, None);
        }
        self.actions.push(Action::Reply { client, message });
        (result, Some(self.rcode_at(start)))
    }

    /// Sends what `write` appends, with `id` as its id.
    pub(super) fn send(
        &mut self,
        connection: ConnectionKey,
        id: u16,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let message = start..self.bytes.len();
        if let Some(bytes) = self.bytes.get_mut(message.clone()) {
            crate::wire::set_id(bytes, id);
        }
        self.actions.push(Action::Send {
            connection,
            id,
            message,
        });
    }
}
