//! Requests of a client over HTTP/2, in the simplest form (RFC 7541 section 6.2.2): no compression, no index.

use super::http2::{END_HEADERS, END_STREAM, HEADERS, data, frame};
use data_encoding::BASE64URL_NOPAD;

const OURS: (&str, &str) = ("content-type", "application/dns-message");

/// The status at the front of a block of headers: an index of the static table, or three digits (RFC 7541 section 5.2, appendix B).
pub fn status(block: &[u8]) -> u16 {
    match block[0] {
        0x88 => return 200,
        0x8C => return 400,
        0x8D => return 404,
        first => assert_eq!(first, 0x48, "a literal status"),
    }
    assert_eq!(block[1] & 0x80, 0x80, "Huffman");
    let octets = &block[2..2 + usize::from(block[1] & 0x7F)];
    let mut bits = octets
        .iter()
        .flat_map(|octet| (0..8).rev().map(move |bit| u16::from(octet >> bit & 1)));
    let mut digits = 0;
    for _ in 0..3 {
        let code = bits.by_ref().take(5).fold(0, |code, bit| code << 1 | bit);
        let digit = match code {
            0..=2 => code,
            code => (code << 1 | bits.next().unwrap()) - 0b01_1001 + 3,
        };
        digits = 10 * digits + digit;
    }
    digits
}

fn text(text: &str) -> Vec<u8> {
    let mut octets = match text.len() {
        len @ ..127 => vec![u8::try_from(len).unwrap()],
        mut rest => {
            rest -= 127;
            let mut octets = vec![127];
            while rest >= 128 {
                octets.push(u8::try_from(rest & 0x7F).unwrap() | 0x80);
                rest >>= 7;
            }
            octets.push(u8::try_from(rest).unwrap());
            octets
        }
    };
    octets.extend(text.as_bytes());
    octets
}

/// A block of headers without compression.
pub fn block(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "dns.test"),
        (":path", path),
    ];
    let fields = [&pseudo, fields].concat();
    let fields = fields.iter();
    fields
        .flat_map(|(name, value)| [vec![0], text(name), text(value)].concat())
        .collect()
}

pub fn post_head(stream: u32) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS,
        stream,
        &block("POST", "/dns-query", &[OURS]),
    )
}

pub fn post(stream: u32, message: &[u8]) -> Vec<u8> {
    [post_head(stream), data(stream, message)].concat()
}

pub fn bare(method: &str, path: &str, stream: u32) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &block(method, path, &[]),
    )
}

pub fn get(stream: u32, message: &[u8]) -> Vec<u8> {
    let path = format!("/dns-query?dns={}", BASE64URL_NOPAD.encode(message));
    bare("GET", &path, stream)
}
