//! The WASI runtime: `wasi:sockets`, `wasi:clocks` and `wasi:io/poll` of WASI 0.2, for hosts that run components, such as wasmtime.
//!
//! A component has one thread and no signals. Its sockets cannot share a port and cannot say which address a datagram was sent
//! to; its row in the table says so, and a configuration that needs more is refused at the start.

mod addresses;
mod reactor;
mod tcp;
mod udp;

pub use reactor::{Reactor, Watch};
pub use tcp::{Listening, Tcp};
pub use udp::Udp;

use crate::engine::{Now, Time};
use crate::runtime::{Runtime, Within};
use futures::future::LocalBoxFuture;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use wasip2::clocks::monotonic_clock;

/// WASI 0.2, with its reactor.
#[derive(Clone, Default)]
pub struct Wasi {
    reactor: Reactor,
}

impl Wasi {
    /// What it waits by, for a program that waits for more than its sockets and timers.
    pub fn reactor(&self) -> &Reactor {
        &self.reactor
    }
}

impl Runtime for Wasi {
    type Stream = Tcp;
    type Connect = LocalBoxFuture<'static, io::Result<Tcp>>;
    type Listener = Listening;
    type Datagrams = Udp;
    type Sleep = Sleep;
    type Within<F: Future> = Within<F, Sleep>;

    /// The host's monotonic clock, twice: WASI has none that advances during suspend.
    fn now(&self) -> Now {
        let mono = Time::from_nanos(monotonic_clock::now());
        Now { mono, boot: mono }
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        let timer = monotonic_clock::subscribe_instant(at.as_nanos());
        Sleep(self.reactor.watch(timer))
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> Self::Within<F> {
        Within::new(work, self.sleep_until(self.now().mono + limit))
    }

    fn connect(&self, to: SocketAddr) -> Self::Connect {
        Box::pin(Tcp::connect(self.reactor.clone(), to))
    }

    fn listen(&self, at: SocketAddr, _share: bool) -> io::Result<Listening> {
        Listening::new(&self.reactor, at)
    }

    fn bind(&self, at: SocketAddr, _share: bool) -> io::Result<Udp> {
        Udp::new(&self.reactor, at)
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.reactor.block_on(work)
    }
}

/// A timer.
pub struct Sleep(Watch);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(cx)
    }
}
