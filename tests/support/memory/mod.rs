//! A runtime in memory with virtual time: a whole network in one future, deterministic. A simulated day takes milliseconds.
//!
//! Time stands still while anything can be done, and advances to the next event when nothing can. Random choices follow from a seed. Clones
//! of a [`Memory`] are the same network: all hosts of a test hold one, and the test changes the network's conditions between two steps.

pub mod conditions;
mod datagrams;
mod pipe;
mod stream;

pub use conditions::Conditions;
pub use datagrams::{Datagrams, Passed};
pub use stream::{Connect, Listener, Stream};

use conditions::Random;
use datagrams::Inbox;
use dotward::config::Cidr;
use dotward::engine::{Now, Time};
use dotward::runtime::{NetworkPath, Runtime, Within};
use futures::task::{ArcWake, waker};
use pipe::End;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A future that is polled so often at one moment makes no progress.
const MAX_POLLS: u32 = 100_000;
/// The first port that the system chooses.
const FIRST_FREE_PORT: u16 = 49_152;

/// Clock, timers and network. Clones are handles to the same ones.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    now: Time,
    /// How far the boot clock is ahead of the monotonic one.
    slept: Duration,
    wake_ups: BTreeMap<WakeUp, Waker>,
    sequence: u64,
    next_port: u16,
    conditions: BTreeMap<SocketAddr, Conditions>,
    listeners: BTreeMap<SocketAddr, stream::Queue>,
    inboxes: BTreeMap<SocketAddr, Inbox>,
    /// Servers to which datagrams are as connections: see [`Memory::connect_datagrams`].
    connected: BTreeSet<SocketAddr>,
    /// Addresses that no interface has.
    absent: BTreeSet<IpAddr>,
    /// The networks that the host is on.
    networks: Vec<Cidr>,
    /// The ways to addresses, where these are known.
    paths: BTreeMap<IpAddr, Vec<NetworkPath>>,
    /// The client's end of each connection.
    connections: Vec<End>,
    connects: u64,
    receive_failures: u64,
    random: Random,
    /// What it takes a host to read from a connection once.
    work: Duration,
    /// What became of datagrams, if that is recorded.
    journal: Option<Vec<Passed>>,
}

/// Identifies a planned wake-up: its time, and its order among those of the same time.
type WakeUp = (Time, u64);

impl World {
    /// Plans to wake a task at `at`. `wake_up` holds the plan, so that asking again does not wake twice.
    fn wake_at(&mut self, wake_up: &mut Option<WakeUp>, at: Time, waker: &Waker) {
        if let Some(planned) = wake_up.filter(|(planned, _)| *planned == at)
            && let Some(known) = self.wake_ups.get_mut(&planned)
        {
            known.clone_from(waker);
            return;
        }
        self.sequence += 1;
        let key = (at, self.sequence);
        self.wake_ups.insert(key, waker.clone());
        *wake_up = Some(key);
    }

    fn conditions(&self, addr: SocketAddr) -> Conditions {
        self.conditions.get(&addr).copied().unwrap_or_default()
    }

    /// Records a connection, and removes those that both ends have left.
    fn connected(&mut self, client: End) {
        let left = |end: &End| !end.is_held() && end.outgoing.state().abandoned;
        self.connections.retain(|end| !left(end));
        self.connections.push(client);
    }

    fn free_port(&mut self) -> u16 {
        self.next_port = self.next_port.max(FIRST_FREE_PORT);
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
        self.next_port
    }

    /// The address to bind, with a port.
    fn bindable(&mut self, at: SocketAddr) -> io::Result<SocketAddr> {
        if self.absent.contains(&at.ip()) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        Ok(match at.port() {
            0 => SocketAddr::new(at.ip(), self.free_port()),
            _ => at,
        })
    }
}

impl Memory {
    /// A new network, at time zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new network, with random choices from this seed.
    pub fn seeded(seed: u64) -> Self {
        let world = Self::default();
        world.world().random = Random::new(seed);
        world
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // After a panic in a test, nobody reads this any more.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the conditions at an address, for what is sent from now on.
    pub fn conditions(&self, at: SocketAddr, change: impl FnOnce(&mut Conditions)) {
        let mut world = self.world();
        change(world.conditions.entry(at).or_default());
        for client in Self::connections(&world, at) {
            client.resend(&mut world);
            client.other().resend(&mut world);
        }
    }

    /// The clients' ends of the connections to an address.
    fn connections(world: &World, at: SocketAddr) -> Vec<End> {
        let there = world.connections.iter().filter(|end| end.server == at);
        there.cloned().collect()
    }

    /// Resets all connections to an address.
    pub fn reset(&self, at: SocketAddr) {
        let mut world = self.world();
        for client in Self::connections(&world, at) {
            client.reset();
        }
        world.connections.retain(|end| end.server != at);
    }

    /// Drops everything on the connections to an address, as a NAT does that has lost its state: both ends consider them open. So it is with
    /// the sockets that count as connections.
    pub fn forget(&self, at: SocketAddr) {
        let mut world = self.world();
        for inbox in world.inboxes.values_mut() {
            inbox.forgotten |= inbox.peer == Some(at);
        }
        for client in Self::connections(&world, at) {
            client.forget();
        }
    }

    /// From now on the sockets that have this address for their only peer count as connections to it, and its conditions apply to both directions,
    /// as for a server of QUIC: they may refuse or lose what is sent to it.
    #[cfg(feature = "doq")]
    pub fn connect_datagrams(&self, to: SocketAddr) {
        self.world().connected.insert(to);
    }

    /// How many connections to an address are open at the client, and sockets that count as such.
    pub fn held(&self, at: SocketAddr) -> usize {
        let world = self.world();
        let ends = world.connections.iter();
        let connections = ends.filter(|end| end.server == at && end.is_held());
        let sockets = world.inboxes.values();
        connections.count() + sockets.filter(|inbox| inbox.peer == Some(at)).count()
    }

    /// How many wake-ups are planned: timers, and packets on their way to a task that waits.
    pub fn planned(&self) -> usize {
        self.world().wake_ups.len()
    }

    /// From now on, records what becomes of each datagram.
    pub fn keep_journal(&self) {
        self.world().journal.get_or_insert_default();
    }

    /// What became of the datagrams that were sent since the journal was read last.
    pub fn journal(&self) -> Vec<Passed> {
        let mut world = self.world();
        world
            .journal
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Removes an address from the host, so that it cannot be bound, or adds it again.
    pub fn set_absent(&self, ip: IpAddr, absent: bool) {
        let mut world = self.world();
        if absent {
            world.absent.insert(ip);
        } else {
            world.absent.remove(&ip);
        }
    }

    /// Sets the networks that the host is on.
    pub fn set_networks(&self, networks: Vec<Cidr>) {
        self.world().networks = networks;
    }

    /// Sets the ways that lead to an address: the one that the host takes by itself, then those that it still has from other addresses of
    /// its own. Whether anything arrives is for the conditions there to say.
    pub fn set_paths(&self, to: IpAddr, paths: Vec<NetworkPath>) {
        self.world().paths.insert(to, paths);
    }

    /// From now on, each receive on the UDP socket that is bound there fails.
    pub fn fail_to_receive(&self, at: SocketAddr, error: io::ErrorKind) {
        let mut world = self.world();
        if let Some(inbox) = world.inboxes.get_mut(&at) {
            inbox.fail(error);
        }
    }

    /// How often a receive has failed.
    pub fn receive_failures(&self) -> u64 {
        self.world().receive_failures
    }

    /// Suspends the host: only the boot clock advances.
    pub fn suspend(&self, span: Duration) {
        self.world().slept += span;
    }

    /// From now on, each read that finds octets in a connection takes a host so long. Otherwise work takes no time.
    pub fn reads_take(&self, span: Duration) {
        self.world().work = span;
    }

    /// Wakes whoever waits for a moment that has passed while a host worked.
    fn wake_overdue(&self) {
        loop {
            let mut world = self.world();
            let now = world.now;
            let next = world.wake_ups.first_entry();
            let Some(due) = next.filter(|it| it.key().0 < now) else {
                return;
            };
            let waker = due.remove();
            drop(world);
            waker.wake();
        }
    }

    /// How many connects were started, successful or not, and sockets were made that count as connections.
    pub fn connects(&self) -> u64 {
        self.world().connects
    }

    /// Connects from this address.
    pub fn connect_from(&self, from: IpAddr, to: SocketAddr) -> Connect {
        Connect::new(self.clone(), from, to)
    }

    /// Waits.
    pub fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.now().mono + span)
    }
}

struct Woken(AtomicBool);

impl ArcWake for Woken {
    fn wake_by_ref(woken: &Arc<Self>) {
        woken.0.store(true, Ordering::Release);
    }
}

impl Runtime for Memory {
    type Stream = Stream;
    type Connect = Connect;
    type Listener = Listener;
    type Datagrams = Datagrams;
    type Sleep = Sleep;
    type Within<F: Future> = Within<F, Sleep>;

    fn now(&self) -> Now {
        let world = self.world();
        Now {
            mono: world.now,
            boot: world.now + world.slept,
        }
    }

    fn networks(&self) -> Vec<Cidr> {
        self.world().networks.clone()
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        Sleep {
            world: self.clone(),
            at,
            wake_up: None,
        }
    }

    fn within<F: Future>(&self, limit: Duration, work: F) -> Self::Within<F> {
        Within::new(work, self.sleep(limit))
    }

    fn connect(&self, to: SocketAddr) -> Connect {
        self.connect_from(loopback_of(to), to)
    }

    fn listen(&self, at: SocketAddr, _share: bool) -> io::Result<Listener> {
        let mut world = self.world();
        let at = world.bindable(at)?;
        if world.listeners.contains_key(&at) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        world.listeners.insert(at, stream::Queue::default());
        Ok(Listener::new(self.clone(), at))
    }

    fn bind(&self, at: SocketAddr, _share: bool) -> io::Result<Datagrams> {
        let mut world = self.world();
        let at = world.bindable(at)?;
        if world.inboxes.contains_key(&at) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        world.inboxes.insert(at, Inbox::default());
        Ok(Datagrams::new(self.clone(), at))
    }

    fn datagrams_to(&self, peer: SocketAddr) -> io::Result<Datagrams> {
        let mut world = self.world();
        let at = world.bindable(SocketAddr::new(loopback_of(peer), 0))?;
        let is_connected = world.connected.contains(&peer);
        world.connects += u64::from(is_connected);
        let inbox = if is_connected {
            Inbox::to(peer)
        } else {
            Inbox::default()
        };
        world.inboxes.insert(at, inbox);
        Ok(Datagrams::new(self.clone(), at))
    }

    fn path(&self, to: SocketAddr, from: Option<IpAddr>) -> NetworkPath {
        let world = self.world();
        let Some(paths) = world.paths.get(&to.ip()) else {
            return NetworkPath::Unknown;
        };
        let fits = |path: &&NetworkPath| from.is_none() || path.source() == from;
        let path = paths.iter().find(fits);
        path.copied().unwrap_or(NetworkPath::Unreachable)
    }

    fn random_seed(&self) -> Option<[u8; 32]> {
        Some(self.world().random.seed())
    }

    /// Runs the future. Whenever it waits, time advances to the next event.
    ///
    /// # Panics
    ///
    /// If the future waits for something that can never happen, or never waits.
    fn block_on<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = waker(woken.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            let mut polls = 0;
            let mut at = self.now().mono;
            while woken.0.swap(false, Ordering::AcqRel) {
                // Time may advance while a host works.
                let now = self.now().mono;
                polls = if now == at { polls + 1 } else { 0 };
                at = now;
                assert!(polls < MAX_POLLS, "nobody waits, and time stands still");
                if let Poll::Ready(output) = work.as_mut().poll(&mut cx) {
                    return output;
                }
                self.wake_overdue();
            }
            let mut world = self.world();
            let Some(((at, _), waker)) = world.wake_ups.pop_first() else {
                panic!("everybody waits, and nothing will ever happen");
            };
            world.now = world.now.max(at);
            drop(world);
            waker.wake();
        }
    }
}

/// A timer.
pub struct Sleep {
    world: Memory,
    at: Time,
    wake_up: Option<WakeUp>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut world = this.world.world();
        if world.now >= this.at {
            return Poll::Ready(());
        }
        world.wake_at(&mut this.wake_up, this.at, cx.waker());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(wake_up) = self.wake_up {
            self.world.world().wake_ups.remove(&wake_up);
        }
    }
}

/// The address that a socket in memory sends from.
fn loopback_of(to: SocketAddr) -> IpAddr {
    match to {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_takes_no_time() {
        let world = Memory::new();
        let later = Time::ZERO + Duration::from_secs(86_400);
        world.block_on(world.sleep_until(later));
        assert_eq!(world.now().mono, later);
    }
}
