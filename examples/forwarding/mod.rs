//! What the examples share that drive the core themselves, `edge` and `wasi-http`. Each mounts it by its path.
#![forbid(unsafe_code)]

mod freshness;

pub use freshness::freshness;

use dotward::config::{Profile, Scheme, Upstream};

/// Reads upstreams, one in each line. An error says what is wrong.
pub fn upstreams(lines: &str, schemes: &[Scheme]) -> Result<Vec<Upstream>, String> {
    let specs = lines.lines().map(str::trim);
    let specs = specs.filter(|line| !line.is_empty());
    let read = specs.map(|spec| {
        let upstream = Upstream::parse(spec, schemes).map_err(|error| error.to_string())?;
        // Who drives the core here knows nothing of SVCB records, and connects to the addresses that it is told.
        let not_here = if upstream.designated_by().is_some() {
            "ddr:// is not for this module"
        } else if upstream.socks5().is_some() {
            "socks5 is not for this module: leave it out, and let the host connect through the proxy"
        } else {
            return Ok(upstream);
        };
        Err(format!("{}: {not_here}", upstream.label()))
    });
    read.collect()
}

/// Refuses what a host could not obey that makes the TLS connection itself: it verifies the certificate for the name, and no more.
pub fn verified_by_the_host(upstream: &Upstream) -> Result<(), String> {
    let is_simple = upstream.pins().is_empty()
        && upstream.profile() == Profile::Strict
        && upstream.client_files().is_none()
        && !upstream.early_data();
    if is_simple {
        return Ok(());
    }
    Err(format!(
        "{}: pin-sha256, profile, client-certificate and early-data are not for this module: TLS is the host's",
        upstream.label()
    ))
}
