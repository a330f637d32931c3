//! What a scripted upstream does: with each connection (`Conduct`), and with each query (`Step`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::messages::{address_for, question_octets, response_to};

/// A query as the upstream received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The connection that it came on, counted from 0 over the server's life.
    pub connection: usize,
    /// Its place on that connection, counted from 0.
    pub index: usize,
    /// The message, without the length.
    pub bytes: Vec<u8>,
}

/// One thing to do about a query. A script returns a list, which is done in order.
pub enum Step {
    /// Send a message, with its length in front.
    Answer(Vec<u8>),
    /// Send octets of the stream as they are.
    Raw(Vec<u8>),
    /// Go on after this time. Other queries on the connection are not held up.
    Wait(Duration),
    /// Go on when the test opens the gate. Other queries on the connection are not held up.
    HoldUntil(Gate),
    /// Send the TLS `close_notify` alert.
    CloseNotify,
    /// Close the TCP connection in order.
    Fin,
    /// Reset the TCP connection.
    Reset,
}

/// What is done with a connection before any query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conduct {
    /// Speak TLS and follow the script.
    #[default]
    Tls,
    /// Accept and never say a word.
    NeverHandshake,
    /// Speak DNS over plain TCP, where a client expects TLS.
    Plaintext,
    /// Reset as soon as the connection is there.
    ResetAtOnce,
    /// Reset when the first octets have come, which is the client's hello.
    ResetAfterHello,
}

/// A script: called once for each query.
pub type Script = dyn Fn(&Received) -> Vec<Step> + Send + Sync;

type Continuation = Box<dyn FnOnce() + Send>;

/// Holds answers back until a test opens it. No thread waits at it: what was held runs on the thread that opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

#[derive(Default)]
struct GateState {
    open: bool,
    held: Vec<Continuation>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything through that is held, and everything that comes later.
    pub fn open(&self) {
        let held = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.open = true;
            std::mem::take(&mut state.held)
        };
        for continuation in held {
            continuation();
        }
    }

    /// Runs `continuation` now, or when the gate opens.
    pub fn pass(&self, continuation: Continuation) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open {
            drop(state);
            continuation();
        } else {
            state.held.push(continuation);
        }
    }
}

/// The right answer to a query: one A record that is made from the question.
pub fn right_answer(query: &Received) -> Vec<u8> {
    response_to(&query.bytes)
        .a(300, address_for(question_octets(&query.bytes)))
        .build()
}

/// Answers every query at once.
pub fn answers(query: &Received) -> Vec<Step> {
    vec![Step::Answer(right_answer(query))]
}

/// A script that holds the answers to names with this prefix until the gate opens.
pub fn gated(
    gate: &Gate,
    prefix: &'static str,
) -> impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static {
    let gate = gate.clone();
    move |asked| {
        let mut steps = answers(asked);
        if asked.bytes[13..].starts_with(prefix.as_bytes()) {
            steps.insert(0, Step::HoldUntil(gate.clone()));
        }
        steps
    }
}
