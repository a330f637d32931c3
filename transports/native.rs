//! Serving with a number of workers on shared addresses, each with an event loop and a runtime of its own. The first runs on the caller's
//! thread; `workers` has the others.

use super::listen_tls::{ListenTls, Served};
use super::workers::{Others, affordable, check_resource_limits, use_batch_policy};
use super::{CacheAccess, Inherited, Protocols, RunError, Started};
use crate::config::{Config, Encryption, Listen, Modes};
use crate::engine::Stats;
use crate::engine::words::counted;
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
    let tls = ListenTls::new(&config).map_err(RunError::Config)?;
    let workers = config.workers().get();
    if workers > 1 {
        // Another program could share a shared address, too. Binding without sharing finds it.
        let alone = config.clone().into_builder().workers(NonZeroUsize::MIN);
        let alone = alone.build().map_err(RunError::Config)?;
        let runtime = tls.over(R::default());
        drop(Sockets::bind_beside(&runtime, &alone, &bound, 0).map_err(RunError::Bind)?);
    }
    let first = Worker::<R>::new(&config, &tls, &bound, 0)?;
    let served: Vec<(SocketAddr, Encryption)> = first.sockets.served().collect();
    let summary = summary(&config, &served, first.sockets.missing());
    let try_at = how_to_try(&config, &served);
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
            Ok(count) => {
                let are = if count == 1 { "is" } else { "are" };
                let responses = counted(count as u64, "cached response", "cached responses");
                info!("{responses} of the process before {are} used");
            }
            Err(error) => warn!("the cache of the process before is not used: {error}"),
        }
    }
    // Both before the log line: after it, commands may come.
    let first = first.start(&options);
    // Each worker has duplicates of its part.
    let others = Others::start::<R>(&options, &tls, &Arc::new(bound))?;
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
        "stopped: {}, {} answered from the cache, {} by upstreams, {} failed, {} denied, {} malformed, {} unsupported, \
         {} sent to upstreams",
        counted(total(|s| s.queries), "query", "queries"),
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
    sockets: Sockets<Served<R>>,
    tls: ListenTls,
}

impl<R: Runtime + Default> Worker<R> {
    /// Binds, or takes this worker's part of what is bound.
    pub fn new(
        config: &Config,
        tls: &ListenTls,
        bound: &BoundSockets,
        number: usize,
    ) -> Result<Self, RunError> {
        let runtime = R::default();
        let sockets = Sockets::bind_beside(&tls.over(runtime.clone()), config, bound, number);
        Ok(Self {
            protocols: Protocols::new(&runtime, config).map_err(RunError::Config)?,
            sockets: sockets.map_err(RunError::Bind)?,
            tls: tls.clone(),
            runtime,
        })
    }

    /// Takes commands from now on. The function that it returns serves on its caller's thread until a command ends that.
    pub fn start(self, options: &Options) -> impl FnOnce() -> Stats + use<R> {
        let (runtime, keep_scheduling) = (self.runtime.clone(), options.config().keep_scheduling());
        let served = self.tls.over(self.runtime);
        let serving = serve(served, self.protocols, self.sockets, options.clone());
        move || {
            if !keep_scheduling {
                use_batch_policy();
            }
            runtime.block_on(serving)
        }
    }
}

/// What is served, on which addresses, by which upstreams.
fn summary(config: &Config, served: &[(SocketAddr, Encryption)], missing: &[Listen]) -> String {
    let modes = match config.modes() {
        Modes::UdpAndTcp => "udp+tcp",
        Modes::Tcp => "tcp",
        Modes::Udp => "udp",
    };
    let listed = |items: Vec<String>| items.join(", ");
    let ways = [
        (Encryption::None, modes),
        (Encryption::Tls, "tls"),
        (Encryption::Https, "https"),
    ];
    let ways = ways.into_iter().filter_map(|(by, name)| {
        let those = served.iter().filter(|(_, encryption)| *encryption == by);
        let those = listed(those.map(|(addr, _)| addr.to_string()).collect());
        (!those.is_empty()).then(|| format!("{name} on {those}"))
    });
    let at = ways.collect::<Vec<_>>().join(" and ");
    let waiting = listed(missing.iter().map(Listen::to_string).collect());
    let at = match (served, missing) {
        (_, []) => at,
        ([], _) => format!("{modes} on no address yet (waiting for {waiting})"),
        _ => format!("{at} (waiting for {waiting})"),
    };
    let upstreams = config.upstreams().iter();
    let upstreams = listed(
        upstreams
            .map(|u| format!("{} ({})", u.label(), u.schemes_text()))
            .collect(),
    );
    format!("serving {at}; upstreams: {upstreams}")
}

/// How to try it.
fn how_to_try(config: &Config, served: &[(SocketAddr, Encryption)]) -> String {
    let first = served.iter().min_by_key(|(_, encryption)| *encryption);
    first.map_or(String::new(), |(addr, encryption)| {
        let ip = match addr.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
            ip if ip.is_unspecified() => "::1".to_owned(),
            ip => ip.to_string(),
        };
        let (program, over) = match (encryption, config.modes().udp()) {
            (Encryption::Tls, _) => ("kdig", " +tls"),
            (Encryption::Https, _) => ("kdig", " +https"),
            (Encryption::None, true) => ("dig", ""),
            (Encryption::None, false) => ("dig", " +tcp"),
        };
        format!(
            "; try: {program} @{ip} -p {}{over} example.com",
            addr.port()
        )
    })
}
