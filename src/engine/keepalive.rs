//! Asking an upstream how long it keeps an idle connection, and hearing what it says (RFC 7828).

use crate::wire::{self, Answer, Query};
use std::time::Duration;

/// The option's code.
const KEEPALIVE: u16 = 11;
/// A TIMEOUT counts tenths of a second.
const UNIT: Duration = Duration::from_millis(100);

/// May this query carry the option? Only one with an OPT record can, and a signed one stays as it is.
pub fn fits(query: &Query) -> bool {
    !query.signed && query.opt.is_some_and(|opt| opt.last)
}

/// Adds the option to the query that stands in `out` from `start` on: as a client sends it, without data (RFC 7828
/// section 3.2.1).
pub fn ask(out: &mut Vec<u8>, start: usize) {
    wire::add_option(out, start, KEEPALIVE, &[]);
}

/// What the upstream says in this answer: zero means that it wants the connection closed.
pub fn said(message: &[u8], answer: &Answer) -> Option<Duration> {
    let opt = answer.opt.filter(|opt| opt.end > opt.options_at)?;
    let (_, data) = wire::options(message, &opt).find(|(code, _)| *code == KEEPALIVE)?;
    let timeout = u16::from_be_bytes(data.try_into().ok()?);
    Some(UNIT * u32::from(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing;

    #[test]
    fn the_option_is_asked_for_and_read() {
        // req 71
        let plain = testing::query("a.test.", 1);
        let built = plain.clone().edns(1232, 0, &[(3, b"")]);
        let mut out = built.build();
        ask(&mut out, 0);
        let expected = plain.clone().edns(1232, 0, &[(3, b""), (11, b"")]);
        assert_eq!(out, expected.build());
        assert!(fits(&wire::query(&out).unwrap()));

        assert!(!fits(&wire::query(&plain.build()).unwrap()));
        let signed = built.tsig().build();
        assert!(!fits(&wire::query(&signed).unwrap()));
    }

    #[test]
    fn what_is_said_counts_in_tenths_of_a_second() {
        // req 71
        let says = |data: &[u8]| {
            let mut message = testing::query("a.test.", 1)
                .edns(1232, 0, &[(3, b"x"), (11, data)])
                .build();
            message[2] |= 0x80;
            let answer = wire::answer(&message).unwrap();
            said(&message, &answer)
        };
        assert_eq!(says(&[0, 85]), Some(Duration::from_millis(8_500)));
        assert_eq!(says(&[0, 0]), Some(Duration::ZERO));
        assert_eq!(says(&[]), None);
        assert_eq!(says(&[1, 2, 3]), None);
    }
}
