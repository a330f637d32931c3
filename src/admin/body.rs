//! The body of a response: a text in one piece, or events while they come.

use super::events::Events;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a response consists of behind its headers.
pub enum Content {
    /// Nothing more once it is taken.
    Text(Option<Bytes>),
    /// It has no end of its own.
    Events(Events),
}

impl Content {
    /// In one piece.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            // Nobody has to be woken: the server looks at all connections after each event.
            Self::Events(events) => match events.take() {
                Some(event) => Poll::Ready(Some(Ok(Frame::data(event)))),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
