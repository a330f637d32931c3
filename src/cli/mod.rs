//! The command line: arguments, environment variables and files in, a [`Command`] out.
//!
//! `argv` prepares the arguments for argh, `commands` declares the commands, and `options` the options: the one table of settings (`known`).
//! `environment` knows the variables, `file` reads the configuration file, and `given` joins what all of these say; every value stays text (`values`) with the place that it comes from
//! (`origin`), so that one parser serves all of them. `settings` makes a configuration of the texts with `upstreams`, `routes`, `hosts`, `units`, `words`,
//! `admin`, `split_key`, `listener_name`, `query_log`, `captive` and `zones`, and `warnings` names probable mistakes, with `operators` and `linkable`. `features` tells which optional parts there are. `name_servers` knows those of this host, and `hook_up` how it is made to use dotward. `certificate` makes one, `import` reads the configuration of another program, `control` has what is asked of a running program, `queries` reads what is to be asked or measured by hand, with `typed`, and `dnr` says how a network tells of it. `sources` does all of it, once or again. `effective` and `summary`, with `parameters`, tell people the result.

#[cfg_attr(not(feature = "admin"), path = "admin/absent.rs")]
mod admin;
mod argv;
mod captive;
#[cfg_attr(not(feature = "certificate"), path = "certificate/absent.rs")]
mod certificate;
mod commands;
#[cfg_attr(not(all(feature = "control", unix)), path = "control/absent.rs")]
mod control;
mod dnr;
mod effective;
mod environment;
mod features;
mod file;
mod given;
mod hook_up;
mod hosts;
#[cfg_attr(not(feature = "import"), path = "import/absent.rs")]
mod import;
mod known;
mod linkable;
mod listener_name;
mod loops;
mod name_servers;
mod operators;
mod options;
mod origin;
mod parameters;
#[cfg(all(unix, any(feature = "split", feature = "listen-tls")))]
mod permissions;
mod queries;
mod query_log;
mod read;
mod routes;
#[cfg_attr(not(feature = "listen-tls"), path = "server_certificate/absent.rs")]
mod server_certificate;
mod settings;
mod sources;
#[cfg_attr(not(feature = "split"), path = "split_key/absent.rs")]
mod split_key;
mod summary;
mod typed;
mod units;
mod upstreams;
mod values;
mod warnings;
mod words;
mod zones;

use std::ffi::OsString;
use std::fmt;

use crate::config::{Domain, providers};
pub use certificate::Order;
pub use control::ControlOrder;
pub use import::Import;
#[cfg(feature = "query")]
pub use queries::Question;
pub use queries::{Ask, Contest, Proving};
pub use query_log::{LogSink, LoggedClients, QueryLogTo};
pub use settings::Settings;
pub use sources::Sources;

/// What the user wants the program to do.
#[derive(Debug)]
pub enum Command {
    /// Forward queries until told to stop.
    Serve(Settings),
    /// Check the options, variables and files, and tell what serving would do.
    Check(Settings),
    /// Check, and contact the upstreams.
    Probe(Settings, Probe),
    /// Print this configuration file.
    Config(String),
    /// Print this: how to make this host use dotward.
    ResolvConf(String),
    /// Make a certificate, and print what to do with it.
    Certificate(Order),
    /// Write a configuration that was made of another program's.
    Import(Import),
    /// Have a running program do something, and print what comes of it.
    Control(ControlOrder),
    /// Print this: options of DHCP and of router advertisements.
    Dnr(String),
    /// Ask upstreams for a name, and print the answers.
    Query(Box<Ask>),
    /// Measure resolvers, and print how they compare.
    Bench(Box<Contest>),
    /// Find out whether this machine's queries are encrypted, and say so.
    Prove(Box<Proving>),
    /// Print the table of providers.
    Providers,
    /// Print the program's name and version, and the features that it was built with.
    Version,
    /// Print this help.
    Help(String),
}

/// How the upstreams are to be probed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Print a JSON document alone.
    pub json: bool,
    /// The name to look up, if not the usual one.
    pub name: Option<Domain>,
}

impl Command {
    /// Settings that are valid and probably a mistake, one line each.
    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Serve(settings) | Self::Check(settings) | Self::Probe(settings, _) => {
                &settings.warnings
            }
            Self::Import(import) => import.remarks(),
            Self::Config(_)
            | Self::ResolvConf(_)
            | Self::Certificate(_)
            | Self::Control(_)
            | Self::Dnr(_)
            | Self::Query(_)
            | Self::Bench(_)
            | Self::Prove(_)
            | Self::Providers
            | Self::Version
            | Self::Help(_) => &[],
        }
    }

    /// The text to print, for the commands that only print.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Serve(_)
            | Self::Certificate(_)
            | Self::Control(_)
            | Self::Query(_)
            | Self::Bench(_)
            | Self::Prove(_) => None,
            Self::Import(import) => import.text(),
            Self::Probe(_, probe) if probe.json => None,
            Self::Probe(settings, _) => Some(format!(
                "options, variables and files are valid (not tested: listening)\n{settings}\n"
            )),
            Self::Check(settings) => Some(format!(
                "options, variables and files are valid (not tested: listening, reaching upstreams)\n{settings}"
            )),
            Self::Providers => Some(providers::listing()),
            Self::Version => Some(features::version()),
            Self::Config(text) | Self::ResolvConf(text) | Self::Dnr(text) | Self::Help(text) => {
                Some(text.clone())
            }
        }
    }
}

/// Why the arguments, variables or files cannot be used, in one line. The exit code is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Reads this process's arguments, environment and files.
pub fn from_env() -> Result<Command, UsageError> {
    Sources::of_process().read()
}

/// Reads arguments, without the program's name, environment variables, of which only `DOTWARD_*` matter, and the files that they name.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Command, UsageError> {
    Sources::new(arguments, variables).read()
}

#[cfg(test)]
mod tests {
    use super::options::Options;
    use super::*;
    use crate::config::Policy;

    fn parse_line(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from), [])
    }

    fn error(line: &str) -> String {
        let error = parse_line(line).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error:?} is more than one line");
        error
    }

    fn help(line: &str) -> String {
        let Command::Help(text) = parse_line(line).unwrap() else {
            panic!("{line} is no call for help")
        };
        text
    }

    #[test]
    fn the_subcommand_decides_what_clients_speak() {
        for (line, udp, tcp) in [
            ("udp", true, false),
            ("tcp", false, true),
            ("serve", true, true),
        ] {
            let Command::Serve(settings) = parse_line(line).unwrap() else {
                panic!("{line} does not serve")
            };
            assert_eq!(
                (settings.config.modes().udp(), settings.config.modes().tcp()),
                (udp, tcp)
            );
        }
    }

    #[test]
    fn commands_that_only_print() {
        let text = |line| parse_line(line).unwrap().text().unwrap();
        let version = text("--version");
        assert!(version.starts_with("dotward 0.1.0\nfeatures: cli, "));
        assert_eq!(text("-V"), version);
        assert!(text("providers").starts_with("cloudflare\n"));
        let check = text("check udp --listen 127.0.0.1:5300 --upstream quad9 --upstream google");
        assert!(
            check.starts_with("options, variables and files are valid ("),
            "{check}"
        );
        assert!(check.contains("127.0.0.1:5300 over UDP\n"), "{check}");
        for (line, expected) in [
            ("check", "4 MiB for 0 to 1d, stale for up to 1d\n"),
            ("check", "  4s for a response, "),
            ("check", ", 10s idle\n"),
            (
                "check --min-ttl 2m --max-ttl 36h --serve-stale 90s",
                "4 MiB for 120s to 36h, stale for up to 90s\n",
            ),
            ("check --timeout 1500ms", "  1.5s for a response, "),
            ("check --tcp-idle 60m", ", 1h idle\n"),
        ] {
            let check = text(line);
            assert!(check.contains(expected), "{line}: {check}");
        }
        assert!(text("config").contains("\nlisten = \"loopback\"  # default\n"));
        assert_eq!(parse_line("serve").unwrap().text(), None);
    }

    #[test]
    fn a_value_may_follow_an_equals_sign() {
        let Command::Serve(settings) =
            parse_line("udp --listen=[::1]:5300 --upstream=quad9").unwrap()
        else {
            panic!("this does not serve")
        };
        assert_eq!(settings.config.listen()[0].addr().to_string(), "[::1]:5300");
    }

    #[test]
    fn wrong_arguments_are_named_in_one_line() {
        // fault 86
        for (line, part) in [
            ("forward", "forward"),
            ("serve --listn ::1", "--listn"),
            ("serve --listen", "--listen"),
            ("serve --timeout 4s --timeout 5s", "--timeout"),
            ("serve 127.0.0.1", "127.0.0.1"),
            (
                "serve --rotate=perhaps",
                "--rotate \"perhaps\": is neither true nor false",
            ),
            ("serve --hedge --hedge=no", "--hedge is given twice"),
            ("--version serve --xyzzy", "--xyzzy"),
            ("providers --listen ::1", "--listen"),
        ] {
            let error = error(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_argument_must_be_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let error = parse([OsString::from_vec(vec![b'u', 0xff])], []).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the argument \"u\u{fffd}\" is not valid UTF-8"
        );
    }

    #[test]
    fn help_fits_a_terminal_and_covers_every_option() {
        for line in [
            "",
            "-h",
            "--help",
            "help",
            "udp -h",
            "check -h",
            "config --help",
            "providers -h",
            "certificate --help",
            "import --help",
            "dnr --help",
            "status --help",
            "explain --help",
            "flush -h",
            "reload --help",
            "log-level --help",
            "trace help",
            "query --help",
            "bench -h",
            "prove --help",
            "udp --help",
            "tcp --help",
            "serve --help",
            "providers --help",
        ] {
            for row in help(line).lines() {
                assert!(
                    row.chars().count() <= 80 && row == row.trim_end(),
                    "{line}: {row:?}"
                );
            }
        }
        let text = help("serve --help");
        for (name, asks) in Policy::ASKS {
            assert!(text.contains(&format!("\n    {name:<25} {asks}\n")));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        for known in Options::KNOWN {
            let option = origin::option(known.name);
            let variable = format!("DOTWARD_{}", known.name.to_uppercase());
            assert!(words.contains(&option.as_str()), "{option}");
            let mut names = words.iter().map(|word| word.split('=').next());
            assert!(names.any(|name| name == Some(&variable)), "{variable}");
        }
    }
}
