//! The replies to clients, counted by the protocol that they left by and by response code.

use super::client::Client;
use std::ops::AddAssign;

/// RCODEs that the four bits in the header tell apart, and one place for all that need an OPT record.
const RCODES: usize = 17;
/// The place of those: BADVERS (RFC 6891) and what upstreams say beyond that.
const EXTENDED: usize = 16;

/// How many replies there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replies {
    /// Those over UDP, then those over TCP.
    counts: [u64; 2 * RCODES],
}

impl Default for Replies {
    fn default() -> Self {
        let counts = [0; 2 * RCODES];
        Self { counts }
    }
}

/// Where the counts of a protocol begin.
const fn first(is_datagram: bool) -> usize {
    if is_datagram { 0 } else { RCODES }
}

impl Replies {
    /// One more, with these four bits of the RCODE in its header.
    #[inline]
    pub(super) fn count(&mut self, client: Client, rcode: u8) {
        self.counts[first(client.is_datagram()) + usize::from(rcode & 0x0f)] += 1;
    }

    /// The last reply to this client has an RCODE of more than four bits, of which the last four were counted.
    pub(super) fn extend(&mut self, client: Client, low_bits: u8) {
        let first = first(client.is_datagram());
        let counted = &mut self.counts[first + usize::from(low_bits & 0x0f)];
        *counted = counted.saturating_sub(1);
        self.counts[first + EXTENDED] += 1;
    }

    /// The numbers of replies over UDP or over TCP, each with its RCODE; `None` is all those that are beyond 15.
    pub fn by_rcode(&self, datagrams: bool) -> impl Iterator<Item = (Option<u8>, u64)> {
        let rcodes = (0..EXTENDED as u8).map(Some).chain([None]);
        rcodes.zip(self.counts.iter().copied().skip(first(datagrams)))
    }
}

/// The sums of two, such as those of two workers.
impl AddAssign<&Self> for Replies {
    fn add_assign(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(other.counts) {
            *own += other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Via;
    use super::*;

    #[test]
    fn replies_count_by_protocol_and_code() {
        let to = |via| Client {
            addr: "127.0.0.1:1".parse().unwrap(),
            via,
        };
        let local = None;
        let (udp, tcp) = (to(Via::Datagram { socket: 0, local }), to(Via::Stream(1)));
        let mut replies = Replies::default();
        for rcode in [0, 0, 3] {
            replies.count(udp, rcode);
        }
        replies.count(tcp, 7);
        // BADCOOKIE, 23, has 7 in the header.
        replies.extend(tcp, 7);
        replies += &replies.clone();
        let counted = |datagrams| -> Vec<_> {
            let all = replies.by_rcode(datagrams);
            all.filter(|(_, count)| *count > 0).collect()
        };
        assert_eq!(counted(true), [(Some(0), 4), (Some(3), 2)]);
        assert_eq!(counted(false), [(None, 2)]);
    }
}
