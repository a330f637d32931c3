//! What settings are read from: arguments, environment variables and files.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use argh::FromArgs as _;

use super::argv::Argv;
use super::commands::{Arguments, Check, Effective, ResolvConf, Serve, Subcommand, Tcp, Udp};
use super::effective::effective;
use super::file::{File, Missing, find, usual_places};
use super::given::Given;
use super::hook_up::hook_up;
use super::options::Options;
use super::origin::PREFIX;
use super::settings::Settings;
use super::{Command, UsageError};
use crate::config::{Modes, Policy};

/// All that settings are read from. They can be read again, for example when the file has changed.
#[derive(Clone, Debug)]
pub struct Sources {
    arguments: Vec<OsString>,
    /// This program's own.
    variables: Vec<(OsString, OsString)>,
    /// Where the configuration file is looked for that nobody names.
    usual: Vec<PathBuf>,
    /// Below which the files of this host are.
    root: Option<PathBuf>,
}

/// What is to be done with the settings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Serve,
    Check,
    Print,
    HookUp,
}

impl Sources {
    /// Arguments, without the program's name, and environment variables, of which only `DOTWARD_*` matter. No file is looked for.
    pub fn new(
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let is_own = |(name, _): &(OsString, OsString)| {
            name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
        };
        Self {
            arguments: arguments.into_iter().collect(),
            variables: variables.into_iter().filter(is_own).collect(),
            usual: Vec::new(),
            root: None,
        }
    }

    /// The first of these files that there is counts, unless another one is named.
    #[must_use]
    pub fn with_usual_files(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.usual = files.into_iter().collect();
        self
    }

    /// The files of this host, which say which name servers it uses, are below this folder. Without one it has no name servers.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// Those of this process.
    pub fn of_process() -> Self {
        let usual = usual_places(
            env::var_os("XDG_CONFIG_HOME").as_deref(),
            env::var_os("HOME").as_deref(),
            is_root(),
        );
        Self::new(env::args_os().skip(1), env::vars_os())
            .with_usual_files(usual)
            .with_root("/")
    }

    /// What the user wants.
    pub fn read(&self) -> Result<Command, UsageError> {
        let mut argv = Argv::read(self.arguments.iter().cloned(), Options::KNOWN)?;
        if argv.arguments.is_empty() {
            argv.arguments.push("--help".to_owned());
        }
        let arguments: Vec<&str> = argv.arguments.iter().map(String::as_str).collect();
        let typed = match Arguments::from_args(&[env!("CARGO_PKG_NAME")], &arguments) {
            Ok(typed) => typed,
            Err(exit) if exit.status.is_ok() => return Ok(Command::Help(help_text(&exit.output))),
            Err(exit) => return Err(UsageError(one_line(&exit.output))),
        };
        if typed.version {
            return Ok(Command::Version);
        }
        let told = argv.modes.unwrap_or(Modes::UdpAndTcp);
        let (purpose, modes, options) = match typed.subcommand {
            None => {
                return Err(UsageError(
                    "a command is missing: udp, tcp, serve, check, config, resolv-conf or providers; see dotward --help".to_owned(),
                ));
            }
            Some(Subcommand::Providers(_)) => return Ok(Command::Providers),
            Some(Subcommand::Udp(Udp(options))) => (Use::Serve, Modes::Udp, options),
            Some(Subcommand::Tcp(Tcp(options))) => (Use::Serve, Modes::Tcp, options),
            Some(Subcommand::Serve(Serve(options))) => (Use::Serve, Modes::UdpAndTcp, options),
            Some(Subcommand::Check(Check(options))) => (Use::Check, told, options),
            Some(Subcommand::Effective(Effective(options))) => (Use::Print, told, options),
            Some(Subcommand::ResolvConf(ResolvConf(options))) => (Use::HookUp, told, options),
        };
        let given = self.given(options)?;
        let missing = match purpose {
            Use::Serve => Missing::Make,
            Use::Check => Missing::CouldBeMade,
            Use::Print | Use::HookUp => Missing::Ignore,
        };
        let settings = Settings::read(modes, &given, self, missing)?;
        Ok(match purpose {
            Use::Serve => Command::Serve(settings),
            Use::Check => match argv.probe {
                Some(probe) => Command::Probe(settings, probe),
                None => Command::Check(settings),
            },
            Use::Print => Command::Config(effective(&given, Options::KNOWN)),
            Use::HookUp => {
                let root = self.root().unwrap_or(Path::new("/"));
                Command::ResolvConf(hook_up(root, settings.config.listen()))
            }
        })
    }

    /// The settings, for a command that has some.
    pub(super) fn settings(&self) -> Result<Settings, UsageError> {
        match self.read()? {
            Command::Serve(settings) | Command::Check(settings) | Command::Probe(settings, _) => {
                Ok(settings)
            }
            _ => Err(UsageError("this command has no settings".to_owned())),
        }
    }

    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    fn given(&self, options: Options) -> Result<Given, UsageError> {
        let variables = self.variables.iter().cloned();
        let given = Given::join(Options::KNOWN, options.into_texts(), variables)?;
        let named = given
            .values("config")
            .and_then(|values| values.texts.last());
        Ok(match find(named, &self.usual)? {
            Some((name, octets)) => {
                let file = File::read(&name, &octets, Options::KNOWN)?;
                given.with_file(file)
            }
            None => given,
        })
    }
}

fn is_root() -> bool {
    #[cfg(unix)]
    let is_root = rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    let is_root = false;
    is_root
}

/// Puts the policies in, which argh cannot since it takes literal texts alone. It also indents empty lines.
fn help_text(text: &str) -> String {
    let row = |(name, asks): &(&str, &str)| format!("{name:<25} {asks}");
    let policies: Vec<String> = Policy::ASKS.iter().map(row).collect();
    text.replace("{policies}", &policies.join("\n    "))
        .lines()
        .flat_map(|line| [line.trim_end(), "\n"])
        .collect()
}

/// argh spreads some errors over several lines.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    format!(
        "{}; see dotward --help",
        words.join(" ").trim_end_matches('.')
    )
}
