//! Queries that come from the program itself, for whoever controls it, and are answered as those of clients.

use super::core::Core;
use super::event_loop::EventLoop;
use super::shutdown::Phase;
use crate::engine::{Client, Now, Source, Time, Trace, Via};
use crate::runtime::Runtime;
use crate::transport::Transport;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::Duration;

/// The most of them at once. One more is not asked.
const MOST: usize = 16;
/// Their port, which no client can have that is on another machine; 0 would be none.
const PORT: u16 = 1;

/// The answer to such a query.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Asked {
    /// The response, as a client over TCP gets it.
    pub response: Vec<u8>,
    /// How long it took.
    pub took: Duration,
    /// Where it comes from, as far as that was known when the query was asked.
    pub source: Source,
    /// The way of the query, if it was forwarded.
    pub trace: Option<Trace>,
}

/// Those that are not answered yet.
#[derive(Default)]
pub struct Asking {
    /// How many there have been, by which they are told apart.
    count: u64,
    waiting: Vec<Waiting>,
}

struct Waiting {
    client: Client,
    since: Time,
    source: Source,
    to: mpsc::Sender<Asked>,
}

impl Asking {
    /// A response to one of them.
    pub fn answer(&mut self, client: Client, response: &[u8], now: Now, core: &mut Core) {
        let trace = core.forwarder.take_trace(client);
        let Some(at) = self.waiting.iter().position(|one| one.client == client) else {
            return;
        };
        let Waiting {
            since, source, to, ..
        } = self.waiting.swap_remove(at);
        let asked = Asked {
            response: response.to_vec(),
            took: now.mono.since(since),
            source,
            trace,
        };
        // Whoever asked may have given up by now.
        drop(to.send(asked));
    }
}

impl<R: Runtime, T: Transport> EventLoop<R, T> {
    /// Has a query answered as that of a client. A loop that ends does not take it.
    pub(super) fn ask(&mut self, query: &[u8], to: mpsc::Sender<Asked>) {
        if self.phase != Phase::Serving || self.asking.waiting.len() >= MOST {
            return;
        }
        self.asking.count += 1;
        let client = Client {
            addr: (Ipv4Addr::LOCALHOST, PORT).into(),
            via: Via::Inside(self.asking.count),
        };
        let core = &mut self.core;
        let since = self.runtime.now().mono;
        let source = core.forwarder.ask(query, client, core.now, &mut core.out);
        // The response, be it there already, is carried out after this.
        self.asking.waiting.push(Waiting {
            client,
            since,
            source,
            to,
        });
    }
}
