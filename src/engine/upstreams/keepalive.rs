//! Asking an upstream how long it keeps an idle connection, and hearing what it says (RFC 7828). The option is for streams of messages alone
//! (section 3.1).

use crate::engine::time::Time;
use crate::wire::{self, OPTION_KEEPALIVE, Response};
use std::time::Duration;

/// A TIMEOUT counts tenths of a second.
const UNIT: Duration = Duration::from_millis(100);

/// So many queries with the option that stay without an answer are taken for its fault.
const MAX_SILENCES: u8 = 2;
/// An answer that takes less time is not missed yet, wherever the upstream has to ask.
const SILENCE_MIN: Duration = Duration::from_millis(200);
/// It may have been the path's fault: the option is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(3600);

/// Whether an upstream is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepaliveOption {
    refused: bool,
    silences: u8,
    again_at: Time,
}

impl KeepaliveOption {
    /// May it be asked?
    pub fn may_ask(&self, now: Time) -> bool {
        !self.refused && (self.silences < MAX_SILENCES || now >= self.again_at)
    }

    /// It did not understand a query with the option, and knows EDNS otherwise.
    pub fn refused(&mut self) {
        self.refused = true;
    }

    /// It answered a query with the option.
    pub fn answered(&mut self) {
        self.silences = 0;
    }

    /// A query with the option was given up after so long. Answers usually take `srtt`.
    pub fn given_up(&mut self, after: Duration, srtt: Option<Duration>, now: Time) {
        if after >= srtt.map_or(SILENCE_MIN, |srtt| SILENCE_MIN.max(3 * srtt)) {
            self.unanswered(now);
        }
    }

    /// A query with the option stayed without an answer.
    pub fn unanswered(&mut self, now: Time) {
        self.silences = self.silences.saturating_add(1);
        self.again_at = now + TRY_AGAIN;
    }

    /// What was silent may have been another network.
    pub fn start_afresh(&mut self) {
        self.silences = 0;
    }
}

/// What the upstream says in this answer: zero means that it wants the connection closed.
pub fn said(message: &[u8], answer: &Response) -> Option<Duration> {
    let opt = answer.opt.filter(|opt| opt.end > opt.options_at)?;
    let (_, data) = wire::options(message, &opt).find(|(code, _)| *code == OPTION_KEEPALIVE)?;
    let timeout = u16::from_be_bytes(data.try_into().ok()?);
    Some(UNIT * u32::from(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing;

    #[test]
    fn two_silences_are_enough_for_an_hour() {
        // req 71
        let second = |n| Time::ZERO + Duration::from_secs(n);
        let mut asking = KeepaliveOption::default();
        asking.unanswered(second(0));
        asking.answered();
        asking.unanswered(second(1));
        assert!(asking.may_ask(second(2)));
        asking.unanswered(second(2));
        assert!(!asking.may_ask(second(3)) && !asking.may_ask(second(3_601)));
        assert!(asking.may_ask(second(3_602)));
        asking.unanswered(second(3_602));
        assert!(!asking.may_ask(second(3_603)));
        asking.start_afresh();
        assert!(asking.may_ask(second(3_603)));
        let given_up = |ms, srtt: Option<u64>| {
            let mut asking = asking;
            let (after, srtt) = (Duration::from_millis(ms), srtt.map(Duration::from_millis));
            for _ in 0..2 {
                asking.given_up(after, srtt, second(4_000));
            }
            !asking.may_ask(second(4_000))
        };
        assert!(given_up(250, None) && given_up(250, Some(20)) && given_up(2_000, Some(600)));
        assert!(!given_up(50, None) && !given_up(1_000, Some(600)));
        asking.refused();
        assert!(!asking.may_ask(second(99_999)));
    }

    #[test]
    fn what_is_said_counts_in_tenths_of_a_second() {
        // req 71
        let says = |data: &[u8]| {
            let mut message = testing::query("a.test.", 1)
                .edns(1232, 0, &[(3, b"x"), (11, data)])
                .build();
            message[2] |= 0x80;
            let answer = wire::parse_response(&message).unwrap();
            said(&message, &answer)
        };
        assert_eq!(says(&[0, 85]), Some(Duration::from_millis(8_500)));
        assert_eq!(says(&[0, 0]), Some(Duration::ZERO));
        assert_eq!(says(&[]), None);
        assert_eq!(says(&[1, 2, 3]), None);
    }
}
