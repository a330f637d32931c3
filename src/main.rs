//! The program: it reads its arguments, starts the log, and forwards queries until it is told to stop.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dotward::admin::Admin;
use dotward::cli::{self, Command, Probe, Proving, Settings};
use dotward::control::ControlSocket;
use dotward::query_log::QueryLogs;
use dotward::reload::{Reloader, Reloads};
use dotward::serve::Control;
use dotward::systemd::Inheritance;
use dotward::transports::{Inherited, RunError};
use dotward::{bench, logger, probe, prove, query, signals, systemd, transports};
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
        Ok(Command::Control(order)) => match order.carry_out() {
            Ok(text) => print(&text),
            Err(error) => fail(&error, ExitCode::FAILURE),
        },
        Ok(Command::Query(ask)) => told(
            query::run(&ask),
            query::is_json(&ask),
            query::Report::json,
            query::Report::is_answered,
        ),
        Ok(Command::Bench(contest)) => told(
            bench::run(&contest),
            bench::is_json(&contest),
            bench::Report::json,
            bench::Report::is_answered,
        ),
        Ok(Command::Prove(order)) => proved(&order),
        Ok(command) => {
            let code = print(&command.text().unwrap_or_default());
            for warning in command.warnings() {
                print_error(&format!("warning: {warning}"));
            }
            match command {
                Command::Import(import) if code == ExitCode::SUCCESS => match import.write() {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => fail(&error, ExitCode::FAILURE),
                },
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
    let report = probe::run(&settings.runtime, &settings.config, how.name.as_ref());
    told(
        report,
        how.json,
        probe::Report::json,
        probe::Report::is_usable,
    )
}

/// Says whether this machine's queries are encrypted. That is in the exit code, so that what keeps it from finding out has the one of wrong usage.
fn proved(order: &Proving) -> ExitCode {
    let report = match prove::run(order) {
        Ok(report) => report,
        Err(error) => return fail(&error, USAGE_ERROR.into()),
    };
    let text = if prove::is_json(order) {
        report.json()
    } else {
        report.to_string()
    };
    match print(&text) {
        ExitCode::SUCCESS => report.code().into(),
        _ => USAGE_ERROR.into(),
    }
}

/// Prints what was found, and succeeds if it is good.
fn told<R: std::fmt::Display>(
    report: Result<R, RunError>,
    as_json: bool,
    json: fn(&R) -> String,
    is_good: fn(&R) -> bool,
) -> ExitCode {
    let report = match report {
        Ok(report) => report,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let text = if as_json {
        json(&report)
    } else {
        report.to_string()
    };
    match print(&text) {
        ExitCode::SUCCESS if !is_good(&report) => ExitCode::FAILURE,
        code => code,
    }
}

fn serve(mut settings: Settings) -> ExitCode {
    let level = settings.log;
    let log = match logger::start(level, settings.log_format) {
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
        let reloader = Reloader::new(settings.clone(), control.clone(), kept, queries.clone());
        let forwarded = Reloads::start(reloader).and_then(|reloads| {
            let called = reloads.clone();
            signals::forward(control.clone(), ending, move || called.call()).map(|()| reloads)
        });
        let reloads = forwarded.map_err(|error| {
            RunError::System(format!(
                "signals cannot be received: {error}; is the limit of files (ulimit -n) or of threads (ulimit -u) too low?"
            ))
        })?;
        for warning in &settings.warnings {
            log::warn!("{warning}");
        }
        let result = run(settings, &control, inherited, &reloads);
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
fn run(
    settings: Settings,
    control: &Control,
    inherited: Inherited,
    reloads: &Reloads,
) -> Result<(), RunError> {
    let Settings {
        runtime,
        config,
        admin,
        control_socket,
        ..
    } = settings;
    let cache_bytes = config.cache_bytes();
    let admin = admin.map(Admin::bind).transpose();
    let admin = admin.map_err(RunError::System)?;
    let socket = control_socket.as_deref().map(ControlSocket::bind);
    let socket = socket.transpose().map_err(RunError::System)?;
    if !config.ignore_network_changes() {
        // Before the loops connect: they note the paths of connections only if somebody tells of changes.
        transports::watch_network(control);
    }
    let started = transports::start(&runtime, config, control, inherited)?;
    if let Some(admin) = admin {
        admin.serve(control, &runtime).map_err(RunError::System)?;
    }
    let served = socket.map(|socket| socket.serve(control, &runtime, reloads));
    // Its file is there until the end.
    let _served = served.transpose().map_err(RunError::System)?;
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
