//! The question of a query, for servers that make their answers from it.

use dotward::wire::HEADER_LEN;

/// Where the question of a message with one ends. No message that does not hold it.
pub fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = HEADER_LEN;
    loop {
        match usize::from(*message.get(at)?) {
            0 => break,
            length @ 1..64 => at += 1 + length,
            _ => return None,
        }
    }
    let end = at + 5;
    (end <= message.len()).then_some(end)
}
