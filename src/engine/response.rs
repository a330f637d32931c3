//! Is this the answer to that question, and is it good enough? Pure functions over what was sent and what came.

use crate::wire::{self, Query, Rcode, Response};

/// The option that explains an error (RFC 8914).
const EDE: u16 = 15;

/// What an answer says, as far as it matters to who is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// What there is, that there is nothing, or a response code for the client alone.
    Useful,
    /// The name's data did not pass validation, or a filter stands before it. It may not be undone by somebody who does not look.
    Final(Final),
    /// FORMERR or NOTIMP, with an OPT record or without.
    NotUnderstood {
        /// Whether the server knows EDNS.
        opt: bool,
    },
    /// SERVFAIL or REFUSED: it says nothing about the name.
    Failure,
    /// There is more than this.
    Truncated,
}

/// Why an error is the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Final {
    /// DNSSEC validation failed.
    Validation,
    /// A policy of the upstream, or of somebody behind it.
    Policy,
    /// The upstream does not serve this client, perhaps for this name alone.
    Prohibited,
}

/// How a query was sent with respect to EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edns {
    /// It has no OPT record, and went so.
    Absent,
    /// With its OPT record, or with one of ours.
    Sent,
    /// Without the OPT record that it has.
    LeftOut,
    /// With one that can neither be taken away nor changed: a signature covers it, or other records stand behind it.
    Fixed,
}

/// How a query was sent, and what else could be done for it.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// It is signed: it can be sent in no other way, and only the client can judge its answer.
    pub signed: bool,
    /// With or without an OPT record.
    pub edns: Edns,
    /// With an option that was added here.
    pub added: Added,
    /// Another upstream may be asked, or there is a stale answer: it matters why this one failed.
    pub alternatives: bool,
}

/// An option that was added to a query here. Of two it is the one that is left out first if the query is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    Nothing,
    /// The option that asks how long an idle connection is kept (RFC 7828).
    Keepalive,
    /// The padding option (RFC 7830).
    Padding,
}

/// What follows from an answer. Each step but the first falls back to the first where it cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The clients get it.
    Relay,
    /// The same upstream is asked without the keepalive option that we added.
    WithoutKeepalive,
    /// The same upstream is asked without the padding that we added.
    WithoutPadding,
    /// The same upstream is asked without EDNS (RFC 6891 section 6.2.2).
    WithoutEdns,
    /// The same upstream is asked with EDNS, to learn why it failed.
    WithEdns,
    /// Another upstream is asked; if there is none, the clients get what is stale, or this.
    Elsewhere,
}

impl Verdict {
    /// Whether the same upstream is asked in another way.
    pub fn is_same_upstream(self) -> bool {
        matches!(
            self,
            Self::WithoutKeepalive | Self::WithoutPadding | Self::WithoutEdns | Self::WithEdns
        )
    }
}

/// Whether it is the answer to this question (RFC 5452 section 9.1). The id matched already. An error without a question section is
/// taken if it holds no records. A signature that nobody asked for is no answer to this question.
pub fn answers(message: &[u8], answer: &Response, asked: &[u8], query: &Query) -> bool {
    if answer.signed && !query.signed {
        return false;
    }
    match &answer.question {
        Some(question) => wire::same_question(message, question, asked, &query.question),
        None => answer.header.answers == 0 && answer.header.authorities == 0,
    }
}

/// What an answer says.
#[inline]
pub fn meaning(message: &[u8], answer: &Response) -> Meaning {
    let of_rcode = match answer.rcode() {
        Rcode::SERVFAIL | Rcode::REFUSED => Meaning::Failure,
        Rcode::FORMERR | Rcode::NOTIMP => Meaning::NotUnderstood {
            opt: answer.opt.is_some(),
        },
        _ if answer.header.flags.tc() => Meaning::Truncated,
        _ => return Meaning::Useful,
    };
    match of_rcode {
        Meaning::Failure => final_word(message, answer).map_or(of_rcode, Meaning::Final),
        _ => of_rcode,
    }
}

/// The first extended error that makes an answer final.
fn final_word(message: &[u8], answer: &Response) -> Option<Final> {
    let options = wire::options(message, answer.opt.as_ref()?);
    let mut codes = options.filter_map(|(code, data)| {
        let info = data.first_chunk::<2>().filter(|_| code == EDE)?;
        Some(u16::from_be_bytes(*info))
    });
    codes.find_map(|code| why_final(code, answer.rcode()))
}

/// What an INFO-CODE says about who may be asked next (the registry "Extended DNS Error Codes" of IANA).
fn why_final(code: u16, rcode: Rcode) -> Option<Final> {
    match code {
        // DNSSEC Indeterminate, DNSSEC Bogus, Signature Expired, Signature Not Yet Valid, DNSKEY Missing, RRSIGs Missing, No Zone Key
        // Bit Set, NSEC Missing; Signature Expired before Valid; Unsupported NSEC3 Iterations Value (RFC 9276). Codes 1 and 2,
        // unsupported algorithms, are not among them: such a zone counts as unsigned, and is no error.
        5..=12 | 25 | 27 => Some(Final::Validation),
        // Prohibited: with REFUSED it may be about us, not about the name.
        18 if rcode == Rcode::REFUSED => Some(Final::Prohibited),
        // Blocked, Censored, Filtered.
        15..=18 => Some(Final::Policy),
        _ => None,
    }
}

impl Meaning {
    /// Whether it is what the client asked for.
    pub fn is_useful(self) -> bool {
        self == Self::Useful
    }

    /// Whether it is to be relayed as it is, whatever else there is.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Final(_))
    }

    /// Whether what is stale is better.
    pub fn is_worse_than_stale(self) -> bool {
        !self.is_useful() && !self.is_final()
    }

    /// Whether the upstream does what it is there for. One that only says that it does not serve us is no upstream of ours.
    pub fn shows_health(self) -> bool {
        match self {
            Self::Useful | Self::NotUnderstood { .. } => true,
            Self::Final(why) => why != Final::Prohibited,
            Self::Failure | Self::Truncated => false,
        }
    }
}

/// What follows from an answer that says this to a query that was sent so.
pub fn judge(meaning: Meaning, sent: Sent) -> Verdict {
    match meaning {
        Meaning::Useful | Meaning::Final(_) => Verdict::Relay,
        _ if sent.signed => Verdict::Relay,
        // One that knows EDNS may still not like an option. Which one is found out one by one.
        Meaning::NotUnderstood { opt: true } if sent.added == Added::Keepalive => {
            Verdict::WithoutKeepalive
        }
        Meaning::NotUnderstood { opt: true } if sent.added == Added::Padding => {
            Verdict::WithoutPadding
        }
        Meaning::NotUnderstood { opt: false } if sent.edns == Edns::Sent => Verdict::WithoutEdns,
        Meaning::Failure if sent.edns == Edns::Absent && sent.alternatives => Verdict::WithEdns,
        Meaning::NotUnderstood { .. } | Meaning::Failure | Meaning::Truncated => Verdict::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::{self, Message, header_only};

    fn of(built: &Message) -> Meaning {
        let message = built.build();
        meaning(&message, &wire::parse_response(&message).unwrap())
    }

    /// An answer with this response code and these extended errors.
    fn with(rcode: u16, codes: &[u16]) -> Message {
        let codes: Vec<[u8; 2]> = codes.iter().map(|code| code.to_be_bytes()).collect();
        let options: Vec<(u16, &[u8])> = codes.iter().map(|code| (15, &code[..])).collect();
        testing::response("a.test.", 1)
            .flags(0x8180 | rcode)
            .edns(1232, 0, &options)
    }

    // fault 30, 31, 115
    #[test]
    fn what_an_answer_says() {
        let bare = |flags| testing::response("a.test.", 1).flags(flags);
        let opt = |opt| Meaning::NotUnderstood { opt };
        for (built, expected) in [
            (bare(0x8180), Meaning::Useful),
            (bare(0x8183), Meaning::Useful),
            (bare(0x8189), Meaning::Useful),
            (bare(0x8181), opt(false)),
            (bare(0x8184), opt(false)),
            (with(1, &[]), opt(true)),
            (with(4, &[6]), opt(true)),
            (bare(0x8182), Meaning::Failure),
            (bare(0x8185), Meaning::Failure),
            (bare(0x8382), Meaning::Failure),
            (bare(0x8380), Meaning::Truncated),
            // An answer that was made by a filter is an answer.
            (with(0, &[15]), Meaning::Useful),
            (with(3, &[17]), Meaning::Useful),
        ] {
            assert_eq!(of(&built), expected, "{built:?}");
        }
    }

    // fault 115
    #[test]
    fn which_extended_errors_are_final() {
        for code in 0..100 {
            let validation = matches!(code, 5..=12 | 25 | 27);
            for rcode in [2, 5] {
                let expected = match code {
                    _ if validation => Meaning::Final(Final::Validation),
                    18 if rcode == 5 => Meaning::Final(Final::Prohibited),
                    15..=18 => Meaning::Final(Final::Policy),
                    _ => Meaning::Failure,
                };
                assert_eq!(of(&with(rcode, &[code])), expected, "{rcode} {code}");
            }
        }
        // Wherever it stands, and not if there is too little of it.
        assert!(of(&with(2, &[22, 9])).is_final());
        let short = testing::response("a.test.", 1).flags(0x8182);
        let short = short.edns(1232, 0, &[(15, &[6]), (14, &[0, 6])]);
        assert_eq!(of(&short), Meaning::Failure);
    }

    // fault 28, 29, 114
    #[test]
    fn what_follows_from_an_answer() {
        use Edns::{Absent, Fixed, LeftOut, Sent as With};
        use Verdict::{Elsewhere, Relay, WithEdns, WithoutEdns, WithoutKeepalive};
        let bare = Meaning::NotUnderstood { opt: false };
        let opt = Meaning::NotUnderstood { opt: true };
        let failure = Meaning::Failure;
        // What was said, how the query was sent, with the option, whether there is an alternative; what follows.
        let table = [
            (bare, With, false, true, WithoutEdns),
            (bare, With, true, false, WithoutEdns),
            (bare, LeftOut, false, true, Elsewhere),
            (bare, Absent, false, true, Elsewhere),
            (bare, Fixed, false, true, Elsewhere),
            (opt, With, true, true, WithoutKeepalive),
            (opt, With, false, true, Elsewhere),
            (opt, LeftOut, false, false, Elsewhere),
            (failure, With, true, true, Elsewhere),
            (failure, LeftOut, false, true, Elsewhere),
            (failure, Fixed, false, true, Elsewhere),
            (failure, Absent, false, true, WithEdns),
            (failure, Absent, false, false, Elsewhere),
            (Meaning::Truncated, Absent, false, true, Elsewhere),
            (Meaning::Truncated, With, true, true, Elsewhere),
        ];
        for (said, edns, keepalive, alternatives, expected) in table {
            let sent = |signed| Sent {
                signed,
                edns,
                added: if keepalive {
                    Added::Keepalive
                } else {
                    Added::Nothing
                },
                alternatives,
            };
            assert_eq!(judge(said, sent(false)), expected, "{said:?} {edns:?}");
            assert_eq!(judge(said, sent(true)), Relay, "{said:?} {edns:?}");
            for relayed in [
                Meaning::Useful,
                Meaning::Final(Final::Validation),
                Meaning::Final(Final::Policy),
                Meaning::Final(Final::Prohibited),
            ] {
                assert_eq!(judge(relayed, sent(false)), Relay);
            }
        }
    }

    #[test]
    fn an_option_that_is_not_understood_is_left_out_one_by_one() {
        let sent = |added| Sent {
            signed: false,
            edns: Edns::Sent,
            added,
            alternatives: true,
        };
        let opt = Meaning::NotUnderstood { opt: true };
        let none = Meaning::NotUnderstood { opt: false };
        for (added, expected) in [
            (Added::Nothing, Verdict::Elsewhere),
            (Added::Keepalive, Verdict::WithoutKeepalive),
            (Added::Padding, Verdict::WithoutPadding),
        ] {
            assert_eq!(judge(opt, sent(added)), expected);
            assert_eq!(judge(none, sent(added)), Verdict::WithoutEdns);
        }
    }

    // fault 31
    #[test]
    fn what_shows_that_an_upstream_is_well() {
        for (meaning, well) in [
            (Meaning::Useful, true),
            (Meaning::NotUnderstood { opt: false }, true),
            (Meaning::Final(Final::Validation), true),
            (Meaning::Final(Final::Policy), true),
            (Meaning::Final(Final::Prohibited), false),
            (Meaning::Failure, false),
            (Meaning::Truncated, false),
        ] {
            assert_eq!(meaning.shows_health(), well, "{meaning:?}");
        }
    }

    // fault 20, 22
    #[test]
    fn an_answer_is_to_the_question_that_it_repeats() {
        let asked = testing::query("a.test.", 1).build();
        let query = wire::parse_query(&asked).unwrap();
        let is = |built: &Message| {
            let message = built.build();
            answers(
                &message,
                &wire::parse_response(&message).unwrap(),
                &asked,
                &query,
            )
        };
        assert!(is(&testing::response("A.tEsT.", 1)));
        assert!(!is(&testing::response("b.test.", 1)));
        assert!(!is(&testing::response("a.test.", 28)));
        assert!(is(&header_only(0x8182)));
        let unasked = header_only(0x8180).record(wire::Section::Answer, &[0], 1, (1, 1), &[0; 4]);
        assert!(!is(&unasked));
        assert!(!is(&testing::response("a.test.", 1).tsig()));
    }
}
