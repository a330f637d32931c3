//! Numbers of the protocol: types, header bits and response codes.

/// An IPv4 address.
pub const A: u16 = 1;
/// An IPv6 address.
pub const AAAA: u16 = 28;
/// Start of a zone of authority.
pub const SOA: u16 = 6;
/// Text.
pub const TXT: u16 = 16;
/// The EDNS pseudo-record.
pub const OPT: u16 = 41;
/// A transaction signature.
pub const TSIG: u16 = 250;
/// The class of the Internet.
pub const IN: u16 = 1;

/// This is an answer. The flags stand in the second 16 bits of the header.
pub const QR: u16 = 0x8000;
/// Authoritative answer.
pub const AA: u16 = 0x0400;
/// Truncated.
pub const TC: u16 = 0x0200;
/// Recursion desired.
pub const RD: u16 = 0x0100;
/// Recursion available.
pub const RA: u16 = 0x0080;
/// The reserved bit.
pub const Z: u16 = 0x0040;
/// Authentic data.
pub const AD: u16 = 0x0020;
/// Checking disabled.
pub const CD: u16 = 0x0010;

/// All is well.
pub const NOERROR: u16 = 0;
/// The message could not be read.
pub const FORMERR: u16 = 1;
/// The server failed.
pub const SERVFAIL: u16 = 2;
/// No such name.
pub const NXDOMAIN: u16 = 3;
/// Not implemented.
pub const NOTIMP: u16 = 4;
/// Refused by policy.
pub const REFUSED: u16 = 5;
/// A version of EDNS that the server does not speak (RFC 6891).
pub const BADVERS: u16 = 16;

/// The DO flag in an OPT's TTL field: DNSSEC records are wanted (RFC 3225).
pub const DO: u32 = 0x8000;
/// The cookie option of EDNS (RFC 7873).
pub const COOKIE: u16 = 10;
