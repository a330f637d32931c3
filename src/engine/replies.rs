//! The replies to clients, counted by the protocol that they left by and by response code.

use super::client::Client;
use std::ops::AddAssign;

/// RCODEs that the four bits in the header tell apart, and one place for all that need an OPT record.
const RCODES: usize = 17;
/// The place of those: BADVERS (RFC 6891) and what upstreams say beyond that.
const EXTENDED: usize = 16;

/// How many replies there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// Over UDP.
    datagrams: [u64; RCODES],
    /// Over TCP.
    streams: [u64; RCODES],
}

impl Replies {
    /// One more, with these four bits of the RCODE in its header.
    #[inline]
    pub(super) fn count(&mut self, client: Client, rcode: u8) {
        if let Some(count) = self.to(client).get_mut(usize::from(rcode)) {
            *count += 1;
        }
    }

    /// The last reply to this client has an RCODE of more than four bits, of which the last four were counted.
    pub(super) fn extend(&mut self, client: Client, low_bits: u8) {
        let counts = self.to(client);
        let counted = usize::from(low_bits & 0x0f);
        counts[counted] = counts[counted].saturating_sub(1);
        counts[EXTENDED] += 1;
    }

    #[inline]
    fn to(&mut self, client: Client) -> &mut [u64; RCODES] {
        if client.is_datagram() {
            &mut self.datagrams
        } else {
            &mut self.streams
        }
    }

    /// The numbers of replies over UDP or over TCP, each with its RCODE; `None` is all those that are beyond 15.
    pub fn by_rcode(&self, datagrams: bool) -> impl Iterator<Item = (Option<u8>, u64)> {
        let counts = if datagrams {
            &self.datagrams
        } else {
            &self.streams
        };
        let rcodes = (0..EXTENDED as u8).map(Some).chain([None]);
        rcodes.zip(counts.iter().copied())
    }
}

/// The sums of two, such as those of two workers.
impl AddAssign<&Self> for Replies {
    fn add_assign(&mut self, other: &Self) {
        let own = self.datagrams.iter_mut().chain(&mut self.streams);
        for (own, other) in own.zip(other.datagrams.iter().chain(&other.streams)) {
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
