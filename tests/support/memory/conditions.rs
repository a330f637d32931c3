//! The network conditions between everybody and one address, and the random choices that they leave open.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::Duration;

/// The network conditions between everybody and one address: that of the server for connections, that of the receiver for datagrams. By
/// default everything arrives at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// One-way delay.
    pub latency: Duration,
    /// Additional delay of up to so much, drawn for each datagram and each write. Datagrams may overtake each other, octets of a stream do not.
    pub jitter: Duration,
    /// Datagrams that are lost, in percent.
    pub loss: u8,
    /// Datagrams that arrive twice, in percent.
    pub repeats: u8,
    /// Connections are refused at once.
    pub refuses: bool,
    /// Everything is lost. What was sent over existing connections meanwhile is retransmitted when that ends, as TCP does.
    pub swallows: bool,
    /// As `swallows`, in one direction.
    pub one_way: Option<Way>,
    /// The most octets of a stream that arrive together; 0 for no bound.
    pub piece: usize,
    /// The time between the arrivals of two such pieces.
    pub drip: Duration,
    /// Octets of a stream that the peer buffers before a writer has to wait; 0 for what sockets usually buffer.
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

impl Conditions {
    /// Is what goes this way lost?
    pub(super) fn loses(&self, way: Way) -> bool {
        self.swallows || self.one_way == Some(way)
    }

    /// Does no connect succeed, because packets are lost in one of the directions?
    pub(super) fn loses_connects(&self) -> bool {
        self.swallows || self.one_way.is_some()
    }
}

/// Random choices. The same seed makes the same ones.
pub struct Random(ChaCha8Rng);

impl Default for Random {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u8) -> bool {
        percent > 0 && self.0.next_u32() % 100 < u32::from(percent)
    }

    /// A seed for the random choices of somebody else.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }

    /// The delay of the next datagram or write.
    pub fn delay(&mut self, conditions: &Conditions) -> Duration {
        let jitter = u64::try_from(conditions.jitter.as_nanos()).unwrap_or(u64::MAX);
        match jitter {
            0 => conditions.latency,
            _ => conditions.latency + Duration::from_nanos(self.0.next_u64() % jitter),
        }
    }
}
