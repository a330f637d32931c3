//! A connection by the protocol that was chosen, which is on trial until a response has come over it.

use super::memory::{Failures, Memory};
use crate::config::{Protocol, Upstream};
use crate::engine::{Network, Time};
use crate::runtime::Runtime;
use crate::transport::{self, Authentication, ConnectError, ConnectionError, Event, Limits};
use log::info;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

/// A connection is judged by queries that are sent on it within this time. What was idle for longer may have been cut off by something on the
/// way, and that says nothing of its protocol.
const FRESH: Duration = Duration::from_secs(3);
/// A connection that the core closes, and that has not answered for so long, is silent.
const SILENT: Duration = Duration::from_secs(1);

/// A connection to an upstream, by one of its protocols where it has several.
pub struct Chosen<R, C> {
    connection: C,
    /// The protocol, where there are several, and the address on its port.
    by: Option<(&'static str, SocketAddr)>,
    standing: Standing<R>,
}

enum Standing<R> {
    /// There is nothing to find out: a response has come, or the upstream has one protocol.
    Settled,
    /// No response has come yet.
    OnTrial(Box<Trial<R>>),
    /// Another protocol is to be tried: it takes no more queries. The first failure is still to be reported.
    Retired(Option<(u16, ConnectionError)>),
}

/// What is to be found out by a connection.
pub struct Trial<R> {
    pub runtime: R,
    pub memory: Memory,
    pub to: Upstream,
    /// Over which it is reached.
    pub network: Option<Network>,
    pub protocol: Protocol,
    pub since: Time,
    /// Why others were not connected that were tried.
    pub failures: Failures,
    /// When the first query was sent, if that is one to judge by.
    pub asked_at: Option<Time>,
}

impl<R: Runtime> Trial<R> {
    fn asks(&mut self) {
        let now = self.runtime.now().mono;
        if self.asked_at.is_none() && now.since(self.since) <= FRESH {
            self.asked_at = Some(now);
        }
    }

    /// A response came.
    fn works(&self) {
        let now = self.runtime.now();
        let Some(failing) = self
            .memory
            .works(&self.to, self.network, &self.protocol, now)
        else {
            return;
        };
        let is_told = |one: &Protocol| self.failures.iter().any(|(told, _)| told == one);
        let failing = failing.iter().filter(|(one, _)| !is_told(one));
        let others = failing.chain(&self.failures).map(|(other, why)| {
            let (scheme, port) = (other.scheme(), other.port());
            format!("; by {scheme} on port {port}: {why}")
        });
        let (label, scheme, port) = self.told();
        info!(
            "{label}: reached by {scheme} on port {port}, which is tried first from now on{}",
            others.collect::<String>()
        );
    }

    /// There was a failure and no response. Whether another protocol is to be tried.
    fn fails(&self, why: &ConnectionError) -> bool {
        if self.asked_at.is_none() {
            return false;
        }
        let now = self.runtime.now();
        let known = format!("connected, but not answered: {why}");
        let (label, scheme, port) = self.told();
        let is_another_better =
            self.memory
                .fails(&self.to, self.network, &self.protocol, known, now);
        if is_another_better {
            info!(
                "{label}: connected by {scheme} on port {port}, but not answered: {why}; its other protocols are tried first from now on"
            );
        }
        is_another_better
    }

    fn told(&self) -> (&str, &str, u16) {
        let protocol = &self.protocol;
        (self.to.label(), protocol.scheme(), protocol.port())
    }
}

impl<R, C> Chosen<R, C> {
    /// To an upstream that has one protocol.
    pub fn single(connection: C) -> Self {
        let standing = Standing::Settled;
        Self {
            connection,
            by: None,
            standing,
        }
    }

    /// To this address of an upstream that has several.
    pub(super) fn on_trial(connection: C, addr: SocketAddr, trial: Trial<R>) -> Self {
        Self {
            connection,
            by: Some((trial.protocol.scheme(), addr)),
            standing: Standing::OnTrial(Box::new(trial)),
        }
    }
}

impl<R: Runtime, C: transport::Connection> transport::Connection for Chosen<R, C> {
    fn is_early(&self) -> bool {
        self.connection.is_early()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.connection.poll_handshake(cx)
    }

    fn queue(&mut self, message: &[u8]) {
        if let Standing::OnTrial(trial) = &mut self.standing {
            trial.asks();
        }
        self.connection.queue(message);
    }

    fn backlog(&self) -> usize {
        self.connection.backlog()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let flushed = self.connection.poll_flush(cx);
        if let Poll::Ready(Err(why)) = &flushed
            && let Standing::OnTrial(trial) = &self.standing
        {
            trial.fails(why);
        }
        flushed
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        let trial = match &mut self.standing {
            Standing::Settled => return self.connection.poll_next(cx),
            Standing::Retired(failed) => {
                if let Some((id, why)) = failed.take() {
                    return Poll::Ready(Event::Failed { id, why });
                }
                return self.connection.poll_next(cx).map(|event| match event {
                    Event::Limits(_) => NO_MORE,
                    other => other,
                });
            }
            Standing::OnTrial(trial) => trial,
        };
        let next = self.connection.poll_next(cx);
        match &next {
            Poll::Ready(Event::Message(_)) => {
                trial.works();
                self.standing = Standing::Settled;
            }
            Poll::Ready(Event::Closed(why)) => {
                trial.fails(why);
                self.standing = Standing::Settled;
            }
            Poll::Ready(Event::Failed { id, why })
                if *why != ConnectionError::Unprocessed && trial.fails(why) =>
            {
                self.standing = Standing::Retired(Some((*id, why.clone())));
                // First, so that the query is not sent again on this connection.
                return Poll::Ready(NO_MORE);
            }
            _ => {}
        }
        next
    }

    fn ack_soon(&mut self) {
        self.connection.ack_soon();
    }

    fn limits(&self) -> Limits {
        self.connection.limits()
    }

    fn has_streams(&self) -> bool {
        self.connection.has_streams()
    }

    fn change_path(&mut self) -> bool {
        self.connection.change_path()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Standing::OnTrial(trial) = &self.standing
            && let Some(at) = trial.asked_at
            && trial.runtime.now().mono.since(at) >= SILENT
        {
            trial.fails(&ConnectionError::Silent);
        }
        self.standing = Standing::Settled;
        self.connection.poll_close(cx)
    }

    fn describe(&self) -> String {
        let described = self.connection.describe();
        match self.by {
            Some((scheme, _)) => format!("by {scheme}, {described}"),
            None => described,
        }
    }

    fn addr(&self) -> Option<SocketAddr> {
        self.by.map(|(_, addr)| addr)
    }

    fn certificate_left(&self) -> Option<Duration> {
        self.connection.certificate_left()
    }

    fn authentication(&self) -> Option<Authentication> {
        self.connection.authentication()
    }
}

/// It takes no more queries.
const NO_MORE: Event<'static> = Event::Limits(Limits { in_flight: 0 });
