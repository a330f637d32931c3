//! What to do about an address that cannot be bound, for people: which of several remedies helps depends on what runs the program.

use std::env;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Ports below this one require a privilege on Unix, unless the system is configured otherwise.
const FIRST_UNPRIVILEGED_PORT: u16 = 1_024;

/// What runs the program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RunBy {
    Systemd,
    Container,
    /// A person or a script, from this path.
    Command(String),
}

impl RunBy {
    fn of_process() -> Self {
        Self::of(|name| env::var_os(name), Path::new("/"))
    }

    /// By variables, and the files of the system, which are below `root`.
    fn of(variable: impl Fn(&str) -> Option<OsString>, root: &Path) -> Self {
        let is_set = |name| variable(name).is_some();
        // A terminal of a session that systemd started has inherited the other two, with the number of another process.
        let by_systemd = match variable("SYSTEMD_EXEC_PID") {
            Some(pid) => pid.to_str() == Some(&std::process::id().to_string()),
            None => is_set("INVOCATION_ID"),
        };
        let has = |file| root.join(file).exists();
        if by_systemd || is_set("NOTIFY_SOCKET") {
            Self::Systemd
        } else if is_set("KUBERNETES_SERVICE_HOST") || has(".dockerenv") || has("run/.containerenv")
        {
            Self::Container
        } else {
            let path = env::current_exe().ok();
            let path = path.map(|path| path.display().to_string());
            // What people can neither read nor copy helps nobody.
            let path = path.filter(|path| !path.contains(char::is_control));
            Self::Command(path.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned()))
        }
    }

    /// How it is allowed to bind this port, in the order in which a person would try.
    fn remedy(&self, port: u16) -> String {
        let sysctl = format!("sysctl net.ipv4.ip_unprivileged_port_start={port}");
        match self {
            Self::Systemd => format!(
                "Add AmbientCapabilities=CAP_NET_BIND_SERVICE below [Service] in the unit (`systemctl edit`), or run `sudo {sysctl}`, \
                 which allows it to every program"
            ),
            Self::Container => format!(
                "Start the container with `--sysctl net.ipv4.ip_unprivileged_port_start={port}` (Kubernetes: securityContext.sysctls), or, \
                 if it is on the host's network, run `sudo {sysctl}` on the host"
            ),
            Self::Command(path) => format!(
                "Run `sudo setcap cap_net_bind_service=+ep {}`, or `sudo {sysctl}`, which allows it to every program",
                quoted(path)
            ),
        }
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A port in the place of this one that requires no privilege.
fn unprivileged(port: u16) -> u16 {
    match port {
        53 => 5_300,
        _ => 8_000 + port,
    }
}

/// An error of a bind in one line: the address, the reason, and a remedy where one is known.
pub fn bind_advice(addr: SocketAddr, error: &io::Error) -> String {
    advice(addr, error, RunBy::of_process)
}

fn advice(addr: SocketAddr, error: &io::Error, run_by: impl Fn() -> RunBy) -> String {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied if addr.port() < FIRST_UNPRIVILEGED_PORT => format!(
            ": ports below {FIRST_UNPRIVILEGED_PORT} require a privilege. {}. Or use another port, such as {}",
            run_by().remedy(addr.port()),
            unprivileged(addr.port())
        ),
        io::ErrorKind::AddrInUse => {
            ": another program uses this address and port; `ss -lntup` shows which. Stop it, or \
             choose another address or port"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            ": no interface of this host has this address; `ip address` shows those it has"
                .to_owned()
        }
        _ => String::new(),
    };
    format!("cannot listen on {addr}: {error}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(addr: &str, errno: i32, run_by: &RunBy) -> String {
        let error = io::Error::from_raw_os_error(errno);
        advice(addr.parse().unwrap(), &error, || run_by.clone())
    }

    #[test]
    fn advice_names_address_error_and_the_remedy_that_helps_here() {
        // fault 87; 13 is EACCES.
        let sysctl = "sysctl net.ipv4.ip_unprivileged_port_start=53";
        let command = RunBy::Command("/opt/my dns/dotward".to_owned());
        for (run_by, first, others, useless) in [
            (
                RunBy::Systemd,
                "Add AmbientCapabilities=CAP_NET_BIND_SERVICE below [Service] in the unit (`systemctl edit`), or ",
                &[sysctl][..],
                &["setcap", "container"][..],
            ),
            (
                RunBy::Container,
                "Start the container with `--sysctl net.ipv4.ip_unprivileged_port_start=53` ",
                &[sysctl, "Kubernetes: securityContext.sysctls"],
                &["setcap", "AmbientCapabilities"],
            ),
            (
                command,
                "Run `sudo setcap cap_net_bind_service=+ep '/opt/my dns/dotward'`, or ",
                &[sysctl],
                &["AmbientCapabilities", "container"],
            ),
        ] {
            let denied = told("127.0.0.1:53", 13, &run_by);
            let start = "cannot listen on 127.0.0.1:53: ";
            assert!(denied.starts_with(start), "{denied}");
            let remedy = format!("(os error 13): ports below 1024 require a privilege. {first}");
            assert!(denied.contains(&remedy), "{denied}");
            for part in others {
                assert!(denied.contains(part), "{part} is not in {denied}");
            }
            for part in useless {
                assert!(!denied.contains(part), "{part} is in {denied}");
            }
            assert!(denied.ends_with(". Or use another port, such as 5300"));
            assert!(!denied.contains('\n'));
            assert!(!told("127.0.0.1:5300", 13, &run_by).contains("sysctl"));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_busy_and_a_foreign_address_are_explained() {
        // fault 87; 98, 99 are EADDRINUSE, EADDRNOTAVAIL.
        let told = |addr: &str, errno| told(addr, errno, &RunBy::Systemd);
        assert!(told("[::1]:53", 98).starts_with("cannot listen on [::1]:53: "));
        assert!(told("[::1]:53", 98).contains("another program uses this address"));
        assert!(told("192.0.2.1:53", 99).contains("no interface of this host"));
    }

    #[test]
    fn what_runs_the_program_is_told_by_variables_and_files() {
        // fault 87
        let root = env::temp_dir().join(format!("dotward-run-by-{}", std::process::id()));
        let own = std::process::id().to_string();
        let by = |variables: &[(&str, &str)], file: Option<&str>| {
            std::fs::create_dir_all(root.join("run")).unwrap();
            if let Some(file) = file {
                std::fs::write(root.join(file), "").unwrap();
            }
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
            let run_by = RunBy::of(|name| Some(value(name)?.1.into()), &root);
            std::fs::remove_dir_all(&root).unwrap();
            run_by
        };
        let (invocation, kubernetes) = (
            ("INVOCATION_ID", "0f"),
            ("KUBERNETES_SERVICE_HOST", "192.0.2.1"),
        );
        for variables in [
            &[invocation][..],
            &[("NOTIFY_SOCKET", "/run/systemd/notify")],
            &[invocation, ("SYSTEMD_EXEC_PID", &own)],
            &[invocation, kubernetes],
        ] {
            assert_eq!(by(variables, None), RunBy::Systemd, "{variables:?}");
        }
        for file in [".dockerenv", "run/.containerenv"] {
            assert_eq!(by(&[], Some(file)), RunBy::Container, "{file}");
        }
        assert_eq!(by(&[kubernetes], None), RunBy::Container);
        // As in a terminal of a desktop that systemd started.
        let terminal = by(&[invocation, ("SYSTEMD_EXEC_PID", "1")], None);
        for run_by in [terminal, by(&[], None)] {
            let RunBy::Command(path) = run_by else {
                panic!("{run_by:?}")
            };
            assert!(Path::new(&path).is_file(), "{path}");
        }
    }
}
