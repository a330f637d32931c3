//! Serving with a number of workers on shared addresses, each with an event loop and a runtime of its own. The first runs on the caller's
//! thread; `workers` has the others.

use super::workers::{Others, affordable, check_resource_limits, use_batch_policy};
use super::{CacheAccess, Inherited, Protocols, RunError, Started};
use crate::config::{Config, Modes};
use crate::engine::Stats;
use crate::runtime::Runtime;
use crate::serve::{BoundSockets, Control, Options, Sockets, random_seed, serve};
use log::{info, warn};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Binds all sockets, or takes those that are bound, and logs that. The workers take commands from now on.
pub fn start<R: Runtime + Default + 'static>(
    config: Config,
    control: &Control,
    inherited: Inherited,
) -> Result<Started, RunError> {
    let Inherited {
        sockets: bound,
        cache: dump,
    } = inherited;
    check_resource_limits(&config)?;
    let affordable = affordable(&config);
    let config = config.into_builder().max_tcp_connections(affordable);
    let config = config.build().map_err(RunError::Config)?;
    let workers = config.workers().get();
    if workers > 1 {
        // Another program could share a shared address, too. Binding without sharing finds it.
        let alone = config.clone().into_builder().workers(NonZeroUsize::MIN);
        let alone = alone.build().map_err(RunError::Config)?;
        drop(Sockets::bind_beside(&R::default(), &alone, &bound, 0).map_err(RunError::Bind)?);
    }
    let first = Worker::<R>::new(&config, &bound, 0)?;
    let (addresses, missing) = (first.sockets.addresses(), first.sockets.missing());
    let summary = summary(&config, addresses, missing);
    let try_at = how_to_try(&config, addresses);
    // The other workers share the ports that the system chose.
    let listen = first.sockets.chosen(config.listen());
    let config = config.into_builder().listen(listen);
    let config = config.build().map_err(RunError::Config)?;
    let seed = random_seed().map_err(RunError::System)?;
    let options = Options::for_workers(config, seed).control(control);
    let runtime = first.runtime.clone();
    let cache = CacheAccess::new(options.cache().clone(), move || runtime.now().boot);
    if let Some(dump) = dump {
        match cache.import(&dump) {
            Ok(count) => info!("{count} cached responses of the process before are used"),
            Err(error) => warn!("the cache of the process before is not used: {error}"),
        }
    }
    // Both before the log line: after it, commands may come.
    let first = first.start(&options);
    // Each worker has duplicates of its part.
    let others = Others::start::<R>(&options, &Arc::new(bound))?;
    let version = env!("CARGO_PKG_VERSION");
    info!("dotward {version}: {summary}{try_at}");
    Ok(Started::new(summary, cache, move || {
        let mut stats = vec![first()];
        stats.extend(others.join()?);
        report(&stats);
        Ok(())
    }))
}

/// Logs the counters of all workers together.
fn report(stats: &[Stats]) {
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
}

/// A worker that is ready to serve.
pub struct Worker<R: Runtime> {
    runtime: R,
    protocols: Protocols<R>,
    sockets: Sockets<R>,
}

impl<R: Runtime + Default> Worker<R> {
    /// Binds, or takes this worker's part of what is bound.
    pub fn new(config: &Config, bound: &BoundSockets, number: usize) -> Result<Self, RunError> {
        let runtime = R::default();
        let sockets = Sockets::bind_beside(&runtime, config, bound, number);
        Ok(Self {
            protocols: Protocols::new(&runtime, config).map_err(RunError::Config)?,
            sockets: sockets.map_err(RunError::Bind)?,
            runtime,
        })
    }

    /// Takes commands from now on. The function that it returns serves on its caller's thread until a command ends that.
    pub fn start(self, options: &Options) -> impl FnOnce() -> Stats + use<R> {
        let (runtime, keep_scheduling) = (self.runtime.clone(), options.config().keep_scheduling());
        let serving = serve(self.runtime, self.protocols, self.sockets, options.clone());
        move || {
            if !keep_scheduling {
                use_batch_policy();
            }
            runtime.block_on(serving)
        }
    }
}

/// What is served, on which addresses, by which upstreams.
fn summary(config: &Config, addresses: &[SocketAddr], missing: &[SocketAddr]) -> String {
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
    format!("serving {modes} on {at}; upstreams: {upstreams}")
}

/// How to try it.
fn how_to_try(config: &Config, addresses: &[SocketAddr]) -> String {
    addresses.first().map_or(String::new(), |addr| {
        let ip = match addr.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
            ip if ip.is_unspecified() => "::1".to_owned(),
            ip => ip.to_string(),
        };
        let over = if config.modes().udp() { "" } else { " +tcp" };
        format!("; try: dig @{ip} -p {}{over} example.com", addr.port())
    })
}
