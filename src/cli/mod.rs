//! The command line: arguments and environment variables in, a [`Command`] out.
//!
//! `argv` prepares the arguments for argh, `arguments` declares the options, `given` joins their values with the environment variables,
//! `settings` makes a configuration of them with `units` and `zones`, and `warnings` names probable mistakes.

mod arguments;
mod argv;
mod given;
mod settings;
mod units;
mod warnings;
mod zones;

use std::env;
use std::ffi::OsString;
use std::fmt;

use argh::FromArgs as _;

use crate::config::providers;
use crate::config::{Modes, Policy};
use arguments::{Arguments, Options, Serve, Subcommand, Tcp, Udp};
use argv::Argv;
use given::Given;
pub use settings::Settings;

/// What the user wants the program to do.
#[derive(Debug)]
pub enum Command {
    /// Forward queries until told to stop.
    Serve(Settings),
    /// Check the options, variables and files, and do nothing else.
    Check(Settings),
    /// Print the table of providers.
    Providers,
    /// Print the program's name and version.
    Version,
    /// Print this help.
    Help(String),
}

impl Command {
    /// Settings that are valid and probably a mistake, one line each.
    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Serve(settings) | Self::Check(settings) => &settings.warnings,
            Self::Providers | Self::Version | Self::Help(_) => &[],
        }
    }

    /// The text to print, for the commands that only print.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Serve(_) => None,
            Self::Check(settings) => Some(format!(
                "options, variables and files are valid: {settings}; not tested: listening, reaching upstreams\n"
            )),
            Self::Providers => Some(providers::listing()),
            Self::Version => Some(
                concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"), "\n").to_owned(),
            ),
            Self::Help(text) => Some(text.clone()),
        }
    }
}

/// Why the arguments or variables cannot be used, in one line. The exit code is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Reads this process's arguments and environment.
pub fn from_env() -> Result<Command, UsageError> {
    parse(env::args_os().skip(1), env::vars_os())
}

/// Reads arguments, without the program's name, and environment variables, of which only
/// `DOTWARD_*` matter.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Command, UsageError> {
    let mut argv = Argv::read(arguments, Options::KNOWN)?;
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
    let (modes, options) = match typed.subcommand {
        None => {
            return Err(UsageError(
                "a command is missing: udp, tcp, serve or providers; see dotward --help".to_owned(),
            ));
        }
        Some(Subcommand::Providers(_)) => return Ok(Command::Providers),
        Some(Subcommand::Udp(Udp(options))) => (Modes::Udp, options),
        Some(Subcommand::Tcp(Tcp(options))) => (Modes::Tcp, options),
        Some(Subcommand::Serve(Serve(options))) => (Modes::UdpAndTcp, options),
    };
    let given = Given::join(Options::KNOWN, options.into_texts(), variables)?;
    let check = given.switch("check")?;
    let settings = Settings::read(modes, &given)?;
    Ok(if check {
        Command::Check(settings)
    } else {
        Command::Serve(settings)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(text("--version"), "dotward 0.1.0\n");
        assert_eq!(text("-V"), "dotward 0.1.0\n");
        assert!(text("providers").starts_with("cloudflare\n"));
        let check = text("udp --check --listen 127.0.0.1:5300 --upstream quad9 --upstream google");
        assert!(
            check.starts_with(
                "options, variables and files are valid: UDP on 127.0.0.1:5300, upstream quad9, then google,"
            ),
            "{check}"
        );
        assert_eq!(check.lines().count(), 1);
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
                "serve --check=perhaps",
                "--check \"perhaps\": is neither true nor false",
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
            "providers -h",
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
            let option = argv::option(known.name);
            let variable = format!("DOTWARD_{}", known.name.to_uppercase());
            assert!(words.contains(&option.as_str()), "{option}");
            let mut names = words.iter().map(|word| word.split('=').next());
            assert!(names.any(|name| name == Some(&variable)), "{variable}");
        }
    }
}
