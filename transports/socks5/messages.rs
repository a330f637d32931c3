//! What is sent to a SOCKS5 proxy, and what its refusals mean (RFC 1928, RFC 1929).

use super::Destination;
use std::net::IpAddr;

pub const VERSION: u8 = 5;
/// The version of the messages of RFC 1929.
pub const PASSWORD_VERSION: u8 = 1;
pub const IPV4: u8 = 1;
pub const DOMAIN_NAME: u8 = 3;
pub const IPV6: u8 = 4;
const CONNECT: u8 = 1;
/// The username alone tells connections apart. An empty password is not allowed (RFC 1929 section 2).
const PASSWORD: &[u8] = b"dotward";

/// RFC 1929 section 2.
pub fn password_request(username: &str) -> Vec<u8> {
    let mut message = vec![PASSWORD_VERSION];
    for text in [username.as_bytes(), PASSWORD] {
        append_short(text, &mut message);
    }
    message
}

/// RFC 1928 section 4.
pub fn request(destination: &Destination) -> Vec<u8> {
    let mut message = vec![VERSION, CONNECT, 0];
    let port = match destination {
        Destination::Address(addr) => {
            match addr.ip() {
                IpAddr::V4(ip) => {
                    message.push(IPV4);
                    message.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    message.push(IPV6);
                    message.extend_from_slice(&ip.octets());
                }
            }
            addr.port()
        }
        Destination::Name(name, port) => {
            message.push(DOMAIN_NAME);
            append_short(name.as_bytes(), &mut message);
            *port
        }
    };
    message.extend_from_slice(&port.to_be_bytes());
    message
}

/// Appends a text behind its length in one octet. Host names have at most 253 octets, and usernames fewer.
fn append_short(text: &[u8], message: &mut Vec<u8>) {
    let text = text.get(..usize::from(u8::MAX)).unwrap_or(text);
    message.push(text.len() as u8);
    message.extend_from_slice(text);
}

/// What a reply code says (RFC 1928 section 6); from 0xf0 on those of Tor, about onion services.
pub fn refusal(code: u8) -> String {
    let what = match code {
        0x01 => "general failure",
        0x02 => "its rules do not allow this connection",
        0x03 => "network unreachable",
        0x04 => "host unreachable, or its name not found",
        0x05 => "connection refused by the destination",
        0x06 => "TTL expired on the way to the destination",
        0x07 => "it does not know the command CONNECT",
        0x08 => "it does not know this type of address",
        0xf0 => "onion service not found",
        0xf1 => "the descriptor of the onion service is invalid",
        0xf2 => "introduction to the onion service failed",
        0xf3 => "rendezvous with the onion service failed",
        0xf4 => "the onion service requires client authorization",
        0xf5 => "the client authorization for the onion service is wrong",
        0xf6 => "the onion address is invalid",
        0xf7 => "introduction to the onion service timed out",
        _ => return format!("reports: reply code {code}"),
    };
    format!("reports: {what}")
}
