//! Serving for real: a loop per worker, each with a runtime of its own, on shared addresses. The first is on the caller's thread,
//! and the others are in `workers`.

use super::workers::{Others, affordable, check_room, let_wakers_finish};
use super::{Protocols, RunError};
use crate::config::{Config, Listen, Modes};
use crate::engine::Stats;
use crate::runtime::Runtime;
use crate::serve::{Command, Control, Shared, Sockets, serve};
use futures::stream::Stream;
use log::info;
use std::net::SocketAddr;
use std::sync::Arc;

/// Binds everything, says so in the log, and serves until `control` ends all loops.
pub fn run<R: Runtime + Default>(config: Config, control: &Control) -> Result<(), RunError> {
    check_room(&config)?;
    let affordable = affordable(&config);
    let config = config.into_builder().max_tcp_connections(affordable);
    let config = config.build().map_err(RunError::Config)?;
    let workers = config.workers().get();
    if workers > 1 {
        // Shared addresses would be shared with another program, too: without sharing, its presence shows.
        let alone = Sockets::bind(&R::default(), config.listen(), config.modes(), false);
        drop(alone.map_err(RunError::Bind)?);
    }
    let first = Worker::<R>::new(&config, config.listen(), workers > 1)?;
    let (bound, missing) = (first.sockets.addresses(), first.sockets.missing());
    let listen: Vec<Listen> = bound
        .iter()
        .chain(missing)
        .map(|&addr| Listen::from(addr))
        .collect();
    let started = announce(&config, bound, missing);
    let shared = Arc::new(Shared::for_workers(config, random()?));
    let others = Others::start::<R>(&shared, &listen, control)?;
    // Before the line: whoever has read it may command.
    let commands = control.subscribe();
    info!("{started}");
    let mut stats = vec![first.serve(&shared, commands)];
    stats.extend(others.join()?);
    let total = |of: fn(&Stats) -> u64| stats.iter().map(of).sum::<u64>();
    info!(
        "stopped: {} queries, {} answered from the cache, {} by upstreams, {} failed, {} denied, {} malformed, {} unsupported, \
         {} sent to upstreams",
        total(|s| s.queries),
        total(|s| s.hits),
        total(|s| s.answered),
        total(|s| s.failed),
        total(|s| s.denied),
        total(|s| s.malformed),
        total(|s| s.unsupported),
        total(|s| s.sent),
    );
    Ok(())
}

/// Octets that nobody can guess.
fn random<const N: usize>() -> Result<[u8; N], RunError> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets)
        .map_err(|error| RunError::System(format!("no randomness: {error}")))?;
    Ok(octets)
}

/// One loop, ready to go.
pub struct Worker<R: Runtime> {
    runtime: R,
    protocols: Protocols<R>,
    sockets: Sockets<R>,
    seed: [u8; 32],
}

impl<R: Runtime + Default> Worker<R> {
    /// Binds. `share`: other workers listen on the same addresses.
    pub fn new(config: &Config, listen: &[Listen], share: bool) -> Result<Self, RunError> {
        let runtime = R::default();
        let protocols = Protocols::new(&runtime, config).map_err(RunError::Config)?;
        let sockets =
            Sockets::bind(&runtime, listen, config.modes(), share).map_err(RunError::Bind)?;
        Ok(Self {
            runtime,
            protocols,
            sockets,
            seed: random()?,
        })
    }

    /// Runs until a command ends it.
    pub fn serve<C>(self, shared: &Arc<Shared>, commands: C) -> Stats
    where
        C: Stream<Item = Command> + Unpin,
    {
        if !shared.config().keep_scheduling() {
            let_wakers_finish();
        }
        let runtime = self.runtime.clone();
        runtime.block_on(serve(
            self.runtime,
            self.protocols,
            self.sockets,
            shared.clone(),
            self.seed,
            commands,
        ))
    }
}

/// The line that says what is served, from where, and how to try it.
fn announce(config: &Config, addresses: &[SocketAddr], missing: &[SocketAddr]) -> String {
    let modes = match config.modes() {
        Modes::UdpAndTcp => "udp+tcp",
        Modes::Tcp => "tcp",
        Modes::Udp => "udp",
    };
    let listed = |items: Vec<String>| items.join(", ");
    let named =
        |addresses: &[SocketAddr]| listed(addresses.iter().map(ToString::to_string).collect());
    let at = match (addresses, missing) {
        (_, []) => named(addresses),
        ([], _) => format!("no address yet (waiting for {})", named(missing)),
        _ => format!("{} (waiting for {})", named(addresses), named(missing)),
    };
    let upstreams = config.upstreams().iter();
    let upstreams = listed(
        upstreams
            .map(|u| format!("{} ({})", u.label(), u.scheme()))
            .collect(),
    );
    let try_at = addresses.first().map_or(String::new(), |addr| {
        let ip = match addr.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
            ip if ip.is_unspecified() => "::1".to_owned(),
            ip => ip.to_string(),
        };
        let over = if config.modes().udp() { "" } else { " +tcp" };
        format!("; try: dig @{ip} -p {}{over} example.com", addr.port())
    });
    let version = env!("CARGO_PKG_VERSION");
    format!("dotward {version}: serving {modes} on {at}; upstreams: {upstreams}{try_at}")
}
