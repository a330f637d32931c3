//! Numbers in network order, read and written at checked offsets.

/// The 16-bit number at `at`, if the message reaches that far.
pub(super) fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    let octets = message.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*octets))
}

/// Overwrites the 16-bit number at `at`. Does nothing when the message does not reach that far.
pub(super) fn set_u16(message: &mut [u8], at: usize, value: u16) {
    if let Some(octets) = message
        .get_mut(at..)
        .and_then(|tail| tail.first_chunk_mut::<2>())
    {
        *octets = value.to_be_bytes();
    }
}

/// Appends a 16-bit number.
pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_only_where_they_lie_whole() {
        assert_eq!(u16_at(&[1, 2, 3], 1), Some(0x0203));
        assert_eq!(u16_at(&[1, 2, 3], 2), None);
        assert_eq!(u16_at(&[1, 2, 3], 3), None);
        assert_eq!(u16_at(&[1, 2, 3], usize::MAX), None);
    }

    #[test]
    fn a_write_past_the_end_changes_nothing() {
        let mut message = [1, 2, 3];
        set_u16(&mut message, 2, 0xFFFF);
        set_u16(&mut message, usize::MAX, 0xFFFF);
        assert_eq!(message, [1, 2, 3]);
        set_u16(&mut message, 1, 0xFFFE);
        assert_eq!(message, [1, 0xFF, 0xFE]);
    }
}
