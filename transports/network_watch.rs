//! Noticing that links, addresses or routes change: a thread that waits for the kernel's messages about them (rtnetlink(7)).
//!
//! It reads none of them: what matters is which way leads to each upstream, and each event loop asks the kernel for that. So a message that was
//! lost costs nothing, and a flood of them, as on a router or a host of containers, is one change every [`INTERVAL`]: while the thread
//! waits, the kernel keeps what fits into a small buffer and drops the rest.

use super::netlink;
use crate::serve::Control;
use log::warn;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

/// Links, addresses, routes and rules of both families (`RTMGRP_*`; a rule is bit `RTNLGRP_IPV4_RULE - 1`).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 1 << 7 | 0x100 | 0x400 | 1 << 18;
/// So long after the last message a change is considered complete: one is often several, such as a route that goes and one that comes.
const QUIET: Duration = Duration::from_millis(10);
/// A change that goes on for longer than this is looked at before it is complete.
const LONGEST: Duration = Duration::from_millis(50);
/// Between two changes that the event loops are told of. Queries in flight wait no longer than this, with the times above.
const INTERVAL: Duration = Duration::from_millis(100);
/// Octets that the kernel keeps for the thread. One message is enough to know that something has changed.
const BUFFER: usize = 4_096;
/// After an error that does not pass, the socket is tried again so late.
const PAUSE: Duration = Duration::from_secs(10);

/// Has the event loops look, whenever the network has changed, which way leads to their upstreams now. The thread runs as long as the process.
/// Where the system refuses, that is logged, and nothing else follows: connections whose path is gone are then given up when they are silent.
pub fn watch_network(control: &Control) {
    let watched = open().map_err(|error| error.to_string());
    let watched = watched.and_then(|socket| {
        let watch = Watch {
            socket,
            control: control.clone(),
        };
        let thread = thread::Builder::new().name("dotward-network".into());
        let spawned = thread.spawn(move || watch.run());
        spawned.map(drop).map_err(|error| error.to_string())
    });
    match watched {
        Ok(()) => control.watches_network(),
        Err(error) => warn!(
            "changes of the network are not noticed at once: the kernel's messages about routes cannot be received (AF_NETLINK): {error}; \
             connections whose path is gone are given up when they are silent; a unit of systemd permits it by RestrictAddressFamilies=AF_NETLINK"
        ),
    }
}

fn open() -> Result<OwnedFd, Errno> {
    let socket = netlink::open(GROUPS)?;
    sockopt::set_socket_recv_buffer_size(&socket, BUFFER)?;
    Ok(socket)
}

struct Watch {
    socket: OwnedFd,
    control: Control,
}

impl Watch {
    fn run(mut self) {
        loop {
            if let Err(error) = self.one_change() {
                warn!(
                    "changes of the network are not noticed at once for some time: AF_NETLINK: {error}"
                );
                thread::sleep(PAUSE);
                if let Ok(socket) = open() {
                    self.socket = socket;
                }
                // What was missed meanwhile.
                self.control.network_changed();
            }
        }
    }

    /// Waits for one change, until it is complete, and tells of it.
    fn one_change(&self) -> Result<(), Errno> {
        self.receive(RecvFlags::empty())?;
        let began = Instant::now();
        loop {
            self.discard()?;
            thread::sleep(QUIET);
            let goes_on = self.receive(RecvFlags::DONTWAIT)?;
            if !goes_on || began.elapsed() >= LONGEST {
                break;
            }
        }
        self.discard()?;
        self.control.network_changed();
        thread::sleep(INTERVAL.saturating_sub(began.elapsed()));
        Ok(())
    }

    /// Discards what the kernel has kept: the buffer bounds how much that is.
    fn discard(&self) -> Result<(), Errno> {
        for _ in 0..BUFFER {
            if !self.receive(RecvFlags::DONTWAIT)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes one message, or word of those that were lost for want of room. False if there is none.
    fn receive(&self, flags: RecvFlags) -> Result<bool, Errno> {
        let mut first_octet = [0];
        loop {
            match recv(&self.socket, &mut first_octet[..], flags) {
                // The kernel says first that it has dropped some, then hands out those that it has kept.
                Ok(_) | Err(Errno::NOBUFS) => return Ok(true),
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
