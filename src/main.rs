//! The program: reads its command, starts the log, forwards questions until it is told to stop.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use dotward::cli::{self, Command, Settings};
use dotward::serve::Control;
use dotward::transports::RunError;
use dotward::{logger, signals, transports};
use log::LevelFilter;

/// For arguments that make no sense, as shells and most programs have it.
const USAGE_ERROR: u8 = 2;

/// How long the last lines of the log may take at exit.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match cli::from_env() {
        Ok(Command::Serve(settings)) => serve(settings),
        Ok(command) => {
            for warning in command.warnings() {
                tell(&format!("warning: {warning}"));
            }
            print(&command.text().unwrap_or_default())
        }
        Err(error) => complain(&error, USAGE_ERROR.into()),
    }
}

fn serve(settings: Settings) -> ExitCode {
    let log = match logger::start(settings.log) {
        Ok(log) => log,
        Err(error) => return complain(&error, ExitCode::FAILURE),
    };
    let control = Control::new();
    if let Err(error) = signals::forward(control.clone()) {
        let why = format!(
            "signals cannot be received: {error}; is the limit of files (ulimit -n) or of threads (ulimit -u) too low?"
        );
        return complain(&why, ExitCode::FAILURE);
    }
    for warning in &settings.warnings {
        log::warn!("{warning}");
    }
    let result = transports::run(&settings.runtime, settings.config, &control);
    if let Err(error) = &result {
        if settings.log == LevelFilter::Off {
            tell(error);
        }
        // Through the log and not directly, so that a blocked standard error does not hold up the exit.
        log::error!("{error}");
    }
    log.flush(LOG_PATIENCE);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Config(_) | RunError::NoRuntime(_)) => USAGE_ERROR.into(),
        Err(_) => ExitCode::FAILURE,
    }
}

/// A reader that goes away, as in `dotward providers | head -1`, has read enough.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&error, ExitCode::FAILURE)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn complain(error: &dyn std::fmt::Display, code: ExitCode) -> ExitCode {
    tell(error);
    code
}

fn tell(what: &dyn std::fmt::Display) {
    // Nobody is left to tell when standard error is gone; the exit code still says it.
    let _ = writeln!(io::stderr(), "dotward: {what}");
}
