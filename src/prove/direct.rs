//! One question to one server over UDP, as a stub resolver asks it.

use crate::cli::Question;
use crate::query::message::{Edns, query};
use crate::query::response::Response;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// After this time the query is sent once more: one that is lost is not told from one that takes long.
const AGAIN: Duration = Duration::from_secs(1);
/// Octets of the longest datagram that is read.
const MOST: usize = 4096;

/// Asks, and says how long the response took. An error is for people.
pub fn ask(
    server: SocketAddr,
    question: &Question,
    id: u16,
    limit: Duration,
) -> Result<(Response, Duration), String> {
    let start = Instant::now();
    let end = start + limit;
    let asked = exchange(server, &query(question, id, Some(Edns::default())), end);
    let response = asked.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            format!("no response within {} s", limit.as_secs_f64())
        }
        _ => error.to_string(),
    })?;
    Ok((response, start.elapsed()))
}

/// Sends until there is a response. What is none is passed over.
fn exchange(server: SocketAddr, query: &[u8], end: Instant) -> io::Result<Response> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    let mut buffer = [0; MOST];
    loop {
        socket.send(query)?;
        let again = end.min(Instant::now() + AGAIN);
        loop {
            let left = again.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            let read = match socket.recv(&mut buffer) {
                Ok(len) => Response::read(&buffer[..len], query),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(error) => return Err(error),
            };
            if let Ok(response) = read {
                return Ok(response);
            }
        }
        if Instant::now() >= end {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}
