//! Who has to go when there is no room: SIEVE (Zhang and others, NSDI 2024).
//!
//! Slots stand in a row, newest first. A hand walks from the oldest to the newest: it spares whom somebody
//! asked for since it came by last, and takes the first for whom nobody did. So names that are asked once and
//! never again, a flood of random ones for instance, leave soon and do not push out the popular ones; and a
//! hit costs no more than one bit.

/// No slot.
const NONE: u32 = u32::MAX;

/// One slot's place in the row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    newer: u32,
    older: u32,
    asked: bool,
}

/// The row. Slots are numbers from 0 that the caller hands out.
#[derive(Debug)]
pub(super) struct Sieve {
    /// By slot.
    links: Vec<Link>,
    newest: u32,
    oldest: u32,
    /// Where the hand stands; `NONE` is before the oldest.
    hand: u32,
}

impl Sieve {
    pub(super) fn new() -> Self {
        Self {
            links: Vec::new(),
            newest: NONE,
            oldest: NONE,
            hand: NONE,
        }
    }

    /// Makes room for so many slots in all.
    pub(super) fn grow(&mut self, slots: usize) {
        self.links
            .reserve_exact(slots.saturating_sub(self.links.len()));
    }

    /// Adds a slot that is not in the row, as the newest.
    pub(super) fn insert(&mut self, slot: u32) {
        let link = Link {
            newer: NONE,
            older: self.newest,
            asked: false,
        };
        match self.links.get_mut(slot as usize) {
            Some(place) => *place = link,
            None => self.links.push(link),
        }
        match std::mem::replace(&mut self.newest, slot) {
            NONE => self.oldest = slot,
            older => self.links[older as usize].newer = slot,
        }
    }

    /// Notes that somebody asked for it.
    pub(super) fn ask(&mut self, slot: u32) {
        self.links[slot as usize].asked = true;
    }

    /// Takes a slot out that is in the row.
    pub(super) fn remove(&mut self, slot: u32) {
        let Link { newer, older, .. } = self.links[slot as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
        if self.hand == slot {
            self.hand = newer;
        }
    }

    /// The slots from the oldest to the newest, and whether somebody asked for each since the hand came by last.
    pub(super) fn row(&self) -> impl Iterator<Item = (u32, bool)> {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let link = self.links.get(at as usize)?;
            let slot = std::mem::replace(&mut at, link.newer);
            Some((slot, link.asked))
        })
    }

    /// Who has to go; the caller removes it. `None` when nobody is there.
    ///
    /// Ends within two rounds: the first leaves nobody spared.
    pub(super) fn victim(&mut self) -> Option<u32> {
        loop {
            if self.hand == NONE {
                self.hand = self.oldest;
            }
            if self.hand == NONE {
                return None;
            }
            let link = &mut self.links[self.hand as usize];
            if !std::mem::take(&mut link.asked) {
                return Some(self.hand);
            }
            self.hand = link.newer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The same in the plainest way: a list, oldest first, and where the hand is in it.
    #[derive(Default)]
    struct Model {
        row: Vec<(u32, bool)>,
        hand: usize,
    }

    impl Model {
        fn remove(&mut self, slot: u32) {
            let at = self.row.iter().position(|(s, _)| *s == slot).unwrap();
            self.row.remove(at);
            if at < self.hand {
                self.hand -= 1;
            }
            // Off the end, it starts anew, whoever comes in the meantime.
            if self.hand == self.row.len() {
                self.hand = 0;
            }
        }

        fn victim(&mut self) -> Option<u32> {
            while !self.row.is_empty() {
                if self.hand >= self.row.len() {
                    self.hand = 0;
                }
                let (slot, asked) = &mut self.row[self.hand];
                if !std::mem::take(asked) {
                    return Some(*slot);
                }
                self.hand += 1;
            }
            None
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_chooses_as_the_model_does(steps in vec((0..5_u8, 0..40_u32), 0..400)) {
            let (mut sieve, mut model) = (Sieve::new(), Model::default());
            for (what, slot) in steps {
                let known = model.row.iter().position(|(s, _)| *s == slot);
                match (what, known) {
                    (0 | 1, None) => {
                        // As the caller hands them out: the lowest number that is free.
                        let free = (0..=40).find(|n| model.row.iter().all(|(s, _)| s != n)).unwrap();
                        sieve.insert(free);
                        model.row.push((free, false));
                    }
                    (2, Some(at)) => {
                        sieve.ask(slot);
                        model.row[at].1 = true;
                    }
                    (3, Some(_)) => {
                        sieve.remove(slot);
                        model.remove(slot);
                    }
                    (4, _) => {
                        let victim = sieve.victim();
                        prop_assert_eq!(victim, model.victim());
                        if let Some(victim) = victim {
                            sieve.remove(victim);
                            model.remove(victim);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    // fault 63
    #[test]
    fn a_flood_of_names_asked_once_does_not_push_out_the_popular() {
        let mut sieve = Sieve::new();
        for slot in 0..100 {
            sieve.insert(slot);
        }
        for _ in 0..10_000 {
            // The first ten are asked for all the time.
            (0..10).for_each(|popular| sieve.ask(popular));
            let victim = sieve.victim().unwrap();
            assert!(victim >= 10);
            sieve.remove(victim);
            sieve.insert(victim);
        }
    }
}
