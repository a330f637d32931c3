//! Which messages have not left yet, by the frames that do (RFC 9113 section 4.1): HTTP/2 holds back what flow control or the limit on streams
//! does not allow, and does not say so. Also how many replies are among them, which the server has caused.

use std::collections::VecDeque;

/// Octets of the header of a frame: the length in three of them, type, flags, the stream in four.
const FRAME_HEADER: usize = 9;
/// The type of a DATA frame.
const DATA: u8 = 0;
/// The flag of a DATA frame that is the last of its stream.
const END_STREAM: u8 = 1;
/// The types of frames that are replied to with one of the same type (RFC 9113 sections 6.5 and 6.7).
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// The flag of such a reply.
const ACK: u8 = 1;
/// Octets of the connection preface of a client, which is no frame (RFC 9113 section 3.4).
const PREFACE: usize = 24;

/// The messages that are on their way out.
pub struct DataFrames {
    header: [u8; FRAME_HEADER],
    /// How much of the header has passed.
    known: usize,
    /// Octets until the next header.
    skip: usize,
    /// The stream and the octets of each message that has not passed as a whole. Streams ascend.
    unsent: VecDeque<(u32, usize)>,
    octets: usize,
    /// Replies that have passed.
    replies: usize,
}

impl DataFrames {
    /// Nothing has passed.
    pub fn new() -> Self {
        Self {
            header: [0; FRAME_HEADER],
            known: 0,
            skip: PREFACE,
            unsent: VecDeque::new(),
            octets: 0,
            replies: 0,
        }
    }

    /// A message of so many octets is to leave on a stream, which is newer than all others.
    pub fn expect(&mut self, stream: u32, octets: usize) {
        self.unsent.push_back((stream, octets));
        self.octets += octets;
    }

    /// Octets of messages that have not left.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// The message of this stream has left, or will never leave. Says whether it had not left.
    pub fn forget(&mut self, stream: u32) -> bool {
        let found = self.unsent.binary_search_by_key(&stream, |(own, _)| *own);
        let removed = found.ok().and_then(|index| self.unsent.remove(index));
        self.octets -= removed.map_or(0, |(_, octets)| octets);
        removed.is_some()
    }

    /// Replies to PING and SETTINGS that have passed since the last call of [`DataFrames::forget_replies`].
    pub fn replies(&self) -> usize {
        self.replies
    }

    /// The server has read them, or may still do so.
    pub fn forget_replies(&mut self) {
        self.replies = 0;
    }

    /// These octets leave.
    pub fn pass(&mut self, mut octets: &[u8]) {
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
                self.frame();
            }
        }
    }

    /// A header has passed.
    fn frame(&mut self) {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
        self.replies += usize::from(matches!(kind, SETTINGS | PING) && flags & ACK != 0);
        if kind == DATA && flags & END_STREAM != 0 {
            // The highest bit is reserved.
            self.forget(u32::from_be_bytes(stream) & 0x7FFF_FFFF);
        }
    }
}

#[cfg(test)]
mod tests {
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
            frame(PING, ACK, 0, &[PING; 8]),
            frame(DATA, END_STREAM, 3, b"whole"),
            frame(SETTINGS, ACK, 0, &[]),
            frame(DATA, END_STREAM, 1, b"rest"),
        ]
        .concat();
        for cut in 1..=sent.len() {
            let mut frames = DataFrames::new();
            for (stream, octets) in [(1, 9), (3, 5), (5, 7)] {
                frames.expect(stream, octets);
            }
            assert_eq!(frames.octets(), 21);
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
