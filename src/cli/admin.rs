//! The address at which metrics and health are served.

use std::net::SocketAddr;

use super::origin::option;
use crate::config::{Config, ConfigError, Listen, local_address};

/// The port unless one is given.
const PORT: u16 = 9_553;

/// Reads `IP`, `IP:PORT` or `[IPv6]:PORT`, or `off`. An error is the reason alone.
pub(super) fn admin(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        text => local_address(text, PORT).map(Some),
    }
}

/// What is wrong with this address if clients are served there, over TCP as it is.
pub(super) fn taken_by_clients(at: SocketAddr, config: &Config) -> Option<ConfigError> {
    let is_one = |other: SocketAddr| {
        let anywhere = at.ip().is_unspecified() || other.ip().is_unspecified();
        let meets = at.ip() == other.ip() || anywhere && at.is_ipv4() == other.is_ipv4();
        meets && at.port() == other.port() && at.port() != 0
    };
    let over_tcp = |listen: &&Listen| listen.modes(config.modes()).tcp();
    let mut listen = config.listen().iter().filter(over_tcp);
    let taken = listen.find(|listen| is_one(listen.addr()))?;
    let (by, addr) = (option(taken.setting()), taken.addr());
    let by = by.trim_start_matches('-');
    let reason = format!(
        "clients are served at {addr} ({by}), where metrics cannot be served, too: give them another port, such as {PORT}"
    );
    Some(ConfigError::new("admin", &at, reason))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use std::ffi::OsString;

    fn error(line: &str) -> Option<String> {
        let arguments = line.split_whitespace().map(OsString::from);
        Some(parse(arguments, []).err()?.to_string())
    }

    // fault 128
    #[test]
    fn metrics_and_clients_do_not_share_an_address() {
        let told = "--admin \"127.0.0.1:5300\": clients are served at 127.0.0.1:5300 (listen), where metrics cannot be served, too: \
                    give them another port, such as 9553";
        let line = "check --listen 127.0.0.1:5300 --admin";
        assert_eq!(error(&format!("{line} 127.0.0.1:5300")).unwrap(), told);
        for at in ["127.0.0.1:5301", "[::1]:5300", "127.0.0.2:5300"] {
            assert_eq!(error(&format!("{line} {at}")), None);
        }
        let anywhere = error(&format!("{line} 0.0.0.0:5300")).unwrap();
        assert!(anywhere.contains("clients are served at"), "{anywhere}");
        let all = "check --listen 0.0.0.0:5300 --admin 127.0.0.1:5300";
        assert!(error(all).unwrap().contains("at 0.0.0.0:5300"));
        // Over UDP it takes nothing away.
        let udp = "check udp --listen 127.0.0.1:5300 --admin 127.0.0.1:5300";
        assert_eq!(error(udp), None);
        let chosen = "check --listen 127.0.0.1:0 --admin 127.0.0.1:0";
        assert_eq!(error(chosen), None);
    }
}
