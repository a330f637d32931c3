//! What the scripted server answers: data that follow from the question, so that an answer to another one is seen.

/// Octets of a header (RFC 1035 section 4.1.1).
pub const HEADER: usize = 12;
/// The first letter of names whose answers are too large for UDP.
pub const LARGE: u8 = b'b';

/// The address that answers a question: a hash of it (FNV-1a), whatever its letter case.
pub fn address(question: &[u8]) -> [u8; 4] {
    let mix = |hash: u32, octet: &u8| {
        (hash ^ u32::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    };
    question.iter().fold(0x811c_9dc5, mix).to_be_bytes()
}
