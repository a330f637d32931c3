//! What is done next for a transaction after an attempt of it came to nothing, or is late: a pure function over what happened and
//! what is still possible.

use crate::engine::failure::Failure;
use crate::engine::response::Verdict;

/// What happened to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Its connection was lost.
    ConnectionLost,
    /// The response was malformed, or the connection says that this query failed.
    AttemptFailed,
    /// The query was lost with what carried it, and its connection goes on.
    AttemptLost,
    /// A response came, of which this follows.
    Response(Verdict),
    /// What it waits for takes longer than usual, or its connection is suspect.
    Slow,
    /// Its time is over.
    DeadlinePassed,
    /// It waited for a connection, and there will be none in time.
    NoConnection,
}

/// What a transaction waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    Nothing,
    Connection,
    /// An attempt may still be answered.
    Response,
}

/// What its attempts have brought so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was never sent.
    Unsent,
    /// No response.
    Silence,
    /// A malformed response.
    Malformed,
    /// A malformed response, and it was sent again because of that.
    Repeated,
    /// A response that is better than none.
    Unusable,
}

/// What is still possible for it, within its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Possible {
    /// To be sent at all.
    pub again: bool,
    /// To be sent to an upstream that was not asked yet, and is connected or may be connected to.
    pub elsewhere: bool,
    /// To be sent again on the connection that the response came on.
    pub same_connection: bool,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: what it waits for may still come.
    Wait,
    /// Send it again, wherever it gave no unusable response.
    Again,
    /// Send it again wherever, for the last time because of a malformed response.
    Repeat,
    /// Send it again on the connection that the response came on.
    SameConnection,
    /// Send it to an upstream that was not asked yet.
    Elsewhere,
    /// Its clients get the response that came.
    Relay,
    /// Its clients get the unusable response, what is stale, or SERVFAIL with this reason.
    Fail(Failure),
}

/// The next step.
pub fn next_step(
    happened: Happened,
    waits_for: WaitsFor,
    outcome: Outcome,
    possible: Possible,
) -> Step {
    match happened {
        Happened::ConnectionLost => after_loss(waits_for, possible),
        Happened::AttemptFailed => after_failure(waits_for, outcome, possible),
        Happened::AttemptLost => after_lost_attempt(waits_for, possible),
        Happened::Response(verdict) => after_response(verdict, waits_for, possible),
        Happened::Slow => while_slow(waits_for, outcome, possible),
        Happened::NoConnection => without_connection(waits_for, outcome, possible),
        Happened::DeadlinePassed => Step::Fail(match outcome {
            Outcome::Unsent => Failure::NotConnected,
            Outcome::Malformed | Outcome::Repeated if waits_for != WaitsFor::Response => {
                Failure::Malformed
            }
            _ => Failure::NotAnswered,
        }),
    }
}

fn after_loss(waits_for: WaitsFor, possible: Possible) -> Step {
    match waits_for {
        WaitsFor::Response => Step::Wait,
        _ if possible.again => Step::Again,
        _ => Step::Fail(Failure::ConnectionLost),
    }
}

fn after_failure(waits_for: WaitsFor, outcome: Outcome, possible: Possible) -> Step {
    match waits_for {
        WaitsFor::Response | WaitsFor::Connection => Step::Wait,
        WaitsFor::Nothing if possible.elsewhere => Step::Elsewhere,
        WaitsFor::Nothing if outcome == Outcome::Malformed && possible.again => Step::Repeat,
        WaitsFor::Nothing => Step::Fail(Failure::Malformed),
    }
}

/// The connection goes on, so that one to another upstream is the better choice.
fn after_lost_attempt(waits_for: WaitsFor, possible: Possible) -> Step {
    match waits_for {
        WaitsFor::Response | WaitsFor::Connection => Step::Wait,
        WaitsFor::Nothing if possible.elsewhere => Step::Elsewhere,
        WaitsFor::Nothing => after_loss(waits_for, possible),
    }
}

fn after_response(verdict: Verdict, waits_for: WaitsFor, possible: Possible) -> Step {
    match verdict {
        Verdict::Relay => Step::Relay,
        _ if verdict.is_same_upstream() && possible.same_connection => Step::SameConnection,
        _ if possible.elsewhere => Step::Elsewhere,
        _ if waits_for != WaitsFor::Nothing => Step::Wait,
        _ => Step::Relay,
    }
}

fn while_slow(waits_for: WaitsFor, outcome: Outcome, possible: Possible) -> Step {
    match (waits_for, outcome) {
        (WaitsFor::Response, _) if possible.elsewhere => Step::Elsewhere,
        // The upstream that it waits for cannot be reached soon. Those that were asked before are no worse.
        (WaitsFor::Connection, Outcome::Malformed) if possible.again => Step::Repeat,
        (WaitsFor::Connection, Outcome::Unusable) => Step::Fail(Failure::NotAnswered),
        (WaitsFor::Connection, _) if possible.again => Step::Again,
        _ => Step::Wait,
    }
}

fn without_connection(waits_for: WaitsFor, outcome: Outcome, possible: Possible) -> Step {
    match outcome {
        _ if waits_for == WaitsFor::Response => Step::Wait,
        Outcome::Unsent => Step::Fail(Failure::NotConnected),
        Outcome::Malformed if possible.again => Step::Repeat,
        Outcome::Malformed | Outcome::Repeated => Step::Fail(Failure::Malformed),
        Outcome::Silence | Outcome::Unusable => Step::Fail(Failure::ConnectionLost),
    }
}

#[cfg(test)]
mod tests {
    use super::Happened::{
        AttemptFailed, AttemptLost, ConnectionLost, DeadlinePassed, NoConnection, Slow,
    };
    use super::Outcome::{Malformed, Repeated, Silence, Unsent, Unusable};
    use super::WaitsFor::{Connection, Nothing, Response};
    use super::*;
    use crate::engine::diagrams::{Diagram, OUTSIDE, Transition, variants};
    use std::collections::BTreeSet;

    const NOTHING: Possible = Possible {
        again: false,
        elsewhere: false,
        same_connection: false,
    };
    const AGAIN: Possible = Possible {
        again: true,
        ..NOTHING
    };
    const ELSEWHERE: Possible = Possible {
        elsewhere: true,
        ..AGAIN
    };
    const EVERYTHING: Possible = Possible {
        same_connection: true,
        ..ELSEWHERE
    };

    type Row = (WaitsFor, Outcome, Possible, Step);

    fn check(happened: Happened, rows: &[Row]) {
        for &(waits_for, outcome, possible, step) in rows {
            let got = next_step(happened, waits_for, outcome, possible);
            let row = (happened, waits_for, outcome, possible);
            assert_eq!(got, step, "{row:?}");
        }
    }

    // fault 3, 93
    #[test]
    fn a_lost_connection_costs_no_answer_while_an_attempt_is_left() {
        let lost = Step::Fail(Failure::ConnectionLost);
        check(
            ConnectionLost,
            &[
                (Response, Silence, EVERYTHING, Step::Wait),
                (Connection, Silence, AGAIN, Step::Again),
                (Nothing, Silence, ELSEWHERE, Step::Again),
                (Nothing, Silence, NOTHING, lost),
            ],
        );
        check(
            AttemptLost,
            &[
                (Response, Silence, EVERYTHING, Step::Wait),
                (Connection, Silence, ELSEWHERE, Step::Wait),
                (Nothing, Silence, ELSEWHERE, Step::Elsewhere),
                (Nothing, Silence, AGAIN, Step::Again),
                (Nothing, Silence, NOTHING, lost),
            ],
        );
    }

    // fault 17
    #[test]
    fn after_a_malformed_response_another_upstream_is_asked_or_the_same_once_more() {
        let malformed = Step::Fail(Failure::Malformed);
        check(
            AttemptFailed,
            &[
                (Response, Malformed, ELSEWHERE, Step::Wait),
                (Connection, Malformed, ELSEWHERE, Step::Wait),
                (Nothing, Malformed, ELSEWHERE, Step::Elsewhere),
                (Nothing, Malformed, AGAIN, Step::Repeat),
                (Nothing, Repeated, AGAIN, malformed),
                (Nothing, Malformed, NOTHING, malformed),
            ],
        );
    }

    // fault 28, 30, 31
    #[test]
    fn an_unusable_response_is_relayed_when_nothing_else_can_be_had() {
        let without_edns = Happened::Response(Verdict::WithoutEdns);
        check(
            without_edns,
            &[
                (Nothing, Silence, EVERYTHING, Step::SameConnection),
                (Nothing, Silence, ELSEWHERE, Step::Elsewhere),
                (Response, Silence, AGAIN, Step::Wait),
                (Nothing, Silence, NOTHING, Step::Relay),
            ],
        );
        check(
            Happened::Response(Verdict::Elsewhere),
            &[
                (Nothing, Unusable, EVERYTHING, Step::Elsewhere),
                (Connection, Unusable, AGAIN, Step::Wait),
                (Nothing, Unusable, AGAIN, Step::Relay),
            ],
        );
        let relay = Happened::Response(Verdict::Relay);
        check(relay, &[(Nothing, Unusable, EVERYTHING, Step::Relay)]);
    }

    // fault 17, 95
    #[test]
    fn an_upstream_that_cannot_be_reached_soon_is_not_waited_for() {
        let unusable = Step::Fail(Failure::NotAnswered);
        check(
            Slow,
            &[
                (Response, Silence, ELSEWHERE, Step::Elsewhere),
                (Response, Silence, AGAIN, Step::Wait),
                (Connection, Silence, ELSEWHERE, Step::Again),
                (Connection, Malformed, ELSEWHERE, Step::Repeat),
                (Connection, Repeated, AGAIN, Step::Again),
                (Connection, Unusable, AGAIN, unusable),
                (Connection, Silence, NOTHING, Step::Wait),
            ],
        );
    }

    // fault 36
    #[test]
    fn the_reason_is_what_the_attempts_brought() {
        check(
            NoConnection,
            &[
                (Response, Silence, AGAIN, Step::Wait),
                (Nothing, Malformed, AGAIN, Step::Repeat),
                (Nothing, Repeated, AGAIN, Step::Fail(Failure::Malformed)),
                (Nothing, Unsent, AGAIN, Step::Fail(Failure::NotConnected)),
                (Nothing, Silence, AGAIN, Step::Fail(Failure::ConnectionLost)),
            ],
        );
        check(
            DeadlinePassed,
            &[
                (Connection, Unsent, AGAIN, Step::Fail(Failure::NotConnected)),
                (Response, Silence, AGAIN, Step::Fail(Failure::NotAnswered)),
                (Response, Malformed, AGAIN, Step::Fail(Failure::NotAnswered)),
                (Connection, Malformed, AGAIN, Step::Fail(Failure::Malformed)),
            ],
        );
    }

    /// What does not happen: whoever says that there will be no connection has first stopped waiting for one, and no event leaves a
    /// transaction that waits for nothing, so that its time could end.
    const NEVER: [(&str, &str); 2] = [
        ("NoConnection", "Connection"),
        ("DeadlinePassed", "Nothing"),
    ];

    /// All that [`next_step`] can say, as transitions: from, event, step.
    fn steps() -> BTreeSet<(&'static str, &'static str, &'static str)> {
        let verdicts = variants!(Verdict: Relay, WithoutKeepalive, WithoutPadding, WithoutEdns, WithEdns, Elsewhere);
        let happened = verdicts.iter().flat_map(|(_, verdict)| {
            variants!(
                Happened: ConnectionLost, AttemptFailed, AttemptLost, Response(*verdict), Slow, DeadlinePassed, NoConnection
            )
        });
        let outcomes = variants!(Outcome: Unsent, Silence, Malformed, Repeated, Unusable);
        let on_the_same = Possible {
            same_connection: true,
            ..AGAIN
        };
        let mut found = BTreeSet::new();
        for (event, happened) in happened {
            for (from, waits_for) in variants!(WaitsFor: Nothing, Connection, Response) {
                for (_, outcome) in outcomes {
                    for possible in [NOTHING, AGAIN, ELSEWHERE, on_the_same, EVERYTHING] {
                        let step = next_step(happened, waits_for, outcome, possible);
                        let why = Failure::Malformed;
                        let all = variants!(
                            Step: Wait, Again, Repeat, SameConnection, Elsewhere, Relay, Fail(why)
                        );
                        let same = |(_, one): &&(_, Step)| {
                            std::mem::discriminant(one) == std::mem::discriminant(&step)
                        };
                        let (name, _) = all.iter().find(same).expect("a variant");
                        if step != Step::Wait && !NEVER.contains(&(event, from)) {
                            found.insert((from, event, *name));
                        }
                    }
                }
            }
        }
        found
    }

    #[test]
    fn the_diagram_of_a_transaction_is_what_is_done() {
        let diagram = Diagram::under("The states of a transaction");
        let states = variants!(WaitsFor: Nothing, Connection, Response).map(|(name, _)| name);
        assert_eq!(diagram.states(), BTreeSet::from(states));
        let mut shown = BTreeSet::new();
        for Transition { from, to, label } in diagram.transitions {
            let Some((event, steps)) = label.split_once(" / ") else {
                continue;
            };
            for step in steps.split(", ") {
                let leads_to = match step {
                    "Relay" | "Fail" => OUTSIDE,
                    "SameConnection" => "Response",
                    _ => "dispatch",
                };
                assert_eq!(to, leads_to, "{step}");
                assert!(shown.insert((from, event, step)), "{step} is shown twice");
            }
        }
        let said = steps();
        let missing: Vec<_> = said.difference(&shown).collect();
        let unknown: Vec<_> = shown.difference(&said).collect();
        assert!(missing.is_empty(), "not in the diagram: {missing:?}");
        assert!(unknown.is_empty(), "never done: {unknown:?}");
    }
}
