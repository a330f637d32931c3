//! From the process before, and for the process after.

use super::matching::{self, Passed, Plan, Protocol, store_name};
use super::passed::{self, Descriptor};
use super::store;
use crate::config::{Config, ConfigError, Listen};
use crate::serve::{BoundSockets, Command};
use crate::transports::{CacheAccess, Inherited, RunError, bind_ahead};
use log::{info, warn};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// What this process begins with.
#[derive(Debug)]
pub struct Inheritance {
    /// The configuration. Without a configured address, the sockets of a socket unit say where to listen.
    pub config: Config,
    /// What was passed.
    pub inherited: Inherited,
    /// What a service manager has of the sockets.
    pub kept: KeptSockets,
    /// How to end: somebody else may have the sockets, too, so that nothing that arrives there is lost.
    pub ending: Command,
}

/// Takes what was passed to this process, and leaves its sockets to the manager right away: they outlive a crash. To be called once, before
/// this process opens anything that it keeps. An error says which descriptor does not suit the configuration.
pub fn inherit(config: Config) -> Result<Inheritance, RunError> {
    let found = passed::descriptors().map_err(|why| wrong(&config, why))?;
    let was_passed = !found.is_empty();
    let mut sockets = BoundSockets::new();
    let mut dump = None;
    let mut known = Vec::new();
    for (name, descriptor) in found {
        match (descriptor.passed(&name), descriptor) {
            (Some(passed), descriptor) => known.push((passed, descriptor)),
            (None, Descriptor::Sealed(memory)) if name == store::CACHE => {
                dump = store::read_cache(memory, config.cache_bytes());
                // The memory is given back.
                store::forget(store::CACHE);
            }
            (None, _) => {
                warn!("the service manager passed {name:?}, which is no socket; it is not used");
            }
        }
    }
    let (config, mut kept) = take(config, known, &mut sockets)?;
    if store::is_there() {
        bind_ahead(&config, |_| true, &mut sockets);
        kept.leave(&sockets);
    }
    let outlive = was_passed || store::is_there() && store::is_offered() == Some(true);
    Ok(Inheritance {
        config,
        inherited: Inherited {
            sockets,
            cache: dump,
        },
        kept,
        ending: if outlive {
            Command::HandOver
        } else {
            Command::Drain
        },
    })
}

/// Takes the sockets that are served, and says which of them somebody keeps already.
fn take(
    config: Config,
    known: Vec<(Passed, Descriptor)>,
    sockets: &mut BoundSockets,
) -> Result<(Config, KeptSockets), RunError> {
    let passed: Vec<Passed> = known.iter().map(|(passed, _)| passed.clone()).collect();
    let plan = plan(&passed, &config).map_err(|why| wrong(&config, why))?;
    let mut kept = KeptSockets::default();
    for ((passed, descriptor), serves) in known.into_iter().zip(&plan.serves) {
        if !*serves {
            info!("{passed} is of an earlier configuration; it is closed");
            store::forget(&passed.name);
            continue;
        }
        if passed.is_left() {
            kept.left.insert((passed.protocol, passed.addr));
        } else {
            kept.of_units.push(passed.clone());
        }
        let added = match descriptor {
            Descriptor::Udp(socket) => sockets.add_datagrams(socket),
            Descriptor::Tcp(socket) => sockets.add_listener(socket),
            Descriptor::Sealed(_) => Ok(()),
        };
        added.map_err(|error| RunError::System(format!("{passed}: {error}")))?;
    }
    Ok((listening(config, plan).map_err(RunError::Config)?, kept))
}

fn plan(passed: &[Passed], config: &Config) -> Result<Plan, String> {
    let plain = || {
        config
            .listen()
            .iter()
            .filter(|listen| !listen.is_encrypted())
    };
    let listen: Vec<SocketAddr> = plain().map(Listen::addr).collect();
    let encrypted: Vec<SocketAddr> = config.listen_encrypted().map(Listen::addr).collect();
    // The default has an address that need not be there; one that is named has to.
    let named = plain().all(Listen::is_required);
    matching::plan(passed, &listen, named, config.modes(), &encrypted)
}

/// The configuration that listens where the plan says.
fn listening(config: Config, plan: Plan) -> Result<Config, ConfigError> {
    match plan.listen {
        Some(listen) => {
            let mut listen: Vec<Listen> = listen.into_iter().map(Listen::from).collect();
            listen.extend(config.listen_encrypted());
            config.into_builder().listen(listen).build()
        }
        None => Ok(config),
    }
}

/// The sockets of this process that a service manager has, too.
#[derive(Debug, Default)]
pub struct KeptSockets {
    /// Those that socket units bound: their addresses are served as long as this process runs.
    of_units: Vec<Passed>,
    /// Those in its store.
    left: BTreeSet<(Protocol, SocketAddr)>,
}

impl KeptSockets {
    /// This configuration, which was read again, with the addresses of the socket units where it names none. An error says which of these
    /// it lacks.
    pub fn listen(&self, config: Config) -> Result<Config, String> {
        let plan = plan(&self.of_units, &config)?;
        listening(config, plan).map_err(|error| error.to_string())
    }

    /// Has the store follow from the configuration `before` to this one. Returns the sockets of new addresses, which are bound here so that
    /// they outlive this process, too. One that cannot be bound while another is in its place is bound by the loops, and not stored.
    pub fn change(&mut self, before: &Config, config: &Config) -> BoundSockets {
        let mut sockets = BoundSockets::new();
        if !store::is_there() {
            return sockets;
        }
        let has = |config: &Config, addr| config.listen().iter().any(|one| one.addr() == addr);
        self.left.retain(|(protocol, addr)| {
            let stays = has(config, *addr);
            if !stays {
                store::forget(&store_name(*protocol, *addr));
            }
            stays
        });
        // How many workers there are changes at the next start.
        let now = config.clone().after(before);
        bind_ahead(&now, |addr| !has(before, addr), &mut sockets);
        self.leave(&sockets);
        sockets
    }

    /// Leaves those of these sockets to the manager that it has not.
    fn leave(&mut self, sockets: &BoundSockets) {
        let mut kept = self.left.clone();
        kept.extend(self.of_units.iter().map(|one| (one.protocol, one.addr)));
        self.left.extend(store::leave_sockets(sockets, &kept));
    }
}

/// A descriptor that does not suit is an error of the configuration: another start does not help.
fn wrong(config: &Config, why: String) -> RunError {
    let listen: Vec<String> = (config.listen().iter())
        .map(|listen| listen.addr().to_string())
        .collect();
    RunError::Config(ConfigError::new("listen", &listen.join(", "), why))
}

/// Leaves the cache to the next process, if somebody can keep it, in at most so many octets.
pub fn leave(cache: &CacheAccess, limit: usize) {
    if !store::is_there() {
        return;
    }
    match cache.export(limit) {
        Some(dump) => store::leave_cache(&dump),
        None => {
            warn!("the cache is not left to the next process: it takes more than {limit} octets");
        }
    }
    store::wait_until_read();
}
