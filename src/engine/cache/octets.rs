//! Reading a dump.

/// Octets that are read from their start.
pub(super) struct Octets<'a>(pub(super) &'a [u8]);

impl<'a> Octets<'a> {
    /// The next octets.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next number, of so many octets.
    pub(super) fn number<const OCTETS: usize>(&mut self) -> Option<u64> {
        let octets = self.take(OCTETS)?;
        Some(
            octets
                .iter()
                .fold(0, |sum, octet| sum << 8 | u64::from(*octet)),
        )
    }
}
