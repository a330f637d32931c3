//! A build without the feature `admin` serves no metrics. Stands in for `src/admin/mod.rs`.

use crate::config::lacking;
use crate::serve::Control;
use std::net::SocketAddr;

/// Nothing.
#[derive(Debug)]
pub struct Admin(());

impl Admin {
    /// An error: this build cannot.
    pub fn bind(_address: SocketAddr) -> Result<Self, String> {
        Err(format!(
            "the address for metrics (admin) {}",
            lacking("admin")
        ))
    }

    /// Nothing.
    pub fn serve(self, _control: &Control, _runtime: &str) -> Result<(), String> {
        Ok(())
    }
}
