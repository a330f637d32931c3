//! One query and its response: a stream of QUIC (RFC 9250 section 4.2).

use crate::transport::ConnectionError;
use crate::wire;
use quinn_proto::{ReadError, RecvStream, VarInt};

/// Octets of the length before a message.
const PREFIX: usize = 2;

/// A query that has a stream.
pub struct Exchange {
    /// Its message id in the core.
    pub id: u16,
    /// What has come, with the length before it.
    received: Vec<u8>,
}

/// How far a response is.
pub enum Progress {
    /// There is more to come.
    Partial,
    /// Everything has come.
    Whole,
    /// The server has reset the stream, with this error code.
    Reset(VarInt),
    /// More has come than one message.
    TooMuch,
}

impl Exchange {
    pub fn new(id: u16) -> Self {
        Self {
            id,
            received: Vec::new(),
        }
    }

    /// Takes what has come on its stream.
    pub fn read(&mut self, mut stream: RecvStream<'_>) -> Progress {
        let Ok(mut chunks) = stream.read(true) else {
            return Progress::Partial;
        };
        loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => self.received.extend_from_slice(&chunk.bytes),
                Ok(None) => return Progress::Whole,
                Err(ReadError::Blocked) => return Progress::Partial,
                Err(ReadError::Reset(code)) => return Progress::Reset(code),
            }
            if self
                .announced()
                .is_some_and(|end| self.received.len() > end)
            {
                return Progress::TooMuch;
            }
        }
    }

    /// How many octets the stream has, by the length before the message.
    fn announced(&self) -> Option<usize> {
        let length = self.received.first_chunk()?;
        Some(PREFIX + usize::from(u16::from_be_bytes(*length)))
    }

    /// The message of a stream that is whole, as the core gets it: under the id of the query. `Rejected` concerns this query; any other error
    /// is one of the connection.
    pub fn message(mut self) -> Result<Vec<u8>, ConnectionError> {
        if self.received.is_empty() {
            let why = "its stream ended without a response";
            return Err(ConnectionError::Rejected(why.into()));
        }
        if self.announced() != Some(self.received.len()) {
            let why = "a stream ends within a response (RFC 9250 section 4.3.3)";
            return Err(ConnectionError::Protocol(why));
        }
        let mut message = self.received.split_off(PREFIX);
        let Some(head) = message.first_chunk_mut() else {
            let why = format!("{} octets", message.len());
            return Err(ConnectionError::Rejected(why));
        };
        if *head != [0, 0] {
            let why = "the message id of a response is not 0 (RFC 9250 section 4.2.1)";
            return Err(ConnectionError::Protocol(why));
        }
        *head = self.id.to_be_bytes();
        if has_keepalive(&message) {
            let why = "a response has the option edns-tcp-keepalive (RFC 9250 section 5.5.2)";
            return Err(ConnectionError::Protocol(why));
        }
        Ok(message)
    }
}

/// Whether a message has an option that no message over QUIC may have.
fn has_keepalive(message: &[u8]) -> bool {
    let opt = wire::parse_response(message)
        .ok()
        .and_then(|response| response.opt);
    let options = opt.iter().flat_map(|opt| wire::options(message, opt));
    options
        .into_iter()
        .any(|(code, _)| code == wire::OPTION_KEEPALIVE)
}

/// A query as it leaves: its length before it, and the message id 0 (RFC 9250 section 4.2.1).
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u16).to_be_bytes();
    let rest = message.get(2..).unwrap_or_default();
    [&length[..], &[0, 0], rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(received: &[u8]) -> Result<Vec<u8>, String> {
        let exchange = Exchange {
            id: 0x1234,
            received: received.to_vec(),
        };
        exchange.message().map_err(|why| why.to_string())
    }

    #[test]
    fn a_response_gets_the_id_of_its_query() {
        assert_eq!(taken(&[0, 3, 0, 0, 0x80]).unwrap(), [0x12, 0x34, 0x80]);
        for (received, why) in [
            (&[][..], "no DNS response: its stream ended without"),
            (&[0], "protocol error: a stream ends within"),
            (&[0, 3, 0, 0], "protocol error: a stream ends within"),
            (&[0, 1, 0], "no DNS response: 1 octets"),
            (&[0, 0], "no DNS response: 0 octets"),
            (&[0, 3, 0, 1, 0x80], "protocol error: the message id"),
        ] {
            let told = taken(received).unwrap_err();
            assert!(told.starts_with(why), "{told}");
        }
    }

    // req 98
    #[test]
    fn a_query_leaves_with_its_length_and_without_its_id() {
        assert_eq!(framed(&[0x12, 0x34, 1, 2, 3]), [0, 5, 0, 0, 1, 2, 3]);
    }
}
