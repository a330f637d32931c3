//! One direction of a connection in memory: pieces in transit, with a window, FIN and reset.

use super::conditions::{Conditions, Way};
use super::{Memory, WakeUp, World};
use dotward::engine::Time;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Octets that a pipe buffers, like those of a socket.
const WINDOW: usize = 128 * 1024;
/// The retransmission timeout: a usual minimum of TCP's (RFC 6298).
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// What travels.
pub enum Piece {
    Octets(Vec<u8>),
    Fin,
    Reset,
}

/// One direction of a connection. Its flags are independent: any of them may hold beside any other.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools)]
pub struct State {
    /// When each piece arrives, in that order.
    pub pieces: VecDeque<(Time, Piece)>,
    /// Lost on the way. It is retransmitted when the conditions allow it.
    lost: Vec<Piece>,
    /// Octets that were written and not read.
    pub held: usize,
    /// The writer has sent its FIN.
    pub finished: bool,
    /// The reader has closed its socket: what arrives is answered with a reset.
    pub abandoned: bool,
    pub reset: bool,
    /// What is written is lost: a middlebox has lost its state of the connection.
    forgotten: bool,
    pub reader: Option<Waker>,
    /// The planned wake-up of the reader, for the first piece.
    wake_up: Option<WakeUp>,
    pub writer: Option<Waker>,
}

impl State {
    /// Octets that a writer may add.
    pub fn room(&self, conditions: &Conditions) -> usize {
        let window = match conditions.window {
            0 => WINDOW,
            window => window,
        };
        window - self.held.min(window)
    }

    /// Are there octets that were not read?
    pub fn is_unread(&self) -> bool {
        let octets = |piece: &(Time, Piece)| matches!(piece.1, Piece::Octets(_));
        self.pieces.iter().any(octets)
    }

    /// Has a reset arrived? It takes effect before octets that were not read.
    pub fn is_refused(&self, now: Time) -> bool {
        let refusal = |(at, piece): &(Time, Piece)| *at <= now && matches!(piece, Piece::Reset);
        self.reset || self.pieces.iter().any(refusal)
    }

    /// Sends a piece on its way: in parts, if the conditions demand that, and never past what was sent before.
    fn send(&mut self, world: &mut World, conditions: &Conditions, extra: Duration, piece: Piece) {
        let first = world.now + extra + world.random.delay(conditions);
        let last = self.pieces.back().map(|(at, _)| *at);
        let behind = last.map_or(Time::ZERO, |at| at + conditions.drip);
        let mut at = first.max(behind);
        match piece {
            Piece::Octets(octets) if conditions.piece > 0 => {
                for part in octets.chunks(conditions.piece) {
                    self.pieces.push_back((at, Piece::Octets(part.to_vec())));
                    at = at + conditions.drip;
                }
            }
            piece => self.pieces.push_back((at, piece)),
        }
        self.wake_reader(world);
    }

    /// Brings forward pieces in transit that would arrive sooner if they were sent now. They stay in order.
    fn reschedule(&mut self, world: &mut World, conditions: &Conditions) {
        let latest = world.now + conditions.latency + conditions.jitter;
        let mut last = Time::ZERO;
        for (at, _) in &mut self.pieces {
            *at = (*at).min(latest.max(last + conditions.drip));
            last = *at;
        }
        self.wake_reader(world);
    }

    /// Plans to wake the reader when the first piece arrives.
    pub fn wake_reader(&mut self, world: &mut World) {
        if let (Some((at, _)), Some(reader)) = (self.pieces.front(), &self.reader) {
            world.wake_at(&mut self.wake_up, *at, reader);
        }
    }
}

#[derive(Clone, Default)]
pub struct Pipe(Arc<Mutex<State>>);

impl Pipe {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets this direction at once.
    pub fn reset(&self) {
        let mut state = self.state();
        state.reset = true;
        for waker in [state.reader.take(), state.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// One end of a connection, as the network sees it.
#[derive(Clone)]
pub struct End {
    /// The address whose conditions apply.
    pub server: SocketAddr,
    /// The direction that it writes to.
    pub way: Way,
    pub incoming: Pipe,
    pub outgoing: Pipe,
}

impl End {
    /// Both ends of a new connection: the client's, the server's.
    pub fn both(server: SocketAddr) -> (Self, Self) {
        let client = Self {
            server,
            way: Way::Up,
            incoming: Pipe::default(),
            outgoing: Pipe::default(),
        };
        let server = client.other();
        (client, server)
    }

    /// The other end of the same connection.
    pub fn other(&self) -> Self {
        Self {
            server: self.server,
            way: match self.way {
                Way::Up => Way::Down,
                Way::Down => Way::Up,
            },
            incoming: self.outgoing.clone(),
            outgoing: self.incoming.clone(),
        }
    }

    /// Sends a piece, as far as the conditions allow.
    pub fn put(&self, memory: &Memory, piece: Piece) {
        let mut world = memory.world();
        let conditions = world.conditions(self.server);
        let mut state = self.outgoing.state();
        if let Piece::Octets(octets) = &piece {
            state.held += octets.len();
        }
        if state.forgotten {
            return;
        }
        if conditions.loses(self.way) {
            state.lost.push(piece);
        } else if state.abandoned {
            drop(state);
            let round_trip = conditions.latency;
            let mut back = self.incoming.state();
            back.send(&mut world, &conditions, round_trip, Piece::Reset);
        } else {
            let breaks = matches!(piece, Piece::Reset);
            state.send(&mut world, &conditions, Duration::ZERO, piece);
            let arrives = state.pieces.back().map(|(at, _)| *at);
            drop(state);
            // A writer at the other end that waits for room is woken to see the reset.
            if breaks && let (Some(at), Some(writer)) = (arrives, &self.incoming.state().writer) {
                world.wake_at(&mut None, at, writer);
            }
        }
    }

    /// The conditions have changed: retransmits what was lost and can now be sent, and brings forward what may come sooner.
    pub fn resend(&self, world: &mut World) {
        let conditions = world.conditions(self.server);
        let mut state = self.outgoing.state();
        state.reschedule(world, &conditions);
        if !state.forgotten && !conditions.loses(self.way) {
            for piece in std::mem::take(&mut state.lost) {
                state.send(world, &conditions, RETRANSMISSION, piece);
            }
        }
    }

    /// From now on, loses everything that either end writes.
    pub fn forget(&self) {
        self.incoming.state().forgotten = true;
        self.outgoing.state().forgotten = true;
    }

    /// Resets the connection for both ends.
    pub fn reset(&self) {
        self.incoming.reset();
        self.outgoing.reset();
    }

    /// Is the socket of this end still open?
    pub fn is_held(&self) -> bool {
        !self.incoming.state().abandoned
    }
}
