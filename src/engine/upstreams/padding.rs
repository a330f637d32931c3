//! Whether queries to an upstream are padded (RFC 7830, RFC 8467), and whether its responses are.

use crate::config::Upstream;
use crate::wire::{self, OPTION_PADDING, Response};

/// Responses to padded queries after which an upstream whose responses are not padded is reported.
const ENOUGH: u8 = 8;

/// What is known of one upstream.
#[derive(Clone, Copy, Debug)]
pub struct Padding {
    /// Without encryption there is no length to hide.
    encrypted: bool,
    refused: bool,
    responses: Responses,
}

#[derive(Clone, Copy, Debug)]
enum Responses {
    /// So many came without padding, and none with it.
    Unpadded(u8),
    /// It is known whether they are padded.
    Settled,
}

impl Padding {
    /// That of an upstream of which nothing is known.
    pub fn new(upstream: &Upstream) -> Self {
        Self {
            encrypted: upstream.server_name().is_some(),
            refused: false,
            responses: Responses::Unpadded(0),
        }
    }

    /// Whether queries to it may be padded.
    pub fn is_possible(self) -> bool {
        self.encrypted && !self.refused
    }

    /// It did not understand a padded query, and answered the same one usefully without padding. True the first time.
    pub fn refused(&mut self) -> bool {
        !std::mem::replace(&mut self.refused, true)
    }

    /// It answered a padded query. True if it is to be reported now that it does not pad its responses, as RFC 7830 section 4 requires.
    #[inline]
    pub fn answered(&mut self, message: &[u8], answer: &Response) -> bool {
        let Responses::Unpadded(count) = &mut self.responses else {
            return false;
        };
        // One without an OPT record does not speak EDNS, or stands for somebody who does not.
        let Some(opt) = &answer.opt else {
            return false;
        };
        let padded = wire::options(message, opt).any(|(code, _)| code == OPTION_PADDING);
        *count += 1;
        let report = !padded && *count >= ENOUGH;
        if padded || report {
            self.responses = Responses::Settled;
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SCHEMES;
    use crate::wire::testing::{self, Message};

    fn of(spec: &str) -> Padding {
        Padding::new(&Upstream::parse(spec, SCHEMES).unwrap())
    }

    fn reports(padding: &mut Padding, built: &Message) -> bool {
        let message = built.build();
        padding.answered(&message, &wire::parse_response(&message).unwrap())
    }

    #[test]
    fn only_what_is_encrypted_is_padded() {
        assert!(!of("udp://192.0.2.1").is_possible() && !of("tcp://192.0.2.1").is_possible());
        let mut padding = of("192.0.2.1#a.test");
        assert!(padding.is_possible());
        assert!(padding.refused() && !padding.refused());
        assert!(!padding.is_possible());
    }

    #[test]
    fn an_upstream_that_does_not_pad_is_reported_once() {
        let response = testing::response("a.test.", 1);
        let bare = response.clone().edns(1232, 0, &[]);
        let padded = response.clone().edns(1232, 0, &[(12, &[0; 400])]);
        let mut padding = of("192.0.2.1#a.test");
        let told: Vec<bool> = (0..20).map(|_| reports(&mut padding, &bare)).collect();
        assert_eq!(told.iter().position(|told| *told), Some(7));
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        let mut padding = of("192.0.2.1#a.test");
        assert!((0..20).all(|_| !reports(&mut padding, &response)));
        assert!(!reports(&mut padding, &padded));
        assert!((0..20).all(|_| !reports(&mut padding, &bare)));
    }
}
