//! Which messages have not left yet, by the frames that do (RFC 9113 section 4.1): HTTP/2 holds back what flow control or the limit on streams
//! does not allow, and does not say so. Also how many replies are among them, which the other end has caused.

use std::collections::VecDeque;

/// Octets of the header of a frame: the length in three of them, type, flags, the stream in four.
const FRAME_HEADER: usize = 9;
/// The type of a DATA frame.
const DATA: u8 = 0;
/// The type of a frame that ends a stream at once.
pub const RST_STREAM: u8 = 3;
/// The flag of a DATA frame that is the last of its stream.
const END_STREAM: u8 = 1;
/// The types of frames that are replied to with one of the same type (RFC 9113 sections 6.5 and 6.7).
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// The flag of such a reply.
const ACK: u8 = 1;

/// The headers of the frames in a stream of octets, however it is cut.
pub struct FrameHeads {
    header: [u8; FRAME_HEADER],
    /// How much of the header has passed.
    known: usize,
    /// Octets until the next header.
    skip: usize,
}

/// What a header says, besides the length of its frame.
pub struct FrameHead {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl FrameHeads {
    /// The frames behind so many octets.
    pub fn after(preface: usize) -> Self {
        Self {
            header: [0; FRAME_HEADER],
            known: 0,
            skip: preface,
        }
    }

    /// These octets pass. `each` gets the headers that are whole now.
    pub fn pass(&mut self, mut octets: &[u8], mut each: impl FnMut(FrameHead)) {
        while !octets.is_empty() {
            let skipped = self.skip.min(octets.len());
            self.skip -= skipped;
            octets = octets.get(skipped..).unwrap_or_default();
            let wanted = self.header.get_mut(self.known..).unwrap_or_default();
            let taken = wanted.len().min(octets.len());
            if let (Some(wanted), Some(head)) = (wanted.get_mut(..taken), octets.get(..taken)) {
                wanted.copy_from_slice(head);
            }
            self.known += taken;
            octets = octets.get(taken..).unwrap_or_default();
            if self.known == FRAME_HEADER {
                self.known = 0;
                let [a, b, c, kind, flags, stream @ ..] = self.header;
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                each(FrameHead {
                    kind,
                    flags,
                    // The highest bit is reserved.
                    stream: u32::from_be_bytes(stream) & 0x7FFF_FFFF,
                });
            }
        }
    }
}

/// The messages that are on their way out.
pub struct DataFrames {
    heads: FrameHeads,
    unsent: Unsent,
    /// Replies that have passed.
    replies: usize,
}

/// The stream and the octets of each message that has not passed as a whole. Streams ascend.
#[derive(Default)]
struct Unsent {
    messages: VecDeque<(u32, usize)>,
    octets: usize,
}

impl Unsent {
    fn remove(&mut self, stream: u32) -> bool {
        let found = self.messages.binary_search_by_key(&stream, |(own, _)| *own);
        let removed = found.ok().and_then(|index| self.messages.remove(index));
        self.octets -= removed.map_or(0, |(_, octets)| octets);
        removed.is_some()
    }
}

impl DataFrames {
    /// Nothing has passed. `preface`: octets before the first frame.
    pub fn new(preface: usize) -> Self {
        Self {
            heads: FrameHeads::after(preface),
            unsent: Unsent::default(),
            replies: 0,
        }
    }

    /// A message of so many octets is to leave on a stream that has no other.
    pub fn expect(&mut self, stream: u32, octets: usize) {
        let messages = &mut self.unsent.messages;
        if let Err(index) = messages.binary_search_by_key(&stream, |(own, _)| *own) {
            messages.insert(index, (stream, octets));
            self.unsent.octets += octets;
        }
    }

    /// Octets of messages that have not left.
    pub fn octets(&self) -> usize {
        self.unsent.octets
    }

    /// The message of this stream has left, or will never leave. Says whether it had not left.
    pub fn forget(&mut self, stream: u32) -> bool {
        self.unsent.remove(stream)
    }

    /// Replies to PING and SETTINGS that have passed since the last call of [`DataFrames::forget_replies`].
    pub fn replies(&self) -> usize {
        self.replies
    }

    /// The other end has read them, or may still do so.
    pub fn forget_replies(&mut self) {
        self.replies = 0;
    }

    /// These octets leave.
    pub fn pass(&mut self, octets: &[u8]) {
        let Self {
            heads,
            unsent,
            replies,
        } = self;
        heads.pass(octets, |head| {
            let is_reply = matches!(head.kind, SETTINGS | PING) && head.flags & ACK != 0;
            *replies += usize::from(is_reply);
            let is_last = head.kind == DATA && head.flags & END_STREAM != 0;
            if is_last || head.kind == RST_STREAM {
                unsent.remove(head.stream);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::PREFACE;
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [_, len @ ..] = (payload.len() as u32).to_be_bytes();
        let head = [&len[..], &[kind, flags], &stream.to_be_bytes()].concat();
        [&head, payload].concat()
    }

    #[test]
    fn a_message_has_left_with_its_last_frame_however_the_octets_are_cut() {
        let sent = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 0, &[0; 12]),
            frame(1, 4, 1, &[DATA; 20]),
            frame(DATA, 0, 1, b"first"),
            frame(RST_STREAM, 0, 9, &[0; 4]),
            frame(PING, ACK, 0, &[PING; 8]),
            frame(DATA, END_STREAM, 3, b"whole"),
            frame(SETTINGS, ACK, 0, &[]),
            frame(DATA, END_STREAM, 1, b"rest"),
        ]
        .concat();
        for cut in 1..=sent.len() {
            let mut frames = DataFrames::new(PREFACE);
            for (stream, octets) in [(3, 5), (9, 2), (1, 9), (5, 7)] {
                frames.expect(stream, octets);
            }
            assert_eq!(frames.octets(), 23);
            let mut left = Vec::new();
            for part in sent.chunks(cut) {
                frames.pass(part);
                left.push(frames.octets());
            }
            assert_eq!(left.last(), Some(&7), "{cut}");
            assert!(cut > 1 || left.contains(&16), "the third stream is shorter");
            assert_eq!(frames.replies(), 2, "the first SETTINGS are no reply");
            assert!(!frames.forget(1) && frames.forget(5));
            assert_eq!(frames.octets(), 0);
        }
    }
}
