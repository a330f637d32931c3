//! Serving with a number of workers on shared addresses, each with an event loop and a runtime of its own. The first runs on the caller's
//! thread; `workers` has the others.

use super::workers::{Others, affordable, check_resource_limits, use_batch_policy};
use super::{Protocols, RunError};
use crate::config::{Config, Modes};
use crate::engine::Stats;
use crate::runtime::Runtime;
use crate::serve::{Control, Options, Sockets, random_seed, serve};
use log::info;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

/// Binds all sockets, logs that, and serves until `control` ends all workers.
pub fn run<R: Runtime + Default>(config: Config, control: &Control) -> Result<(), RunError> {
    check_resource_limits(&config)?;
    let affordable = affordable(&config);
    let config = config.into_builder().max_tcp_connections(affordable);
    let config = config.build().map_err(RunError::Config)?;
    let workers = config.workers().get();
    if workers > 1 {
        // Another program could share a shared address, too. Binding without sharing finds it.
        let alone = config.clone().into_builder().workers(NonZeroUsize::MIN);
        let alone = alone.build().map_err(RunError::Config)?;
        drop(Sockets::bind(&R::default(), &alone).map_err(RunError::Bind)?);
    }
    let first = Worker::<R>::new(&config)?;
    let (bound, missing) = (first.sockets.addresses(), first.sockets.missing());
    let started = announce(&config, bound, missing);
    // The other workers share the ports that the system chose.
    let listen = first.sockets.chosen(config.listen());
    let config = config.into_builder().listen(listen);
    let config = config.build().map_err(RunError::Config)?;
    let seed = random_seed().map_err(RunError::System)?;
    let options = Options::for_workers(config, seed).control(control);
    // Both before the log line: after it, commands may come.
    let first = first.start(&options);
    let others = Others::start::<R>(&options)?;
    info!("{started}");
    let mut stats = vec![first()];
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

/// A worker that is ready to serve.
pub struct Worker<R: Runtime> {
    runtime: R,
    protocols: Protocols<R>,
    sockets: Sockets<R>,
}

impl<R: Runtime + Default> Worker<R> {
    /// Binds.
    pub fn new(config: &Config) -> Result<Self, RunError> {
        let runtime = R::default();
        Ok(Self {
            protocols: Protocols::new(&runtime, config).map_err(RunError::Config)?,
            sockets: Sockets::bind(&runtime, config).map_err(RunError::Bind)?,
            runtime,
        })
    }

    /// Takes commands from now on. The function that it returns serves on its caller's thread until a command ends that.
    pub fn start(self, options: &Options) -> impl FnOnce() -> Stats {
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

/// The log line that says what is served, on which addresses, and how to try it.
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
