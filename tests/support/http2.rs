//! The frames of HTTP/2 (RFC 9113 section 4.1), as a server reads and writes them. Requests are not decoded, but for their bodies.

/// The connection preface of a client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

/// The flag of SETTINGS and PING.
pub const ACK: u8 = 1;
/// The flag of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// The flag of HEADERS.
pub const END_HEADERS: u8 = 4;

pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error codes (RFC 9113 section 7).
pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;

/// The most octets in a frame, unless the other end allows more.
const MAX_FRAME: usize = 16_384;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What the nine octets before a payload say; the payload's length first.
pub fn head(octets: [u8; 9]) -> (usize, Frame) {
    let [a, b, c, kind, flags, stream @ ..] = octets;
    let frame = Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(stream),
        payload: Vec::new(),
    };
    (u32::from_be_bytes([0, a, b, c]) as usize, frame)
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len, &[kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

pub fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let all = all.iter();
    let octets = all.flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &octets.collect::<Vec<u8>>())
}

pub fn window_update(stream: u32, octets: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &octets.to_be_bytes())
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub fn goaway(last: u32, code: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}

/// The headers of a response. Their block is the simplest there is (RFC 7541 section 6.2.2): no compression, no index.
pub fn headers(stream: u32, status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let status = status.to_string();
    let fields = [&[(":status", status.as_str())], fields].concat();
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// Headers behind a body, which end the stream.
pub fn trailers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let block = fields
        .iter()
        .flat_map(|(name, value)| [vec![0], text(name), text(value)].concat());
    block.collect()
}

/// A body.
pub fn data(stream: u32, body: &[u8]) -> Vec<u8> {
    let mut parts = body.chunks(MAX_FRAME).peekable();
    let mut octets = Vec::new();
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_none() {
            END_STREAM
        } else {
            0
        };
        octets.extend(frame(DATA, flags, stream, part));
    }
    if body.is_empty() {
        octets = frame(DATA, END_STREAM, stream, &[]);
    }
    octets
}

/// A good response with this message.
pub fn response(stream: u32, message: &[u8]) -> Vec<u8> {
    let fields = [("content-type", "application/dns-message")];
    [headers(stream, 200, &fields), data(stream, message)].concat()
}
