//! Which of the sockets that were passed are served. Pure: their addresses are arguments.

use crate::config::Modes;
use std::fmt;
use std::net::SocketAddr;

/// What is spoken at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Udp,
    Tcp,
}

impl Protocol {
    fn is_of(self, modes: Modes) -> bool {
        match self {
            Self::Udp => modes.udp(),
            Self::Tcp => modes.tcp(),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// A socket that was passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// By the manager: that of the socket unit, or the one that an earlier process gave it.
    pub name: String,
    pub protocol: Protocol,
    pub addr: SocketAddr,
}

impl Passed {
    /// Did an earlier process of this program leave it? A socket unit is written by the user.
    pub fn is_left(&self) -> bool {
        self.name == store_name(self.protocol, self.addr)
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a {} socket of {} ({})",
            self.protocol, self.addr, self.name
        )
    }
}

/// The name under which a socket is left to the manager, where names have no colons.
pub fn store_name(protocol: Protocol, addr: SocketAddr) -> String {
    let protocol = match protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
    };
    format!("{protocol}-{addr}").replace(':', "_")
}

/// What becomes of the sockets.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The addresses to listen on, if the sockets decide.
    pub listen: Option<Vec<SocketAddr>>,
    /// In the order in which they were passed: is it served? An earlier process left the others, under another configuration.
    pub serves: Vec<bool>,
}

/// Matches what was passed with the addresses that are configured: those of `encrypted`, which decide for themselves, and those without
/// encryption, which the user has `named` or not. An error says which socket is no use.
pub fn plan(
    passed: &[Passed],
    listen: &[SocketAddr],
    named: bool,
    modes: Modes,
    encrypted: &[SocketAddr],
) -> Result<Plan, String> {
    let is_encrypted =
        |one: &Passed| one.protocol == Protocol::Tcp && encrypted.contains(&one.addr);
    let of_units = passed
        .iter()
        .filter(|one| !one.is_left() && !is_encrypted(one));
    let of_units: Vec<&Passed> = of_units.collect();
    if let Some(wrong) = of_units.iter().find(|one| !one.protocol.is_of(modes)) {
        let other = match wrong.protocol {
            Protocol::Udp => Protocol::Tcp,
            Protocol::Tcp => Protocol::Udp,
        };
        return Err(format!(
            "the service manager passed {wrong}, and only {other} is served: use `dotward serve`"
        ));
    }
    let mut by_sockets: Vec<SocketAddr> = Vec::new();
    for one in &of_units {
        if !by_sockets.contains(&one.addr) {
            by_sockets.push(one.addr);
        }
    }
    let decides = !named && !by_sockets.is_empty();
    let addresses = if decides { &by_sockets[..] } else { listen };
    if let Some(wrong) = of_units.iter().find(|one| !addresses.contains(&one.addr)) {
        let named: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        return Err(format!(
            "the service manager passed {wrong}, which is none of the configured addresses ({}): let the two agree, or configure no \
             address",
            named.join(", ")
        ));
    }
    let is_plain = |one: &Passed| addresses.contains(&one.addr) && one.protocol.is_of(modes);
    let serves = passed.iter();
    let serves = serves
        .map(|one| is_encrypted(one) || is_plain(one))
        .collect();
    Ok(Plan {
        listen: decides.then_some(by_sockets),
        serves,
    })
}

#[cfg(test)]
mod tests {
    use super::Protocol::{Tcp, Udp};
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn unit(protocol: Protocol, at: &str) -> Passed {
        Passed {
            name: "dotward.socket".to_owned(),
            protocol,
            addr: addr(at),
        }
    }

    fn left(protocol: Protocol, at: &str) -> Passed {
        let addr = addr(at);
        Passed {
            name: store_name(protocol, addr),
            protocol,
            addr,
        }
    }

    const V4: &str = "127.0.0.1:53";
    const V6: &str = "[::1]:53";
    const OTHER: &str = "192.0.2.1:53";

    /// The default addresses, which the user has not named.
    fn by_default(passed: &[Passed], modes: Modes) -> Result<Plan, String> {
        plan(passed, &[addr(V4), addr(V6)], false, modes, &[])
    }

    fn named(passed: &[Passed], listen: &[&str]) -> Result<Plan, String> {
        let listen: Vec<_> = listen.iter().map(|text| addr(text)).collect();
        plan(passed, &listen, true, Modes::UdpAndTcp, &[])
    }

    #[test]
    fn sockets_of_configured_addresses_are_served_whoever_bound_them() {
        for passed in [
            vec![],
            vec![unit(Udp, V4), unit(Tcp, V4)],
            vec![unit(Udp, V4), left(Udp, V4), left(Tcp, V6)],
        ] {
            let serves = vec![true; passed.len()];
            let plan = named(&passed, &[V4, V6]).unwrap();
            assert_eq!(
                plan,
                Plan {
                    listen: None,
                    serves
                }
            );
        }
    }

    #[test]
    fn without_a_configured_address_the_sockets_decide() {
        let passed = [
            unit(Tcp, OTHER),
            unit(Udp, OTHER),
            unit(Udp, V6),
            left(Udp, V4),
        ];
        let plan = by_default(&passed, Modes::UdpAndTcp).unwrap();
        assert_eq!(plan.listen, Some(vec![addr(OTHER), addr(V6)]));
        assert_eq!(plan.serves, [true, true, true, false]);
    }

    #[test]
    fn a_socket_where_clients_speak_tls_decides_nothing_for_the_others() {
        const TLS: &str = "192.0.2.1:853";
        let plan =
            |passed: &[Passed], modes| super::plan(passed, &[addr(V4)], false, modes, &[addr(TLS)]);
        let passed = [unit(Tcp, TLS), left(Tcp, TLS), left(Udp, V4)];
        let alone = plan(&passed, Modes::Udp).unwrap();
        assert_eq!((alone.listen, alone.serves), (None, vec![true; 3]));
        let beside = plan(&[unit(Tcp, TLS), unit(Udp, OTHER)], Modes::Udp).unwrap();
        assert_eq!(beside.listen, Some(vec![addr(OTHER)]));
        assert_eq!(beside.serves, [true, true]);
        assert_eq!(plan(&[left(Udp, TLS)], Modes::Udp).unwrap().serves, [false]);
    }

    #[test]
    fn what_an_earlier_process_left_decides_nothing() {
        let passed = [left(Udp, V4), left(Tcp, V4), left(Udp, OTHER)];
        let plan = by_default(&passed, Modes::Udp).unwrap();
        assert_eq!(plan.listen, None);
        assert_eq!(plan.serves, [true, false, false]);
        assert_eq!(
            named(&passed, &[OTHER]).unwrap().serves,
            [false, false, true]
        );
    }

    #[test]
    fn a_socket_of_no_configured_address_is_an_error_that_names_both() {
        let error = named(&[unit(Udp, V4), unit(Tcp, OTHER)], &[V4, V6]).unwrap_err();
        for part in [
            "a TCP socket of 192.0.2.1:53 (dotward.socket)",
            "(127.0.0.1:53, [::1]:53)",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        // The port and the family count, too.
        assert!(named(&[unit(Udp, "127.0.0.1:5300")], &[V4]).is_err());
        assert!(named(&[unit(Udp, "[::ffff:127.0.0.1]:53")], &[V4]).is_err());
    }

    #[test]
    fn a_socket_that_the_command_does_not_serve_is_an_error() {
        let error = by_default(&[unit(Udp, V4), unit(Tcp, V4)], Modes::Udp).unwrap_err();
        assert!(error.contains("a TCP socket of 127.0.0.1:53"), "{error}");
        assert!(error.contains("only UDP is served"), "{error}");
        assert!(by_default(&[unit(Udp, V4)], Modes::Tcp).is_err());
    }

    #[test]
    fn names_are_of_one_address_and_fit_the_manager() {
        assert_eq!(store_name(Udp, addr(V4)), "udp-127.0.0.1_53");
        assert_eq!(store_name(Tcp, addr(V6)), "tcp-[__1]_53");
        // Somebody else's name of the same kind is no sign of ours.
        let other = Passed {
            name: store_name(Udp, addr(V6)),
            ..unit(Udp, V4)
        };
        assert!(!other.is_left() && left(Udp, V4).is_left());
    }
}
