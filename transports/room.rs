//! Whether the host's limits leave room for what is configured. What would otherwise be missing in the middle of the work, where a
//! runtime knows nothing better than to panic, is found out at the start and named.

use super::RunError;
use crate::config::Config;
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::thread;

/// Descriptors that are open before: three standard ones, those of the signals, and some that were inherited.
const OPEN: usize = 8;
/// For the reactor of the process, and for what is open for a moment only.
const COMMON: usize = 6;
/// For a worker's own reactor.
const REACTOR: usize = 4;
/// For each address and transport: the socket, and the reactor's own handle to it.
const PER_SOCKET: usize = 2;
/// Per worker, for upstreams: four connects at once and the spare descriptors.
const UPSTREAMS: usize = 6;
/// Per worker, so that there is a client.
const CLIENT: usize = 1;

/// Descriptors that serving takes beside the clients' connections.
fn needed(config: &Config) -> usize {
    let transports = usize::from(config.modes().udp()) + usize::from(config.modes().tcp());
    let sockets = config.listen().len() * transports * PER_SOCKET;
    COMMON + config.workers().get() * (REACTOR + sockets + UPSTREAMS + CLIENT)
}

/// How many files the process may open, if there is a limit.
fn limit() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok())
}

/// An error names the limit that leaves too little room, and the remedy.
pub fn check(config: &Config) -> Result<(), RunError> {
    files(needed(config)).map_err(RunError::System)?;
    // One more for the reactor of the process.
    threads(config.workers().get() + 1).map_err(RunError::System)
}

/// Opens as many at once, and closes them again: nothing else tells what is left, also of what the whole system may open.
fn files(needed: usize) -> Result<(), String> {
    let standard_error = io::stderr();
    let mut opened: Vec<OwnedFd> = Vec::with_capacity(needed);
    while opened.len() < needed {
        match standard_error.as_fd().try_clone_to_owned() {
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

/// Starts as many at once, and ends them again.
fn threads(needed: usize) -> Result<(), String> {
    let mut started = Vec::with_capacity(needed);
    let mut ends = Vec::with_capacity(needed);
    let mut refused = None;
    while started.len() < needed && refused.is_none() {
        let (end, ended) = mpsc::channel::<()>();
        match thread::Builder::new().spawn(move || ended.recv().is_ok()) {
            Ok(thread) => {
                started.push(thread);
                ends.push(end);
            }
            Err(error) => refused = Some(error),
        }
    }
    let count = started.len();
    drop(ends);
    for thread in started {
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

/// As many clients' connections as the process has descriptors for beside what serving takes: an upstream that cannot be connected to
/// for want of one would be an outage for everybody.
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

    fn needed_over(modes: Modes) -> usize {
        needed(&Config::builder().modes(modes).build().expect("sound"))
    }

    #[test]
    fn what_is_there_suffices_here_and_more_than_there_can_be_is_named() {
        // fault 117
        assert!(check(&Config::default()).is_ok());
        let limit = limit().expect("a limit");
        let error = files(limit).unwrap_err();
        for part in [
            "os error 24",
            "ulimit -n",
            "LimitNOFILE",
            &limit.to_string(),
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(files(1).is_ok(), "all are closed again");
    }

    #[test]
    fn a_transport_less_takes_less() {
        assert!(needed_over(Modes::Udp) < needed_over(Modes::UdpAndTcp));
        assert_eq!(needed_over(Modes::Udp), needed_over(Modes::Tcp));
    }
}
