//! A world, what it can do, and how a case is asked of it.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dotward::runtime::{Listener, Runtime};
use dotward::transports::{self, Capabilities};
use futures::future::join;

/// More than any case takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A runtime under the suite.
pub trait World: Runtime + Default + 'static {}

impl<R: Runtime + Default + 'static> World for R {}

/// What a case may require beyond the seam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// As in [`Capabilities::reply_source`].
    ReplySource,
    /// As in [`Capabilities::shared_ports`].
    SharedPorts,
    /// As in [`Capabilities::threads`].
    Threads,
    /// File descriptors: sockets of the standard library can be taken over.
    Descriptors,
    /// A system below, which may refuse to send.
    System,
    /// A clock that leaps: the case would wait in real time.
    VirtualTime,
    /// The protocol authenticates the upstream.
    Authentication,
}

impl Need {
    fn is_met(self, world: &str, scheme: Option<&str>) -> bool {
        // The network in memory is no row of the table: no program serves on it.
        let row = transports::capabilities(world);
        let can = |what: fn(Capabilities) -> bool| row.is_some_and(what);
        match self {
            Self::ReplySource => can(|row| row.reply_source),
            // Whoever has them can share ports, too.
            Self::SharedPorts | Self::Descriptors => can(|row| row.shared_ports),
            Self::Threads => can(|row| row.threads),
            Self::System => row.is_some(),
            Self::VirtualTime => row.is_none(),
            Self::Authentication => transports::SCHEMES
                .iter()
                .any(|row| Some(row.name) == scheme && row.encrypted),
        }
    }
}

/// Asks a case of a world, over one of its protocols or over none.
pub fn ask<R: World, F: Future<Output = ()>>(
    world: &str,
    scheme: Option<&str>,
    needs: &[Need],
    case: impl FnOnce(R) -> F,
) {
    let unmet = |need: &&Need| !need.is_met(world, scheme);
    if let Some(need) = needs.iter().find(unmet) {
        println!("not asked of {world}: it requires {need:?}");
        return;
    }
    let runtime = R::default();
    let bounded = runtime.within(LIMIT, case(runtime.clone()));
    let done = runtime.block_on(bounded);
    assert!(done.is_some(), "not done after {LIMIT:?}");
}

/// Is the name among these? For the compiler, which has no `==` for texts.
pub const fn is_listed(name: &str, list: &[&str]) -> bool {
    let mut index = 0;
    while index < list.len() {
        if are_equal(name.as_bytes(), list[index].as_bytes()) {
            return true;
        }
        index += 1;
    }
    false
}

const fn are_equal(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

/// A loopback address where the system chooses the port.
pub fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Where nobody listens: the port is reserved, and the system never chooses it.
pub fn nobody() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 1))
}

/// Somebody listens, and where.
pub fn listen<R: World>(runtime: &R) -> (R::Listener, SocketAddr) {
    let listener = runtime.listen(loopback(), false).expect("a listener");
    let at = listener.local_addr().expect("its address");
    (listener, at)
}

/// The next client.
pub async fn accept<R: World>(listener: &mut R::Listener) -> (R::Stream, SocketAddr) {
    let accepted = poll_fn(|cx| listener.poll_accept(cx)).await;
    accepted.expect("a client")
}

/// Both ends of a new connection: the client's, the server's.
pub async fn pair<R: World>(runtime: &R) -> (R::Stream, R::Stream) {
    let (mut listener, at) = listen(runtime);
    let (client, (server, _)) = join(runtime.connect(at), accept::<R>(&mut listener)).await;
    (client.expect("a connection"), server)
}

/// Octets in which a loss, a repetition or a swap shows.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}
