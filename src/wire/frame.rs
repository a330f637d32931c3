//! The two-octet length prefix that frames messages on a stream (RFC 1035 §4.2.2), without any IO.

use std::ops::Range;

/// Octets of the prefix.
const PREFIX: usize = 2;
/// Where a buffer starts, and the least that is offered to a read: enough for a burst of queries or one
/// large response, little enough that ten thousand idle connections are cheap.
const STEP: usize = 4096;
/// The largest frame.
const MAX_FRAME: usize = PREFIX + u16::MAX as usize;

/// Puts messages together from a stream, however it is cut.
///
/// Read into [`space`](Frames::space), say how much with [`filled`](Frames::filled), and take the whole
/// messages with [`next`](Frames::next) until there is none. Kept to that order, the buffer never exceeds
/// one frame and one step; it grows with the octets that arrive, never with a length that was only
/// announced.
#[derive(Debug, Default)]
pub struct Frames {
    /// All of it is initialised, so that it can be offered to a read.
    buffer: Vec<u8>,
    /// The octets that were read and not yet taken.
    pending: Range<usize>,
}

impl Frames {
    /// An empty buffer, which holds no memory until it is read into.
    pub fn new() -> Frames {
        Frames::default()
    }

    /// Where to read into. Never empty.
    pub fn space(&mut self) -> &mut [u8] {
        if self.pending.is_empty() {
            self.pending = 0..0;
        }
        if self.buffer.len() - self.pending.end < STEP / 2 {
            self.make_room();
        }
        self.buffer.get_mut(self.pending.end..).unwrap_or_default()
    }

    /// Moves what is pending to the front; if that is not enough, doubles the buffer, up to what one frame
    /// can need.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.pending.clone(), 0);
        self.pending = 0..self.pending.len();
        let len = self.buffer.len();
        if len - self.pending.end < STEP / 2 {
            // Past the cap only if whole frames are left lying.
            let doubled = (2 * len).min(MAX_FRAME + STEP);
            self.buffer.resize(doubled.max(self.pending.end + STEP), 0);
        }
    }

    /// Says how many octets were read into the space. More than it had room for counts as that.
    pub fn filled(&mut self, n: usize) {
        self.pending.end = self.pending.end.saturating_add(n).min(self.buffer.len());
    }

    /// Whether [`next`](Frames::next) has a message to give.
    pub fn has_message(&self) -> bool {
        let pending = self.buffer.get(self.pending.clone()).unwrap_or_default();
        pending
            .split_first_chunk::<PREFIX>()
            .is_some_and(|(prefix, rest)| rest.len() >= usize::from(u16::from_be_bytes(*prefix)))
    }

    /// The next whole message, without its prefix; `None` when more must be read. A message may be too
    /// short for a header, or empty: what to do then is for the caller.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends from itself, which an Iterator cannot"
    )]
    pub fn next(&mut self) -> Option<&mut [u8]> {
        let pending = self.buffer.get(self.pending.clone())?;
        let (prefix, rest) = pending.split_first_chunk::<PREFIX>()?;
        let len = usize::from(u16::from_be_bytes(*prefix));
        if rest.len() < len {
            return None;
        }
        let start = self.pending.start + PREFIX;
        self.pending.start = start + len;
        self.buffer.get_mut(start..start + len)
    }

    /// Whether no part of a frame is pending, so that the stream may end here.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Gives memory back: all of it when nothing is pending, else what is far more than that needs. For a stream that has fallen silent.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Frames::new();
        } else if self.buffer.len() > 4 * STEP && self.pending.len() < STEP {
            let pending = self.buffer.get(self.pending.clone()).unwrap_or_default();
            let mut buffer = Vec::with_capacity(2 * STEP);
            buffer.extend_from_slice(pending);
            buffer.resize(2 * STEP, 0);
            self.pending = 0..self.pending.len();
            self.buffer = buffer;
        }
    }

    /// Gives back what a large message took, when nothing is pending. For a stream that will go on.
    pub fn relax(&mut self) {
        if self.buffer.len() > 4 * STEP {
            self.release();
        }
    }

    /// Octets of memory that it holds.
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }
}

/// Appends a message with its prefix, so that both leave in one write (RFC 7766 §8).
///
/// A message of more than 65,535 octets cannot be framed. It is left out, which keeps the stream in step.
pub fn append_frame(message: &[u8], out: &mut Vec<u8>) {
    if let Ok(len) = u16::try_from(message.len()) {
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `stream` in pieces of `piece` octets and returns the messages that came out.
    fn read_in_pieces(frames: &mut Frames, stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let mut rest = stream;
        while !rest.is_empty() {
            let space = frames.space();
            let n = piece.min(space.len()).min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            frames.filled(n);
            while let Some(message) = frames.next() {
                messages.push(message.to_vec());
            }
        }
        messages
    }

    fn stream_of(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for message in messages {
            append_frame(message, &mut stream);
        }
        stream
    }

    // req 5, req 69
    #[test]
    fn prefix_and_message_are_one_piece() {
        let mut out = b"before".to_vec();
        append_frame(b"message", &mut out);
        assert_eq!(out, b"before\x00\x07message");
        append_frame(&vec![0; 65536], &mut out);
        assert_eq!(out.len(), 15, "what cannot be framed is left out");
    }

    // req 5, fault 11, fault 12, fault 15
    #[test]
    fn messages_survive_every_split() {
        let sizes = [12, 0, 1, 11, 512, 4094, 4096, 30_000, 12, 65535, 40];
        let messages: Vec<Vec<u8>> = (1..).zip(sizes).map(|(i, len)| vec![i; len]).collect();
        let stream = stream_of(&messages);
        for piece in [1, 2, 3, 13, 1000, 4096, 70_000, usize::MAX] {
            let mut frames = Frames::new();
            assert_eq!(read_in_pieces(&mut frames, &stream, piece), messages);
            assert!(frames.is_empty());
        }
    }

    // fault 13, fault 14
    #[test]
    fn a_message_too_short_for_a_header_is_handed_out_as_it_is() {
        let mut frames = Frames::new();
        let stream = b"\x00\x00\x00\x01x";
        assert_eq!(
            read_in_pieces(&mut frames, stream, 5),
            [b"".to_vec(), b"x".to_vec()]
        );
    }

    #[test]
    fn part_of_a_frame_is_pending() {
        let mut frames = Frames::new();
        assert!(frames.is_empty());
        for part in [&b"\x00"[..], b"\x03", b"ab"] {
            assert!(read_in_pieces(&mut frames, part, 9).is_empty());
            assert!(!frames.is_empty());
        }
        assert_eq!(read_in_pieces(&mut frames, b"c\x00", 9), [b"abc"]);
        assert!(!frames.is_empty());
    }

    #[test]
    fn a_message_can_be_edited_where_it_lies() {
        let mut frames = Frames::new();
        frames.space()[..7].copy_from_slice(b"\x00\x02ab\x00\x01c");
        frames.filled(7);
        frames.next().unwrap()[0] = b'X';
        assert_eq!(frames.next().unwrap(), b"c");
        assert!(frames.next().is_none());
    }

    // fault 16
    #[test]
    fn a_length_that_is_only_announced_takes_no_memory() {
        let mut frames = Frames::new();
        assert!(read_in_pieces(&mut frames, b"\xFF\xFF", 2).is_empty());
        assert!(!frames.space().is_empty());
        assert_eq!(frames.buffer.len(), STEP);
    }

    // fault 15, fault 16
    #[test]
    fn the_buffer_never_exceeds_a_frame_and_a_step() {
        let messages = vec![vec![7; 65535]; 4];
        let stream = stream_of(&messages);
        for piece in [1000, 4096, 70_000] {
            let mut frames = Frames::new();
            assert_eq!(read_in_pieces(&mut frames, &stream, piece).len(), 4);
            assert!(frames.buffer.len() <= MAX_FRAME + STEP);
        }
    }

    // fault 72
    #[test]
    fn a_silent_stream_holds_little() {
        let mut frames = Frames::new();
        assert_eq!(frames.buffer.capacity(), 0);
        read_in_pieces(&mut frames, &stream_of(&[vec![1; 60_000]]), 4096);
        frames.release();
        assert_eq!(frames.buffer.capacity(), 0);
        assert!(!frames.space().is_empty());
        assert!(frames.buffer.capacity() <= 10 * 1024);
    }

    #[test]
    fn what_is_pending_is_not_released() {
        let mut frames = Frames::new();
        read_in_pieces(&mut frames, b"\x00\x02a", 3);
        frames.release();
        assert_eq!(read_in_pieces(&mut frames, b"b", 1), [b"ab"]);
    }

    #[test]
    fn there_is_always_space_even_if_messages_are_left_lying() {
        let mut frames = Frames::new();
        for _ in 0..100 {
            let n = frames.space().len();
            assert!(n > 0);
            frames.space().fill(0);
            frames.filled(n);
        }
        frames.filled(usize::MAX);
        assert!(frames.next().unwrap().is_empty());
    }
}
