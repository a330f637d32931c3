//! A query, and a resolver for it that runs inside of the example.

use std::io::{self, Read, Write};
use std::time::Duration;

/// `www.example`, A, IN: id 7, RD, one question.
pub const QUERY: &[u8] =
    b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01";
/// The address of every name.
pub const ADDRESS: [u8; 4] = [192, 0, 2, 1];
/// How long a response may take on a very busy machine.
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Responds on one connection, to one query at a time, until the other end closes.
pub fn resolve(mut stream: impl Read + Write) -> io::Result<()> {
    loop {
        let mut prefix = [0; 2];
        stream.read_exact(&mut prefix)?;
        let mut message = vec![0; u16::from_be_bytes(prefix).into()];
        stream.read_exact(&mut message)?;
        // The question as it came, without OPT; QR, RD, RA; one answer, whose name points at the question's.
        message.truncate(QUERY.len());
        message.splice(2..12, [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        message.extend_from_slice(b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04");
        message.extend_from_slice(&ADDRESS);
        let len = u16::try_from(message.len()).map_err(io::Error::other)?;
        stream.write_all(&len.to_be_bytes())?;
        stream.write_all(&message)?;
    }
}
