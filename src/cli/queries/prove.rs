//! What `dotward prove` is to find out, and by what.

use super::super::UsageError;
use super::super::control::control_socket;
use super::super::name_servers::{self, MOST, named, read_file};
use super::super::options::Options;
use super::super::origin::Origin;
use super::super::settings::Settings;
use super::super::sources::Sources;
use super::super::typed::Typed;
use super::orders::{settings, upstreams};
use super::question::{Question, read_name};
use crate::config::{Config, DNS_PORT, Upstream, server_address};
use domain::base::iana::Rtype;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// As for a probe: signed with DNSSEC, and known to every resolver of the Internet (RFC 2606).
const NAME: &str = "example.com";
/// Where a running program is looked for that nobody names, and where the unit for systemd has it.
const CONTROL_SOCKET: &str = "/run/dotward/control.sock";
/// Octets that a label takes which is put before the name.
const LABEL: usize = 24;
/// The octets of the longest name (RFC 1035 section 3.1).
const MOST_OCTETS: usize = 255;

/// What is to be found out.
#[derive(Clone, Debug)]
pub struct Proving {
    /// The name of the runtime.
    pub runtime: String,
    /// How upstreams are reached.
    pub config: Config,
    /// The upstreams that are configured here for the name, or the default ones.
    pub upstreams: Vec<Upstream>,
    /// Somebody has configured them: they are not the default.
    pub is_configured: bool,
    /// The file that was read.
    pub file: Option<String>,
    /// Below which name a real question is asked.
    pub question: Question,
    /// This server is asked instead of the resolver of the system.
    pub resolver: Option<SocketAddr>,
    /// The file that names the servers of the system, and those.
    pub servers: (&'static str, Vec<SocketAddr>),
    /// Where a running dotward may be asked for details.
    pub socket: PathBuf,
    /// One JSON document is printed.
    pub json: bool,
}

impl Proving {
    /// Reads what was typed, and the settings.
    pub(in super::super) fn read(
        sources: &Sources,
        options: Options,
        typed: &Typed,
    ) -> Result<Self, UsageError> {
        let name = match typed.words() {
            [] => NAME,
            [name] => name,
            [_, second, ..] => {
                return Err(UsageError(format!(
                    "{second:?} is too much: dotward prove takes one NAME at most"
                )));
            }
        };
        let question = Question {
            name: read_name(name)?,
            rtype: Rtype::A.to_int(),
        };
        if question.name.len() + LABEL > MOST_OCTETS {
            let why = "is too long to have a name below it, which is asked for";
            return Err(UsageError(format!("NAME {name:?}: {why}")));
        }
        let resolver = typed.one("--resolver").map(|text| {
            server_address(text, DNS_PORT)
                .map_err(|why| UsageError(format!("--resolver {text:?}: {why}")))
        });
        let resolver = resolver.transpose()?;
        let given = sources.given(options)?;
        let upstream = given.values("upstream").map(|values| &values.origin);
        let is_configured = upstream.is_some_and(|origin| *origin != Origin::Default);
        // A path that cannot be one of a socket is told when it is tried.
        let socket = given.one("control_socket", control_socket);
        let socket = socket.unwrap_or_default().flatten();
        let Settings {
            runtime,
            config,
            file,
            ..
        } = settings(sources, given, Vec::new(), "")?;
        let upstreams = upstreams(&config, &question)?.to_vec();
        let root = sources.root().unwrap_or(Path::new("/"));
        let mut servers = match resolver {
            Some(server) => vec![server],
            None => named(&read_file(root, name_servers::FILE).unwrap_or_default()),
        };
        servers.truncate(MOST);
        Ok(Self {
            runtime,
            config,
            upstreams,
            is_configured,
            file,
            question,
            resolver,
            servers: (name_servers::FILE, servers),
            socket: socket.unwrap_or_else(|| PathBuf::from(CONTROL_SOCKET)),
            json: typed.has("--json"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Command, Sources};
    use super::*;
    use std::ffi::OsString;

    fn order(line: &str) -> Result<Proving, String> {
        let words = line.split_whitespace().map(OsString::from);
        match Sources::new(words, []).read() {
            Ok(Command::Prove(order)) => Ok(*order),
            Ok(other) => panic!("{line}: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    // req 133
    #[test]
    fn what_is_typed_says_what_is_asked() {
        let usual = order("prove").unwrap();
        assert_eq!(usual.question.name, b"\x07example\x03com\0");
        assert_eq!(usual.resolver, None);
        assert_eq!(usual.socket, PathBuf::from(CONTROL_SOCKET));
        assert!(!usual.is_configured && !usual.json);
        let line = "prove a.test --resolver [::1]:5300 --json --upstream quad9";
        let given = order(line).unwrap();
        assert_eq!(given.question.name, b"\x01a\x04test\0");
        let server = "[::1]:5300".parse().unwrap();
        assert_eq!(given.resolver, Some(server));
        assert_eq!(given.servers.1, [server]);
        assert!(given.is_configured && given.json);
        assert_eq!(given.upstreams[0].label(), "quad9");
        let bare = order("prove --resolver 192.0.2.1").unwrap();
        assert_eq!(bare.resolver.map(|server| server.port()), Some(53));
    }

    // fault 159
    #[test]
    fn what_cannot_be_found_out_is_refused_with_the_reason() {
        let long = ["a".repeat(60).as_str(); 4].join(".");
        for (line, part) in [
            ("prove a.test b.test", "\"b.test\" is too much"),
            ("prove a..b", "NAME \"a..b\": is no name"),
            (&format!("prove {long}"), "is too long"),
            ("prove --resolver nowhere", "--resolver \"nowhere\": "),
            ("prove --resolver", "--resolver needs a value"),
            ("prove --resolver ::1 --resolver ::1", "given twice"),
            ("prove --server quad9", "--server"),
        ] {
            let error = order(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
            assert!(!error.contains('\n'), "{error:?}");
        }
    }
}
