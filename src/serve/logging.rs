//! What the core has answered, on its way to the query log.

use super::event_loop::EventLoop;
use super::query_log::{Logged, QueryLog};
use crate::config::Upstream;
use crate::engine::{Answered, Output, Via};
use crate::runtime::Runtime;
use crate::transport::Transport;
use crate::wire;
use std::time::SystemTime;

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// Logs what is answered from now on, or nothing more.
    pub(super) fn log_queries(&mut self, log: Option<QueryLog>) {
        self.core.out.note_answered(log.is_some());
        self.count_unwritten();
        self.query_log = log;
    }

    /// Counts what was sent to the query log and could not be written.
    pub(super) fn count_unwritten(&mut self) {
        let unwritten = self.query_log.as_ref().map(QueryLog::take_unwritten);
        self.unlogged += unwritten.unwrap_or_default();
    }

    /// Sends what was answered to the query log.
    #[cold]
    #[inline(never)]
    pub(super) fn log_answered(&mut self, out: &Output) {
        let Some(log) = &self.query_log else {
            return;
        };
        let at = SystemTime::now();
        for answered in out.answered() {
            let Some(protocol) = protocol(answered.client.via) else {
                continue;
            };
            let upstream = answered.upstream;
            let upstream = upstream.and_then(|number| self.core.forwarder.upstream(number));
            let message = out.message(&answered.message);
            if !log.send(logged(answered, protocol, message, upstream, at)) {
                self.unlogged += 1;
            }
        }
    }
}

/// By what a client asks. What the program itself asks is no client's query, and is not logged.
fn protocol(via: Via) -> Option<&'static str> {
    match via {
        Via::Datagram { .. } => Some("udp"),
        Via::Stream(_) => Some("tcp"),
        Via::Encrypted(_) => Some("encrypted"),
        Via::Inside(_) => None,
    }
}

fn logged(
    answered: &Answered,
    protocol: &'static str,
    message: &[u8],
    upstream: Option<&Upstream>,
    at: SystemTime,
) -> Logged {
    let response = wire::parse_response(message);
    let (question, rcode, told) = if let Ok(response) = &response {
        let question = response.question.map(|at| at.octets(message).into());
        let told = wire::extended_errors(message, response.opt.as_ref()).next();
        let told = told.map(|ede| (ede.code, ede.text.into()));
        (question, response.rcode(), told)
    } else {
        // An error to what is no query, or with a question that cannot be read.
        let header = wire::Header::parse(message);
        let rcode = header.map_or(0, |header| header.flags.rcode());
        (None, wire::Rcode(rcode.into()), None)
    };
    let why = answered.why.as_ref();
    let own = why.and_then(|why| why.ede.clone());
    Logged {
        at,
        client: answered.client.addr,
        protocol,
        question: question.unwrap_or_default(),
        rcode,
        source: answered.source,
        upstream: upstream.map(|it| it.label().into()),
        took: answered.took,
        reason: why.map(|why| why.reason),
        ede: own.or(told),
    }
}
