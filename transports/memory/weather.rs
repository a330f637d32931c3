//! How it is between the world and one address, and the dice that decide what the weather leaves open.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::Duration;

/// How it is between the world and one address: that of a server for connections, that of the receiver for datagrams. By default
/// everything arrives at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// One way.
    pub latency: Duration,
    /// Up to so much more, drawn anew for each datagram and each write. Datagrams overtake each other, octets of a stream do not.
    pub jitter: Duration,
    /// Datagrams that are lost, in percent.
    pub loss: u8,
    /// Datagrams that arrive twice, in percent.
    pub repeats: u8,
    /// Connections are refused at once.
    pub refuses: bool,
    /// Everything vanishes without a trace. What connections that exist were sent meanwhile is sent again when that ends, as TCP does.
    pub swallows: bool,
    /// As `swallows`, in one direction only.
    pub one_way: Option<Way>,
    /// Octets of a stream that arrive together at most; 0 for no bound.
    pub piece: usize,
    /// Time between the arrivals of two such pieces.
    pub drip: Duration,
    /// Octets of a stream that the other end holds before a writer has to wait; 0 for what sockets usually hold.
    pub window: usize,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Towards the server.
    Up,
    /// Towards the client.
    Down,
}

impl Weather {
    /// Does what goes this way vanish?
    pub(super) fn loses(&self, way: Way) -> bool {
        self.swallows || self.one_way == Some(way)
    }

    /// Can nobody connect, because a packet in one of the directions is lost?
    pub(super) fn is_deaf(&self) -> bool {
        self.swallows || self.one_way.is_some()
    }
}

/// What chance decides. The same seed decides the same.
pub struct Dice(ChaCha8Rng);

impl Default for Dice {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u8) -> bool {
        percent > 0 && self.0.next_u32() % 100 < u32::from(percent)
    }

    /// How long it takes this time.
    pub fn delay(&mut self, weather: &Weather) -> Duration {
        let jitter = u64::try_from(weather.jitter.as_nanos()).unwrap_or(u64::MAX);
        match jitter {
            0 => weather.latency,
            _ => weather.latency + Duration::from_nanos(self.0.next_u64() % jitter),
        }
    }
}
