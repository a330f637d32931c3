//! Responses to clients over UDP, in the order in which they leave.

use crate::engine::{Action, Output, Via};
use crate::runtime::{Datagram, Ring};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// Makes batches of responses: those to one client together and the longest first, since the system may take them as one.
#[derive(Default)]
pub struct Batches {
    /// The sort key of each response, and which action it is. Kept for its memory.
    order: Vec<(u64, usize)>,
}

impl Batches {
    /// Hands out the responses among these actions that belong to one socket.
    pub fn each(&mut self, socket: u16, out: &Output, mut send: impl FnMut(&[Datagram<'_>])) {
        self.order.clear();
        for (at, action) in out.actions().iter().enumerate() {
            if let Some(reply) = reply_of(action, socket, out) {
                self.order.push((sort_key(&reply), at));
            }
        }
        let reply_at = |&(_, at): &(u64, usize)| reply_of(out.actions().get(at)?, socket, out);
        if let [one] = self.order.as_slice() {
            // What is prepared below is made for many.
            if let Some(reply) = reply_at(one) {
                send(&[reply]);
            }
            return;
        }
        self.order.sort_unstable();
        for chunk in self.order.chunks(Ring::SLOTS) {
            let mut batch = [EMPTY; Ring::SLOTS];
            let mut filled = 0;
            for (slot, reply) in batch.iter_mut().zip(chunk.iter().filter_map(reply_at)) {
                *slot = reply;
                filled += 1;
            }
            send(batch.get(..filled).unwrap_or_default());
        }
    }
}

/// The response that an action wants sent by this socket.
fn reply_of<'a>(action: &Action, index: u16, out: &'a Output) -> Option<Datagram<'a>> {
    let Action::Reply { client, message } = action else {
        return None;
    };
    let Via::Datagram { socket, local } = client.via else {
        return None;
    };
    (socket == index).then(|| Datagram {
        to: client.addr,
        from: local,
        message: out.message(message),
    })
}

/// Responses to one client have equal keys but for their length. Those to others may have the same, which does no harm: the system
/// takes fewer of them as one.
fn sort_key(reply: &Datagram<'_>) -> u64 {
    let ip = match reply.to.ip() {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            (bits ^ (bits >> 32) ^ (bits >> 64) ^ (bits >> 96)) as u32
        }
    };
    let longest_first = !(reply.message.len() as u16);
    (u64::from(ip) << 32) | (u64::from(reply.to.port()) << 16) | u64::from(longest_first)
}

/// A slot of a batch that is not filled.
pub const EMPTY: Datagram<'static> = Datagram {
    to: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
    from: None,
    message: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_to_one_client_stand_together_the_longest_first() {
        let clients = [
            "192.0.2.1:1",
            "192.0.2.1:2",
            "192.0.2.2:1",
            "[2001:db8::1]:1",
        ];
        let mut replies = Vec::new();
        for message in [&b"12"[..], b"123", b"1", b"123"] {
            for to in clients {
                let to = to.parse().unwrap();
                let from = None;
                replies.push(Datagram { to, from, message });
            }
        }
        replies.sort_unstable_by_key(sort_key);
        for together in replies.chunks(4) {
            assert!(together.iter().all(|reply| reply.to == together[0].to));
            let lengths: Vec<usize> = together.iter().map(|reply| reply.message.len()).collect();
            assert_eq!(lengths, [3, 3, 2, 1]);
        }
    }
}
