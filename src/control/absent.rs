//! A build without the feature `control`, or for a system without Unix sockets, has no control socket. Stands in for `src/control/mod.rs`.

use crate::config::lacking;
use crate::reload::Reloads;
use crate::serve::Control;
use std::path::Path;

/// Nothing.
#[derive(Debug)]
pub struct ControlSocket(());

impl ControlSocket {
    /// An error: this build cannot.
    pub fn bind(_path: &Path) -> Result<Self, String> {
        Err(format!(
            "the control socket (control-socket) {}",
            lacking("control")
        ))
    }

    /// Nothing.
    pub fn serve(
        self,
        _control: &Control,
        _runtime: &str,
        _reloads: &Reloads,
    ) -> Result<(), String> {
        Ok(())
    }
}
