//! What was read of another program's file, in dotward's terms.

use super::detect::Format;
use super::error::ImportError;
use super::options::{Given, Setting};
use super::remark::Remark;
use super::server::Server;
use super::source::Source;
use crate::config::Domain;
use std::net::IpAddr;

/// The most upstreams of a configuration, and of a route.
const MOST_SERVERS: usize = 64;
/// The most remarks: beyond it nobody reads on.
const MOST_REMARKS: usize = 500;

/// What queries for some domains are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Servers(Vec<Server>, Option<&'static str>),
    /// An answer in the place of a server: a word that `to` may be.
    Word(&'static str),
}

/// Domains with a way of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) line: usize,
    pub(super) domains: Vec<String>,
    pub(super) target: Target,
    pub(super) remarks: Vec<Remark>,
}

/// A configuration of dotward that is being made.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) file: String,
    pub(super) format: Format,
    pub(super) settings: Vec<Setting>,
    pub(super) servers: Vec<Server>,
    pub(super) ways: Vec<Way>,
    pub(super) hosts: Vec<(usize, String, Vec<IpAddr>)>,
    /// On what has no place of its own in the file that is written.
    pub(super) remarks: Vec<Remark>,
    /// Why the first server was left out.
    refused: Option<String>,
}

impl Draft {
    pub(super) fn new(source: &Source<'_>, format: Format) -> Self {
        Self {
            file: source.name().to_owned(),
            format,
            settings: Vec::new(),
            servers: Vec::new(),
            ways: Vec::new(),
            hosts: Vec::new(),
            remarks: Vec::new(),
            refused: None,
        }
    }

    /// A setting that has one value. The last one counts, as in most programs.
    pub(super) fn set(&mut self, line: usize, key: &'static str, value: impl Into<Given>) {
        self.settings.retain(|setting| setting.key != key);
        let value = value.into();
        self.settings.push(Setting { line, key, value });
    }

    /// A value more of a setting that may have several.
    pub(super) fn add(&mut self, line: usize, key: &'static str, text: String) {
        let mut settings = self.settings.iter_mut();
        match settings
            .find(|setting| setting.key == key)
            .map(|it| &mut it.value)
        {
            Some(Given::List(texts)) => {
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
            _ => self.set(line, key, Given::List(vec![text])),
        }
    }

    /// A server that everything is forwarded to of which nothing else is said.
    pub(super) fn serve(&mut self, server: Server) {
        if let Some(server) = self.usable(server) {
            self.servers.push(server);
        }
    }

    /// The server, unless dotward refuses it.
    fn usable(&mut self, server: Server) -> Option<Server> {
        match server.refused() {
            None => Some(server),
            Some(why) => {
                self.refuse(server.line, &server.spec(), &why);
                None
            }
        }
    }

    /// Leaves a server out.
    pub(super) fn refuse(&mut self, line: usize, server: &str, why: &str) {
        let text = format!("the server {server} is left out: {why}");
        let remark = Remark::new(line, &text);
        self.refused.get_or_insert_with(|| remark.told(&self.file));
        self.push(remark);
    }

    /// Servers for some domains and the names below.
    pub(super) fn route(
        &mut self,
        line: usize,
        domains: &[String],
        servers: Vec<Server>,
        policy: Option<&'static str>,
    ) {
        let usable: Vec<Server> = servers
            .into_iter()
            .filter_map(|server| self.usable(server))
            .collect();
        if usable.is_empty() {
            // To forward these names as all others would tell a public resolver of them.
            self.answer_instead(line, domains, "refuse");
            self.remark(
                line,
                "no server of this zone could be carried over: dotward refuses its names, and forwards them to nobody else",
            );
            return;
        }
        let policy = policy.filter(|_| usable.len() > 1);
        self.way(line, domains, Target::Servers(usable, policy));
    }

    /// An answer for some domains and the names below, without asking anybody.
    pub(super) fn answer_instead(&mut self, line: usize, domains: &[String], word: &'static str) {
        self.way(line, domains, Target::Word(word));
    }

    fn way(&mut self, line: usize, domains: &[String], target: Target) {
        let mut fit = Vec::new();
        for domain in domains {
            match zone(domain) {
                Some(zone) => fit.push(zone),
                None => self.remark(line, &format!("{domain:?} is no domain, and is left out")),
            }
        }
        if !fit.is_empty() {
            self.ways.push(Way {
                line,
                domains: fit,
                target,
                remarks: Vec::new(),
            });
        }
    }

    /// A name of the user's own.
    pub(super) fn host(&mut self, line: usize, name: &str, address: IpAddr) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match self.hosts.iter_mut().find(|(_, known, _)| *known == name) {
            Some((_, _, addresses)) => addresses.push(address),
            None => self.hosts.push((line, name, vec![address])),
        }
    }

    /// Something that is different in dotward.
    pub(super) fn remark(&mut self, line: usize, text: &str) {
        self.push(Remark::new(line, text));
    }

    fn push(&mut self, remark: Remark) {
        if self.remarks.len() < MOST_REMARKS && !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// A setting of the other program, with the reason why it is not carried over.
    pub(super) fn left_out(&mut self, line: usize, setting: &str, value: &str, why: &str) {
        let written = if value.is_empty() {
            setting.to_owned()
        } else {
            format!("{setting} {value}")
        };
        self.remark(line, &format!("{written} is not carried over: {why}"));
    }

    /// A setting of the other program that dotward has nothing like.
    pub(super) fn unknown(&mut self, line: usize, setting: &str, value: &str) {
        self.left_out(line, setting, value, "dotward has no such setting");
    }

    /// A setting whose value cannot be read.
    pub(super) fn unreadable(&mut self, line: usize, setting: &str, value: &str) {
        self.left_out(line, setting, value, "it cannot be read");
    }

    /// A server that is not encrypted.
    pub(super) fn note_plaintext(server: &mut Server) {
        if !server.protocol.is_encrypted() {
            server.remark(
                "this server was asked without encryption, and is still: everybody on the way can read the queries",
            );
        }
    }

    /// Makes sure that no default gets the names of which the other program's file says nothing. There has to be an upstream; a route for all names
    /// sees to it that it is asked for none of them.
    fn forward_no_others(&mut self) {
        let mut targets = self.ways.iter().map(|way| &way.target);
        let first = targets.find_map(|target| match target {
            Target::Servers(servers, _) => servers.first().cloned(),
            Target::Word(_) => None,
        });
        let Some(mut first) = first else { return };
        first.remarks.clear();
        if !self.ways.iter().any(|way| way.domains == ["."]) {
            self.answer_instead(0, &[".".to_owned()], "refuse");
            let text = "no server is named for all other names, and dotward resolves none by itself: it refuses them until upstream is a resolver for them and \
                        the route \".\" is removed";
            first.remark(text);
        }
        self.servers.push(first);
    }

    /// Makes a whole of it. An error says that there is nothing to forward to.
    pub(super) fn finish(&mut self, source: &Source<'_>) -> Result<(), ImportError> {
        let has_servers = |way: &Way| matches!(way.target, Target::Servers(..));
        if self.servers.is_empty() && !self.ways.iter().any(has_servers) {
            return Err(match self.refused.take() {
                Some(refused) => ImportError(refused),
                None => source.error_of_all(format_args!(
                    "as a file of {} it names no server to forward to; --from says of which program it is",
                    self.format.name()
                )),
            });
        }
        if self.servers.is_empty() {
            self.forward_no_others();
        }
        if self.servers.len() > MOST_SERVERS {
            let line = self
                .servers
                .get(MOST_SERVERS)
                .map_or(0, |server| server.line);
            self.servers.truncate(MOST_SERVERS);
            let text =
                format!("there can be {MOST_SERVERS} upstreams: those from here on are left out");
            self.remark(line, &text);
        }
        let servers = self.servers.iter();
        let of_ways = self.ways.iter().flat_map(|way| match &way.target {
            Target::Servers(servers, _) => servers.as_slice(),
            Target::Word(_) => &[],
        });
        let is_named = servers.chain(of_ways).any(|server| !server.is_address());
        let several = self.servers.len() > 1;
        // They would have no effect, of which dotward warns.
        self.settings.retain(|setting| match setting.key {
            "policy" => several,
            "bootstrap" => is_named,
            _ => true,
        });
        Ok(())
    }
}

/// A domain as dotward writes it, for itself and all names below.
pub(super) fn zone(text: &str) -> Option<String> {
    let bare = text.strip_prefix("*.").unwrap_or(text);
    let bare = bare.trim_start_matches('.');
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let bare = if bare.is_empty() { "." } else { bare };
    bare.parse::<Domain>().ok()?;
    Some(bare.to_ascii_lowercase())
}
