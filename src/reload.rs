//! Reading the configuration again: as a whole or not at all.

use crate::cli::Settings;
use crate::config::Config;
use crate::serve::Control;
use crate::transports::prepare;
use log::{error, info, warn};

/// Reads what the settings came from again, and has the event loops serve by that.
pub struct Reloader {
    /// Those of the start. What only a start changes stays as it is there.
    started: Settings,
    /// The configuration that is in force.
    config: Config,
    control: Control,
}

impl Reloader {
    /// For loops that begin with these settings, and are told by `control`.
    pub fn new(started: Settings, control: Control) -> Self {
        Self {
            config: started.config.clone(),
            started,
            control,
        }
    }

    /// Reads arguments, variables and files again. If there is a mistake in them, nothing changes. The log says which it is.
    pub fn reload(&mut self) {
        let settings = match self.read() {
            Ok(settings) => settings,
            Err(why) => {
                error!("SIGHUP: {why}; the configuration stays as it was");
                return;
            }
        };
        for warning in &settings.warnings {
            warn!("{warning}");
        }
        let from = settings
            .file
            .as_deref()
            .unwrap_or("arguments and variables");
        info!("SIGHUP: the configuration is read again: {from}");
        let fixed = settings.fixed(&self.started);
        if !fixed.is_empty() {
            warn!("only a restart changes {}", fixed.join(", "));
        }
        log::set_max_level(settings.log);
        self.config = settings.config.clone();
        self.control.reload(settings.config);
    }

    fn read(&self) -> Result<Settings, String> {
        let mut settings = self.started.reload().map_err(|error| error.to_string())?;
        settings.config = prepare(&self.config, settings.config)?;
        Ok(settings)
    }
}
