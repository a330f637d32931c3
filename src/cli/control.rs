//! The control socket, and the commands that speak to a running program over it.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs as _;

use super::UsageError;
use super::commands::{Explain, Flush, LogLevel, Reload, Status, Subcommand, Trace, Why};
use super::options::Options;
use super::sources::Sources;
use super::units::duration;
use crate::control::{
    LONGEST_TRACE, MAX_PATH, Request, TRACE, log_level, question_type, read_name, talk,
};
use crate::engine;

/// Where a running program is looked for that nobody names, and where the unit for systemd has it.
const USUAL: &str = "/run/dotward/control.sock";
/// The word for no control socket.
const OFF: &str = "off";
/// The setting.
const SETTING: &str = "control_socket";

/// What is asked of a running program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlOrder {
    /// Where it listens.
    pub socket: PathBuf,
    /// What it is to do.
    pub request: Request,
    /// Whether the result is printed as JSON.
    pub json: bool,
    /// The file that a record goes to.
    pub output: Option<PathBuf>,
}

/// Reads a path, or `off`. An error is the reason alone.
pub(super) fn control_socket(text: &str) -> Result<Option<PathBuf>, String> {
    match text {
        OFF => Ok(None),
        path if path.len() > MAX_PATH => Err(format!(
            "has more than {MAX_PATH} octets, and the system takes no longer path of a socket"
        )),
        path => Ok(Some(PathBuf::from(path))),
    }
}

impl ControlOrder {
    /// Has the running program do it. Gives what is to be printed. The text of an error says what to do.
    pub fn carry_out(&self) -> Result<String, String> {
        talk(
            &self.socket,
            &self.request,
            self.json,
            self.output.as_deref(),
        )
    }

    /// What is written on the command line; `None` if that is another command.
    pub(super) fn read(
        typed: Subcommand,
        sources: &Sources,
    ) -> Result<Result<Self, Subcommand>, UsageError> {
        let mut to = None;
        let (request, socket, json) = match typed {
            Subcommand::Status(Status { socket, json }) => (Request::Status, socket, json),
            Subcommand::Explain(explain) => {
                let (request, socket, json) = explained(explain)?;
                (request, socket, json)
            }
            Subcommand::Why(Why {
                id,
                output,
                socket,
                json,
            }) => {
                to = output.map(PathBuf::from);
                (Request::Why(id.parse().map_err(UsageError)?), socket, json)
            }
            Subcommand::Flush(Flush {
                name,
                suffix,
                socket,
                json,
            }) => (flush(name, suffix)?, socket, json),
            Subcommand::Reload(Reload { socket, json }) => (Request::Reload, socket, json),
            Subcommand::LogLevel(LogLevel {
                level,
                socket,
                json,
            }) => {
                let level = log_level(&level).map_err(UsageError)?;
                (Request::LogLevel(level), socket, json)
            }
            Subcommand::Trace(Trace {
                on,
                time,
                socket,
                json,
            }) => (trace(&on, time)?, socket, json),
            other => return Ok(Err(other)),
        };
        Ok(Ok(Self {
            socket: path(socket, sources)?,
            request,
            json,
            output: to,
        }))
    }
}

fn explained(of: Explain) -> Result<(Request, Option<String>, bool), UsageError> {
    let Explain {
        name,
        qtype,
        socket,
        json,
    } = of;
    let name = read_name(&name).map_err(UsageError)?;
    let qtype = qtype.as_deref().map_or(Ok(1), question_type);
    let qtype = qtype.map_err(UsageError)?;
    Ok((Request::Explain { name, qtype }, socket, json))
}

fn flush(name: Option<String>, suffix: Option<String>) -> Result<Request, UsageError> {
    let read = |text: String| read_name(&text).map_err(UsageError);
    let what = match (name, suffix) {
        (None, None) => engine::Flush::All,
        (Some(name), None) => engine::Flush::Name(read(name)?),
        (None, Some(suffix)) => engine::Flush::Suffix(read(suffix)?),
        (Some(_), Some(_)) => {
            let why = "dotward flush takes a NAME or --suffix NAME, not both".to_owned();
            return Err(UsageError(why));
        }
    };
    Ok(Request::Flush(what))
}

fn trace(on: &str, time: Option<String>) -> Result<Request, UsageError> {
    match (on, time) {
        ("on", None) => Ok(Request::Trace(Some(TRACE))),
        ("on", Some(text)) => {
            let error = |why: &str| UsageError(format!("--for {text:?}: {why}"));
            let time = duration(&text).map_err(|why| error(&why))?;
            let range = Duration::from_secs(1)..=LONGEST_TRACE;
            if !range.contains(&time) {
                return Err(error("is not from 1s to 24h"));
            }
            if time.subsec_nanos() != 0 {
                return Err(error("is no whole number of seconds"));
            }
            Ok(Request::Trace(Some(time)))
        }
        ("off", None) => Ok(Request::Trace(None)),
        ("off", Some(_)) => Err(UsageError("--for is for dotward trace on".to_owned())),
        (other, _) => Err(UsageError(format!(
            "dotward trace {other:?}: is neither on nor off"
        ))),
    }
}

/// The path that is typed, or that of the variable or the file that a program here would be started with, or the usual one.
fn path(typed: Option<String>, sources: &Sources) -> Result<PathBuf, UsageError> {
    let socket = if let Some(text) = typed {
        control_socket(&text)
            .map_err(|why| UsageError(format!("--control-socket {text:?}: {why}")))?
    } else {
        let nothing = Options::from_args(&[], &[]);
        let nothing = nothing.map_err(|exit| UsageError(exit.output))?;
        let given = sources.given(nothing)?;
        given.one(SETTING, control_socket)?.flatten()
    };
    Ok(socket.unwrap_or_else(|| PathBuf::from(USUAL)))
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};
    use super::*;
    use log::LevelFilter;
    use std::ffi::OsString;

    fn order(line: &str, variables: &[(&str, &str)]) -> Result<ControlOrder, String> {
        let arguments = line.split_whitespace().map(OsString::from);
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        match parse(arguments, variables) {
            Ok(Command::Control(order)) => Ok(order),
            Ok(other) => panic!("{line}: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    // req 124
    #[test]
    fn each_command_asks_for_what_it_says() {
        let name = b"\x01a\x04test\0".to_vec();
        for (line, request) in [
            ("status", Request::Status),
            ("reload", Request::Reload),
            (
                "explain A.test",
                Request::Explain {
                    name: name.clone(),
                    qtype: 1,
                },
            ),
            (
                "explain a.test mx",
                Request::Explain {
                    name: name.clone(),
                    qtype: 15,
                },
            ),
            ("why 1A2B", Request::Why("1a2b".parse().unwrap())),
            ("flush", Request::Flush(engine::Flush::All)),
            (
                "flush a.test",
                Request::Flush(engine::Flush::Name(name.clone())),
            ),
            (
                "flush --suffix=a.test",
                Request::Flush(engine::Flush::Suffix(name)),
            ),
            ("log-level warn", Request::LogLevel(LevelFilter::Warn)),
            ("trace on", Request::Trace(Some(TRACE))),
            (
                "trace on --for 90s",
                Request::Trace(Some(Duration::from_secs(90))),
            ),
            ("trace off", Request::Trace(None)),
        ] {
            let read = order(line, &[]).unwrap();
            assert_eq!((read.request, read.json), (request, false), "{line}");
            assert!(order(&format!("{line} --json"), &[]).unwrap().json);
        }
    }

    // req 124
    #[test]
    fn the_socket_is_the_one_that_is_named_or_configured() {
        let socket = |line, variables| order(line, variables).unwrap().socket;
        let variable = [("DOTWARD_CONTROL_SOCKET", "/run/a")];
        assert_eq!(socket("status", &[]), PathBuf::from(USUAL));
        assert_eq!(socket("status", &variable), PathBuf::from("/run/a"));
        let typed = "status --control-socket /run/b";
        assert_eq!(socket(typed, &variable), PathBuf::from("/run/b"));
    }

    // req 124
    #[test]
    fn what_cannot_be_asked_is_refused_with_the_reason() {
        for (line, part) in [
            ("explain", "name"),
            ("explain a..b", "is no domain name"),
            ("explain a.test AAAAA", "did you mean AAAA?"),
            ("why", "id"),
            ("why abc", "is no id of a failure"),
            ("flush a --suffix b", "not both"),
            ("log-level loud", "those are off, error, warn, info, debug"),
            ("trace maybe", "is neither on nor off"),
            ("trace off --for 5s", "--for is for dotward trace on"),
            ("trace on --for 25h", "is not from 1s to 24h"),
            ("trace on --for 1500ms", "is no whole number of seconds"),
            ("status --control-socket", "control-socket"),
            ("status everything", "everything"),
            ("statsu", "did you mean status?"),
        ] {
            let error = order(line, &[]).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
            assert!(!error.contains('\n'), "{line}: {error:?}");
        }
        let long = format!("status --control-socket /{}", "a".repeat(MAX_PATH));
        let error = order(&long, &[]).unwrap_err();
        assert!(error.contains("octets"), "{error}");
    }
}
