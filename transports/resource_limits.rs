//! Whether the host's limits on descriptors and threads suffice for the configuration. Checked at the start, with an error that names
//! the limit: later, a runtime would panic when it cannot open or start something.

use super::RunError;
use crate::config::{Config, Listen};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

/// Descriptors that are open before: three standard ones, those of the signals, and some that were inherited.
const OPEN: usize = 8;
/// For the reactor of the process, and for what is open only briefly.
const COMMON: usize = 6;
/// For a worker's own reactor.
const REACTOR: usize = 4;
/// For each address and transport: the socket, and the reactor's own handle to it.
const PER_SOCKET: usize = 2;
/// Per worker, for upstreams: four connects at once and the reserve descriptors.
const UPSTREAMS: usize = 6;
/// Per worker and upstream whose registrable domains have connections of their own.
const ISOLATED: usize = 64;
/// Per worker, so that at least one client can connect.
const CLIENT: usize = 1;

/// Descriptors that serving needs besides those of client connections.
fn needed(config: &Config) -> usize {
    let transports = |listen: &Listen| {
        let modes = listen.modes(config.modes());
        usize::from(modes.udp()) + usize::from(modes.tcp())
    };
    let sockets = config.listen().iter().map(transports).sum::<usize>() * PER_SOCKET;
    let all = config.all_upstreams().iter();
    let isolated = all.filter(|upstream| upstream.is_isolating()).count() * ISOLATED;
    COMMON + config.workers().get() * (REACTOR + sockets + UPSTREAMS + isolated + CLIENT)
}

/// How many files the process may open, if there is a limit.
fn limit() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok())
}

/// Checks both limits. An error names the one that is too low, and the remedy.
pub fn check(config: &Config) -> Result<(), RunError> {
    let open = || io::stderr().as_fd().try_clone_to_owned();
    check_files(needed(config), open).map_err(RunError::System)?;
    // One more for the reactor of the process.
    check_threads(config.workers().get() + 1).map_err(RunError::System)
}

/// Opens as many at once, and closes them again. Nothing else tells how many are left, also of what the whole system may open.
fn check_files(needed: usize, open: impl Fn() -> io::Result<OwnedFd>) -> Result<(), String> {
    let mut opened: Vec<OwnedFd> = Vec::with_capacity(needed);
    while opened.len() < needed {
        match open() {
            Ok(file) => opened.push(file),
            Err(error) => {
                let free = opened.len();
                let limit = limit().map_or_else(|| "no limit".to_owned(), |n| n.to_string());
                return Err(format!(
                    "too few files may be open: {error}; {needed} more are needed and {free} are left of the limit (ulimit -n), \
                     which is {limit}. Raise it: `ulimit -n 1024` in a shell, LimitNOFILE=1024 in a systemd unit, \
                     `--ulimit nofile=1024` of podman or docker"
                ));
            }
        }
    }
    Ok(())
}

/// Starts as many at once, and ends them again. One that ends too early, as `park` allows, makes the check weaker and never fail.
fn check_threads(needed: usize) -> Result<(), String> {
    let mut started = Vec::with_capacity(needed);
    let mut refused = None;
    while started.len() < needed && refused.is_none() {
        match thread::Builder::new().spawn(thread::park) {
            Ok(thread) => started.push(thread),
            Err(error) => refused = Some(error),
        }
    }
    let count = started.len();
    for thread in started {
        thread.thread().unpark();
        // It waited for its end, which cannot fail.
        drop(thread.join());
    }
    refused.map_or(Ok(()), |error| {
        Err(format!(
            "too few threads may run: {error}; {needed} more are needed and {count} can be had. Raise the limit: `ulimit -u` in a \
             shell, TasksMax= in a systemd unit, `--pids-limit` of podman or docker"
        ))
    })
}

/// As many client connections as configured, or fewer if the process may not open enough descriptors: without one for a connection to
/// an upstream, no client would get an answer.
pub fn affordable(config: &Config) -> usize {
    let connections = config.limits().tcp_connections;
    let Some(limit) = limit() else {
        return connections;
    };
    let most = limit.saturating_sub(OPEN + needed(config)).max(1);
    if most < connections {
        log::info!("at most {most} TCP clients, because {limit} files may be open (ulimit -n)");
    }
    connections.min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Modes;
    use rustix::io::Errno;
    use std::cell::Cell;

    fn needed_over(modes: Modes) -> usize {
        needed(&Config::builder().modes(modes).build().expect("sound"))
    }

    #[test]
    fn the_limits_of_this_host_suffice_and_one_that_does_not_is_named() {
        // fault 117
        assert!(check(&Config::default()).is_ok());
        let left = Cell::new(3);
        let open = || {
            left.set(left.get() - 1);
            match left.get() {
                0 => Err(Errno::MFILE.into()),
                _ => io::stderr().as_fd().try_clone_to_owned(),
            }
        };
        let error = check_files(5, open).unwrap_err();
        let limit = limit().expect("a limit").to_string();
        let parts = [
            "os error 24",
            "5 more are needed and 2 are left",
            "ulimit -n",
            "LimitNOFILE",
            &limit,
        ];
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn without_udp_or_tcp_fewer_are_needed() {
        assert!(needed_over(Modes::Udp) < needed_over(Modes::UdpAndTcp));
        assert_eq!(needed_over(Modes::Udp), needed_over(Modes::Tcp));
    }
}
