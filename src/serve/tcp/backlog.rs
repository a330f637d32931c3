//! Responses that TCP clients have not read yet: blocks out of one piece of memory, whose size is the bound on all of them.
//!
//! The piece is there only while there is such a response, and goes back to the system as a whole. An allocator that puts such buffers
//! among small ones that live for long, such as cached responses, keeps most of a burst's memory afterwards.

use std::collections::{BTreeSet, VecDeque};

/// Octets of a block: what one write takes at once, and little for one client.
pub const BLOCK: usize = 16 * 1024;
/// A piece of this size is mapped and unmapped by itself: glibc does that above a threshold, which it raises to 32 MiB at most. Pages
/// that are not written to take no memory.
const PIECE: usize = (32 << 20) + BLOCK;

/// The memory of one worker for responses that were not read.
pub struct BlockPool {
    /// As long as the highest block that was ever used since it was empty.
    piece: Vec<u8>,
    free: BTreeSet<usize>,
    used: usize,
    most: usize,
}

/// One client's part of it, oldest octet first.
#[derive(Default)]
pub struct Backlog {
    blocks: VecDeque<usize>,
    /// Where it begins in the first block.
    start: usize,
    len: usize,
}

/// There is no block left.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl BlockPool {
    /// For so many octets.
    pub fn new(octets: usize) -> Self {
        Self {
            piece: Vec::new(),
            free: BTreeSet::new(),
            used: 0,
            most: octets / BLOCK,
        }
    }

    /// It has so many octets from now on. What is taken beyond that stays until it is read.
    pub fn set_most(&mut self, octets: usize) {
        self.most = octets / BLOCK;
    }

    /// Appends to a client's part. When there is no room, a part of the octets may have been appended: the client cannot be served.
    pub fn append(&mut self, backlog: &mut Backlog, mut octets: &[u8]) -> Result<(), Full> {
        while !octets.is_empty() {
            let end = backlog.start + backlog.len;
            if end == backlog.blocks.len() * BLOCK {
                backlog.blocks.push_back(self.take()?);
            }
            let at = end % BLOCK;
            let block = *backlog.blocks.back().ok_or(Full)? * BLOCK;
            let room = self.piece.get_mut(block + at..block + BLOCK).ok_or(Full)?;
            let (now, later) = octets.split_at(octets.len().min(room.len()));
            room.get_mut(..now.len()).ok_or(Full)?.copy_from_slice(now);
            backlog.len += now.len();
            octets = later;
        }
        Ok(())
    }

    /// The lowest block that is free, so that the higher ones stay untouched.
    fn take(&mut self) -> Result<usize, Full> {
        let block = match self.free.pop_first() {
            Some(block) => block,
            None if self.used >= self.most => return Err(Full),
            None => self.grow()?,
        };
        self.used += 1;
        Ok(block)
    }

    fn grow(&mut self) -> Result<usize, Full> {
        let len = self.piece.len();
        if self.piece.capacity() == 0 {
            let wanted = PIECE.max(self.most * BLOCK);
            self.piece.try_reserve_exact(wanted).map_err(|_| Full)?;
        }
        self.piece.resize(len + BLOCK, 0);
        Ok(len / BLOCK)
    }

    /// The next octets that a client has to read.
    pub fn front(&self, backlog: &Backlog) -> &[u8] {
        let Some(block) = backlog.blocks.front().map(|block| block * BLOCK) else {
            return &[];
        };
        let end = (backlog.start + backlog.len).min(BLOCK);
        let range = block + backlog.start..block + end;
        self.piece.get(range).unwrap_or_default()
    }

    /// The client has read so many of them.
    pub fn consume(&mut self, backlog: &mut Backlog, octets: usize) {
        let octets = octets.min(backlog.len);
        backlog.len -= octets;
        backlog.start += octets;
        if backlog.len == 0 {
            self.clear(backlog);
        }
        while backlog.start >= BLOCK {
            backlog.start -= BLOCK;
            if let Some(block) = backlog.blocks.pop_front() {
                self.give_back(block);
            }
        }
    }

    /// The client reads nothing more, or has read all.
    pub fn clear(&mut self, backlog: &mut Backlog) {
        let Backlog { blocks, .. } = std::mem::take(backlog);
        for block in blocks {
            self.give_back(block);
        }
    }

    fn give_back(&mut self, block: usize) {
        self.free.insert(block);
        self.used -= 1;
        if self.used == 0 {
            self.free.clear();
            self.piece = Vec::new();
        }
    }
}

impl Backlog {
    /// Octets in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Has the client read all?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets of memory that it takes.
    pub fn memory(&self) -> usize {
        self.blocks.len() * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a queue for each client: the same octets come out in the same order, and the memory is bounded and given back.
        #[test]
        fn what_is_appended_is_read_in_order(
            steps in proptest::collection::vec((0usize..4, 0usize..40_000, any::<bool>()), 1..80),
        ) {
            let mut blocks = BlockPool::new(20 * BLOCK);
            let mut backlogs: [Backlog; 4] = Default::default();
            let mut model: [VecDeque<u8>; 4] = Default::default();
            let mut next = 0u8;
            for (who, octets, appends) in steps {
                let (backlog, model) = (&mut backlogs[who], &mut model[who]);
                if appends {
                    let message: Vec<u8> = (0..octets).map(|_| { next = next.wrapping_add(1); next }).collect();
                    if blocks.append(backlog, &message).is_ok() {
                        model.extend(message);
                    } else {
                        prop_assert!(blocks.used * BLOCK == 20 * BLOCK);
                        blocks.clear(backlog);
                        model.clear();
                    }
                } else {
                    let front = blocks.front(backlog);
                    let n = front.len().min(octets);
                    let read: Vec<u8> = front[..n].to_vec();
                    let expected: Vec<u8> = model.drain(..n).collect();
                    prop_assert_eq!(read, expected);
                    blocks.consume(backlog, n);
                }
                prop_assert_eq!(backlog.len(), model.len());
                prop_assert_eq!(blocks.front(backlog).is_empty(), model.is_empty());
                let held: usize = backlogs.iter().map(Backlog::memory).sum();
                prop_assert_eq!(held, blocks.used * BLOCK);
                prop_assert!(held <= 20 * BLOCK);
            }
            for backlog in &mut backlogs {
                blocks.clear(backlog);
            }
            prop_assert_eq!((blocks.used * BLOCK, blocks.piece.capacity()), (0, 0));
        }
    }
}
