//! The program: it reads its arguments, starts the log, and forwards queries until it is told to stop.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use dotward::cli::{self, Command, Settings};
use dotward::reload::Reloader;
use dotward::serve::Control;
use dotward::transports::RunError;
use dotward::{logger, signals, transports};
use log::LevelFilter;

/// The exit code for arguments that cannot be used, as in shells and most programs.
const USAGE_ERROR: u8 = 2;

/// How long the exit waits for the last lines of the log to be written.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match cli::from_env() {
        Ok(Command::Serve(settings)) => serve(settings),
        Ok(command) => {
            let code = print(&command.text().unwrap_or_default());
            for warning in command.warnings() {
                print_error(&format!("warning: {warning}"));
            }
            code
        }
        Err(error) => fail(&error, USAGE_ERROR.into()),
    }
}

fn serve(settings: Settings) -> ExitCode {
    let log = match logger::start(settings.log) {
        Ok(log) => log,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let control = Control::new();
    let mut reloader = Reloader::new(settings.clone(), control.clone());
    if let Err(error) = signals::forward(control.clone(), move || reloader.reload()) {
        let why = format!(
            "signals cannot be received: {error}; is the limit of files (ulimit -n) or of threads (ulimit -u) too low?"
        );
        return fail(&why, ExitCode::FAILURE);
    }
    if let Some(file) = &settings.file {
        log::info!("the configuration is read from {file}");
    }
    for warning in &settings.warnings {
        log::warn!("{warning}");
    }
    let result = transports::run(&settings.runtime, settings.config, &control);
    if let Err(error) = &result {
        if settings.log == LevelFilter::Off {
            print_error(error);
        }
        // The log does not block: a standard error that nobody reads does not delay the exit.
        log::error!("{error}");
    }
    log.flush(LOG_TIMEOUT);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Config(_) | RunError::NoRuntime(_)) => USAGE_ERROR.into(),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes to standard output. A reader that is gone, as in `dotward providers | head -1`, is no error.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error, ExitCode::FAILURE),
        _ => ExitCode::SUCCESS,
    }
}

fn fail(error: &dyn std::fmt::Display, code: ExitCode) -> ExitCode {
    print_error(error);
    code
}

fn print_error(what: &dyn std::fmt::Display) {
    // If standard error is gone, the exit code remains.
    let _ = writeln!(io::stderr(), "dotward: {what}");
}
