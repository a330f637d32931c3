//! The command line as a command, with the settings of those that have some.

use std::path::Path;

use argh::FromArgs as _;

use super::argv::Argv;
use super::certificate::Order;
use super::commands::{
    Arguments, Bench, Check, Dnr, Effective, Prove, Query, ResolvConf, Serve, Subcommand, Tcp, Udp,
};
use super::control::ControlOrder;
use super::dnr::dnr;
use super::effective::effective;
use super::file::Missing;
use super::hook_up::hook_up;
use super::import::Import;
use super::options::Options;
use super::queries::{Ask, Contest, Proving};
use super::settings::Settings;
use super::sources::Sources;
use super::{Command, UsageError};
use crate::config::{Modes, Policy};

/// What is to be done with the settings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Serve,
    Check,
    Print,
    HookUp,
    Dnr,
}

impl Sources {
    /// What the user wants.
    pub fn read(&self) -> Result<Command, UsageError> {
        let mut argv = Argv::read(self.arguments(), Options::KNOWN)?;
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
        let typed = match typed.subcommand {
            None => None,
            Some(typed) => match ControlOrder::read(typed, self)? {
                Ok(order) => return Ok(Command::Control(order)),
                Err(other) => Some(other),
            },
        };
        let (purpose, modes, options) = match typed {
            None => {
                return Err(UsageError(
                    "a command is missing: udp, tcp, serve, check, config, resolv-conf, certificate, import, dnr, query, bench, prove, providers, status, explain, why, flush, reload, log-level or trace; see dotward --help".to_owned(),
                ));
            }
            Some(Subcommand::Providers(_)) => return Ok(Command::Providers),
            Some(Subcommand::Certificate(options)) => {
                return Order::read(options).map(Command::Certificate);
            }
            Some(Subcommand::Import(options)) => {
                return Import::read(options, self).map(Command::Import);
            }
            Some(Subcommand::Query(Query(options))) => {
                let ask = Ask::read(self, options, &argv.typed)?;
                return Ok(Command::Query(Box::new(ask)));
            }
            Some(Subcommand::Bench(Bench(options))) => {
                let contest = Contest::read(self, options, &argv.typed)?;
                return Ok(Command::Bench(Box::new(contest)));
            }
            Some(Subcommand::Prove(Prove(options))) => {
                let order = Proving::read(self, options, &argv.typed)?;
                return Ok(Command::Prove(Box::new(order)));
            }
            Some(
                Subcommand::Status(_)
                | Subcommand::Explain(_)
                | Subcommand::Why(_)
                | Subcommand::Flush(_)
                | Subcommand::Reload(_)
                | Subcommand::LogLevel(_)
                | Subcommand::Trace(_),
            ) => return Err(UsageError("this was read before".to_owned())),
            Some(Subcommand::Udp(Udp(options))) => (Use::Serve, Modes::Udp, options),
            Some(Subcommand::Tcp(Tcp(options))) => (Use::Serve, Modes::Tcp, options),
            Some(Subcommand::Serve(Serve(options))) => (Use::Serve, Modes::UdpAndTcp, options),
            Some(Subcommand::Check(Check(options))) => (Use::Check, told, options),
            Some(Subcommand::Effective(Effective(options))) => (Use::Print, told, options),
            Some(Subcommand::ResolvConf(ResolvConf(options))) => (Use::HookUp, told, options),
            Some(Subcommand::Dnr(Dnr(options))) => (Use::Dnr, told, options),
        };
        let given = self.given(options)?;
        let missing = match purpose {
            Use::Serve => Missing::Make,
            Use::Check => Missing::CouldBeMade,
            Use::Print | Use::HookUp | Use::Dnr => Missing::Ignore,
        };
        let settings = Settings::read(modes, &given, self, missing)?;
        Ok(match purpose {
            Use::Serve => Command::Serve(settings),
            Use::Check => match argv.probe {
                Some(probe) => Command::Probe(settings, probe),
                None => Command::Check(settings),
            },
            Use::Print => Command::Config(effective(&given, Options::KNOWN)),
            Use::Dnr => Command::Dnr(dnr(&argv.typed, &settings)?),
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
}

impl Settings {
    /// Reads the same sources again: the same arguments and variables, and the files as they are now.
    pub fn reload(&self) -> Result<Self, UsageError> {
        self.sources.settings()
    }
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
