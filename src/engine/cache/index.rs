//! Finding slots by hash: a table of chains, whose links lie beside the slots.

/// No slot.
const NONE: u32 = u32::MAX;

/// One slot's place in its chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    hash: u32,
    next: u32,
}

/// Slots by the lower 32 bits of their hash. What has the same hash is for the caller to compare.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Where each chain starts. Their number is a power of two, or zero.
    heads: Vec<u32>,
    /// By slot.
    links: Vec<Link>,
}

impl Index {
    /// Octets that the table takes when there are so many slots.
    pub(super) fn size(slots: usize) -> usize {
        let heads = if slots == 0 {
            0
        } else {
            slots.next_power_of_two()
        };
        heads * size_of::<u32>() + slots * size_of::<Link>()
    }

    /// Makes room for so many slots in all.
    pub(super) fn grow(&mut self, slots: usize) {
        self.links
            .reserve_exact(slots.saturating_sub(self.links.len()));
        let wanted = slots.next_power_of_two();
        if wanted <= self.heads.len() {
            return;
        }
        for mut slot in std::mem::replace(&mut self.heads, vec![NONE; wanted]) {
            while slot != NONE {
                let link = self.links[slot as usize];
                self.chain(slot, link.hash);
                slot = link.next;
            }
        }
    }

    /// Adds a slot that is not in the table. There must be room for it.
    pub(super) fn insert(&mut self, slot: u32, hash: u64) {
        if self.links.len() == slot as usize {
            self.links.push(Link {
                hash: 0,
                next: NONE,
            });
        }
        self.chain(slot, hash as u32);
    }

    /// Takes a slot out that is in the table.
    pub(super) fn remove(&mut self, slot: u32) {
        let Link { hash, next } = self.links[slot as usize];
        let head = self.home(hash);
        let mut at = self.heads[head];
        if at == slot {
            self.heads[head] = next;
            return;
        }
        while at != NONE {
            let link = &mut self.links[at as usize];
            if link.next == slot {
                link.next = next;
                return;
            }
            at = link.next;
        }
    }

    /// The slots with this hash.
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> + use<'_> {
        let hash = hash as u32;
        let mut at = if self.heads.is_empty() {
            NONE
        } else {
            self.heads[self.home(hash)]
        };
        std::iter::from_fn(move || {
            while at != NONE {
                let slot = at;
                let link = self.links[slot as usize];
                at = link.next;
                if link.hash == hash {
                    return Some(slot);
                }
            }
            None
        })
    }

    fn chain(&mut self, slot: u32, hash: u32) {
        let head = self.home(hash);
        let next = std::mem::replace(&mut self.heads[head], slot);
        self.links[slot as usize] = Link { hash, next };
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.heads.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        // Against a plain list. Few hashes, so that chains are long.
        #[test]
        fn slots_are_found_by_their_hash_and_by_no_other(
            steps in vec((0..64_u32, 0..12_u64, any::<bool>()), 0..200),
        ) {
            let mut index = Index::default();
            let mut model: Vec<Option<u64>> = Vec::new();
            for (pick, hash, add) in steps {
                if add {
                    let free = model.iter().position(Option::is_none);
                    let slot = free.unwrap_or(model.len());
                    if slot == model.len() {
                        model.push(None);
                        index.grow(model.len());
                    }
                    model[slot] = Some(hash);
                    index.insert(slot as u32, hash);
                } else if let Some(used) = model.get_mut(pick as usize)
                    && used.take().is_some()
                {
                    index.remove(pick);
                }
                for hash in 0..12 {
                    let mut found: Vec<u32> = index.candidates(hash).collect();
                    found.sort_unstable();
                    let wanted: Vec<u32> = (0..model.len())
                        .filter(|&slot| model[slot] == Some(hash))
                        .map(|slot| slot as u32)
                        .collect();
                    prop_assert_eq!(found, wanted);
                }
            }
        }
    }

    #[test]
    fn an_empty_table_takes_and_finds_nothing() {
        assert_eq!(Index::size(0), 0);
        assert_eq!(Index::default().candidates(7).count(), 0);
        assert_eq!(Index::size(5), 8 * 4 + 5 * 8);
    }
}
