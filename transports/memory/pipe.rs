//! One direction of a connection in memory: pieces on their way, with a window, FIN and reset.

use super::weather::{Way, Weather};
use super::{Memory, Plan, World};
use crate::engine::Time;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Octets that a pipe holds until its reader takes them, as a socket's buffers do.
const WINDOW: usize = 128 * 1024;
/// What was lost is sent again after so long at the latest (a usual minimum of TCP's timeout, RFC 6298).
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
    /// Lost on the way, and sent again when the weather is better.
    lost: Vec<Piece>,
    /// Octets that were written and not read.
    pub held: usize,
    /// The writer said its last word.
    pub finished: bool,
    /// The reader is gone: what arrives is answered with a reset.
    pub deserted: bool,
    pub reset: bool,
    /// What is written vanishes: some box on the path has forgotten the connection.
    forgotten: bool,
    pub reader: Option<Waker>,
    /// When the reader is woken for the first piece.
    plan: Option<Plan>,
    pub writer: Option<Waker>,
}

impl State {
    /// Octets that a writer may add.
    pub fn room(&self, weather: &Weather) -> usize {
        let window = match weather.window {
            0 => WINDOW,
            window => window,
        };
        window - self.held.min(window)
    }

    /// Is there something that was never read?
    pub fn is_unread(&self) -> bool {
        let octets = |piece: &(Time, Piece)| matches!(piece.1, Piece::Octets(_));
        self.pieces.iter().any(octets)
    }

    /// Has a reset arrived? It counts at once, whatever stands unread before it.
    pub fn is_refused(&self, now: Time) -> bool {
        let refusal = |(at, piece): &(Time, Piece)| *at <= now && matches!(piece, Piece::Reset);
        self.reset || self.pieces.iter().any(refusal)
    }

    /// Sends a piece on its way: in parts, if the weather wants that, and never past what was sent before.
    fn send(&mut self, world: &mut World, weather: &Weather, extra: Duration, piece: Piece) {
        let first = world.now + extra + world.dice.delay(weather);
        let last = self.pieces.back().map(|(at, _)| *at);
        let behind = last.map_or(Time::ZERO, |at| at + weather.drip);
        let mut at = first.max(behind);
        match piece {
            Piece::Octets(octets) if weather.piece > 0 => {
                for part in octets.chunks(weather.piece) {
                    self.pieces.push_back((at, Piece::Octets(part.to_vec())));
                    at = at + weather.drip;
                }
            }
            piece => self.pieces.push_back((at, piece)),
        }
        self.wake_reader(world);
    }

    /// What is on its way comes no later than it would if it were sent now, each piece behind the one before.
    fn hurry(&mut self, world: &mut World, weather: &Weather) {
        let latest = world.now + weather.latency + weather.jitter;
        let mut last = Time::ZERO;
        for (at, _) in &mut self.pieces {
            *at = (*at).min(latest.max(last + weather.drip));
            last = *at;
        }
        self.wake_reader(world);
    }

    /// Has the reader woken when the first piece arrives.
    pub fn wake_reader(&mut self, world: &mut World) {
        if let (Some((at, _)), Some(reader)) = (self.pieces.front(), &self.reader) {
            world.wake_at(&mut self.plan, *at, reader);
        }
    }
}

#[derive(Clone, Default)]
pub struct Pipe(Arc<Mutex<State>>);

impl Pipe {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks this direction at once.
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
    /// Whose weather it has.
    pub server: SocketAddr,
    /// Where it writes to.
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

    /// Sends a piece, as far as the weather allows.
    pub fn put(&self, memory: &Memory, piece: Piece) {
        let mut world = memory.world();
        let weather = world.weather(self.server);
        let mut state = self.outgoing.state();
        if let Piece::Octets(octets) = &piece {
            state.held += octets.len();
        }
        if state.forgotten {
            return;
        }
        if weather.loses(self.way) {
            state.lost.push(piece);
        } else if state.deserted {
            drop(state);
            let round_trip = weather.latency;
            let mut back = self.incoming.state();
            back.send(&mut world, &weather, round_trip, Piece::Reset);
        } else {
            let breaks = matches!(piece, Piece::Reset);
            state.send(&mut world, &weather, Duration::ZERO, piece);
            let arrives = state.pieces.back().map(|(at, _)| *at);
            drop(state);
            // Whoever waits for room at the other end learns that none will come.
            if breaks && let (Some(at), Some(writer)) = (arrives, &self.incoming.state().writer) {
                world.wake_at(&mut None, at, writer);
            }
        }
    }

    /// The weather has changed: what was lost and can now be sent is sent again, what trickles may come faster.
    pub fn resend(&self, world: &mut World) {
        let weather = world.weather(self.server);
        let mut state = self.outgoing.state();
        state.hurry(world, &weather);
        if !state.forgotten && !weather.loses(self.way) {
            for piece in std::mem::take(&mut state.lost) {
                state.send(world, &weather, RETRANSMISSION, piece);
            }
        }
    }

    /// Lets everything that either end writes vanish.
    pub fn forget(&self) {
        self.incoming.state().forgotten = true;
        self.outgoing.state().forgotten = true;
    }

    /// Breaks the connection for both ends.
    pub fn reset(&self) {
        self.incoming.reset();
        self.outgoing.reset();
    }

    /// Does this end still hold its connection?
    pub fn is_held(&self) -> bool {
        !self.incoming.state().deserted
    }
}
