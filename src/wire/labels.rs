//! The labels of a name, counted from the top: what a name lies under.

/// The most labels in a name of 255 octets, the root not counted.
const MAX_LABELS: usize = 127;

/// The labels of an uncompressed name.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    name: &'a [u8],
    /// Where each one's length octet stands, the leftmost label first.
    starts: [u8; MAX_LABELS],
    count: usize,
}

impl<'a> Labels<'a> {
    /// Those of the name of a question that was read.
    pub fn of(name: &'a [u8]) -> Self {
        let mut labels = Self {
            name,
            starts: [0; MAX_LABELS],
            count: 0,
        };
        let mut at = 0;
        while let Some(&len) = name.get(at).filter(|len| **len > 0)
            && let Some(slot) = labels.starts.get_mut(labels.count)
            && let Ok(start) = u8::try_from(at)
        {
            *slot = start;
            labels.count += 1;
            at += 1 + usize::from(len);
        }
        labels
    }

    /// How many there are, the root not counted.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The label at this place: 0 is the top-level domain.
    pub fn from_top(&self, place: usize) -> Option<&'a [u8]> {
        let start = self.start(place)?;
        let len = usize::from(*self.name.get(start)?);
        self.name.get(start + 1..start + 1 + len)
    }

    /// Where that label starts in the name: so many octets stand before the domain of `place` + 1 labels.
    pub fn start(&self, place: usize) -> Option<usize> {
        let index = self.count.checked_sub(place + 1)?;
        self.starts.get(index).map(|start| usize::from(*start))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{name_octets, name_of_len};
    use super::*;

    #[test]
    fn labels_are_counted_from_the_top() {
        let name = name_octets("www.Example.com.");
        let labels = Labels::of(&name);
        assert_eq!(labels.count(), 3);
        assert_eq!(labels.from_top(0), Some(&b"com"[..]));
        assert_eq!(labels.from_top(1), Some(&b"Example"[..]));
        assert_eq!((labels.start(1), labels.start(2)), (Some(4), Some(0)));
        assert_eq!((labels.from_top(3), labels.start(3)), (None, None));
    }

    #[test]
    fn the_longest_names_and_the_root_have_their_labels() {
        assert_eq!(Labels::of(&name_octets(".")).count(), 0);
        assert_eq!(Labels::of(&name_of_len(255)).count(), 4);
        let most = name_octets(&"a.".repeat(127));
        assert_eq!(Labels::of(&most).count(), 127);
        assert_eq!(Labels::of(&most).from_top(126), Some(&b"a"[..]));
        assert_eq!(Labels::of(b"\x05ab").from_top(0), None);
    }
}
