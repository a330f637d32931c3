//! Which queries may leave as early data (RFC 8446 section 2.3), which somebody on the path can repeat (RFC 8446 appendix E.5).

use crate::wire::parse_query;

/// Octets of early data on one connection at most, whatever the ticket allows: it is kept until the server has accepted it.
pub const MAX_EARLY: usize = 16 * 1024;

/// How many octets of a stream of messages with a length prefix may leave early: as many messages from the start as may, and as are whole
/// and fit in `room` octets. What is behind them keeps its place in the stream.
pub fn early_part(stream: &[u8], room: usize) -> usize {
    let mut end = 0;
    while let Some(rest) = stream.get(end..)
        && let Some((length, rest)) = rest.split_first_chunk::<2>()
        && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*length)))
        && end + 2 + message.len() <= room
        && may_be_repeated(message)
    {
        end += 2 + message.len();
    }
    end
}

/// Whether a message does no harm if the server gets it more than once: a query with recursion desired, which asks for data alone. One with
/// a signature (TSIG, SIG(0)) could count at the server as a request of somebody who did not send it; one without RD may be meant to
/// look into a cache.
pub fn may_be_repeated(message: &[u8]) -> bool {
    parse_query(message).is_ok_and(|query| query.header.flags.rd() && !query.signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{Message, query};

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let frame =
            |message: &Vec<u8>| [&(message.len() as u16).to_be_bytes(), &message[..]].concat();
        messages.iter().flat_map(frame).collect()
    }

    fn plain() -> Message {
        query("a.test.", 1)
    }

    /// A query without the flags and with the opcode of these two octets.
    fn with_flags(flags: [u8; 2]) -> Vec<u8> {
        let mut message = plain().build();
        message[2..4].copy_from_slice(&flags);
        message
    }

    #[test]
    fn queries_alone_that_want_recursion_and_are_not_signed_are_early() {
        const RD: u8 = 1;
        let early = |message: Vec<u8>| {
            let stream = framed(&[message]);
            let end = early_part(&stream, MAX_EARLY);
            assert!(end == 0 || end == stream.len());
            end > 0
        };
        assert!(early(with_flags([RD, 0])));
        assert!(early(plain().edns(1232, 0, &[(12, &[0; 90])]).build()));
        assert!(!early(with_flags([0, 0])), "without RD");
        for opcode in 1..16 {
            assert!(!early(with_flags([RD | opcode << 3, 0])), "opcode {opcode}");
        }
        assert!(!early(with_flags([RD | 0x80, 0])), "a response");
        assert!(!early(plain().edns(1232, 0, &[]).tsig().build()));
        assert!(!early(Vec::new()), "no message");
        assert!(!early(plain().build()[..15].to_vec()), "cut");
    }

    #[test]
    fn what_may_not_be_early_holds_up_what_is_behind_it() {
        let (good, bad) = (plain().build(), with_flags([0, 0]));
        let frame = good.len() + 2;
        let stream = framed(&[good.clone(), good.clone(), bad, good]);
        assert_eq!(early_part(&stream, MAX_EARLY), 2 * frame);
        for room in 0..2 * frame {
            assert_eq!(early_part(&stream, room), room / frame * frame);
        }
        for cut in 0..2 * frame {
            assert_eq!(early_part(&stream[..cut], MAX_EARLY), cut / frame * frame);
        }
        assert_eq!(early_part(&stream[2 * frame..], MAX_EARLY), 0);
    }
}
