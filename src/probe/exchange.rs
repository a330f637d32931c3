//! Queries over one connection, and the responses to them.

use super::Clock;
use super::messages::{Answer, Questions};
use super::problem::Problem;
use crate::config::Upstream;
use crate::runtime::Runtime;
use crate::transport::{Connection, ConnectionError, Event};
use futures::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

/// Asks for the name, once more without EDNS if the server does not understand it. Says how long the response took.
pub async fn ask<R: Runtime>(
    clock: &Clock<'_, R>,
    connection: &mut dyn Connection,
    questions: &Questions,
    upstream: &Upstream,
) -> Result<(Answer, Duration), Problem> {
    let first = ask_once(clock, connection, &questions.usual(true), upstream).await?;
    if !first.0.refuses_edns() {
        return Ok(first);
    }
    ask_once(clock, connection, &questions.usual(false), upstream).await
}

async fn ask_once<R: Runtime>(
    clock: &Clock<'_, R>,
    connection: &mut dyn Connection,
    query: &[u8],
    upstream: &Upstream,
) -> Result<(Answer, Duration), Problem> {
    let (message, time) = exchange(clock, connection, query, upstream).await?;
    Ok((Answer::read(&message, query)?, time))
}

/// Sends one query, and waits for the next message. Says how long that took.
pub async fn exchange<R: Runtime>(
    clock: &Clock<'_, R>,
    connection: &mut dyn Connection,
    query: &[u8],
    upstream: &Upstream,
) -> Result<(Vec<u8>, Duration), Problem> {
    let exchange = async {
        send(connection, &[query]).await?;
        next(connection).await
    };
    let (message, time) = clock
        .timed(exchange)
        .await
        .ok_or_else(Problem::unanswered)?;
    let message = message.map_err(|why| Problem::lost(&why, upstream))?;
    Ok((message, time))
}

/// Sends queries that take a while, and behind them one whose response is known: does that overtake (RFC 7766 section 6.2.1.1)? If it does
/// not, nothing is known: all responses may have been there at once.
pub async fn overtakes<R: Runtime>(
    clock: &Clock<'_, R>,
    connection: &mut dyn Connection,
    questions: &Questions,
) -> bool {
    let (slow, fast) = (questions.slow(), questions.usual(false));
    let exchange = async {
        let queries: Vec<&[u8]> = (slow.iter().chain([&fast])).map(Vec::as_slice).collect();
        send(connection, &queries).await?;
        let mut waiting: Vec<&[u8]> = slow.iter().filter_map(|query| query.get(..2)).collect();
        while !waiting.is_empty() {
            let message = next(connection).await?;
            if message.get(..2) == fast.get(..2) {
                return Ok(true);
            }
            waiting.retain(|id| message.get(..2) != Some(id));
        }
        Ok::<bool, ConnectionError>(false)
    };
    matches!(clock.within(exchange).await, Some(Ok(true)))
}

/// Closes in order, so that the log of the server does not complain.
pub async fn close<R: Runtime>(clock: &Clock<'_, R>, connection: &mut dyn Connection) {
    // What does not close in time is dropped.
    let _closed_or_not = clock.within(poll_fn(|cx| connection.poll_close(cx))).await;
}

/// Sends all of these in as few writes as possible.
async fn send(connection: &mut dyn Connection, queries: &[&[u8]]) -> Result<(), ConnectionError> {
    for query in queries {
        connection.queue(query);
    }
    poll_fn(|cx| connection.poll_flush(cx)).await?;
    // A server that waits for an acknowledgement would look slow.
    connection.ack_soon();
    Ok(())
}

/// The next message.
pub async fn next(connection: &mut dyn Connection) -> Result<Vec<u8>, ConnectionError> {
    let message = poll_fn(|cx| {
        loop {
            return Poll::Ready(match ready!(connection.poll_next(cx)) {
                Event::Message(message) => Ok(message.to_vec()),
                Event::Limits(_) => continue,
                Event::Closed(why) | Event::Failed { why, .. } => Err(why),
            });
        }
    });
    message.await
}
