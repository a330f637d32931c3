//! What the parameters of an upstream mean, for `dotward check`.

use super::units::counted;
use crate::config::{Profile, Upstream};

/// What the parameters of an upstream mean. The contents of files are not shown.
pub(super) fn parameters(upstream: &Upstream) -> Vec<String> {
    let mut parts = Vec::new();
    if upstream.profile() == Profile::Opportunistic {
        parts.push("not authenticated (opportunistic)".to_owned());
    }
    let pins = upstream.pins().len();
    if pins > 0 {
        let name = if upstream.needs_name() {
            " beside its name"
        } else {
            " alone"
        };
        parts.push(format!("verified by {}{name}", counted(pins, "pinned key")));
    }
    if let Some((certificate, _)) = upstream.client_files() {
        parts.push(format!("client certificate {certificate:?}"));
    }
    if upstream.early_data() {
        parts.push("early data".to_owned());
    }
    if let Some(socks5) = upstream.socks5() {
        parts.push(format!("through the SOCKS5 proxy {}", socks5.proxy));
        if socks5.isolate {
            parts.push("isolated by domain".to_owned());
        }
    }
    parts
}
