//! One connection of QUIC with a stream for each query.

use super::early::Early;
use super::errors::NO_ERROR;
use super::exchange::{Exchange, framed};
use super::link::Link;
use crate::runtime::Runtime;
use crate::transport::{self, Authentication, ConnectError, ConnectionError, Event, Limits};
use bytes::Bytes;
use quinn_proto::StreamId;
use rustls::pki_types::CertificateDer;
use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Streams that are opened before there are queries for them. Where the server allows that many, its limit does not matter: it follows what
/// is used up.
pub(super) const MAX_FREE: usize = 256;
/// A connection over QUIC.
pub struct Connection<R: Runtime> {
    pub(super) link: Link<R>,
    /// Ids and messages for which there is no stream yet.
    pub(super) waiting: VecDeque<(u16, Bytes)>,
    /// Streams that are for the next queries.
    pub(super) free: VecDeque<StreamId>,
    /// What QUIC has not taken of messages, since the server does not read or acknowledge.
    pub(super) unsent: VecDeque<(StreamId, Bytes)>,
    pub(super) exchanges: HashMap<StreamId, Exchange>,
    /// What is to be reported.
    pub(super) done: VecDeque<(u16, Result<Vec<u8>, ConnectionError>)>,
    /// The message that was reported last.
    pub(super) message: Vec<u8>,
    /// As last reported.
    pub(super) limits: Limits,
    /// It takes no more queries.
    pub(super) going: bool,
    pub(super) ended: Option<ConnectionError>,
    pub(super) pinged_at: Instant,
    /// Since when there is neither a stream for a query nor a response to wait for.
    pub(super) starving_since: Option<Instant>,
    pub(super) closing: bool,
    /// For the log; empty until the handshake is over.
    pub(super) description: String,
    pub(super) certificate_left: Option<Duration>,
    /// Nothing until the handshake is over.
    pub(super) authentication: Option<Authentication>,
    /// The handshake goes on, or its end was not reported yet.
    pub(super) early: Option<Box<Early<R>>>,
}

impl<R: Runtime> Connection<R> {
    /// Over a link whose handshake is done.
    pub fn new(link: Link<R>) -> Self {
        let mut connection = Self::over(link, None);
        connection.shaken();
        connection
    }

    /// Over a link in its handshake, on which queries may be sent.
    pub fn early(link: Link<R>) -> Self {
        let early = Early::new(link.to.time_over());
        Self::over(link, Some(Box::new(early)))
    }

    fn over(link: Link<R>, early: Option<Box<Early<R>>>) -> Self {
        let mut connection = Self {
            description: String::new(),
            certificate_left: None,
            authentication: None,
            early,
            pinged_at: link.heard_at,
            link,
            waiting: VecDeque::new(),
            free: VecDeque::new(),
            unsent: VecDeque::new(),
            exchanges: HashMap::new(),
            done: VecDeque::new(),
            message: Vec::new(),
            limits: Limits::default(),
            going: false,
            ended: None,
            starving_since: None,
            closing: false,
        };
        connection.open_streams();
        connection.limits = connection.allowed();
        connection
    }

    /// The handshake is over.
    pub(super) fn shaken(&mut self) {
        let link = &mut self.link;
        link.established();
        let shown = link.is_verified.then(|| certificate(link)).flatten();
        self.certificate_left = shown.and_then(|shown| link.to.validity(&shown));
        self.description = link.to.described(!link.is_verified);
        self.authentication = Some(link.to.authentication(!link.is_verified));
    }

    /// What the server allows. While it allows no stream, but may yet do so, one query may wait for that.
    fn allowed(&self) -> Limits {
        let in_flight = if self.going {
            0
        } else if self.free.len() >= MAX_FREE {
            usize::MAX
        } else {
            (self.exchanges.len() + self.free.len()).max(1)
        };
        Limits { in_flight }
    }

    /// The limits, if they are not those that were reported.
    fn changed_limits(&mut self) -> Option<Limits> {
        let limits = self.allowed();
        (std::mem::replace(&mut self.limits, limits) != limits).then_some(limits)
    }
}

/// The certificate that the server has shown.
fn certificate<R: Runtime>(link: &Link<R>) -> Option<CertificateDer<'static>> {
    let shown = link.quic.crypto_session().peer_identity()?;
    let shown: Box<Vec<CertificateDer<'static>>> = shown.downcast().ok()?;
    shown.into_iter().next()
}

impl<R: Runtime> transport::Connection for Connection<R> {
    fn is_early(&self) -> bool {
        self.early.is_some()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.poll_early(cx)
    }

    fn queue(&mut self, message: &[u8]) {
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        let message = Bytes::from(framed(message));
        self.waiting.push_back((id.unwrap_or_default(), message));
    }

    /// What QUIC has taken does not count, although congestion control may hold it back for a while.
    fn backlog(&self) -> usize {
        let waiting = self.waiting.iter().map(|(_, message)| message.len());
        let unsent = self.unsent.iter().map(|(_, rest)| rest.len());
        self.link.backlog() + waiting.chain(unsent).sum::<usize>()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.turn(false, cx);
        if self.going {
            self.go();
        }
        if !self.done.is_empty() || self.ended.is_some() {
            // `poll_next` reports it, with what it means for each query.
            cx.waker().wake_by_ref();
        } else if self.backlog() == 0 {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event<'_>> {
        let mut turned = false;
        loop {
            match self.done.pop_front() {
                Some((_, Ok(message))) => {
                    self.message = message;
                    return Poll::Ready(Event::Message(&mut self.message));
                }
                Some((id, Err(why))) => return Poll::Ready(Event::Failed { id, why }),
                None => {}
            }
            if let Some(why) = &self.ended {
                return Poll::Ready(Event::Closed(why.clone()));
            }
            if let Some(limits) = self.changed_limits() {
                return Poll::Ready(Event::Limits(limits));
            }
            if turned {
                return Poll::Pending;
            }
            self.turn(true, cx);
            turned = true;
        }
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn has_streams(&self) -> bool {
        true
    }

    fn change_path(&mut self) -> bool {
        self.ended.is_none() && !self.closing && self.link.change_path()
    }

    /// The server is told once. It is not waited for: if that is lost, the server drops the connection when its idle timeout is over.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.closing, true) {
            let now = self.link.now();
            self.link.quic.close(now, NO_ERROR, Bytes::new());
        }
        self.link.poll_transmit(cx).map(drop)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn certificate_left(&self) -> Option<Duration> {
        self.certificate_left
    }

    fn authentication(&self) -> Option<Authentication> {
        self.authentication
    }
}
