//! No service manager is told anything where there is no systemd. Stands in for `src/systemd/mod.rs`.

use crate::config::Config;
use crate::serve::{BoundSockets, Command, Control};
use crate::transports::{CacheAccess, Inherited, RunError};
use std::io;

/// Nothing.
pub fn ready(_text: &str) {}

/// Nothing.
pub fn reloading() {}

/// Nothing.
pub fn stopping() {}

/// Nothing.
pub fn status(_text: &str) {}

/// No watchdog.
pub fn watch(_control: &Control) -> io::Result<()> {
    Ok(())
}

/// The configuration as it is, and nothing that was passed.
#[derive(Debug)]
pub struct Inheritance {
    /// As given.
    pub config: Config,
    /// Nothing.
    pub inherited: Inherited,
    /// Nothing.
    pub kept: KeptSockets,
    /// [`Command::Drain`]: nobody else has the sockets.
    pub ending: Command,
}

/// No sockets that anybody else has.
#[derive(Debug)]
pub struct KeptSockets;

impl KeptSockets {
    /// The configuration as it is.
    pub fn listen(&self, config: Config) -> Result<Config, String> {
        Ok(config)
    }

    /// No sockets.
    pub fn change(&mut self, _before: &Config, _config: &Config) -> BoundSockets {
        BoundSockets::new()
    }
}

/// Nothing to take.
pub fn inherit(config: Config) -> Result<Inheritance, RunError> {
    Ok(Inheritance {
        config,
        inherited: Inherited::default(),
        kept: KeptSockets,
        ending: Command::Drain,
    })
}

/// Nobody takes it.
pub fn leave(_cache: &CacheAccess, _limit: usize) {}
