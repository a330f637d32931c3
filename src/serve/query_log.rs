//! What was answered, for a query log: copies of it on their way to whoever writes it down, over a queue that never makes the loop wait.

use super::event_loop::EventLoop;
use crate::config::Upstream;
use crate::engine::{Answered, Output, Via};
use crate::runtime::Runtime;
use crate::transport::Transport;
use crate::wire;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, SystemTime};

/// A query that was answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Logged {
    /// When the response left.
    pub at: SystemTime,
    /// Who asked.
    pub client: SocketAddr,
    /// By what: `udp`, `tcp`, or `encrypted`.
    pub protocol: &'static str,
    /// The octets of the response's question: name, type, class; nothing if it has none.
    pub question: Box<[u8]>,
    /// The response code, with the bits of the OPT record.
    pub rcode: wire::Rcode,
    /// Where the response comes from: `cache`, `stale`, `local`, `upstream`, `failure` or `refused`.
    pub source: &'static str,
    /// The label of the upstream that gave it.
    pub upstream: Option<Box<str>>,
    /// From the first client's query to this response; nothing for what is answered at once.
    pub took: Duration,
    /// Why it is an error of this program, in a word.
    pub reason: Option<&'static str>,
    /// The extended error (RFC 8914): that of this program, or of the upstream.
    pub ede: Option<(u16, Box<str>)>,
}

/// Where event loops send what they have answered. Clones lead to the same place.
#[derive(Clone, Debug)]
pub struct QueryLog {
    to: SyncSender<Option<Logged>>,
}

impl QueryLog {
    /// Sends to this queue, never waiting. What it has no room for is counted and forgotten.
    pub fn new(to: SyncSender<Option<Logged>>) -> Self {
        Self { to }
    }

    /// Sends `None`, by which whoever reads the queue looks up, if there is room; else there is something to look at anyway.
    pub fn wake(&self) {
        let _woken_or_busy = self.to.try_send(None);
    }

    /// False if there was no room.
    fn send(&self, logged: Logged) -> bool {
        self.to.try_send(Some(logged)).is_ok()
    }
}

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// Logs what is answered from now on, or nothing more.
    pub(super) fn log_queries(&mut self, log: Option<QueryLog>) {
        self.core.out.note_answered(log.is_some());
        self.query_log = log;
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
            let upstream = answered.upstream;
            let upstream = upstream.and_then(|number| self.core.forwarder.upstream(number));
            let message = out.message(&answered.message);
            if !log.send(logged(answered, message, upstream, at)) {
                self.unlogged += 1;
            }
        }
    }
}

fn logged(
    answered: &Answered,
    message: &[u8],
    upstream: Option<&Upstream>,
    at: SystemTime,
) -> Logged {
    let response = wire::parse_response(message);
    let (question, rcode, told) = if let Ok(response) = &response {
        let question = response.question.map(|at| at.octets(message).into());
        let told = response.opt;
        let told = told.and_then(|opt| wire::extended_error(message, &opt));
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
        protocol: match answered.client.via {
            Via::Datagram { .. } => "udp",
            Via::Stream(_) => "tcp",
            Via::Encrypted(_) => "encrypted",
        },
        question: question.unwrap_or_default(),
        rcode,
        source: answered.source,
        upstream: upstream.map(|it| it.label().into()),
        took: answered.took,
        reason: why.map(|why| why.reason),
        ede: own.or(told),
    }
}
