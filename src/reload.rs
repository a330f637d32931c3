//! Reading the configuration again: as a whole or not at all.

use crate::cli::Settings;
use crate::config::{Config, Listen, Upstream};
use crate::query_log::QueryLogs;
use crate::serve::Control;
use crate::systemd::{self, KeptSockets};
use crate::transports::prepare;
use log::{error, info, warn};
use std::sync::Arc;

/// Reads what the settings came from again, and has the event loops serve by that.
pub struct Reloader {
    /// Those of the start. What only a start changes stays as it is there.
    started: Settings,
    /// The configuration that is in force.
    config: Config,
    control: Control,
    kept: KeptSockets,
    queries: Arc<QueryLogs>,
}

impl Reloader {
    /// For loops that begin with these settings, and are told by `control`. A service manager has `kept` some of their sockets.
    pub fn new(
        started: Settings,
        control: Control,
        kept: KeptSockets,
        queries: Arc<QueryLogs>,
    ) -> Self {
        Self {
            config: started.config.clone(),
            started,
            control,
            kept,
            queries,
        }
    }

    /// Reads arguments, variables and files again. If there is a mistake in them, nothing changes. The log says which it is, and so does the
    /// status that a service manager shows, which waits for either outcome.
    pub fn reload(&mut self) {
        systemd::reloading();
        // Whoever rotates files sends the signal, too, whatever is in the configuration.
        self.queries.reopen();
        let status = match self.read() {
            Ok(settings) => self.obey(settings),
            Err(why) => {
                error!("SIGHUP: {why}; the configuration stays as it was");
                format!(
                    "the configuration that was read again is refused: {why}; the one before is in force"
                )
            }
        };
        systemd::ready(&status);
    }

    /// Has the loops serve by these settings, and says what is in force.
    fn obey(&mut self, settings: Settings) -> String {
        for warning in &settings.warnings {
            warn!("{warning}");
        }
        let from = settings
            .file
            .as_deref()
            .unwrap_or("arguments and variables");
        info!("SIGHUP: the configuration is read again: {from}");
        if settings.config.roots() != self.config.roots()
            && let Some(note) = settings.trust_note()
        {
            info!("{note}");
        }
        if settings.config.bootstrap() != self.config.bootstrap()
            && let Some(note) = settings.bootstrap_note()
        {
            info!("{note}");
        }
        let fixed = settings.fixed(&self.started);
        if !fixed.is_empty() {
            warn!("only a restart changes {}", fixed.join(", "));
        }
        log::set_max_level(settings.log);
        if let Err(why) = self.queries.apply(settings.query_log.as_ref()) {
            error!("SIGHUP: {why}; queries are logged as before");
        }
        let config = settings.config;
        let bound = self.kept.change(&self.config, &config);
        self.control.reload_beside(config.clone(), bound);
        let listen: Vec<String> = config.listen().iter().map(Listen::to_string).collect();
        let upstreams: Vec<&str> = config.upstreams().iter().map(Upstream::label).collect();
        let status = format!(
            "the configuration was read again; serving on {}; upstreams: {}",
            listen.join(", "),
            upstreams.join(", ")
        );
        self.config = config;
        status
    }

    fn read(&self) -> Result<Settings, String> {
        let mut settings = self.started.reload().map_err(|error| error.to_string())?;
        let config = self.kept.listen(settings.config)?;
        settings.config = prepare(&self.config, config)?;
        Ok(settings)
    }
}
