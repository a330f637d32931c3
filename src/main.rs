//! The program: it reads its arguments, starts the log, and forwards queries until it is told to stop.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dotward::admin::Admin;
use dotward::cli::{self, Command, Probe, Settings};
use dotward::query_log::QueryLogs;
use dotward::reload::Reloader;
use dotward::serve::Control;
use dotward::systemd::Inheritance;
use dotward::transports::{Inherited, RunError};
use dotward::{logger, probe, signals, systemd, transports};
use log::LevelFilter;

/// The exit code for arguments that cannot be used, as in shells and most programs.
const USAGE_ERROR: u8 = 2;

/// How long the exit waits for the last lines of the log to be written.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match cli::from_env() {
        Ok(Command::Serve(settings)) => serve(settings),
        Ok(Command::Certificate(order)) => match order.carry_out() {
            Ok(text) => print(&text),
            Err(error) => fail(&error, ExitCode::FAILURE),
        },
        Ok(command) => {
            let code = print(&command.text().unwrap_or_default());
            for warning in command.warnings() {
                print_error(&format!("warning: {warning}"));
            }
            match command {
                Command::Probe(settings, how) if code == ExitCode::SUCCESS => {
                    probe(&settings, &how)
                }
                _ => code,
            }
        }
        Err(error) => fail(&error, USAGE_ERROR.into()),
    }
}

/// Contacts the upstreams, and succeeds if each can be used.
fn probe(settings: &Settings, how: &Probe) -> ExitCode {
    let report = match probe::run(&settings.runtime, &settings.config, how.name.as_ref()) {
        Ok(report) => report,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let text = if how.json {
        report.json()
    } else {
        report.to_string()
    };
    match print(&text) {
        ExitCode::SUCCESS if !report.is_usable() => ExitCode::FAILURE,
        code => code,
    }
}

fn serve(mut settings: Settings) -> ExitCode {
    let level = settings.log;
    let log = match logger::start(level) {
        Ok(log) => log,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    if let Some(file) = &settings.file {
        log::info!("the configuration is read from {file}");
    }
    let notes = [settings.trust_note(), settings.bootstrap_note()];
    for note in notes.into_iter().flatten() {
        log::info!("{note}");
    }
    let result = systemd::inherit(settings.config.clone()).and_then(move |inheritance| {
        let Inheritance {
            config,
            inherited,
            ending,
            kept,
        } = inheritance;
        settings.config = config;
        let control = Control::new();
        let queries = Arc::new(QueryLogs::new(control.clone()));
        let to = settings.query_log.as_ref();
        queries.apply(to).map_err(RunError::System)?;
        let queries_to_reload = queries.clone();
        let mut reloader = Reloader::new(settings.clone(), control.clone(), kept, queries_to_reload);
        signals::forward(control.clone(), ending, move || reloader.reload()).map_err(|error| {
            RunError::System(format!(
                "signals cannot be received: {error}; is the limit of files (ulimit -n) or of threads (ulimit -u) too low?"
            ))
        })?;
        for warning in &settings.warnings {
            log::warn!("{warning}");
        }
        let result = run(settings, &control, inherited);
        queries.end();
        result
    });
    if let Err(error) = &result {
        if level == LevelFilter::Off {
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

/// Serves, and tells the service manager so.
fn run(settings: Settings, control: &Control, inherited: Inherited) -> Result<(), RunError> {
    let Settings {
        runtime,
        config,
        admin,
        ..
    } = settings;
    let cache_bytes = config.cache_bytes();
    let admin = admin.map(Admin::bind).transpose();
    let admin = admin.map_err(RunError::System)?;
    let started = transports::start(&runtime, config, control, inherited)?;
    if let Some(admin) = admin {
        admin.serve(control, &runtime).map_err(RunError::System)?;
    }
    systemd::ready(started.summary());
    systemd::watch(control).map_err(|error| RunError::System(format!("the watchdog: {error}")))?;
    let cache = started.cache();
    started.serve()?;
    systemd::leave(&cache, cache_bytes);
    Ok(())
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
