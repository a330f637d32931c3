//! In the place of the Public Suffix List, in a build without it: nothing is split by domain there.

/// Whether this build has the list.
pub(crate) const IS_KNOWN: bool = false;

/// The octets of the topmost label.
pub(crate) fn suffix_octets<'n>(mut from_top: impl Iterator<Item = &'n [u8]>) -> usize {
    from_top.next().map_or(0, <[u8]>::len)
}
