//! Messages without what they say: the octets of names, options and records are left out or written over, and what the core decides by
//! stays. For records of failures, which may be handed on to others.

use super::edns::{OPTION_EDE, OPTION_FIXED, OPTION_KEEPALIVE, OptAt};
use super::header::HEADER_LEN;
use super::query::Query;
use super::response::parse_response;

/// What stands for each octet of a label.
const MASK: u8 = b'x';
/// Octets of a message that cannot be read which are kept.
const MAX_UNREADABLE: usize = 512;
/// INFO-CODE of an extended error (RFC 8914 section 2).
const INFO_CODE: usize = 2;

/// A query of the same form: flags, type, class and EDNS stay, and so do the lengths of labels and options. A signature is left out.
pub fn masked_query(message: &[u8], query: &Query) -> Vec<u8> {
    let mut out = header(message, true, query.opt.is_some());
    question_into(&mut out, query.question.octets(message));
    if let Some(opt) = &query.opt {
        opt_into(&mut out, message, opt, |_, len| len);
    }
    out
}

/// A response that says the same about how the query was answered, and nothing about the name. One that cannot be read stays one that
/// cannot be read.
pub fn masked_response(message: &[u8]) -> Vec<u8> {
    match parse_response(message) {
        Ok(response) if response.end == message.len() => {
            let mut out = header(message, response.question.is_some(), response.opt.is_some());
            if let Some(at) = &response.question {
                question_into(&mut out, at.octets(message));
            }
            if let Some(opt) = &response.opt {
                opt_into(&mut out, message, opt, |code, len| match code {
                    OPTION_EDE => len.min(INFO_CODE),
                    _ => len,
                });
            }
            out
        }
        _ => unreadable(message),
    }
}

/// The beginning of a message that cannot be read, with an `x` for each letter and digit behind the header, if it cannot be read then either. Else
/// less of it.
fn unreadable(message: &[u8]) -> Vec<u8> {
    let mut masked = message.get(..MAX_UNREADABLE).unwrap_or(message).to_vec();
    for octet in masked.iter_mut().skip(HEADER_LEN) {
        if octet.is_ascii_alphanumeric() {
            *octet = MASK;
        }
    }
    let is_readable = |octets: &[u8]| parse_response(octets).is_ok_and(|it| it.end == octets.len());
    if is_readable(&masked) {
        // Shorter than a header, it is none.
        masked.truncate(HEADER_LEN - 1);
    }
    masked
}

/// The header without an id, and with these counts.
fn header(message: &[u8], question: bool, opt: bool) -> Vec<u8> {
    let mut out = vec![0; HEADER_LEN];
    for (to, from) in out.iter_mut().zip(message).skip(2).take(2) {
        *to = *from;
    }
    for (at, there) in [(5, question), (11, opt)] {
        if let Some(count) = out.get_mut(at) {
            *count = u8::from(there);
        }
    }
    out
}

/// A question, its name uncompressed.
fn question_into(out: &mut Vec<u8>, question: &[u8]) {
    let mut left = 0;
    let name = question.len().saturating_sub(4);
    for (at, octet) in question.iter().enumerate() {
        match (at < name, left) {
            (true, 0) => left = *octet,
            (true, _) => {
                left -= 1;
                out.push(MASK);
                continue;
            }
            (false, _) => {}
        }
        out.push(*octet);
    }
}

/// An OPT record. `keep`: how many octets of the data of an option are kept, as zeros but for the code of an error and the idle timeout.
fn opt_into(out: &mut Vec<u8>, message: &[u8], opt: &OptAt, keep: impl Fn(u16, usize) -> usize) {
    let start = out.len();
    out.extend_from_slice(message.get(opt.start..opt.options_at).unwrap_or_default());
    let options_at = out.len();
    let mut rest = message.get(opt.options_at..opt.end).unwrap_or_default();
    while let Some((&[a, b, c, d], tail)) = rest.split_first_chunk::<OPTION_FIXED>() {
        let (code, len) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let Some((data, tail)) = tail.split_at_checked(usize::from(len)) else {
            break;
        };
        rest = tail;
        let data = data.get(..keep(code, data.len())).unwrap_or(data);
        out.extend_from_slice(&[a, b]);
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        if matches!(code, OPTION_EDE | OPTION_KEEPALIVE) {
            out.extend_from_slice(data);
        } else {
            out.resize(out.len() + data.len(), 0);
        }
    }
    let len = (out.len() - options_at) as u16;
    if options_at >= start + 2
        && let Some(field) = out.get_mut(options_at - 2..options_at)
    {
        field.copy_from_slice(&len.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_query;
    use super::super::testing;
    use super::*;

    #[test]
    fn a_masked_query_has_the_form_and_not_the_name() {
        let message = testing::query("www.Secret.test.", 28)
            .edns(1232, 0x8000, &[(10, b"cookie!!"), (12, &[0; 5])])
            .build();
        let query = parse_query(&message).unwrap();
        let masked = masked_query(&message, &query);
        assert_eq!(masked.len(), message.len());
        let again = parse_query(&masked).unwrap();
        assert_eq!((again.question, again.opt), (query.question, query.opt));
        assert_eq!(again.question.name(&masked), b"\x03xxx\x06xxxxxx\x04xxxx\0");
        assert!(!masked.windows(6).any(|part| part == b"cookie"));
    }

    #[test]
    fn a_masked_response_says_how_it_failed() {
        let message = testing::response("secret.test.", 1)
            .flags(0x8182)
            .edns(1232, 0, &[(15, b"\0\x06for secret.test"), (11, &[0, 9])])
            .build();
        let masked = masked_response(&message);
        let response = parse_response(&masked).unwrap();
        assert_eq!(response.end, masked.len());
        assert_eq!(response.rcode(), crate::wire::Rcode::SERVFAIL);
        let errors = crate::wire::extended_errors(&masked, response.opt.as_ref());
        assert_eq!(errors.map(|it| it.code).collect::<Vec<_>>(), [6]);
        assert!(!masked.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn what_cannot_be_read_stays_so() {
        let whole = testing::response("secret.test.", 1)
            .a(60, [192, 0, 2, 1])
            .build();
        for message in [
            &whole[..whole.len() - 1],
            &[&whole[..], b"a"].concat(),
            &whole[..3],
        ] {
            let masked = masked_response(message);
            let read = parse_response(&masked);
            assert!(read.is_err() || read.is_ok_and(|it| it.end < masked.len()));
            assert!(!masked.windows(6).any(|part| part == b"secret"));
        }
    }
}
