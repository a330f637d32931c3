//! What the scripted server answers: data that follow from the question, so that an answer to another one is seen.

pub use crate::support::messages::address_for;

/// The first letter of names whose answers are too large for UDP.
pub const LARGE: u8 = b'b';
